"""What a caller may do with objects, scopes, memberships and projections.

Once one by one, once as a filter for lists. The two agree, always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import Object, ObjectState, objects
from scoped_mcp.layers.tenancy import logic
from scoped_mcp.layers.tenancy.logic import Standing
from scoped_mcp.layers.tenancy.model import Membership, Place, Projection, Role, Scope, ScopeState
from scoped_mcp.layers.tenancy.store import facts
from scoped_mcp.layers.tenancy.tables import memberships, projections, scopes
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import Sight, decides, filters, ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scoped_mcp.spine.tx import ReadTx


def standing_of(tx: ReadTx, principal: str) -> Standing:
    """Where a principal stands: its own places and its teams', within its delegator's."""
    return tx.memo(("standing", principal), lambda: _standing(tx, principal))


def _standing(tx: ReadTx, principal: str) -> Standing:
    own = tx.key(principal)
    if own is None:
        return Standing()
    keys = [own, *(tx.known_key(team) for team in sorted(identity.teams(tx, principal)))]
    roles: dict[int, Role] = {}
    for scope, role in facts.place(tx, keys):
        roles[scope] = logic.best((role, roles.get(scope, role))) or role
    left = _fallen(tx, principal)
    roles.update(dict.fromkeys(left, Role.OWNER))
    found = logic.standing(roles, facts.nodes_of(tx, roles))
    one = tx.peek(identity.Principal, principal)
    if one is not None and one.delegate and one.sponsor is not None:
        made = facts.made_by(tx, [own]) | left
        return logic.within(found, standing_of(tx, one.sponsor), made)
    return found


def _fallen(tx: ReadTx, principal: str) -> frozenset[int]:
    """The scopes that ended delegates made and still owned: they are the principal's (ruling 5)."""
    ended = identity.heirs_of(tx, principal)
    if not ended:
        return frozenset()
    owned = {scope for scope, role in facts.place(tx, ended) if role is Role.OWNER}
    return facts.made_by(tx, ended) & owned


def role_in(tx: ReadTx, scope: int, principal: str) -> tuple[Role | None, Role | None]:
    """A principal's own role in a scope, and the best it holds above it."""
    roles = standing_of(tx, principal).roles
    above = tx.memo(("nodes", scope), lambda: facts.nodes_of(tx, [scope]))
    inherited = logic.best(roles[n.key] for n in logic.chain(scope, above)[1:] if n.key in roles)
    return roles.get(scope), inherited


def _sights(tx: ReadTx, things: Sequence[Object]) -> list[Sight]:
    where = standing_of(tx, tx.caller.principal)
    mine = {tx.caller.key, *identity.heirs_of(tx, tx.caller.principal)}
    shown = facts.projections_of(tx, [tx.known_key(thing.id) for thing in things])
    return [_sight(tx, thing, where, mine, shown[tx.known_key(thing.id)]) for thing in things]


def _sight(
    tx: ReadTx, thing: Object, where: Standing, mine: set[int], shown: list[logic.Shown]
) -> Sight:
    if tx.key(thing.owner) in mine:
        return Sight(Access.OWNER, 1)
    if thing.state is ObjectState.DELETED:
        return Sight(Access.NONE)
    sight = logic.object_sight(shown, where)
    if thing.transfer_to == tx.caller.principal:
        since = min(sight.since or thing.version, thing.version)
        return Sight(max(sight.access, Access.READ), since, sight.pinned)
    return sight


@decides(Object)
def object_access(tx: ReadTx, thing: Object) -> Access:
    """By ownership, by what has fallen to the caller, by where it is shown."""
    return _sights(tx, [thing])[0].access


@filters(Object)
def objects_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    where = standing_of(tx, tx.caller.principal)
    mine = (tx.caller.key, *identity.heirs_of(tx, tx.caller.principal))
    seen: list[ColumnElement[bool]] = [objects.c.transfer_to == tx.caller.key]
    if where.direct or where.above:
        shown = select(projections.c.object).where(
            projections.c.scope.in_(sorted(where.direct | where.above)),
            projections.c.state == Place.ACTIVE.value,
        )
        seen.append(objects.c.id.in_(shown))
    there = objects.c.state == ObjectState.ACTIVE.value
    return or_(objects.c.owner.in_(mine), and_(there, or_(*seen)))


def _shown_in(tx: ReadTx, things: Sequence[Object]) -> list[tuple[str, ...]]:
    shown = facts.projections_of(tx, [tx.known_key(thing.id) for thing in things])
    found: list[tuple[str, ...]] = []
    for thing in things:
        ids = [tx.public_id(one.scope) for one in shown[tx.known_key(thing.id)]]
        found.append(tuple(one for one in ids if tx.sees(one)))
    return found


def _within(tx: ReadTx, scope: str) -> ColumnElement[bool]:
    shown = select(projections.c.object).where(
        projections.c.scope == tx.key(scope), projections.c.state == Place.ACTIVE.value
    )
    return objects.c.id.in_(shown)


@decides(Scope)
def scope_access(tx: ReadTx, scope: Scope) -> Access:
    """By one's own role, by administering one above, by being below, by an offer."""
    key = tx.known_key(scope.id)
    role, inherited = role_in(tx, key, tx.caller.principal)
    nodes = tx.memo(("nodes", key), lambda: facts.nodes_of(tx, [key]))
    below = key in standing_of(tx, tx.caller.principal).above
    state = logic.state_of(key, nodes)
    found = logic.scope_access(role, inherited, state, below=below)
    if scope.transfer_to == tx.caller.principal and state is not ScopeState.ARCHIVED:
        return max(found, Access.READ)
    return found


@filters(Scope)
def scopes_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    where = standing_of(tx, tx.caller.principal)
    administered = [k for k, r in where.roles.items() if logic.RANK[r] >= logic.RANK[Role.ADMIN]]
    under = facts.under(tx, administered)
    owned = {k for k, role in where.roles.items() if role is Role.OWNER}
    live = facts.nodes_of(tx, where.roles)
    members = {k for k in where.roles if logic.state_of(k, live) is not ScopeState.ARCHIVED}
    offered = {tx.known_key(one.id) for one in facts.offered(tx, tx.caller.principal)}
    above = facts.nodes_of(tx, offered)
    offered = {k for k in offered if logic.state_of(k, above) is not ScopeState.ARCHIVED}
    return scopes.c.id.in_(sorted(under | owned | members | where.above | offered))


@decides(Membership)
def membership_access(tx: ReadTx, one: Membership) -> Access:
    """That of its scope; one's own place can be seen and left."""
    found = tx.access_to(one.scope)
    return max(found, Access.READ) if one.principal == tx.caller.principal else found


@filters(Membership)
def memberships_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    seen = select(scopes.c.id).where(scopes_seen(tx))
    return or_(memberships.c.principal == tx.caller.key, memberships.c.scope.in_(seen))


@decides(Projection)
def projection_access(tx: ReadTx, one: Projection) -> Access:
    """The better of what one may do with its object and with its scope."""
    return max(tx.access_to(one.object), tx.access_to(one.scope))


@filters(Projection)
def projections_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    things = select(objects.c.id).where(objects_seen(tx))
    places = select(scopes.c.id).where(scopes_seen(tx))
    return or_(projections.c.object.in_(things), projections.c.scope.in_(places))


def audits_everything(tx: ReadTx) -> bool:
    """Whether the caller reads every trail: an auditor or owner of the root scope."""
    role, _ = role_in(tx, tx.known_key(tx.house.root), tx.caller.principal)
    return role in {Role.AUDITOR, Role.OWNER}


def audited(tx: ReadTx) -> frozenset[int]:
    """The scopes whose trail the caller reads: those it administers or audits, and all below."""
    roles = standing_of(tx, tx.caller.principal).roles
    reading = {Role.AUDITOR, Role.ADMIN, Role.OWNER}
    return facts.below(tx, [key for key, role in roles.items() if role in reading])


def reasons(tx: ReadTx, thing: Object, principal: str) -> list[tuple[str, Access]]:
    """Through which scopes a principal reaches an object, and how far."""
    where = standing_of(tx, principal)
    key = tx.known_key(thing.id)
    found: list[tuple[str, Access]] = []
    for one in facts.projections_of(tx, [key])[key]:
        access = logic.object_sight([one], where).access
        if access:
            found.append((tx.public_id(one.scope), access))
    return found


def _ran_out(tx: ReadTx, since: datetime, until: datetime) -> bool:
    return identity.ran_out(tx, since, until) or facts.ran_out(tx, since, until)


ports.sights = _sights
ports.shown_in = _shown_in
ports.within = _within
ports.expired = _ran_out
