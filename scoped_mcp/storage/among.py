"""`IN` over a list that is one parameter: the SQL stays the same, however long the list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select

from scoped_mcp.storage.types import Key

if TYPE_CHECKING:
    from collections.abc import Iterable


def among(column: ColumnElement[Any], name: str = "keys") -> ColumnElement[bool]:
    """Whether a column is one of the keys in the parameter of that name."""
    each: Any = func.json_each
    value = literal_column("value", Key)
    return column.in_(select(value).select_from(each(bindparam(name)).table_valued("value")))


def one_of(column: ColumnElement[Any], numbers: Iterable[int]) -> ColumnElement[bool]:
    """The same where the keys are known: one parameter, however many they are."""
    each: Any = func.json_each
    value = literal_column("value", Key)
    return column.in_(select(value).select_from(each(keys(numbers)).table_valued("value")))


def keys(numbers: Iterable[int]) -> str:
    """The parameter for `among`."""
    return json.dumps(list(numbers))
