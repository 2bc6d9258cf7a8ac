"""What a transaction may do with the database: run statements, and nothing about connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Executable, Insert, Row, Update


class Conn:
    """Statements inside the current transaction, on the database's own thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Every row of a query."""
        return self._connection.execute(statement, values).fetchall()

    def row(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Row[Any] | None:
        """The first row of a query, or None."""
        return self._connection.execute(statement, values).fetchone()

    def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert one row; its integer key where the table makes one."""
        return self._connection.execute(statement, values).lastrowid

    def update(self, statement: Update | Any, values: Mapping[str, Any]) -> int:  # noqa: ANN401 - a built one is Any
        """Change rows; how many."""
        return self._connection.execute(statement, values).rowcount

    def savepoint(self, name: str) -> None:
        """Mark where `rollback` may return to."""
        self._connection.exec_driver_sql(f"SAVEPOINT {name}")

    def release(self, name: str) -> None:
        """Forget the mark and keep what was done since."""
        self._connection.exec_driver_sql(f"RELEASE {name}")

    def rollback(self, name: str) -> None:
        """Undo what was done since the mark, and forget it."""
        self._connection.exec_driver_sql(f"ROLLBACK TO {name}")
        self._connection.exec_driver_sql(f"RELEASE {name}")
