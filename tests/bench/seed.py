"""Many objects in little time: rows as the product writes them, written below it.

The product makes one object; its entry, its versions and its row are the pattern. What is seeded is
valid — `audit verify` finds nothing — because digests, canonical bytes, columns and the chain are
computed by the product's own functions; what it saves is everything else, and an entry an object:
as many as `TOGETHER` share one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.ids import EntryId, ObjectId
from scoped_mcp.spine.trace import columns_of
from scoped_mcp.storage import driver
from tests.bench.engines import connected

TOGETHER = 500
_LAST = "SELECT id, body FROM entries WHERE operation = 'object.create' ORDER BY id DESC LIMIT 1"
_VERSION = (
    "SELECT c.content, o.* FROM versions v JOIN version_contents c USING (id, version)"
    " JOIN objects o USING (id) WHERE v.entry = ?"
)
_HEAD = "UPDATE chain_heads SET seq = ?, hash = ?, at = ? WHERE chain = 0"
_COUNTED = (
    "SELECT setval('entry_numbers', (SELECT max(id) FROM entries))",
    "SELECT setval(pg_get_serial_sequence('registry', 'id'), (SELECT max(id) FROM registry))",
)


def seed(url: str, data: Sequence[dict[str, Any]], rare: str = "rare", each: int = 250) -> None:
    """Copies of the newest object that was created, of the same owner, at its place.

    Args:
        url: The database; no server has it open.
        data: What the new ones hold, one by one.
        rare: The type of one of so many; the others have the pattern's.
        each: How many that is.
    """
    with _File(url) if url.startswith("sqlite") else _Server(url) as raw:
        entry, body = raw.one(_LAST)
        found = raw.execute(_VERSION, (entry,))
        names = [column[0] for column in found.description][1:]
        content, *row = found.fetchone()
        row = dict(zip(names, row, strict=True))
        pattern = _Pattern(json.loads(body), json.loads(content), row)
        for first in range(0, len(data), TOGETHER):
            some = list(enumerate(data[first : first + TOGETHER], first))
            with raw.transaction():
                _write(raw, pattern, [(rare if n % each == 0 else None, one) for n, one in some])


class _File:
    """SQLite, by the driver's module alone."""

    def __init__(self, url: str) -> None:
        self._raw = driver.connect(Path(url.removeprefix("sqlite:///")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        yield
        self.execute("COMMIT")

    def execute(self, sql: str, values: Any = ()) -> Any:
        return self._raw.execute(sql, values)

    def one(self, sql: str, values: Any = ()) -> Any:
        return self.execute(sql, values).fetchone()

    def insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        self._raw.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


class _Server(_File):
    """PostgreSQL, as an account that walls do not stop; at the end it knows how much there is."""

    def __init__(self, url: str) -> None:
        self._raw = connected(url)
        self._raw.autocommit = True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._raw.transaction():
            yield

    def __exit__(self, *_: object) -> None:
        for sql in (*_COUNTED, "VACUUM ANALYZE"):
            self._raw.execute(sql)
        self._raw.close()

    def execute(self, sql: str, values: Any = ()) -> Any:
        return self._raw.execute(sql.replace("?", "%s"), values)

    def insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        with self._raw.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


class _Pattern:
    def __init__(self, body: dict[str, Any], content: dict[str, Any], row: dict[str, Any]) -> None:
        self.body, self.content, self.row = body, content, row


def _write(raw: _File, pattern: _Pattern, some: list[tuple[str | None, dict[str, Any]]]) -> None:
    (entry,) = raw.one("SELECT max(id) + 1 FROM entries")
    (key,) = raw.one("SELECT max(id) + 1 FROM registry")
    seq, previous, at = raw.one("SELECT seq, hash, at FROM chain_heads")
    changes: list[dict[str, Any]] = []
    rows: dict[str, list[tuple[Any, ...]]] = {}
    target = ""
    for number, (kind, data) in enumerate(some, key):
        target = ObjectId.of(secrets.token_bytes(10))
        urn = pattern.body["changes"][0]["urn"].rpartition(":")[0] + f":{target}"
        salt = secrets.token_bytes(32)
        of = kind or pattern.row["type"]
        state = {**pattern.content["state"], "id": target, "type": of, "data": data}
        content = canonical.encode({**pattern.content, "state": state})
        digest = canonical.digest(salt, content)
        row = {**pattern.row, "id": number, "entry": entry, "type": of}
        rows.setdefault("registry", []).append((number, target, urn, "object", entry))
        rows.setdefault("versions", []).append((number, 1, entry, digest))
        rows.setdefault("version_contents", []).append((number, 1, content, salt, None))
        rows.setdefault("objects", []).append(tuple(row.values()))
        changes.append({"urn": urn, "from": None, "to": 1, "digest": digest.hex()})
    of_all = {"id": EntryId.of(secrets.token_bytes(10)), "number": entry, "seq": seq + 1}
    body = {**pattern.body, **of_all, "at": at, "changes": changes, "prev": previous.hex()}
    body["target"] = target
    encoded = canonical.encode(body)
    digest = hashlib.sha256(encoded).digest()
    for table, many in rows.items():
        raw.insert(table, many)
    known = "SELECT id FROM registry WHERE public_id = ?"
    columns = columns_of(body, lambda one: raw.one(known, (one,))[0])
    columns |= {"body": encoded, "hash": digest}
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT INTO entries ({', '.join(columns)}) VALUES ({marks})"
    raw.execute(insert, tuple(columns.values()))
    raw.execute(_HEAD, (seq + 1, digest, at))
