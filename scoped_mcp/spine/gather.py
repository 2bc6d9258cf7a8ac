"""What the things of a page name, read all at once: asked one by one, each is a round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Select, select  # noqa: TID251 - facts are what visibility is made of

from scoped_mcp.spine.entity import Entity, bound
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among, keys
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.spine.tx import ReadTx

E = TypeVar("E", bound=Entity)
_NAMED: dict[tuple[type[Entity], str], Select[Any]] = {}


def gather(tx: ReadTx, kind: type[E], column: Column[Any], things: Sequence[Entity]) -> Sequence[E]:
    """Read what a column names of some things; who peeks at one later finds it known.

    For decisions, like `peek`: whether the caller may see one is still to be asked.
    """
    if not things:
        return []
    asked = {"keys": keys(tx.known_key(each.id) for each in things)}
    return tx.entities(kind, _named(kind, column), asked)


def _named(kind: type[Entity], column: Column[Any]) -> Select[Any]:
    name = (kind, str(column))
    if name not in _NAMED:
        named = select(column).where(among(column.table.c.id))
        _NAMED[name] = past_walls(everything(kind).where(bound(kind).table.c.id.in_(named)))
    return _NAMED[name]
