"""What a transaction may do with the database: run statements, and nothing about connections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.dialects.sqlite import pysqlite

from scoped_mcp.storage import driver
from scoped_mcp.storage.plans import NOTHING, Plans

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Executable, Insert

    from scoped_mcp.storage.plans import Plan

KeysOf = Callable[[str], Iterable[int] | None]
"""The keys of one name of whoever asks; None while nobody is known."""


class AgainError(Exception):
    """The work must run again from its start, with a later clock; alone, where it was not."""


class Conn(Protocol):
    """Statements inside the current transaction, on a thread of the database."""

    now: datetime | None
    """What the database's clock showed once the order was taken; None: ask the machine's."""
    alone: bool
    """Whether no other work runs beside this one."""

    def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row of a query."""
        ...

    def row(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a row
        """The first row of a query, or None."""
        ...

    def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert one row; its integer key where the table makes one."""
        ...

    def insert_all(self, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows that name the same columns, keys included."""
        ...

    def update(self, statement: Any, values: Mapping[str, Any]) -> int:  # noqa: ANN401 - or Delete
        """Change rows; how many."""
        ...

    def count_on(self, keys: Mapping[str, int]) -> None:
        """Let the keys that each of these tables makes go on behind one, and numbers of entries."""
        ...

    def send(self, statement: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - any of those
        """Insert or change without waiting: a refusal shows at a later statement, or at the end."""
        ...

    def numbers(self, last: int) -> Iterator[int]:
        """Fresh numbers for entries, each higher than `last`, which is the highest that stands."""
        ...

    def seen_by(self, keys: KeysOf) -> None:
        """Say who asks: walls that a statement meets are told what they need (`storage.walls`)."""
        ...

    def forget(self) -> None:
        """What walls were told may no longer hold: tell them anew."""
        ...

    def savepoint(self, name: str) -> None:
        """Mark where `rollback` may return to."""
        ...

    def release(self, name: str) -> None:
        """Forget the mark and keep what was done since."""
        ...

    def rollback(self, name: str) -> None:
        """Undo what was done since the mark, and forget it."""
        ...


_PLANS = Plans(pysqlite.dialect(dbapi=driver.dbapi))


class SQLiteConn:
    """`Conn` over SQLite: one work at a time, whatever it is."""

    now: datetime | None = None
    alone = True

    def __init__(self, raw: driver.Raw, patience: driver.Patience | None = None) -> None:
        self._raw = raw
        self._patience = patience

    def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row of a query."""
        plan, cursor = self._run(statement, values or NOTHING)
        return plan.named(cursor, cursor.fetchall())

    def row(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a row
        """The first row of a query, or None."""
        plan, cursor = self._run(statement, values or NOTHING)
        found = cursor.fetchone()
        named = None if found is None else plan.named(cursor, [found])[0]
        cursor.close()
        return named

    def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert one row; its integer key where the table makes one."""
        _, cursor = self._run(statement, values)
        return int(cursor.lastrowid)

    def insert_all(self, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows that name the same columns."""
        ready = [_PLANS.ready(statement, row) for row in rows]
        (sql,) = {one.sql for one in ready}  # or values would go where others' names are
        self._begin()
        self._raw.executemany(sql, [one.parameters for one in ready])

    def update(self, statement: Any, values: Mapping[str, Any]) -> int:  # noqa: ANN401 - or Delete
        """Change rows; how many."""
        _, cursor = self._run(statement, values)
        return int(cursor.rowcount)

    def send(self, statement: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - any of those
        """Insert or change: there is nothing to wait for."""
        self._run(statement, values)

    def _run(self, statement: Any, values: Mapping[str, Any]) -> tuple[Plan, Any]:  # noqa: ANN401 - any statement
        plan, sql, parameters = _PLANS.ready(statement, values)
        self._begin()
        return plan, self._raw.execute(sql, parameters)

    def _begin(self) -> None:
        if self._patience is not None:
            self._patience.begin()

    def numbers(self, last: int) -> Iterator[int]:
        """Nobody else takes any."""
        return itertools.count(last + 1)

    def count_on(self, keys: Mapping[str, int]) -> None:
        """Keys and numbers go on behind the greatest that there is."""

    def seen_by(self, keys: KeysOf) -> None:
        """There are no walls."""

    def forget(self) -> None:
        """There are no walls."""

    def savepoint(self, name: str) -> None:
        """Mark where `rollback` may return to."""
        self._raw.execute(f"SAVEPOINT {name}")

    def release(self, name: str) -> None:
        """Forget the mark and keep what was done since."""
        self._raw.execute(f"RELEASE {name}")

    def rollback(self, name: str) -> None:
        """Undo what was done since the mark, and forget it."""
        self._raw.execute(f"ROLLBACK TO {name}")
        self._raw.execute(f"RELEASE {name}")
