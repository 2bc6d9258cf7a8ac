"""An object as its caller may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.ids import urn
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import store
from scoped_mcp.layers.objects.model import (
    ForkView,
    Object,
    ObjectState,
    ObjectView,
    Provenance,
    PublishedView,
)
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import Sight, ports
from scoped_mcp.spine.refusals import absent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.spine.tx import ReadTx


def view(tx: ReadTx, thing: Object, *, full: bool = True) -> ObjectView:
    """One object, at the newest version that exists for the caller."""
    return views(tx, [thing], full=full)[0]


def views(tx: ReadTx, things: Sequence[Object], *, full: bool) -> tuple[ObjectView, ...]:
    """Objects, each at the newest version that exists for the caller."""
    if len(things) > 1:
        sides = (each for one in things for each in (one.owner, one.author))
        identity.gather_principals(tx, (each for each in sides if identity.is_principal(each)))
    seen = store.sights(tx, things)
    scopes = cast("Any", ports.shown_in)(tx, things)
    return tuple(
        _view(tx, newest(tx, thing, sight), sight, shown, full=full)
        for thing, sight, shown in zip(things, seen, scopes, strict=True)
    )


def at(tx: ReadTx, thing: Object, version: Object, *, full: bool) -> ObjectView:
    """One object at a version that exists for the caller."""
    shown = cast("Any", ports.shown_in)(tx, [thing])[0]
    return _view(tx, version, store.sight(tx, thing), shown, full=full)


def newest(tx: ReadTx, thing: Object, sight: Sight) -> Object:
    """The object at the newest version that exists for the caller.

    Raises:
        NotFoundError: none does.
    """
    if sight.access >= Access.READ:
        found = store.shown_at(tx, thing, sight.newest(thing.version))
        if found is not None:
            return found
    raise absent(thing.id)


def _view(
    tx: ReadTx, thing: Object, sight: Sight, scopes: tuple[str, ...], *, full: bool
) -> ObjectView:
    there = thing.state is ObjectState.ACTIVE
    written, owner = store.written(tx, thing), identity.heir(tx, thing.owner)
    author = written.author if tx.sees(written.author) else None
    environment = _environment(tx, thing)
    offered = sight.access is Access.OWNER or thing.transfer_to == tx.caller.principal
    offered = offered and thing.transfer_to != owner
    return ObjectView(
        id=thing.id,
        urn=urn(thing.KIND, tx.house.organisation, thing.id),
        type=thing.type,
        name=thing.name,
        owner=owner if tx.sees(owner) else None,
        environment=environment,
        version=thing.version,
        state=thing.state,
        data=thing.data if full and there else None,
        tags=thing.tags or None,
        created_at=cast("Any", thing.created_at),
        updated_at=cast("Any", written.updated_at),
        access=sight.access.label,
        scopes=scopes,
        transfer_to=thing.transfer_to if offered and tx.sees(thing.transfer_to) else None,
        published_from=_published(tx, thing),
        forked_from=_forked(tx, thing),
        provenance=Provenance(
            author=author,
            scope=scopes[0] if scopes else None,
            environment=environment,
            at=written.updated_at,
        ),
        untrusted=True if _others(tx, written) else None,
    )


def _others(tx: ReadTx, thing: Object) -> bool:
    """Whether others wrote what stands there: who let it pass a channel is not who wrote it."""
    return thing.author != tx.caller.principal or thing.published_from is not None


def _environment(tx: ReadTx, thing: Object) -> str | None:
    return None if thing.home is None else cast("Any", ports.environment)(tx, thing.home)


def _published(tx: ReadTx, thing: Object) -> PublishedView | None:
    """Lineage outward is one way: the original is named only to who may see it (ruling 34)."""
    one = thing.published_from
    if one is None:
        return None
    promotion = one.promotion if tx.sees(one.promotion) else None
    if not tx.sees(one.object):
        return PublishedView(promotion=promotion)
    return PublishedView(promotion=promotion, object=one.object, version=one.version)


def _forked(tx: ReadTx, thing: Object) -> ForkView | None:
    one = thing.forked_from
    if one is None or not tx.sees(one.object):
        return None
    return ForkView(object=one.object, version=one.version)
