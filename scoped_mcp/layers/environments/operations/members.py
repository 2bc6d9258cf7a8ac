"""Who is inside: invited and let go by the owner (ruling 37), or let in by its user (ruling 36)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import DeniedError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import MembershipId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity, tenancy
from scoped_mcp.layers.environments.model import Environment, EnvironmentView, Invite
from scoped_mcp.layers.environments.operations.heirs import settle
from scoped_mcp.layers.environments.operations.views import again, view
from scoped_mcp.layers.tenancy import Membership, Place, Role
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

_GRANTS = {"viewer": Access.READ, "editor": Access.WRITE}


@handles(
    Invite,
    name="environment.invite",
    title="Invite into an environment",
    effect=Effect.GRANT,
    needs={"id": Access.READ, "principal": Access.NONE},
    on="id",
    writes={Membership: Access.NONE},
    idempotent=True,
    pinned=True,
    again=again,
)
def invite(cmd: Invite, tx: WriteTx) -> EnvironmentView:
    """Roles are viewer and editor; taking away always works, adding only while it is active."""
    one = settle(tx, tx.get(Environment, cmd.id))
    if not _accepts(tx, one, cmd):
        one = tx.get(Environment, cmd.id, Access.OWNER)
    known = tx.peek(identity.Principal, cmd.principal)
    if known is None or (cmd.role != "none" and not tx.sees(known.id)):
        message = f"there is no {quote(cmd.principal)} that you can see"
        raise NotFoundError(message, hint="ask for the id that its `whoami` shows")
    if cmd.principal == one.owner:
        message = "the owner of an environment stays in it"
        raise InvalidError(message, hint="environment_discard ends it")
    place = tenancy.membership(tx, one.scope, cmd.principal)
    if cmd.role == "none":
        if place is not None and place.state is Place.ACTIVE:
            tx.put(place.but(state=Place.ENDED), event="ended")
        return view(tx, one)
    if known.state is not identity.PrincipalState.ACTIVE:
        message = f"there is no {quote(cmd.principal)} that you can see"
        raise NotFoundError(message, hint="ask for the id that its `whoami` shows")
    _require_own_side(tx, one, known)
    if place is None:
        place = Membership(
            id=tx.new_id(MembershipId),
            scope=one.scope,
            principal=cmd.principal,
            role=Role(cmd.role),
            added_by=tx.caller.principal,
            inside=True,
        )
    by = tx.caller.principal
    tx.put(place.but(role=Role(cmd.role), state=Place.ACTIVE, added_by=by), event="invited")
    return view(tx, one)


def _accepts(tx: ReadTx, one: Environment, cmd: Invite) -> bool:
    """Whether the caller is a user whom its owner, an agent, answers to and has brought inside.

    Such a user lets others in as far as its own place goes, and changes nobody's (ruling 36).
    """
    if tx.caller.agent or cmd.role not in _GRANTS or tx.access(one) < _GRANTS[cmd.role]:
        return False
    place = tenancy.membership(tx, one.scope, cmd.principal)
    owner = tx.get_known(identity.Principal, one.owner)
    if not identity.is_agent(tx, owner) or (place is not None and place.state is Place.ACTIVE):
        return False
    return tx.caller.principal in {each.id for each in identity.sponsors(tx, owner)}


def _require_own_side(tx: ReadTx, one: Environment, known: identity.Principal) -> None:
    """Into its environment an agent brings its delegates and who answers for it (ruling 36).

    A user to whom it has fallen brings whom it likes.
    """
    owner = tx.get_known(identity.Principal, one.owner)
    if not tx.caller.agent or not identity.is_agent(tx, owner):
        return
    allowed = {each.id for each in identity.sponsors(tx, owner)}
    if known.id in allowed or identity.answers_for(tx, owner.id, known.id):
        return
    message = "an agent brings only its delegates and the users it answers to into its environment"
    raise DeniedError(message, hint="invite the user you answer to, who may then let others in")
