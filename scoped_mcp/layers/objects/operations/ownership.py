"""Ownership: offered by the owner, and fallen to an heir.

Tenancy lets the receiver accept an offer (ruling 33). What an ended delegate owned is its heir's
from that moment, computed; here it is written down (ruling 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import store
from scoped_mcp.layers.objects.model import (
    Inherited,
    InheritObject,
    Object,
    ObjectState,
    ObjectView,
    SweepObjects,
    TransferObject,
)
from scoped_mcp.layers.objects.operations.one import again
from scoped_mcp.layers.objects.operations.views import view
from scoped_mcp.spine.declare import Access, Authority, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

AT_ONCE = 100
"""How many objects one sweep writes down."""


@handles(
    TransferObject,
    name="object.transfer",
    title="Offer an object",
    effect=Effect.GRANT,
    needs={"id": Access.OWNER, "to": Access.READ},
    on="id",
    writes={Object: Access.OWNER},
    toolset="scopes",
    again=again,
)
def transfer(cmd: TransferObject, tx: WriteTx) -> ObjectView:
    """The receiver may read what it is offered."""
    thing = tx.get(Object, cmd.id, Access.OWNER)
    if thing.state is ObjectState.DELETED:
        message = f"{quote(cmd.id)} is deleted"
        raise ConflictError(message, hint=f'object_restore(id="{cmd.id}") brings it back')
    if cmd.to is not None and thing.home is not None:
        message = "what lives in an environment belongs to it, and does not change hands"
        raise InvalidError(message, hint="promotion_request publishes it; channel_list shows where")
    if cmd.to == identity.heir(tx, thing.owner):
        message = "it has this owner already"
        raise InvalidError(message, hint="name another principal")
    return view(tx, tx.put(thing.but(transfer_to=cmd.to), event="offered"))


@handles(
    SweepObjects,
    name="object.sweep",
    title="Sweep objects",
    effect=Effect.REVOKE,
    scope="root",
    tool=False,
)
def sweep(_cmd: SweepObjects, tx: WriteTx) -> Inherited:
    """Some at a time, wherever they are; a second sweeper finds nothing left."""
    done = [tx.run(InheritObject(id=one.id), targets=[one.id]) for one in due(tx)]
    return Inherited(things=sum(each.things for each in done))


def due(tx: ReadTx) -> list[Object]:
    """What there is to write down."""
    return store.left(tx, AT_ONCE)


@handles(
    InheritObject,
    name="object.inherit",
    title="Inherit an object",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE},
    on="id",
    writes={Object: Access.OWNER},
    tool=False,
    authority=Authority.SWEEPER,
)
def inherit(cmd: InheritObject, tx: WriteTx) -> Inherited:
    """A version of its own, in which nothing but the owner changes; names may meet there."""
    thing = tx.get_known(Object, cmd.id)
    heir = identity.heir(tx, thing.owner)
    if heir == thing.owner:
        return Inherited(things=0)
    offer = None if thing.transfer_to == heir else thing.transfer_to
    tx.put(thing.but(owner=heir, transfer_to=offer), event="inherited")
    return Inherited(things=1)


ports.sweeps.append((due, SweepObjects))
