"""Pure decisions of tenancy: what a place in a scope is worth, and who may grant what.

role in a scope      access to the scope     what is shown in it
auditor              READ                    nothing: the trail, not the data
viewer, contributor  READ                    at the share's level
editor               WRITE                   at the share's level
admin                ADMIN                   at the share's level
owner                OWNER                   at the share's level
admin of one above   ADMIN, inherited        nothing
member of one below  READ                    read
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from scoped_mcp.layers.tenancy.model import Role, ScopeState
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import Sight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

RANK = {role: rank for rank, role in enumerate(Role)}
ACCESS = {
    Role.AUDITOR: Access.READ,
    Role.VIEWER: Access.READ,
    Role.CONTRIBUTOR: Access.READ,
    Role.EDITOR: Access.WRITE,
    Role.ADMIN: Access.ADMIN,
    Role.OWNER: Access.OWNER,
}
LEVEL = {"read": Access.READ, "write": Access.WRITE, "admin": Access.ADMIN}


class Node(NamedTuple):
    """A scope as decisions need it. Keys are registry keys."""

    key: int
    parent: int | None
    state: ScopeState


@dataclass(frozen=True)
class Standing:
    """Where a principal stands.

    Attributes:
        roles: Its own role in each scope, archived ones included.
        direct: The scopes whose data it sees as a member.
        above: The scopes above those, whose data it may read.
        frozen: Of all these, which are frozen, by themselves or from above.
    """

    roles: Mapping[int, Role] = field(default_factory=lambda: {})
    direct: frozenset[int] = frozenset()
    above: frozenset[int] = frozenset()
    frozen: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Shown:
    """A projection as decisions need it."""

    scope: int
    access: str
    since: int | None
    pinned: int | None


def chain(key: int, nodes: Mapping[int, Node]) -> list[Node]:
    """A scope and all above it, nearest first."""
    found: list[Node] = []
    at: int | None = key
    while at is not None and at in nodes:
        found.append(nodes[at])
        at = nodes[at].parent
    return found


def state_of(key: int, nodes: Mapping[int, Node]) -> ScopeState:
    """The state in force: archived or frozen from above counts."""
    found, at = ScopeState.ACTIVE, nodes.get(key)
    while at is not None:
        if at.state is ScopeState.ARCHIVED:
            return at.state
        if at.state is ScopeState.FROZEN:
            found = at.state
        at = None if at.parent is None else nodes.get(at.parent)
    return found


def standing(roles: Mapping[int, Role], nodes: Mapping[int, Node]) -> Standing:
    """Where somebody with these roles stands."""
    live = {k for k in roles if state_of(k, nodes) is not ScopeState.ARCHIVED}
    direct = frozenset(k for k in live if roles[k] is not Role.AUDITOR)
    above = frozenset(n.key for k in direct for n in chain(k, nodes)[1:]) - direct
    frozen = frozenset(k for k in direct | above if state_of(k, nodes) is ScopeState.FROZEN)
    return Standing(dict(roles), direct, above, frozen)


def within(own: Standing, delegator: Standing, made: frozenset[int] = frozenset()) -> Standing:
    """What a delegate's own standing is worth: at most its delegator's, now (ruling 5).

    What it made it keeps, and what fell to it.
    """
    roles = kept(own.roles, delegator.roles, made)
    direct = frozenset(
        k
        for k in own.direct & (delegator.direct | made)
        if roles.get(k, Role.AUDITOR) is not Role.AUDITOR
    )
    readable = (own.direct | own.above) & (delegator.direct | delegator.above | made)
    return Standing(roles, direct, readable - direct, own.frozen)


def kept(
    own: Mapping[int, Role], delegator: Mapping[int, Role], made: frozenset[int]
) -> dict[int, Role]:
    """What a delegate's own roles are worth."""
    roles = {key: role for key, role in own.items() if key in made}
    for key, role in own.items():
        found = None if key in made else common(role, delegator.get(key))
        if found is not None:
            roles[key] = found
    return roles


def common(one: Role, other: Role | None) -> Role | None:
    """What two places have in common: an auditor reads a trail that a viewer does not."""
    if other is None or one is other:
        return other
    low, high = sorted((one, other), key=RANK.__getitem__)
    if low is Role.AUDITOR and RANK[high] < RANK[Role.ADMIN]:
        return None
    return low


def holds(mine: Role | None, theirs: Role | None) -> bool:
    """Whether a place in the root scope is worth all that another is.

    Its auditors read every trail, its admins do not.
    """
    if theirs is None or mine is theirs:
        return True
    if mine is None or (theirs is Role.AUDITOR and mine is not Role.OWNER):
        return False
    return RANK[mine] >= RANK[theirs]


def best(roles: Iterable[Role]) -> Role | None:
    """The highest of several roles."""
    return max(roles, key=RANK.__getitem__, default=None)


def scope_access(
    role: Role | None, inherited: Role | None, state: ScopeState, *, below: bool
) -> Access:
    """Access to a scope: by one's own role, by administering one above, by being below."""
    administers = inherited is not None and RANK[inherited] >= RANK[Role.ADMIN]
    if state is ScopeState.ARCHIVED:
        if role is Role.OWNER:
            return Access.OWNER
        return Access.ADMIN if administers else Access.NONE
    own = Access.NONE if role is None else ACCESS[role]
    if administers:
        own = max(own, Access.ADMIN)
    return max(own, Access.READ) if below else own


def object_sight(shown: Iterable[Shown], where: Standing) -> Sight:
    """What projections give somebody who stands there: the best level, the widest versions.

    A frozen scope widens nothing: what it shows may be read.
    """
    access, since = Access.NONE, None
    pinned: set[int] = set()
    for one in shown:
        if one.scope not in where.direct and one.scope not in where.above:
            continue
        level = LEVEL[one.access]
        if one.scope not in where.direct or one.scope in where.frozen or one.pinned is not None:
            level = Access.READ
        access = max(access, level)
        if one.pinned is not None:
            pinned.add(one.pinned)
        elif one.since is not None:
            since = one.since if since is None else min(since, one.since)
    return Sight(access, since, frozenset(pinned))


def owned_sight(scope: int, where: Standing) -> Sight:
    """What a place in a scope is worth for what the scope owns (ruling 32).

    viewer, contributor READ; editor WRITE; admin ADMIN; owner OWNER; members of scopes below READ.
    """
    if scope not in where.direct and scope not in where.above:
        return Sight(Access.NONE)
    whole = scope in where.direct and scope not in where.frozen
    return Sight(ACCESS[where.roles[scope]] if whole else Access.READ, 1)


def either(one: Sight, other: Sight) -> Sight:
    """What two ways to a thing give together: the best level, the widest versions."""
    starts = [since for since in (one.since, other.since) if since is not None]
    since = min(starts) if starts else None
    return Sight(max(one.access, other.access), since, one.pinned | other.pinned)


def inside_sight(inside: Access, *, deleted: bool, mine: bool) -> Sight:
    """What a place in an environment is worth for what lives there.

    A viewer reads, whoever made it; an editor writes what others made and owns what it made; the
    environment's owner administers all of it. Only who made a thing sees its tombstone.
    """
    if not inside or (deleted and not mine):
        return Sight(Access.NONE)
    if inside is Access.READ:
        return Sight(Access.READ, 1)
    if mine:
        return Sight(Access.OWNER, 1)
    return Sight(min(inside, Access.ADMIN), 1)


def inherited(
    above: Iterable[int], roles: Mapping[int, Role], nodes: Mapping[int, Node]
) -> Role | None:
    """The best role held in scopes above; what is archived is there for its owner alone."""
    return best(roles[key] for key in above if key in roles and in_force(key, roles, nodes))


def in_force(key: int, roles: Mapping[int, Role], nodes: Mapping[int, Node]) -> bool:
    """Whether the role in a scope counts: in an archived one only that of its owner."""
    return roles[key] is Role.OWNER or state_of(key, nodes) is not ScopeState.ARCHIVED


def lowers(before: Role | None, after: Role) -> bool:
    """Whether a change of role gives nothing that was not there."""
    return before is not None and common(after, before) is after


def may_grant(
    granter: Role | None, inherited: Role | None, before: Role | None, after: Role, *, longer: bool
) -> str | None:
    """Why somebody may not give this role to who has that one, or None where it may.

    Nobody grants more than they hold, nor touches who holds more; an inherited role lowers and
    removes, it never raises (ruling 30).
    """
    held = granter if granter is not None and RANK[granter] >= RANK[Role.ADMIN] else None
    lowering = lowers(before, after) and not longer
    if held is None:
        if inherited is None or RANK[inherited] < RANK[Role.ADMIN]:
            return "this needs the role admin or owner in the scope"
        if not lowering:
            return "an inherited role cannot raise anyone"
        held = Role.OWNER if inherited is Role.OWNER else Role.ADMIN
    if RANK[after] > RANK[held]:
        return "nobody grants more than they hold"
    if before is not None and RANK[before] > RANK[held]:
        return "nobody changes the role of who holds more"
    return None


def outlives(granted: datetime | None, held: datetime | None) -> bool:
    """Whether a grant would last longer than the granter's own place."""
    return held is not None and (granted is None or granted > held)
