"""Every row of one database into another, of whichever engine, as it is: keys, versions, bytes.

1. tables in the order of their references, the heads of the chains last: a copy without them is
   none, and verification says so
2. chunks bounded in rows and in bytes, each a transaction of its own
3. what is there already is gone on from: rows come in the order of their keys, from a source that
   nobody writes any more
"""

from __future__ import annotations

from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, bindparam, func, insert, select, tuple_

from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import chain_heads, entries, outbox, registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sqlalchemy import ColumnElement, Select, Table

    from scoped_mcp.storage.connection import Conn
    from scoped_mcp.storage.database import Database

ROWS = 2_000
OCTETS = 8 * 1_048_576
COUNTED = (registry, outbox, entries)
"""The tables whose keys the database itself counts."""


async def copy(source: Database, target: Database) -> AsyncGenerator[int]:
    """Copy all that the target lacks; how many rows each chunk had."""
    for table in _ordered():
        page = _Page(table)
        after = await target.read(page.last)
        while rows := await source.read(partial(page.read, after=after)):
            await target.write(partial(_write, table=table, rows=rows))
            after = tuple(rows[-1][column.name] for column in table.primary_key)
            yield len(rows)
    await target.write(_count_on)


async def sizes(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    counts = {
        t.name: past_walls(select(func.count().label("n")).select_from(t)) for t in _ordered()
    }

    def count(conn: Conn) -> dict[str, int]:
        found = {name: conn.row(statement) for name, statement in counts.items()}
        return {name: 0 if row is None else int(row[0]) for name, row in found.items()}

    return await database.read(count)


async def vacant(database: Database) -> bool:
    """Whether nothing ever happened there."""
    first = past_walls(select(entries.c.id).limit(1))
    return await database.read(lambda conn: conn.row(first)) is None


class _Page:
    """The rows of a table by their keys, a chunk at a time."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.keys = list(table.primary_key)
        self._heavy = [c for c in table.columns if isinstance(c.type, LargeBinary)]

    def last(self, conn: Conn) -> tuple[Any, ...] | None:
        """The greatest key that there is."""
        newest = select(*self.keys).order_by(*(key.desc() for key in self.keys)).limit(1)
        row = conn.row(past_walls(newest))
        return None if row is None else tuple(row)

    def read(self, conn: Conn, after: tuple[Any, ...] | None) -> list[dict[str, Any]]:
        """The chunk behind a key."""
        values = {} if after is None else {f"k{n}": value for n, value in enumerate(after)}
        rows = conn.rows(self._behind(select(self.table), after, self._room(conn, after)), values)
        names = [column.name for column in self.table.columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _room(self, conn: Conn, after: tuple[Any, ...] | None) -> int:
        """2: so many of the next rows fit into one chunk, at least one."""
        if not self._heavy:
            return ROWS
        values = {} if after is None else {f"k{n}": value for n, value in enumerate(after)}
        weight = reduce(add, map(_long, self._heavy))
        total = 0
        weights = conn.rows(self._behind(select(weight), after, ROWS), values)
        for room, (octets,) in enumerate(weights, 1):
            total += octets
            if total > OCTETS:
                return max(1, room - 1)
        return ROWS

    def _behind(
        self, statement: Select[Any], after: tuple[Any, ...] | None, limit: int
    ) -> Select[Any]:
        if after is not None:
            statement = statement.where(self._greater())
        return past_walls(statement.order_by(*self.keys).limit(limit))

    def _greater(self) -> ColumnElement[bool]:
        """Behind a key: compared as one value, which either engine finds in the key's index."""
        places = [bindparam(f"k{n}", type_=key.type) for n, key in enumerate(self.keys)]
        return tuple_(*self.keys) > tuple_(*places)


def _long(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.length(column), 0)


def _ordered() -> list[Table]:
    """1: what is referred to before what refers to it."""
    return [*(t for t in metadata.sorted_tables if t is not chain_heads), chain_heads]


def _write(conn: Conn, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    conn.insert_all(insert(table), rows)


def _count_on(conn: Conn) -> None:
    """What comes next goes on behind what came along."""
    newest = {t.name: past_walls(select(func.coalesce(func.max(t.c.id), 1))) for t in COUNTED}
    conn.count_on({name: int(conn.row(one)[0]) for name, one in newest.items()})
