"""Ownership changes hands when the receiver accepts (ruling 33)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import MembershipId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity, objects
from scoped_mcp.layers.objects import AcceptObject, Object, ObjectView
from scoped_mcp.layers.tenancy import store
from scoped_mcp.layers.tenancy.model import (
    AcceptScope,
    AdoptionView,
    AdoptScope,
    Membership,
    Place,
    Projection,
    Role,
    Scope,
    ScopeKind,
    ScopeView,
    TransferScope,
)
from scoped_mcp.layers.tenancy.operations.heirs import settle
from scoped_mcp.layers.tenancy.operations.scopes import again, require_open, view
from scoped_mcp.layers.tenancy.operations.sharing import contributes
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.refusals import absent

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx


@handles(
    AcceptObject,
    name="object.transfer_accept",
    title="Accept an object",
    effect=Effect.GRANT,
    needs={"id": Access.READ},
    on="id",
    writes={Object: Access.READ, Projection: Access.READ},
    toolset="scopes",
    again=objects.again,
)
def accept_object(cmd: AcceptObject, tx: WriteTx) -> ObjectView:
    """Only who was offered it; shares end where the new owner could not have made them."""
    thing = tx.get(Object, cmd.id)
    me = tx.caller.principal
    if thing.transfer_to != me or identity.heir(tx, thing.owner) == me:
        raise absent(cmd.id)
    if tx.caller.agent:
        message = "agents have no private space outside environments"
        raise DeniedError(message, hint="ask its owner to share it in a scope instead")
    taken = None if thing.name is None else objects.named(tx, me, None, thing.name)
    if taken is not None:
        message = "you have an object of that name"
        raise ConflictError(message, hint="rename is not possible here: delete yours first")
    put = tx.put(thing.but(owner=me, transfer_to=None), event="transferred")
    key = tx.known_key(put.id)
    for shown in store.projections_of(tx, [key])[key]:
        scope = tx.public_id(shown.scope)
        projection = store.projection(tx, put.id, scope)
        if projection is not None and not contributes(tx, scope, me):
            tx.put(projection.but(state=Place.ENDED), event="unshared")
    return objects.view(tx, put)


@handles(
    TransferScope,
    name="scope.transfer",
    title="Offer a scope",
    effect=Effect.GRANT,
    needs={"id": Access.OWNER, "to": Access.READ},
    on="id",
    scope="id",
    writes={Scope: Access.OWNER},
    toolset="scopes",
    again=again,
)
def transfer(cmd: TransferScope, tx: WriteTx) -> ScopeView:
    """In force when the receiver accepts."""
    scope = tx.get(Scope, cmd.id, Access.OWNER)
    if scope.root:
        message = "the root scope has no single owner to transfer"
        raise InvalidError(message, hint="make another member owner with scope_add_member")
    if cmd.to is not None:
        require_open(tx, scope)
    if cmd.to == identity.heir(tx, scope.owner):
        message = "it has this owner already"
        raise InvalidError(message, hint="name another principal")
    by = None if cmd.to is None else tx.caller.principal
    return view(tx, tx.put(scope.but(transfer_to=cmd.to, offered_by=by), event="offered"))


@handles(
    AcceptScope,
    name="scope.transfer_accept",
    title="Accept a scope",
    effect=Effect.GRANT,
    needs={"id": Access.READ},
    on="id",
    scope="id",
    writes={Scope: Access.READ, Membership: Access.READ},
    toolset="scopes",
    again=again,
)
def accept_scope(cmd: AcceptScope, tx: WriteTx) -> ScopeView:
    """The new owner gets the role; who owned it so far stays as admin."""
    scope = tx.get(Scope, cmd.id)
    me = tx.caller.principal
    if scope.transfer_to != me or not store.offer_stands(tx, scope):
        message = f"there is no offer of {quote(cmd.id)} to you"
        raise NotFoundError(message, hint="whoami lists what was offered to you")
    require_open(tx, scope)
    if store.named(tx, me, scope.name):
        message = f"you have a scope named {quote(scope.name)}"
        raise ConflictError(message, hint="rename yours with scope_update first")
    scope = settle(tx, scope)
    before = store.membership(tx, scope.id, scope.owner)
    put = tx.put(scope.but(owner=me, transfer_to=None, offered_by=None), event="transferred")
    place = store.membership(tx, scope.id, me) or Membership(
        id=tx.new_id(MembershipId), scope=scope.id, principal=me, role=Role.OWNER, added_by=me
    )
    owner = place.but(role=Role.OWNER, state=Place.ACTIVE, expires_at=None, added_by=scope.owner)
    tx.put(owner)
    if before is not None and before.state is Place.ACTIVE and before.role is Role.OWNER:
        tx.put(before.but(role=Role.ADMIN))
    return view(tx, put)


def _adopted(_tx: ReadTx, cmd: AdoptScope, _earlier: object) -> AdoptionView:
    return AdoptionView(scope=cmd.id, owner=cmd.owner)


@handles(
    AdoptScope,
    name="scope.adopt",
    title="Give an abandoned scope an owner",
    effect=Effect.GRANT,
    needs={"id": Access.NONE, "owner": Access.NONE},
    instance=Access.ADMIN,
    on="id",
    scope="id",
    writes={Membership: Access.NONE},
    toolset="admin",
    again=_adopted,
)
def adopt(cmd: AdoptScope, tx: WriteTx) -> AdoptionView:
    """For a scope that nobody can act for; frozen and archived ones too, which need one most.

    Whoever arranges it gains nothing: the new owner is a member already and not on its own side,
    and a scope that is not abandoned answers as one that is not there.
    """
    scope = tx.peek(Scope, cmd.id)
    if scope is not None and scope.kind is ScopeKind.ENVIRONMENT:
        scope = None  # what is inside is for its members alone (ruling 47)
    scope = None if scope is None else settle(tx, scope)
    if scope is None or _has_an_acting_owner(tx, scope.id):
        seen = scope is not None and tx.sees(scope.id)
        if not seen:
            message = f"there is no abandoned scope {quote(cmd.id)}"
            raise NotFoundError(message, hint="a scope is abandoned when no owner of it can act")
        message = "the scope has an owner who can act"
        raise ConflictError(message, hint="ask its owner for what you need")
    place = store.membership(tx, scope.id, cmd.owner)
    member = tx.peek(identity.Principal, cmd.owner)
    if member is None or not _can_take(tx, place, member):
        message = f"{quote(cmd.owner)} cannot take it: it is no active member of the scope"
        raise DeniedError(message, hint="name the member who asked; not a team, a delegate or you")
    owner = cast("Membership", place).but(
        role=Role.OWNER, expires_at=None, added_by=tx.caller.principal
    )
    tx.put(owner, reason=cmd.reason, event="adopted")
    return AdoptionView(scope=scope.id, owner=cmd.owner)


def _has_an_acting_owner(tx: ReadTx, scope: str) -> bool:
    """Whether some owner can act, or is a delegate whose user can act in its stead (ruling 5)."""
    for one in store.owners(tx, scope):
        principal = tx.get_known(identity.Principal, one.principal)
        above = list(identity.sponsors(tx, principal))
        counts = above[-1:] if principal.delegate else [principal, *above]
        if all(p.state is identity.PrincipalState.ACTIVE for p in counts):
            return True
    return False


def _can_take(tx: ReadTx, place: Membership | None, member: identity.Principal) -> bool:
    if place is None or place.state is not Place.ACTIVE or member.delegate or member.kind == "team":
        return False
    if place.expires_at is not None and place.expires_at <= tx.now:
        return False
    side = [member, *identity.sponsors(tx, member)]
    active = all(p.state is identity.PrincipalState.ACTIVE for p in side)
    return active and tx.caller.principal not in {p.id for p in side}


def _offers(tx: ReadTx) -> dict[str, Any]:
    asked = store.offered(tx, tx.caller.principal)
    mine = tuple(one.id for one in asked if tx.access(one) and store.offer_stands(tx, one))
    things = tuple(one.id for one in objects.offered(tx, tx.caller.principal))
    return {"transfers": (*things, *mine)}


ports.caller_sections.append(_offers)
