"""What a caller may do with objects, scopes, memberships and projections.

Once one by one, once as a filter for lists. The two agree, always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, and_, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.kernel.ids import EnvironmentId, ScopeId
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import Object, ObjectState, objects
from scoped_mcp.layers.tenancy import logic
from scoped_mcp.layers.tenancy.model import (
    Membership,
    Place,
    Projection,
    Role,
    Scope,
    ScopeKind,
    ScopeState,
)
from scoped_mcp.layers.tenancy.store import facts
from scoped_mcp.layers.tenancy.store.standing import role_in, standing_of, standing_on
from scoped_mcp.layers.tenancy.store.ways import FEW, Known, ways
from scoped_mcp.layers.tenancy.tables import memberships, projections, scopes
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import Sight, decides, filters, ports
from scoped_mcp.storage.among import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx


def offer_stands(tx: ReadTx, scope: Scope) -> bool:
    """Whether who offered a scope still owns it: an offer ends with what it was made of.

    An heir keeps the offers of what fell to it, but for one to itself.
    """
    by = scope.offered_by and identity.heir(tx, scope.offered_by)
    if by is None or scope.transfer_to == identity.heir(tx, scope.owner):
        return False
    return role_in(tx, tx.known_key(scope.id), by)[0] is Role.OWNER


def _sights(tx: ReadTx, things: Sequence[Object]) -> list[Sight]:
    outside = [tx.known_key(thing.id) for thing in things if thing.home is None]
    homes = {thing.home for thing in things if thing.home is not None}
    if len(homes) > 1:
        cast("Any", ports.gather_insides)(tx, sorted(homes))
    shown = facts.projections_of(tx, outside)
    found: list[Sight] = []
    for thing in things:
        if thing.home is None:
            sight = _sight(tx, thing, shown[tx.known_key(thing.id)])
            found.append(sight if tx.caller.environment is None else _imported(tx, thing, sight))
        else:
            deleted, own = thing.state is ObjectState.DELETED, _is_mine(tx, thing)
            found.append(logic.inside_sight(inside_of(tx, thing.home), deleted=deleted, mine=own))
    return found


def _is_mine(tx: ReadTx, thing: Object) -> bool:
    return identity.heir(tx, thing.owner) == tx.caller.principal


def inside_of(tx: ReadTx, scope: str) -> Access:
    """What the caller's place inside an environment's scope is worth, now."""
    decide = cast("Callable[[ReadTx, str], Access]", ports.inside)
    return decide(tx, scope)


def _imported(tx: ReadTx, thing: Object, sight: Sight) -> Sight:
    """What a pinned credential sees of a thing outside: the version imported, if it may at all."""
    version = cast("Any", ports.imported)(tx, thing.id)
    if version is None or not sight.access or not sight.shows(version):
        return Sight(Access.NONE)
    return Sight(Access.READ, None, frozenset({version}))


def _sight(tx: ReadTx, thing: Object, shown: list[logic.Shown]) -> Sight:
    caller, there = tx.caller.principal, thing.state is ObjectState.ACTIVE
    if not isinstance(thing.owner, ScopeId) and _is_mine(tx, thing):
        return Sight(Access.OWNER, 1)
    if not there:
        return Sight(Access.NONE)
    own = [tx.known_key(thing.owner)] if isinstance(thing.owner, ScopeId) else []
    where = standing_on(tx, caller, [*own, *(one.scope for one in shown)])
    sight = logic.object_sight(shown, where)
    if isinstance(thing.owner, ScopeId):
        return logic.either(logic.owned_sight(tx.known_key(thing.owner), where), sight)
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
    over, reads = set(identity.heirs_of(tx, tx.caller.principal)), where.direct | where.above
    owners = facts.owning(tx, sorted(over | reads))
    mine = [tx.caller.key, *(one for one in owners if one in over)]
    keys = Known(
        tx.caller.key,
        mine,
        sorted(reads),
        [one for one in owners if one not in over],
        _inside(tx),
    )
    return tuple(ways(keys))


def _inside(tx: ReadTx) -> list[ColumnElement[bool]]:
    """What lives in environments: each a way of its own, where they are few."""
    few = cast("Any", ports.homes)(tx, FEW + 1)
    if len(few) > FEW:
        return [cast("Any", ports.insides)(tx, objects.c.home)]
    return [objects.c.home == home for home in few]


def _shown_in(tx: ReadTx, things: Sequence[Object]) -> list[tuple[str, ...]]:
    shown = facts.projections_of(tx, [tx.known_key(thing.id) for thing in things])
    places = facts.ids_of(tx, {one.scope for some in shown.values() for one in some})
    above = facts.nodes_of(tx, places)
    for key in places:
        tx.learn(("nodes", key), above)  # asked of all at once: each decides by them
    found: list[tuple[str, ...]] = []
    for thing in things:
        ids = [places[one.scope] for one in shown[tx.known_key(thing.id)]]
        if isinstance(thing.owner, ScopeId):
            ids.insert(0, thing.owner)
        found.append(tuple(one for one in ids if tx.sees(one)))
    return found


def _born(tx: ReadTx, after: Entity, before: Entity | None) -> None:
    if before is None and isinstance(after, Object):
        facts.shown_nowhere(tx, tx.known_key(after.id))


def _within(tx: ReadTx, place: str) -> ColumnElement[bool]:
    """What is shown in a scope or belongs to it; what lives in an environment."""
    if isinstance(place, EnvironmentId):
        return objects.c.home == tx.key(cast("Any", ports.isolation)(tx, place))
    key = tx.key(place)
    shown = select(projections.c.object).where(
        projections.c.scope == key, projections.c.state == Place.ACTIVE.value
    )
    return or_(objects.c.owner == key, objects.c.home == key, objects.c.id.in_(shown))


@decides(Scope)
def scope_access(tx: ReadTx, scope: Scope) -> Access:
    """By one's own role, by administering one above, by being below, by an offer.

    That of an environment is there for who is inside, and has nothing to administer (ruling 37).
    """
    if scope.kind is ScopeKind.ENVIRONMENT:
        return min(inside_of(tx, scope.id), Access.READ)
    key = tx.known_key(scope.id)
    role, inherited = role_in(tx, key, tx.caller.principal)
    nodes = tx.memo(("nodes", key), lambda: facts.nodes_of(tx, [key]))
    state = logic.state_of(key, nodes)
    found = logic.scope_access(role, inherited, state, below=False)
    if not found and not scope.root:  # only then it matters, and costs a look at all its places
        below = key in standing_of(tx, tx.caller.principal).above
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
    seen = one_of(scopes.c.id, sorted(inside | administered | where.above | offered))
    return or_(seen, cast("Any", ports.insides)(tx, scopes.c.id))


def _places(tx: ReadTx) -> tuple[set[int], frozenset[int]]:
    """The scopes in which the caller has a role of its own, and those that it administers."""
    roles = standing_of(tx, tx.caller.principal).roles
    nodes = facts.nodes_of(tx, roles)
    inside = {k for k in roles if logic.in_force(k, roles, nodes)}
    own = {k for k in inside if logic.RANK[roles[k]] >= logic.RANK[Role.ADMIN]}
    return inside, facts.under(tx, own) | own


def administered(tx: ReadTx) -> list[int]:
    """The scopes that the caller administers, by itself or from above."""
    inside, below = _places(tx)
    own = standing_of(tx, tx.caller.principal).roles
    return sorted(below | {k for k in inside if logic.RANK[own[k]] >= logic.RANK[Role.ADMIN]})


@decides(Membership)
def membership_access(tx: ReadTx, one: Membership) -> Access:
    """That of its scope, for who is inside or administers it; one's own can be seen and left."""
    found = tx.access_to(one.scope)
    if found < Access.ADMIN and not _is_inside(tx, one.scope):
        found = Access.NONE
    return max(found, Access.READ) if one.principal == tx.caller.principal else found


def _is_inside(tx: ReadTx, scope: str) -> bool:
    there = role_in(tx, tx.known_key(scope), tx.caller.principal)[0] is not None
    return there or inside_of(tx, scope) > Access.NONE


@filters(Membership)
def memberships_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    inside, administered = _places(tx)
    seen = one_of(memberships.c.scope, sorted(inside | administered))
    within = cast("Any", ports.insides)(tx, memberships.c.scope)
    return or_(memberships.c.principal == tx.caller.key, seen, within)


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
    owned = select(objects.c.id).where(one_of(objects.c.owner, mine))
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


def _reads(tx: ReadTx) -> frozenset[int]:
    where = standing_of(tx, tx.caller.principal)
    return where.direct | where.above


def _ran_out(tx: ReadTx, since: datetime, until: datetime) -> bool:
    return identity.ran_out(tx, since, until) or facts.ran_out(tx, since, until)


ports.keys["me"] = lambda tx: (tx.caller.key,)
ports.keys["mine"] = lambda tx: (tx.caller.key, *identity.heirs_of(tx, tx.caller.principal))
ports.keys["reads"] = _reads
ports.sights = _sights
ports.shown_in = _shown_in
ports.within = _within
ports.followers.append(_born)
ports.expired.append(_ran_out)
