"""Queries that carry the caller's visibility: things of one kind, seen in one of several ways.

A page is the newest few of what is seen in any way. Asked as one condition — mine, or offered to
me, or shown where I am — the database reads all of it and sorts; asked way by way, each way has an
index that begins with its newest, and a page costs a page however much there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import column, select, union

from scoped_mcp.spine.entity import bound
from scoped_mcp.storage.path import version_contents
from scoped_mcp.storage.types import Key
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, FromClause, Select

    from scoped_mcp.spine.entity import Entity


@dataclass(frozen=True)
class Query:
    """Things of a kind that are seen in one of some ways, and to which all conditions apply."""

    kind: type[Entity]
    ways: tuple[ColumnElement[bool], ...]
    conditions: tuple[ColumnElement[bool], ...] = ()

    def where(self, *conditions: ColumnElement[bool]) -> Query:
        """The same, narrowed."""
        return replace(self, conditions=(*self.conditions, *conditions))

    def newest(self, limit: int) -> Select[Any, Any]:
        """The newest of them: keys and contents."""
        key = bound(self.kind).table.c.id
        if len(self.ways) == 1:
            found = everything(self.kind).where(*self.ways, *self.conditions)
            return found.order_by(key.desc()).limit(limit)
        newest = newest_ids(key, self.ways, self.conditions, limit)
        return everything(self.kind).where(key.in_(newest)).order_by(key.desc()).limit(limit)


def newest_ids(
    key: ColumnElement[int],
    ways: Sequence[ColumnElement[bool]],
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The newest of what is seen in each way: the newest of all are among them."""
    each = [
        select(key).where(way, *conditions).order_by(key.desc()).limit(limit).subquery()
        for way in ways
    ]
    return _ids(union(*map(_ids, each)).subquery())


def _ids(found: FromClause) -> Select[Any]:
    """The ids in a subquery, by their name: its columns need not be worked out."""
    return select(column("id", Key)).select_from(found)


def everything(kind: type[Entity]) -> Select[Any, Any]:
    """Rows of a kind with their current content, without visibility.

    Where the kind has a wall in the database, that stands, and is all that is asked: which of its
    versions are for the caller is for a sight to say. What is read for decisions says `past_walls`.
    """
    table = bound(kind).table
    current = select(table.c.id, version_contents.c.content).join_from(
        table,
        version_contents,
        (version_contents.c.id == table.c.id) & (version_contents.c.version == table.c.version),
    )
    return past_walls(current, but=[table.name])
