"""What the things of a page name, read all at once: asked one by one, each is a round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from scoped_mcp.spine.entity import Entity, bound
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among_names, names
from scoped_mcp.storage.path import registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Select

    from scoped_mcp.spine.tx import ReadTx

E = TypeVar("E", bound=Entity)
_NAMED: dict[type[Entity], Select[Any, Any]] = {}


def gather(tx: ReadTx, kind: type[E], ids: Iterable[str | None]) -> list[E]:
    """The things of a kind that these ids name, as `peek` finds them: for decisions.

    Whoever peeks at one of them later finds it known.
    """
    wanted = [each for each in dict.fromkeys(ids) if each is not None]
    known = tx._context.entities  # noqa: SLF001 - part of the spine
    unknown = [each for each in wanted if each not in known]
    if len(unknown) > 1:
        tx.entities(kind, _named(kind), {"names": names(unknown)})
    found = (tx.peek(kind, each) for each in wanted)
    return [one for one in found if one is not None]


def _named(kind: type[Entity]) -> Select[Any, Any]:
    if kind not in _NAMED:
        table = bound(kind).table
        found = everything(kind).join(registry, registry.c.id == table.c.id)
        _NAMED[kind] = past_walls(found.where(among_names(registry.c.public_id)))
    return _NAMED[kind]
