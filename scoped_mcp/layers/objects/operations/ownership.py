"""Ownership: offered by the owner; tenancy lets the receiver accept (ruling 33)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.objects.model import (
    Object,
    ObjectState,
    ObjectView,
    TransferObject,
)
from scoped_mcp.layers.objects.operations.one import again
from scoped_mcp.layers.objects.operations.views import view
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import WriteTx


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
    if cmd.to == thing.owner:
        message = "it has this owner already"
        raise InvalidError(message, hint="name another principal")
    return view(tx, tx.put(thing.but(transfer_to=cmd.to), event="offered"))
