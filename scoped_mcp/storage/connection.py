"""What a transaction may do with the database: run statements, and nothing about connections.

A statement that is seen again — every statement that a module builds once — is compiled by
SQLAlchemy once and then run on the driver's own cursor: the same SQL, the same parameters, a third
of the time. A test holds the two ways equal.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Executable, Insert, Row, Update


@dataclass
class _Plan:
    """A statement ready for the driver: its SQL, its parameters in order, its rows' names."""

    sql: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    row: Any = None

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        fixed = self.fixed
        return [values[name] if name in values else fixed[name] for name in self.names]


@dataclass
class _Seen:
    """What is known of a statement: plans by the names of its values; None where there is none."""

    plans: dict[tuple[str, ...], _Plan | None] = field(default_factory=lambda: {})


_seen: WeakKeyDictionary[Any, _Seen] = WeakKeyDictionary()
_NOTHING: Mapping[str, Any] = {}


class Conn:
    """Statements inside the current transaction, on the database's own thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw = cast("Any", connection.connection.driver_connection)

    def rows(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Every row of a query."""
        plan = self._plan(statement, values or _NOTHING)
        if plan is None:
            return self._connection.execute(statement, values).fetchall()
        cursor = self._raw.execute(plan.sql, plan.parameters(values or _NOTHING))
        return [_row(plan, cursor)(*row) for row in cursor.fetchall()]

    def row(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Row[Any] | None:
        """The first row of a query, or None."""
        plan = self._plan(statement, values or _NOTHING)
        if plan is None:
            return self._connection.execute(statement, values).fetchone()
        cursor = self._raw.execute(plan.sql, plan.parameters(values or _NOTHING))
        found = cursor.fetchone()
        named = None if found is None else _row(plan, cursor)(*found)
        cursor.close()
        return cast("Row[Any] | None", named)

    def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert one row; its integer key where the table makes one."""
        plan = self._plan(statement, values)
        if plan is None:
            return self._connection.execute(statement, values).lastrowid
        return int(self._raw.execute(plan.sql, plan.parameters(values)).lastrowid)

    def insert_all(self, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows that name the same columns."""
        self._connection.execute(statement, rows)

    @property
    def dialect(self) -> str:
        """Which engine this is."""
        return self._connection.dialect.name

    def update(self, statement: Update | Any, values: Mapping[str, Any]) -> int:  # noqa: ANN401 - or Delete
        """Change rows; how many."""
        plan = self._plan(statement, values)
        if plan is None:
            return self._connection.execute(statement, values).rowcount
        return int(self._raw.execute(plan.sql, plan.parameters(values)).rowcount)

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

    def _plan(self, statement: Any, values: Mapping[str, Any]) -> _Plan | None:  # noqa: ANN401 - any statement
        """The plan of a statement seen before; a first sight leaves it to SQLAlchemy."""
        seen = _seen.get(statement)
        if seen is None:
            _seen[statement] = _Seen()
            return None
        names = tuple(values)
        if names not in seen.plans:
            seen.plans[names] = self._compile(statement, names)
        return seen.plans[names]

    def _compile(self, statement: Any, names: tuple[str, ...]) -> _Plan | None:  # noqa: ANN401 - any statement
        keys = list(names) if statement.is_insert else None
        compiled = statement.compile(self._connection, column_keys=keys)
        if any(bind.expanding for bind in compiled.binds.values()):
            return None  # `IN` lists differ from call to call
        fixed = {name: b.value for name, b in compiled.binds.items() if not b.required}
        return _Plan(str(compiled), tuple(compiled.positiontup or ()), fixed)


def _row(plan: _Plan, cursor: Any) -> Any:  # noqa: ANN401 - a driver's cursor, a class of rows
    if plan.row is None:
        plan.row = _row_class([str(column[0]) for column in cursor.description])
    return plan.row


def _row_class(names: list[str]) -> Any:  # noqa: ANN401 - a class made for one query
    make = cast("Any", namedtuple)  # noqa: PYI024 - its fields are the query's
    return make("Row", names, rename=True)
