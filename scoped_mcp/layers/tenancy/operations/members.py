"""Members: added, changed, removed, leaving. Taking away always works (ruling 21)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import MembershipId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.tenancy import logic, store
from scoped_mcp.layers.tenancy.model import (
    AddMember,
    LeaveScope,
    Membership,
    Place,
    RemoveMember,
    Role,
    Scope,
    ScopeKind,
    ScopeView,
)
from scoped_mcp.layers.tenancy.operations.founding import able_owners
from scoped_mcp.layers.tenancy.operations.heirs import settle
from scoped_mcp.layers.tenancy.operations.scopes import again, require_open, require_own, view
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx


@handles(
    AddMember,
    name="scope.add_member",
    title="Add a member",
    effect=Effect.GRANT,
    needs={"scope": Access.READ, "principal": Access.NONE},
    on="scope",
    scope="scope",
    writes={Membership: Access.READ},
    idempotent=True,
    again=again,
)
def add(cmd: AddMember, tx: WriteTx) -> ScopeView:
    """Nobody grants more than they hold, nor for longer; frozen scopes only lower.

    1. the caller may give this role to who has that one
    2. an agent's own scope is for its delegates and the users it answers to (ruling 36)
    3. a frozen scope widens nothing
    4. the last owner stays owner, without an expiry
    """
    scope = tx.get(Scope, cmd.scope)
    require_own(scope)
    scope = settle(tx, scope)
    known = tx.peek(identity.Principal, cmd.principal)
    if known is None or known.state is not identity.PrincipalState.ACTIVE:
        message = f"there is no {quote(cmd.principal)} that you can see"
        raise NotFoundError(message, hint="ask for the id that its `whoami` shows")
    if cmd.expires_at is not None and cmd.expires_at <= tx.now:
        message = "`expires_at` lies in the past"
        raise InvalidError(message, hint="scope_remove_member ends a membership now")
    place = store.membership(tx, scope.id, cmd.principal)
    before = _standing_role(tx, place)
    longer = place is not None and logic.outlives(cmd.expires_at, place.expires_at)
    _require_may(tx, scope, before, cmd, longer=longer)  # 1
    _require_own_side(tx, scope, known)  # 2
    if longer or not logic.lowers(before, cmd.role):
        require_open(tx, scope)  # 3
    if cmd.role is Role.OWNER and cmd.expires_at is not None:
        message = "an owner's membership has no expiry"
        raise InvalidError(message, hint="grant admin until then, or owner without expires_at")
    if before is Role.OWNER and cmd.role is not Role.OWNER:
        require_another_owner(tx, scope, cmd.principal)  # 4
    if place is None:
        place = Membership(
            id=tx.new_id(MembershipId),
            scope=scope.id,
            principal=cmd.principal,
            role=cmd.role,
            added_by=tx.caller.principal,
        )
    tx.put(
        place.but(
            role=cmd.role,
            state=Place.ACTIVE,
            expires_at=cmd.expires_at,
            added_by=tx.caller.principal,
        ),
        event="created" if before is None else "updated",
    )
    return view(tx, scope)


def _standing_role(tx: ReadTx, place: Membership | None) -> Role | None:
    if place is None or place.state is not Place.ACTIVE:
        return None
    expired = place.expires_at is not None and place.expires_at <= tx.now
    return None if expired else place.role


def _require_may(
    tx: ReadTx, scope: Scope, before: Role | None, cmd: AddMember, *, longer: bool
) -> None:
    role, inherited = store.role_in(tx, tx.known_key(scope.id), tx.caller.principal)
    problem = logic.may_grant(role, inherited, before, cmd.role, longer=longer)
    gives = longer or not logic.lowers(before, cmd.role)
    trails = scope.root and not logic.holds(before, cmd.role)
    if trails and not logic.holds(role, cmd.role):
        problem = problem or "only owners of the root scope appoint its auditors"
    granters = (tx.caller.principal, *tx.caller.delegators) if gives else ()
    if any(logic.outlives(cmd.expires_at, store.held_until(tx, scope.id, g)) for g in granters):
        problem = problem or "nobody grants for longer than they hold"
    if problem is not None:
        raise DeniedError(problem, hint="ask an owner of the scope; scope_get names its members")


def _require_own_side(tx: ReadTx, scope: Scope, known: identity.Principal) -> None:
    owner = tx.get_known(identity.Principal, identity.heir(tx, scope.owner))
    if not tx.caller.agent or not identity.is_agent(tx, owner):
        return
    allowed = {owner.id, *(one.id for one in identity.sponsors(tx, owner))}
    if known.id in allowed or identity.answers_for(tx, owner.id, known.id):
        return
    message = "an agent brings only its delegates and the users it answers to into its own scope"
    raise DeniedError(message, hint="add your sponsor as owner and ask it to add others")


def require_another_owner(tx: ReadTx, scope: Scope, leaving: str) -> None:
    """Refuse to take the last owner of a scope.

    Raises:
        ConflictError: nobody else owns it.
    """
    if not able_owners(tx, scope.id).keys() - {leaving}:
        message = "the last owner of a scope stays"
        raise ConflictError(message, hint="make another member owner first, or scope_transfer")


@handles(
    RemoveMember,
    name="scope.remove_member",
    title="Remove a member",
    effect=Effect.REVOKE,
    needs={"scope": Access.READ, "principal": Access.NONE},
    on="scope",
    scope="scope",
    writes={Membership: Access.READ},
    destructive=True,
    idempotent=True,
    again=again,
)
def remove(cmd: RemoveMember, tx: WriteTx) -> ScopeView:
    """By admins of the scope or above it, of whoever holds no more than they do; oneself always."""
    scope = tx.get(Scope, cmd.scope)
    require_own(scope)
    scope = settle(tx, scope)
    place = store.membership(tx, scope.id, cmd.principal)
    role, inherited = store.role_in(tx, tx.known_key(scope.id), tx.caller.principal)
    before = _standing_role(tx, place)
    if cmd.principal != tx.caller.principal:
        held = before or Role.AUDITOR
        problem = logic.may_grant(role, inherited, held, held, longer=False)
        if problem is not None:
            raise DeniedError(problem, hint="ask an owner of the scope")
    if place is None or before is None:
        message = f"{quote(cmd.principal)} is not a member"
        raise NotFoundError(message, hint="scope_get lists the members")
    return _end(tx, scope, place)


@handles(
    LeaveScope,
    name="scope.leave",
    title="Leave a scope",
    effect=Effect.REVOKE,
    needs={"id": Access.READ},
    on="id",
    scope="id",
    writes={Membership: Access.READ},
    toolset="scopes",
    destructive=True,
    again=again,
)
def leave(cmd: LeaveScope, tx: WriteTx) -> ScopeView:
    """Anyone may leave any scope (ruling 8)."""
    scope, me = tx.get(Scope, cmd.id), tx.caller.principal
    if scope.kind is not ScopeKind.ENVIRONMENT:
        scope = settle(tx, scope)
    elif identity.heir(tx, scope.owner) == me:
        message = "the owner of an environment stays in it"
        raise ConflictError(message, hint="environment_discard ends it")
    place = store.membership(tx, scope.id, me)
    if place is None or _standing_role(tx, place) is None:
        message = "you are not a member yourself"
        raise ConflictError(message, hint="you may be one through a team or a scope above or below")
    return _end(tx, scope, place)


def _end(tx: WriteTx, scope: Scope, place: Membership) -> ScopeView:
    if place.role is Role.OWNER:
        require_another_owner(tx, scope, place.principal)
    seen = view(tx, scope)
    tx.put(place.but(state=Place.ENDED), event="ended")
    if tx.access(scope) >= Access.READ:
        return view(tx, scope)
    return seen.model_copy(update={"members": None, "role": None})
