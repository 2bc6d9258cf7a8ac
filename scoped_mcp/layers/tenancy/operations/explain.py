"""Who can see this, through what, since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import InvalidError, NotFoundError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import Object, ObjectState
from scoped_mcp.layers.tenancy import logic, store
from scoped_mcp.layers.tenancy.model import AccessView, ExplainAccess, ReachView, Scope
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx


@handles(
    ExplainAccess,
    name="access.explain",
    title="Explain access",
    effect=Effect.READ,
    needs={"principal": Access.NONE, "target": Access.ADMIN},
    on="target",
    toolset="scopes",
)
def explain(cmd: ExplainAccess, tx: ReadTx) -> AccessView:
    """For those who administer the target: what it says is about their own thing."""
    if not tx.sees(cmd.principal):
        message = f"there is no {quote(cmd.principal)} that you can see"
        raise NotFoundError(message, hint="ask for the id that its `whoami` shows")
    thing, scope = tx.peek(Object, cmd.target), tx.peek(Scope, cmd.target)
    if thing is not None:
        return _object(tx, thing, cmd.principal)
    if scope is not None:
        return _scope(tx, scope, cmd.principal)
    message = "access is explained for objects and scopes"
    raise InvalidError(message, hint="name an id that begins with obj_ or scp_")


def _inside(tx: ReadTx, thing: Object, home: str, principal: str) -> AccessView:
    """What lives in an environment is there for its members, as far as their places go."""
    place = cast("Any", ports.place)(tx, home, principal)
    deleted, mine = thing.state is ObjectState.DELETED, _owns(tx, thing, principal)
    have = logic.inside_sight(place, deleted=deleted, mine=mine).access
    known = store.membership(tx, home, principal)
    since = None if known is None else known.updated_at
    through = cast("Any", ports.environment)(tx, home)
    reasons = (ReachView(through=through, access=have.label, since=since),) if have else ()
    return AccessView(principal=principal, target=thing.id, access=have.label, reasons=reasons)


def _owns(tx: ReadTx, thing: Object, principal: str) -> bool:
    return identity.heir(tx, thing.owner) == principal


def _object(tx: ReadTx, thing: Object, principal: str) -> AccessView:
    if thing.home is not None:
        return _inside(tx, thing, thing.home, principal)
    reasons: list[ReachView] = []
    have = Access.NONE
    owner = tx.access(thing) is Access.OWNER
    if _owns(tx, thing, principal):
        have = Access.OWNER
        reasons.append(ReachView(through="ownership", access=have.label, since=thing.created_at))
    if thing.state is ObjectState.ACTIVE:
        for scope, level in store.reasons(tx, thing, principal):
            if owner or tx.sees(scope):
                have = max(have, level)
            if tx.sees(scope):
                shown = store.projection(tx, thing.id, scope)
                since = None if shown is None else shown.updated_at
                reasons.append(ReachView(through=scope, access=level.label, since=since))
    return AccessView(
        principal=principal, target=thing.id, access=have.label, reasons=tuple(reasons)
    )


def _scope(tx: ReadTx, scope: Scope, principal: str) -> AccessView:
    key = tx.known_key(scope.id)
    role, inherited = store.role_in(tx, key, principal)
    below = key in store.standing_of(tx, principal).above
    state = logic.state_of(key, store.nodes_of(tx, [key]))
    have = logic.scope_access(role, inherited, state, below=below)
    reasons: list[ReachView] = []
    if role is not None:
        place = store.membership(tx, scope.id, principal)
        since = None if place is None else place.updated_at
        until = None if place is None else place.expires_at
        label = logic.ACCESS[role].label
        reasons.append(ReachView(through=scope.id, access=label, since=since, until=until))
    if inherited is not None:
        reasons.append(ReachView(through="a scope above", access=have.label))
    if below:
        reasons.append(ReachView(through="a scope below", access=Access.READ.label))
    return AccessView(
        principal=principal, target=scope.id, access=have.label, reasons=tuple(reasons)
    )
