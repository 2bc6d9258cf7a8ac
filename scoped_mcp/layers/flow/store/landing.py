"""What would land: which object of the scope each one becomes, and with what content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select  # noqa: TID251 - facts are what visibility is made of

from scoped_mcp.layers import objects
from scoped_mcp.layers.flow.model import Item, Promotion
from scoped_mcp.layers.objects import Object, ObjectState, at_version, merge3
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.path import entries, versions
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import JsonValue

    from scoped_mcp.layers.objects import Conflict
    from scoped_mcp.spine.tx import ReadTx

_DIGEST = past_walls(
    select(versions.c.digest)
    .where(versions.c.id == bindparam("id"))
    .where(versions.c.version == bindparam("version"))
)
_COPY = past_walls(
    everything(Object)
    .where(objects.objects.c.original == bindparam("original"))
    .where(objects.objects.c.owner == bindparam("scope"))
    .where(objects.objects.c.state == ObjectState.ACTIVE.value)
    .order_by(objects.objects.c.id)
    .limit(1)
)
_WRITERS = past_walls(
    select(entries.c.principal)
    .distinct()
    .join_from(versions, entries, entries.c.id == versions.c.entry)
    .where(versions.c.id == bindparam("id"))
    .where(versions.c.version > bindparam("after"))
    .where(versions.c.version <= bindparam("upto"))
    .where(entries.c.operation.not_in(["promotion.apply", "promotion.turn"]))
    .order_by(entries.c.principal)
)
FORKS = 20


@dataclass(frozen=True)
class Landing:
    """One item, worked out from versions that never change.

    Attributes:
        thing: The object at the version asked for.
        there: What it would change, at the version asked for; None where it is new.
        data: What would be seen.
        conflicts: What stands in the way.
        unused: Resolutions of paths that are not in conflict.
    """

    item: Item
    thing: Object
    there: Object | None
    data: dict[str, JsonValue]
    conflicts: tuple[Conflict, ...] = ()
    unused: tuple[str, ...] = ()


def item_of(tx: ReadTx, scope: str, thing: Object, version: int) -> Item:
    """Pin an object at a version, and what it would change in a scope (ruling 43).

    1. what belongs to the scope itself stays as it is and only changes its stage
    2. a fork of what belongs to the scope is merged into it
    3. what was published before becomes a new version of that copy
    4. the rest is new
    """
    row = tx.row(_DIGEST, {"id": tx.key(thing.id), "version": version})
    item = Item(object=thing.id, version=version, digest=row.digest.hex())
    if thing.owner == scope:  # 1
        return item.model_copy(update={"moves": True})
    fork = thing.forked_from
    origin = None if fork is None else tx.peek(Object, fork.object)
    if fork is not None and origin is not None and _belongs(origin, scope):  # 2
        base = _last(tx, origin, thing.id, fork.version) or (fork.object, fork.version)
        return _onto(item, origin, base)
    found = tx.entities(Object, _COPY, {"original": tx.key(thing.id), "scope": tx.key(scope)})
    if found:  # 3
        return _onto(item, found[0], _last(tx, found[0], thing.id, 0))
    return item  # 4


def _belongs(one: Object, scope: str) -> bool:
    return one.owner == scope and one.state is ObjectState.ACTIVE


def _onto(item: Item, target: Object, base: tuple[str, int] | None) -> Item:
    onto = {"target": target.id, "target_version": target.version, "base": base}
    return item.model_copy(update=onto)


def _last(tx: ReadTx, copy: Object, source: str, after: int) -> tuple[str, int] | None:
    """The version of `source` that was published into a copy last, since a version of that."""
    for version in range(copy.version, after, -1):
        one = at_version(tx, copy, version)
        found = None if one is None else one.published_from
        if found is not None and found.object == source:
            return found.object, found.version
    return None


def land(tx: ReadTx, item: Item, resolutions: Mapping[str, JsonValue]) -> Landing | None:
    """Work an item out; None where the content of one of its versions was erased."""
    thing = _at(tx, item.object, item.version)
    if thing is None:
        return None
    if item.target is None or item.base is None or item.target_version is None:
        return Landing(item, thing, None, thing.data)
    there, base = _at(tx, item.target, item.target_version), _at(tx, *item.base)
    if there is None or base is None:
        return None
    merged = merge3(base.data, thing.data, there.data, resolutions)
    return Landing(item, thing, there, merged.value, merged.conflicts, merged.unused)


def _at(tx: ReadTx, public_id: str, version: int) -> Object | None:
    return at_version(tx, tx.get_known(Object, public_id), version)


def authors(tx: ReadTx, thing: Object, base: tuple[str, int] | None = None) -> list[str]:
    """Who wrote an object up to the version at hand: every version since the one published before.

    What a scope owns was written by those behind the promotion that published it.
    """
    after = base[1] if base is not None and base[0] == thing.id else 0
    values = {"id": tx.key(thing.id), "after": after, "upto": thing.version}
    found = [tx.public_id(row.principal) for row in tx.rows(_WRITERS, values)]
    before = thing.published_from
    if before is not None:
        asked = tx.peek(Promotion, before.promotion)
        source = _at(tx, before.object, before.version)
        found += [] if asked is None else [asked.requester]
        found += [] if source is None or source.author is None else [source.author]
    return list(dict.fromkeys(found))


def lineage(tx: ReadTx, thing: Object) -> Iterator[tuple[str, int]]:
    """Every import behind a fork, nearest first: object and version (ruling 43)."""
    at: Object | None = thing
    for _ in range(FORKS):
        if at is None or at.forked_from is None:
            return
        yield at.forked_from.object, at.forked_from.version
        at = tx.peek(Object, at.forked_from.object)
