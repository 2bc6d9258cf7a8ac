"""`IN` over a list that is one parameter: the SQL stays the same, however long the list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Boolean, ColumnElement, Text, bindparam, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.operators import OperatorType


class _Among(FunctionElement[bool]):
    """Whether the first clause is one of the numbers in the JSON list that is the second."""

    inherit_cache = True
    name = "among"
    type = Boolean()
    kind = "::bigint"
    """What PostgreSQL is told that the members of the list are, where that is no text."""

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 - SQLAlchemy's
        """A condition as it stands: written `(…) = 1`, as SQLite has it, no index would be seen."""
        return self


@compiles(_Among)
def _sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({numbers})))"  # noqa: S608 - both are compiled


@compiles(_Among, "postgresql")
def _postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    # An array, or the planner takes the list for a table of unknown size and reads all of ours.
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    each = f"json_array_elements_text({numbers}::json){element.kind}"
    return f"({column} = ANY (ARRAY(SELECT {each})))"


def among(column: ColumnElement[Any], name: str = "keys") -> ColumnElement[bool]:
    """Whether a column is one of the keys in the parameter of that name."""
    return _Among(column, bindparam(name, type_=Text))


def one_of(column: ColumnElement[Any], numbers: Iterable[int]) -> ColumnElement[bool]:
    """The same where the keys are known: one parameter, however many they are."""
    return _Among(column, literal(keys(numbers), Text))


class _AmongNames(_Among):
    """Whether the first clause is one of the words in the JSON list that is the second."""

    inherit_cache = True
    kind = ""


def among_names(column: ColumnElement[Any], name: str = "names") -> ColumnElement[bool]:
    """Whether a column is one of the ids in the parameter of that name."""
    return _AmongNames(column, bindparam(name, type_=Text))


def names(ids: Iterable[str]) -> str:
    """The parameter for `among_names`."""
    return json.dumps(list(ids))


def keys(numbers: Iterable[int]) -> str:
    """The parameter for `among`."""
    return json.dumps(list(numbers))
