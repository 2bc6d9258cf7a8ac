"""What a transaction may do with the database: run statements, and nothing about connections.

A statement that is seen again — every statement that a module builds once — is compiled by
SQLAlchemy once and then run on the driver's own cursor: the same SQL, the same parameters, a third
of the time. A test holds the two ways equal.
"""

from __future__ import annotations

import itertools
from collections import namedtuple
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Dialect, Executable, Insert

    from scoped_mcp.storage.driver import Patience

NOTHING: Mapping[str, Any] = {}


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

    def savepoint(self, name: str) -> None:
        """Mark where `rollback` may return to."""
        ...

    def release(self, name: str) -> None:
        """Forget the mark and keep what was done since."""
        ...

    def rollback(self, name: str) -> None:
        """Undo what was done since the mark, and forget it."""
        ...


@dataclass
class Plan:
    """A statement ready for the driver: its SQL, its parameters in order, its rows' names.

    Attributes:
        returns: Whether an insert answers with the key that the table made.
    """

    sql: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    returns: bool = False
    row: Any = None

    @classmethod
    def of(cls, statement: Any, dialect: Dialect, keys: list[str] | None) -> Self | None:  # noqa: ANN401 - any statement
        """The plan of a statement; None where a list in it differs from call to call.

        A list that is part of the statement is spelt out; for one that is not there is `among`.
        """
        compiled = statement.compile(dialect=dialect, column_keys=keys)
        binds = compiled.binds
        needed = {name for name, bind in binds.items() if bind.required}
        if any(binds[name].expanding for name in needed):
            return None
        spelt = compiled.construct_expanded_state(dict.fromkeys(needed))
        fixed = {name: v for name, v in spelt.parameters.items() if name not in needed}
        returns = bool(getattr(compiled, "effective_returning", None))
        return cls(spelt.statement, tuple(spelt.positiontup or ()), fixed, returns)

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order of the statement."""
        fixed = self.fixed
        return [values[name] if name in values else fixed[name] for name in self.names]

    def named(self, cursor: Any, found: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - DB-API's
        """What a cursor found, with the names of the query's columns."""
        if self.row is None:
            make = cast("Any", namedtuple)  # noqa: PYI024 - its fields are the query's
            self.row = make("Row", [str(column[0]) for column in cursor.description], rename=True)
        return [self.row._make(row) for row in found]


@dataclass
class _Seen:
    """What is known of a statement: plans by the names of its values; None where there is none."""

    plans: dict[tuple[str, ...], Plan | None] = field(default_factory=lambda: {})


_seen: WeakKeyDictionary[Any, _Seen] = WeakKeyDictionary()


class SQLiteConn:
    """`Conn` over SQLite: one work at a time, whatever it is."""

    now: datetime | None = None
    alone = True

    def __init__(self, connection: Connection, patience: Patience | None = None) -> None:
        self._connection = connection
        self._raw = cast("Any", connection.connection.driver_connection)
        self._patience = patience

    def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row of a query."""
        plan = self._plan(statement, values or NOTHING)
        if plan is None:
            return self._connection.execute(statement, values).fetchall()
        cursor = self._raw.execute(plan.sql, plan.parameters(values or NOTHING))
        return plan.named(cursor, cursor.fetchall())

    def row(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a row
        """The first row of a query, or None."""
        plan = self._plan(statement, values or NOTHING)
        if plan is None:
            return self._connection.execute(statement, values).fetchone()
        cursor = self._raw.execute(plan.sql, plan.parameters(values or NOTHING))
        found = cursor.fetchone()
        named = None if found is None else plan.named(cursor, [found])[0]
        cursor.close()
        return named

    def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert one row; its integer key where the table makes one."""
        plan = self._plan(statement, values)
        if plan is None:
            return self._connection.execute(statement, values).lastrowid
        return int(self._raw.execute(plan.sql, plan.parameters(values)).lastrowid)

    def insert_all(self, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows that name the same columns."""
        self._connection.execute(statement, rows)

    def update(self, statement: Any, values: Mapping[str, Any]) -> int:  # noqa: ANN401 - or Delete
        """Change rows; how many."""
        plan = self._plan(statement, values)
        if plan is None:
            return self._connection.execute(statement, values).rowcount
        return int(self._raw.execute(plan.sql, plan.parameters(values)).rowcount)

    def send(self, statement: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - any of those
        """Insert or change: there is nothing to wait for."""
        plan = self._plan(statement, values)
        if plan is None:
            self._connection.execute(statement, values)
        else:
            self._raw.execute(plan.sql, plan.parameters(values))

    def numbers(self, last: int) -> Iterator[int]:
        """Nobody else takes any."""
        return itertools.count(last + 1)

    def count_on(self, keys: Mapping[str, int]) -> None:
        """Keys and numbers go on behind the greatest that there is."""

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

    def _plan(self, statement: Any, values: Mapping[str, Any]) -> Plan | None:  # noqa: ANN401 - any statement
        """The plan of a statement seen before; a first sight leaves it to SQLAlchemy."""
        if self._patience is not None:
            self._patience.begin()
        seen = _seen.get(statement)
        if seen is None:
            _seen[statement] = _Seen()
            return None
        names = tuple(values)
        if names not in seen.plans:
            seen.plans[names] = self._compile(statement, names)
        return seen.plans[names]

    def _compile(self, statement: Any, names: tuple[str, ...]) -> Plan | None:  # noqa: ANN401 - any statement
        keys = list(names) if statement.is_insert else None
        return Plan.of(statement, self._connection.dialect, keys)
