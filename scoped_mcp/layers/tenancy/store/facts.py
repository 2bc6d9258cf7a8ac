"""Facts of tenancy, read in the transaction that decides by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, select  # noqa: TID251 - facts are what visibility is made of

from scoped_mcp.kernel.clock import moment, stamp
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import objects
from scoped_mcp.layers.tenancy.logic import Node, Shown
from scoped_mcp.layers.tenancy.model import (
    Membership,
    Place,
    Projection,
    Role,
    Scope,
    ScopeKind,
    ScopeState,
)
from scoped_mcp.layers.tenancy.tables import memberships, projections, scopes
from scoped_mcp.spine import entity
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among
from scoped_mcp.storage.among import keys as numbered
from scoped_mcp.storage.path import registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from scoped_mcp.spine.tx import ReadTx

entity.bind(Scope, scopes)
entity.bind(Membership, memberships)
entity.bind(Projection, projections)


def _up() -> Select[Any]:
    start = (
        select(scopes.c.id, scopes.c.parent, scopes.c.state)
        .where(among(scopes.c.id))
        .cte("up", recursive=True)
    )
    above = select(scopes.c.id, scopes.c.parent, scopes.c.state)
    return select(start.union(above.join(start, scopes.c.id == start.c.parent)))


def _down(column: Any) -> Select[Any]:  # noqa: ANN401 - a column
    start = select(scopes.c.id).where(among(column)).cte("down", recursive=True)
    return select(start.union(select(scopes.c.id).join(start, scopes.c.parent == start.c.id)))


_UP, _DOWN, _UNDER = _up(), _down(scopes.c.id), _down(scopes.c.parent)
_PLACES = (
    select(memberships.c.scope, memberships.c.role, scopes.c.parent, scopes.c.state)
    .join_from(memberships, scopes, scopes.c.id == memberships.c.scope)
    .where(among(memberships.c.principal))
    .where(memberships.c.inside == 0)
    .where(memberships.c.state == Place.ACTIVE.value)
    .where(memberships.c.expires_at.is_(None) | (memberships.c.expires_at > bindparam("now")))
)
_PLACES_ON = _PLACES.where(among(memberships.c.scope, "scopes"))
_ADMINISTER = (
    select(memberships.c.expires_at)
    .where(memberships.c.scope == bindparam("scope"))
    .where(among(memberships.c.principal))
    .where(memberships.c.role.in_([Role.ADMIN.value, Role.OWNER.value]))
    .where(memberships.c.state == Place.ACTIVE.value)
    .where(memberships.c.expires_at.is_(None) | (memberships.c.expires_at > bindparam("now")))
)
_STANDING = (
    everything(Membership)
    .join(scopes, scopes.c.id == memberships.c.scope)
    .where(scopes.c.state != ScopeState.ARCHIVED.value)
    .where(memberships.c.principal == bindparam("principal"))
    .where(memberships.c.inside == 0)
    .where(memberships.c.state == Place.ACTIVE.value)
    .where(memberships.c.expires_at.is_(None) | (memberships.c.expires_at > bindparam("now")))
    .order_by(memberships.c.id)
)
_MEMBER = (
    everything(Membership)
    .where(memberships.c.scope == bindparam("scope"))
    .where(memberships.c.principal == bindparam("principal"))
)
_MEMBERS = (
    everything(Membership)
    .where(among(memberships.c.scope))
    .where(memberships.c.state == Place.ACTIVE.value)
    .where(memberships.c.expires_at.is_(None) | (memberships.c.expires_at > bindparam("now")))
    .order_by(memberships.c.id)
)
_PROJECTION = (
    everything(Projection)
    .where(projections.c.object == bindparam("object"))
    .where(projections.c.scope == bindparam("scope"))
)
_SHOWN = (
    select(
        projections.c.object,
        projections.c.scope,
        projections.c.access,
        projections.c.since,
        projections.c.pinned,
    )
    .where(among(projections.c.object))
    .where(projections.c.state == Place.ACTIVE.value)
    .order_by(projections.c.id)
)
_MADE = (
    select(scopes.c.id)
    .where(among(scopes.c.owner))
    .where(scopes.c.kind == ScopeKind.SCOPE.value)
    .where(scopes.c.root == 0)
)
_OWNED = select(objects.c.id).where(objects.c.owner == registry.c.id).limit(1).scalar_subquery()
_OWNING = past_walls(
    select(registry.c.id)
    .where(among(registry.c.id))
    .where(_OWNED.is_not(None))  # as EXISTS, PostgreSQL would first gather the owners of all
    .order_by(registry.c.id)
)
_OFFERED = (
    everything(Scope)
    .where(scopes.c.transfer_to == bindparam("principal"))
    .where(scopes.c.state != ScopeState.ARCHIVED.value)
    .order_by(scopes.c.id)
    .limit(100)
)
_THESE = past_walls(everything(Scope).where(among(scopes.c.id)))
_SEATS = (
    select(memberships.c.scope, memberships.c.role)
    .where(among(memberships.c.principal))
    .where(among(memberships.c.scope, "scopes"))
    .where(memberships.c.state == Place.ACTIVE.value)
    .where(memberships.c.expires_at.is_(None) | (memberships.c.expires_at > bindparam("now")))
)
_RAN_OUT = (
    select(memberships.c.id)
    .where(memberships.c.expires_at > bindparam("since"))
    .where(memberships.c.expires_at <= bindparam("until"))
)


def nodes_of(tx: ReadTx, keys: Iterable[int]) -> dict[int, Node]:
    """Scopes with all above them, and others that were read so in this transaction."""
    known = _known(tx)
    wanted = {key for key in keys if key not in known}
    if wanted:
        for row in tx.rows(_UP, {"keys": numbered(sorted(wanted))}):
            known[row.id] = Node(row.id, row.parent, ScopeState(row.state))
    return known


def _known(tx: ReadTx) -> dict[int, Node]:
    return tx.memo("nodes with all above them", lambda: {})


def ids_of(tx: ReadTx, keys: Iterable[int]) -> dict[int, str]:
    """The public ids of scopes, which are read here all at once."""
    wanted = sorted(set(keys))
    found = tx.entities(Scope, _THESE, {"keys": numbered(wanted)}) if wanted else []
    return {tx.known_key(one.id): one.id for one in found}


def below(tx: ReadTx, keys: Iterable[int]) -> frozenset[int]:
    """Scopes with all below them."""
    wanted = sorted(set(keys))
    return frozenset(row.id for row in tx.rows(_DOWN, {"keys": numbered(wanted)}))


def under(tx: ReadTx, keys: Iterable[int]) -> frozenset[int]:
    """All scopes strictly below some."""
    wanted = sorted(set(keys))
    return frozenset(row.id for row in tx.rows(_UNDER, {"keys": numbered(wanted)}))


def place(
    tx: ReadTx, principals: Sequence[int], among_them: Sequence[int] | None = None
) -> list[tuple[int, Role]]:
    """The unexpired places of principals, in some scopes or in all: scope and role."""
    values = {"keys": numbered(principals), "now": stamp(tx.now)}
    if among_them is None:
        rows = tx.rows(_PLACES, values)
    else:
        rows = tx.rows(_PLACES_ON, values | {"scopes": numbered(among_them)})
    known = _known(tx)
    for row in rows:
        if row.parent is None:
            known[row.scope] = Node(row.scope, None, ScopeState(row.state))
    return [(row.scope, Role(row.role)) for row in rows]


def places_inside(tx: ReadTx, principals: Sequence[int], scope: int) -> list[tuple[int, Role]]:
    """The places of principals in one scope, an environment's too."""
    asked = ("seats", scope, *principals)
    return tx.memo(asked, lambda: _seats(tx, principals, [scope]))


def gather_seats(tx: ReadTx, principals: Sequence[int], scopes: Sequence[int]) -> None:
    """Read at once what `places_inside` says of some scopes."""
    found = _seats(tx, principals, scopes)
    for scope in scopes:
        here = [(where, role) for where, role in found if where == scope]
        tx.learn(("seats", scope, *principals), here)


def _seats(tx: ReadTx, principals: Sequence[int], scopes: Sequence[int]) -> list[tuple[int, Role]]:
    values = {"keys": numbered(principals), "scopes": numbered(scopes), "now": stamp(tx.now)}
    return [(row.scope, Role(row.role)) for row in tx.rows(_SEATS, values)]


def seats_inside(name: str) -> Select[Any]:
    """The environments' scopes in which principals have a place as guests, as a query.

    As owners they have one in all that they ever made: of those, whose they are says enough.

    Args:
        name: Of the parameter that holds their keys.
    """
    return (
        select(memberships.c.scope)
        .where(among(memberships.c.principal, name))
        .where(memberships.c.inside == 1)
        .where(memberships.c.state == Place.ACTIVE.value)
        .where(memberships.c.role.in_([role.value for role in Role if role is not Role.OWNER]))
    )


def standing_memberships(tx: ReadTx, principal: str) -> list[Membership]:
    """The unexpired memberships of a principal itself, but in what is archived."""
    values = {"principal": tx.key(principal), "now": stamp(tx.now)}
    return tx.entities(Membership, _STANDING, values)


def membership(tx: ReadTx, scope: str, principal: str) -> Membership | None:
    """The one place of a principal in a scope, ended or not."""
    values = {"scope": tx.key(scope), "principal": tx.key(principal)}
    found = tx.entities(Membership, _MEMBER, values)
    return found[0] if found else None


def members(tx: ReadTx, scope: str) -> list[Membership]:
    """The unexpired members of a scope."""
    return tx.memo(("members", scope), lambda: _members(tx, [scope]))


def gather_members(tx: ReadTx, scopes: Sequence[str]) -> None:
    """Read at once the unexpired members of some scopes."""
    found = _members(tx, scopes)
    for scope in scopes:
        here = [one for one in found if one.scope == scope]
        tx.learn(("members", scope), here)


def _members(tx: ReadTx, scopes: Sequence[str]) -> list[Membership]:
    values = {"keys": numbered(tx.known_key(one) for one in scopes), "now": stamp(tx.now)}
    found = tx.entities(Membership, _MEMBERS, values)
    sides = (each for one in found for each in (one.principal, one.added_by))
    identity.gather_principals(tx, sides)
    return found


def owners(tx: ReadTx, scope: str) -> list[Membership]:
    """The owners of a scope."""
    return [one for one in members(tx, scope) if one.role is Role.OWNER]


def projection(tx: ReadTx, thing: str, scope: str) -> Projection | None:
    """How an object is shown in a scope, ended or not."""
    found = tx.entities(Projection, _PROJECTION, {"object": tx.key(thing), "scope": tx.key(scope)})
    return found[0] if found else None


def projections_of(tx: ReadTx, keys: Sequence[int]) -> dict[int, list[Shown]]:
    """Where objects are shown."""
    known: dict[int, list[Shown]] = tx.memo("shown", lambda: {})
    unknown = [key for key in keys if key not in known]
    if unknown:
        known.update((key, []) for key in unknown)
        for row in tx.rows(_SHOWN, {"keys": numbered(unknown)}):
            known[row.object].append(Shown(row.scope, row.access, row.since, row.pinned))
    return {key: known[key] for key in keys}


def shown_nowhere(tx: ReadTx, key: int) -> None:
    """Know it of a new object: whoever made it is answered without a look at its projections."""
    known: dict[int, list[Shown]] = tx.memo("shown", lambda: {})
    known[key] = []


def ends(tx: ReadTx, scope: str, principals: Sequence[int]) -> list[datetime | None]:
    """When the places end by which principals administer a scope; None for never."""
    values = {"scope": tx.key(scope), "keys": numbered(principals), "now": stamp(tx.now)}
    rows = tx.rows(_ADMINISTER, values)
    return [None if row.expires_at is None else moment(row.expires_at) for row in rows]


def made_by(tx: ReadTx, principals: Iterable[int]) -> frozenset[int]:
    """The scopes that principals own."""
    return frozenset(row.id for row in tx.rows(_MADE, {"keys": numbered(sorted(principals))}))


def owning(tx: ReadTx, keys: Sequence[int]) -> list[int]:
    """Those of some scopes and principals that own an object."""
    return [row.id for row in tx.rows(_OWNING, {"keys": numbered(keys)})] if keys else []


def offered(tx: ReadTx, principal: str) -> list[Scope]:
    """Scopes whose ownership was offered to a principal."""
    return tx.entities(Scope, _OFFERED, {"principal": tx.key(principal)})


def ran_out(tx: ReadTx, since: datetime, until: datetime) -> bool:
    """Whether a membership ran out between two moments."""
    return tx.row(_RAN_OUT, {"since": stamp(since), "until": stamp(until)}) is not None
