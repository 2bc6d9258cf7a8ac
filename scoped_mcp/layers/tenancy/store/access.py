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
from scoped_mcp.storage.among import one_of

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
        other = roles.get(scope)
        roles[scope] = role if other is None else max(role, other, key=logic.RANK.__getitem__)
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
    higher = [node.key for node in logic.chain(scope, above)[1:]]
    return roles.get(scope), logic.inherited(higher, roles, above)


def held_until(tx: ReadTx, scope: str, principal: str) -> datetime | None:
    """When a principal stops administering a scope, by itself or through a team; None for never."""
    teams = [tx.known_key(team) for team in sorted(identity.teams(tx, principal))]
    ends = facts.ends(tx, scope, [tx.known_key(principal), *teams])
    dates = [end for end in ends if end is not None]
    return max(dates) if dates and len(dates) == len(ends) else None


def offer_stands(tx: ReadTx, scope: Scope) -> bool:
    """Whether who offered a scope still owns it: an offer ends with what it was made of."""
    by = scope.offered_by
    return by is not None and role_in(tx, tx.known_key(scope.id), by)[0] is Role.OWNER


def _sights(tx: ReadTx, things: Sequence[Object]) -> list[Sight]:
    shown = facts.projections_of(tx, [tx.known_key(thing.id) for thing in things])
    return [_sight(tx, thing, shown[tx.known_key(thing.id)]) for thing in things]


def _sight(tx: ReadTx, thing: Object, shown: list[logic.Shown]) -> Sight:
    caller = tx.caller.principal
    if thing.owner == caller or tx.key(thing.owner) in identity.heirs_of(tx, caller):
        return Sight(Access.OWNER, 1)
    if thing.state is ObjectState.DELETED:
        return Sight(Access.NONE)
    sight = logic.object_sight(shown, standing_of(tx, caller))
    if thing.transfer_to == caller:
        since = min(sight.since or thing.version, thing.version)
        return Sight(max(sight.access, Access.READ), since, sight.pinned)
    return sight


@decides(Object)
def object_access(tx: ReadTx, thing: Object) -> Access:
    """By ownership, by what has fallen to the caller, by where it is shown."""
    return _sights(tx, [thing])[0].access


@filters(Object)
def objects_seen(tx: ReadTx) -> tuple[ColumnElement[bool], ...]:
    """The same as a filter: owned, offered, or shown where the caller stands."""
    where = standing_of(tx, tx.caller.principal)
    mine = (tx.caller.key, *identity.heirs_of(tx, tx.caller.principal))
    there = objects.c.state == ObjectState.ACTIVE.value
    seen = [objects.c.owner == owner for owner in mine]
    seen.append(there & (objects.c.transfer_to == tx.caller.key))
    if where.direct or where.above:
        shown = select(projections.c.object).where(
            one_of(projections.c.scope, sorted(where.direct | where.above)),
            projections.c.state == Place.ACTIVE.value,
        )
        seen.append(there & objects.c.id.in_(shown))
    return tuple(seen)


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
    offered = scope.transfer_to == tx.caller.principal and state is not ScopeState.ARCHIVED
    return max(found, Access.READ) if offered and offer_stands(tx, scope) else found


@filters(Scope)
def scopes_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    inside, administered = _places(tx)
    where = standing_of(tx, tx.caller.principal)
    standing = [o for o in facts.offered(tx, tx.caller.principal) if offer_stands(tx, o)]
    offered = {tx.known_key(one.id) for one in standing}
    above = facts.nodes_of(tx, offered)
    offered = {k for k in offered if logic.state_of(k, above) is not ScopeState.ARCHIVED}
    return one_of(scopes.c.id, sorted(inside | administered | where.above | offered))


def _places(tx: ReadTx) -> tuple[set[int], frozenset[int]]:
    """The scopes in which the caller has a role of its own, and those that it administers."""
    roles = standing_of(tx, tx.caller.principal).roles
    nodes = facts.nodes_of(tx, roles)
    inside = {k for k in roles if logic.in_force(k, roles, nodes)}
    own = {k for k in inside if logic.RANK[roles[k]] >= logic.RANK[Role.ADMIN]}
    return inside, facts.under(tx, own) | own


@decides(Membership)
def membership_access(tx: ReadTx, one: Membership) -> Access:
    """That of its scope, for who is inside or administers it; one's own can be seen and left."""
    found = tx.access_to(one.scope)
    if found < Access.ADMIN and not _is_inside(tx, tx.known_key(one.scope)):
        found = Access.NONE
    return max(found, Access.READ) if one.principal == tx.caller.principal else found


def _is_inside(tx: ReadTx, scope: int) -> bool:
    return role_in(tx, scope, tx.caller.principal)[0] is not None


@filters(Membership)
def memberships_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    inside, administered = _places(tx)
    seen = sorted(inside | administered)
    return or_(memberships.c.principal == tx.caller.key, one_of(memberships.c.scope, seen))


@decides(Projection)
def projection_access(tx: ReadTx, one: Projection) -> Access:
    """For the object's owner and the scope's admins; others see it with both, while it stands."""
    thing, there = tx.access_to(one.object), tx.access_to(one.scope)
    if thing is Access.OWNER or there >= Access.ADMIN:
        return max(thing, there)
    both = one.state is Place.ACTIVE and there >= Access.READ
    return thing if both else Access.NONE


@filters(Projection)
def projections_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    mine = (tx.caller.key, *identity.heirs_of(tx, tx.caller.principal))
    owned = select(objects.c.id).where(objects.c.owner.in_(mine))
    things = select(objects.c.id).where(or_(*objects_seen(tx)))
    places = select(scopes.c.id).where(scopes_seen(tx))
    _, administered = _places(tx)
    return or_(
        projections.c.object.in_(owned),
        one_of(projections.c.scope, sorted(administered)),
        and_(
            projections.c.state == Place.ACTIVE.value,
            projections.c.object.in_(things),
            projections.c.scope.in_(places),
        ),
    )


def audits_everything(tx: ReadTx) -> bool:
    """Whether the caller reads every trail: an auditor or owner of the root scope."""
    root, caller = tx.known_key(tx.house.root), tx.caller
    everyone = (caller.principal, *caller.delegators)
    return all(role_in(tx, root, one)[0] in {Role.AUDITOR, Role.OWNER} for one in everyone)


def audited(tx: ReadTx) -> frozenset[int]:
    """The scopes whose trail the caller reads: those it administers or audits, and all below."""
    roles = standing_of(tx, tx.caller.principal).roles
    nodes = facts.nodes_of(tx, roles)
    reading = {Role.AUDITOR, Role.ADMIN, Role.OWNER}
    keys = [k for k, r in roles.items() if r in reading and logic.in_force(k, roles, nodes)]
    return facts.below(tx, keys)


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
