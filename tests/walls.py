"""Row security from below: SQL as `scoped_app`, with what the path tells walls of a caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from scoped_mcp import Scoped
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage.postgres.address import Address

Keys = Mapping[str, Iterable[int]]
SEEN = "SELECT r.public_id FROM {0} t JOIN registry r ON r.id = t.id"
VERSIONS = """
SELECT r.public_id, v.version FROM {0} v JOIN registry r ON r.id = v.id WHERE r.kind = 'object'
"""


async def keys_of(scoped: Scoped, token: str) -> dict[str, list[int]]:
    """What walls are told of whoever holds a token, now."""

    def every(tx: Any) -> dict[str, list[int]]:
        return {name: sorted(keys(tx)) for name, keys in ports.keys.items()}

    return await scoped.spine.look(every, token)


class Raw:
    """A connection that became `scoped_app`, and whoever it says it is."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def rows(self, statement: str, keys: Keys | None = None) -> list[tuple[Any, ...]]:
        """What a statement finds, in a transaction of its own, undone; nobody asks without keys."""
        try:
            if keys is not None:
                told = {"caller": "0"} | {
                    name: f"{{{','.join(map(str, some))}}}" if some else ""
                    for name, some in keys.items()
                }
                for name, value in told.items():
                    self.raw.execute("SELECT set_config(%s, %s, true)", [f"scoped.{name}", value])
            return self.raw.execute(statement.encode()).fetchall()
        finally:
            self.raw.rollback()

    def ids(self, table: str, keys: Keys) -> set[str]:
        """The public ids of what a table shows."""
        return {row[0] for row in self.rows(SEEN.format(table), keys)}

    def versions(self, table: str, keys: Keys) -> set[tuple[str, int]]:
        """The versions of objects that a table shows."""
        return {(row[0], row[1]) for row in self.rows(VERSIONS.format(table), keys)}


@contextmanager
def raw_at(url: str) -> Iterator[Raw]:
    """One at a house."""
    with psycopg.connect(Address.parse(url).conninfo) as raw:
        raw.execute("SET ROLE scoped_app")
        raw.commit()
        yield Raw(raw)
