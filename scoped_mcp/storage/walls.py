"""Row security: what each table shows to whom, said once for the path and for the database.

A table that holds what people stored has a wall: a condition over its rows and over key sets of the
caller (`told`), which the path works out when a statement first meets the wall. The database lets
through what the condition holds for, whatever the statement says. That is PostgreSQL's to do;
SQLite has nothing like it.

The path itself must look past walls to decide who may: `past_walls` marks such a statement. Every
statement that changes something is the path's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Boolean, ColumnElement, exists, false, literal_column, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import iterate

from scoped_mcp.storage.path import version_contents, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Executable, Table
    from sqlalchemy.sql.compiler import SQLCompiler

S = TypeVar("S", bound="Executable")
WALLS = "walls"
VERSIONS_OF = "versions_of"


@dataclass(frozen=True)
class Wall:
    """What is shown of a table.

    Attributes:
        shown: When a row is.
        kind: The kind of things that it holds, if it holds things.
        version: When a row of `versions` or `version_contents` is, of a thing in the table.
    """

    table: Table
    shown: ColumnElement[bool]
    kind: str | None = None
    version: Callable[[Table], ColumnElement[bool]] | None = None

    @cached_property
    def asks(self) -> frozenset[str]:
        """The names of the caller's keys that it asks for."""
        return _asked(self.shown)

    @cached_property
    def asks_of_versions(self) -> frozenset[str]:
        """The same for the versions of what is in it."""
        return self.asks if self.version is None else _asked(self.version(version_contents))


walls: dict[str, Wall] = {}
"""The walled tables by name; those of versions follow from them."""
OF_VERSIONS = (versions, version_contents)


class _Told(FunctionElement[bool]):
    """Whether a column holds one of the keys that the transaction was told under a name."""

    inherit_cache = True
    name = "told"
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], of: str) -> None:
        self.of = of
        super().__init__(column, literal_column(f"'scoped.{of}'"))


class _Anything(FunctionElement[bool]):
    """Whether the transaction was told anything under a name."""

    inherit_cache = True
    name = "anything"
    type = Boolean()

    def __init__(self, of: str) -> None:
        self.of = of
        super().__init__(literal_column(f"'scoped.{of}'"))


@compiles(_Told, "postgresql")
def _is_told(element: _Told, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    # A subselect is worked out once a statement, not once a row. Unset is NULL or, after another
    # transaction, '': both are no keys at all. Cast twice, or ANY would take it for rows.
    column, name = (compiler.process(clause, **options) for clause in element.clauses)
    keys = f"(SELECT NULLIF(current_setting({name}, true), '')::bigint[])::bigint[]"
    return f"({column} = ANY ({keys}))"


@compiles(_Anything, "postgresql")
def _is_anything(element: _Anything, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    name = compiler.process(element.clauses, **options)
    return f"(COALESCE((SELECT current_setting({name}, true)), '') <> '')"


def _asked(condition: ColumnElement[bool]) -> frozenset[str]:
    return frozenset(each.of for each in iterate(condition) if isinstance(each, (_Told, _Anything)))


def told(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a column holds one of the caller's keys of that name."""
    return _Told(column, name)


def anything(name: str) -> ColumnElement[bool]:
    """Whether the caller has any keys of that name."""
    return _Anything(name)


def wall(
    table: Table,
    shown: ColumnElement[bool],
    *,
    kind: str | None = None,
    version: Callable[[Table], ColumnElement[bool]] | None = None,
) -> None:
    """Put a wall around a table; around the versions of what it holds, too."""
    walls[table.name] = Wall(table, shown, kind, version)
    for one in OF_VERSIONS:
        walls[one.name] = Wall(one, _versions(one))


def _versions(table: Table) -> ColumnElement[bool]:
    """A version is shown where its thing is; of what no wall is around, to decisions alone."""
    inner = [one for one in walls.values() if one.kind is not None]
    shown = [
        exists(
            select(one.table.c.id).where(
                one.table.c.id == table.c.id,
                one.shown if one.version is None else one.version(table),
            )
        )
        for one in inner
    ]
    return or_(false(), *shown)


def past_walls(statement: S, *, but: Collection[str] = ()) -> S:
    """The same statement, for decisions: it reads whatever is there.

    Args:
        statement: What is asked.
        but: Tables whose walls stand where it reads them itself; what filters it reads past them.
    """
    return statement.execution_options(**{WALLS: frozenset(but)})


def versions_of(statement: S, table: Table) -> S:
    """The same statement where it reads versions of things in one walled table, and of no others.

    Whatever else it finds is not shown: the wall is told what that table's asks for.
    """
    return statement.execution_options(**{VERSIONS_OF: table.name})
