"""What ended delegates leave in tenancy: their scopes, and their places as the owners of them.

Both are their heir's from the moment they end (ruling 5), computed here; the sweeper writes them
down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.layers import identity
from scoped_mcp.layers.tenancy.model import Membership, Place, Role, Scope, ScopeKind, ScopeState
from scoped_mcp.layers.tenancy.store import facts
from scoped_mcp.layers.tenancy.tables import memberships, scopes
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scoped_mcp.kernel.ids import PrincipalId
    from scoped_mcp.spine.tx import ReadTx

_OWN_PLACE = (memberships.c.scope == scopes.c.id) & (memberships.c.principal == scopes.c.owner)
_HELD = (
    scopes.c.kind == ScopeKind.SCOPE.value,
    memberships.c.role == Role.OWNER.value,
    memberships.c.state == Place.ACTIVE.value,
    memberships.c.expires_at.is_(None) | (memberships.c.expires_at > bindparam("now")),
)
_OWNERS = everything(Membership).join(scopes, _OWN_PLACE).where(*_HELD)
_FALLEN = _OWNERS.where(among(scopes.c.owner))
_OWNED = _OWNERS.where(among(scopes.c.id, "scopes"))
_LEFT = (
    everything(Scope)
    .join(memberships, _OWN_PLACE)
    .where(*_HELD)
    .where(among(scopes.c.owner))
    .order_by(scopes.c.id)
    .limit(bindparam("limit"))
)
_NAMED = (
    everything(Scope)
    .where((scopes.c.owner == bindparam("owner")) | among(scopes.c.id))
    .where(scopes.c.kind == ScopeKind.SCOPE.value)
    .where(scopes.c.name == bindparam("name"))
    .where(scopes.c.state != ScopeState.ARCHIVED.value)
    .order_by(scopes.c.id)
)


class Passing(NamedTuple):
    """How a place as owner passes to an heir.

    Attributes:
        heir: Whose the scope is.
        taken: The heir's place: its own raised to it, or that of who ended, in its name.
        gone: The places of ended delegates that end with it.
    """

    heir: PrincipalId
    taken: Membership
    gone: tuple[Membership, ...]


def passing(tx: ReadTx, scope: Scope) -> Passing | None:
    """How the place of its owner passes to the heir; None where that lives, or owned it no more."""
    *over, heir = identity.line(tx, scope.owner)
    left = facts.membership(tx, scope.id, scope.owner) if over else None
    if left is None or left.role is not Role.OWNER or not _stands(tx, left):
        return None
    mine = facts.membership(tx, scope.id, heir) or left
    held = {"principal": heir, "role": Role.OWNER, "state": Place.ACTIVE, "expires_at": None}
    places = (facts.membership(tx, scope.id, each) for each in over)
    gone = tuple(p for p in places if p and p.id != mine.id and p.state is Place.ACTIVE)
    return Passing(heir, mine.but(**held, added_by=scope.owner), gone)


def _stands(tx: ReadTx, place: Membership) -> bool:
    unexpired = place.expires_at is None or place.expires_at > tx.now
    return place.state is Place.ACTIVE and unexpired


def fallen(tx: ReadTx, principal: str, among_them: Sequence[int] | None = None) -> list[Membership]:
    """The places of ended delegates as owners of scopes that fell to a principal.

    Args:
        tx: The transaction.
        principal: Who lives.
        among_them: Keys of a few scopes. Of these it is asked who owns them: whose delegates ended
            by the thousand is not looked for among all that those left.
    """
    if among_them is not None:
        root = tx.known_key(tx.house.root)  # which is no delegate's
        few = keys(key for key in among_them if key != root)
        held = tx.entities(Membership, _OWNED, {"scopes": few, "now": stamp(tx.now)})
        return [p for p in held if _fell_to(tx, p, principal)]

    def find() -> list[Membership]:
        ended = identity.heirs_of(tx, principal)
        values = {"keys": keys(ended), "now": stamp(tx.now)}
        return tx.entities(Membership, _FALLEN, values) if ended else []

    return tx.memo(("fallen places", principal), find)


def _fell_to(tx: ReadTx, place: Membership, principal: str) -> bool:
    return place.principal != principal and identity.heir(tx, place.principal) == principal


def left(tx: ReadTx, limit: int) -> list[Scope]:
    """The scopes that still stand under ended delegates, oldest first."""
    ended = identity.left_by(tx, scopes.c.owner)
    values = {"keys": keys(ended), "now": stamp(tx.now), "limit": limit}
    return tx.entities(Scope, _LEFT, values) if ended else []


def named(tx: ReadTx, owner: str, name: str) -> list[Scope]:
    """The scopes of that name that its heir owns, archived ones aside, oldest first."""
    heir = identity.heir(tx, owner)
    own = keys(tx.known_key(place.scope) for place in fallen(tx, heir))
    return tx.entities(Scope, _NAMED, {"owner": tx.key(heir), "keys": own, "name": name})


def members(tx: ReadTx, scope: str) -> list[Membership]:
    """The unexpired members of a scope: in the place of an owner who ended stands its heir."""
    found, passed = facts.members(tx, scope), passing(tx, tx.get_known(Scope, scope))
    if passed is None:
        return found
    out = {passed.taken.id, *(each.id for each in passed.gone)}
    return _in_order(tx, [*(one for one in found if one.id not in out), passed.taken])


def standing_memberships(tx: ReadTx, principal: str) -> list[Membership]:
    """The unexpired memberships of a principal itself, and those that fell to it.

    But in scopes that are archived: of those there are thousands.
    """
    found = {one.scope: one for one in facts.standing_memberships(tx, principal)}
    for place in fallen(tx, principal):
        passed = passing(tx, tx.get_known(Scope, place.scope))
        if passed is not None:
            found[place.scope] = passed.taken
    return _in_order(tx, found.values())


def _in_order(tx: ReadTx, places: Iterable[Membership]) -> list[Membership]:
    return sorted(places, key=lambda one: tx.known_key(one.id))
