"""What would land: which object of the scope each one becomes, and with what content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sqlalchemy import bindparam, select  # noqa: TID251 - facts are what visibility is made of

from scoped_mcp.kernel import canonical, documents
from scoped_mcp.layers import objects
from scoped_mcp.layers.flow import logic
from scoped_mcp.layers.flow.model import Item, Promotion
from scoped_mcp.layers.objects import Object, ObjectState, at_version
from scoped_mcp.spine.query import everything
from scoped_mcp.spine.work import Work
from scoped_mcp.storage.path import entries, versions
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from scoped_mcp.kernel.documents import Landed, Place
    from scoped_mcp.layers.objects import Heading
    from scoped_mcp.spine.tx import ReadTx
    from scoped_mcp.spine.work import Prepared

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
    .where(entries.c.operation.not_in(["promotion.apply", "promotion.turn", "object.inherit"]))
    .order_by(entries.c.principal)
)
FORKS = 20


@dataclass(frozen=True)
class Landing:
    """One item, worked out from versions that never change.

    Attributes:
        thing: The object at the version asked for.
        there: Of what it would change, the version asked for; None where it is new.
        landed: What would be seen, and what stands in the way.
    """

    item: Item
    thing: Object
    there: Heading | None
    landed: Landed


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


Asked = tuple[Item, "Mapping[str, JsonValue]"]
"""An item, and what was decided about its conflicts."""


def pinned(one: Promotion) -> list[Asked]:
    """All of a promotion, as it was asked for."""
    return [(item, logic.resolutions_of(one.resolutions, item.object)) for item in one.items]


def land(tx: ReadTx, asked: Sequence[Asked]) -> list[Landing | None]:
    """Work items out together; None where the content of one of its versions was erased."""
    found = [_sources(tx, item) for item, _ in asked]
    whole = [each for each, sources in zip(asked, found, strict=True) if sources is not None]
    landed = iter(cast("list[Landed]", tx.work_out([_work(tx, *each) for each in whole])))
    return [
        None if sources is None else Landing(item, *sources, next(landed))
        for (item, _), sources in zip(asked, found, strict=True)
    ]


def works(tx: ReadTx, asked: Sequence[Asked]) -> Prepared:
    """The work that `land` will ask for."""
    return [_work(tx, *each) for each in asked if _sources(tx, each[0]) is not None]


def _sources(tx: ReadTx, item: Item) -> tuple[Object, Heading | None] | None:
    """The object, and what is said about what it would change."""
    thing = thing_of(tx, item)
    if thing is None or not _merges(item):
        return None if thing is None else (thing, None)
    there = objects.heading_at(tx, str(item.target), cast("int", item.target_version))
    base = objects.heading_at(tx, *cast("tuple[str, int]", item.base))
    return None if there is None or base is None else (thing, there)


def _work(tx: ReadTx, item: Item, resolutions: Mapping[str, JsonValue]) -> Work:
    chosen = canonical.encode(dict(resolutions))

    def load() -> tuple[Place | None, ...]:
        ours = objects.place_at(tx, item.object, item.version)
        if not _merges(item):
            return None, ours, ours if item.moves else None, None
        theirs = objects.place_at(tx, str(item.target), cast("int", item.target_version))
        base = objects.place_at(tx, *cast("tuple[str, int]", item.base))
        return base, ours, theirs, (chosen, ())

    return Work(
        ("landing", canonical.encode(item.model_dump(mode="json")), chosen), documents.land, load
    )


def _merges(item: Item) -> bool:
    return item.target is not None and item.base is not None and item.target_version is not None


def thing_of(tx: ReadTx, item: Item) -> Object | None:
    """The object that an item names, at its version; None where its content was erased."""
    return _at(tx, item.object, item.version)


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
        author = None if source is None else objects.written(tx, source).author
        found += [] if author is None else [author]
    return list(dict.fromkeys(found))


def lineage(tx: ReadTx, thing: Object) -> Iterator[tuple[str, int]]:
    """Every import behind a fork, nearest first: object and version (ruling 43)."""
    at: Object | None = thing
    for _ in range(FORKS):
        if at is None or at.forked_from is None:
            return
        yield at.forked_from.object, at.forked_from.version
        at = tx.peek(Object, at.forked_from.object)
