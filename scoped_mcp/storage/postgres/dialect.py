"""How statements are spelt for PostgreSQL: at walls, or by the doors in them.

Every walled table has a door: a view of all its rows, there for the path alone. A statement that
was marked with `past_walls`, and every statement that changes something, goes by the doors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg

from scoped_mcp.storage.walls import VERSIONS_OF, WALLS, walls

if TYPE_CHECKING:
    from sqlalchemy import Table


def door_of(table: str) -> str:
    """The name of the door in a table's wall."""
    return f"past_{table}"


class _Compiler(PGCompiler_psycopg):
    """Names a table or its door, and notes what the walls that a statement meets ask for."""

    asks: frozenset[str] = frozenset()

    def visit_table(self, table: Any, *arguments: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
        """A table in FROM, UPDATE or DELETE."""
        words = str(cast("Any", super()).visit_table(table, *arguments, **options))
        if not options.get("asfrom") or table.name not in walls:
            return words
        if self._by_door(table):
            door, alias = door_of(table.name), options.get("enclosing_alias")
            named = alias is not None and alias.element is table  # or of a subquery around it
            return door if named else f"{door} AS {words}"
        of = self.execution_options.get(VERSIONS_OF)
        if of is not None and walls[table.name].kind is None:
            self.asks |= walls[of].asks_of_versions
        else:
            self.asks |= walls[table.name].asks
        return words

    def visit_insert(self, insert_stmt: Any, *arguments: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
        """An insert, which names its table in a way of its own."""
        words = str(cast("Any", super()).visit_insert(insert_stmt, *arguments, **options))
        name = insert_stmt.table.name
        if name not in walls:
            return words
        return words.replace(f"INTO {name} ", f"INTO {door_of(name)} AS {name} ", 1)

    def _by_door(self, table: Table) -> bool:
        if self.isinsert or self.isupdate or self.isdelete:
            return True
        but = self.execution_options.get(WALLS)
        if but is None:
            return False
        return table.name not in but or len(self.stack) > 1  # a subquery filters: it decides


class Dialect(PGDialect_psycopg):
    """psycopg's, with doors."""

    statement_compiler = _Compiler
    supports_statement_cache = True


DIALECT = cast("Any", Dialect)(paramstyle="format")
