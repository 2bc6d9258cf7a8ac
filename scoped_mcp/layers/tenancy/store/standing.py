"""Where principals stand: their own places and their teams', within their delegators'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.layers import identity
from scoped_mcp.layers.tenancy import logic
from scoped_mcp.layers.tenancy.model import Membership, Role, Scope
from scoped_mcp.layers.tenancy.store import facts, heirs
from scoped_mcp.layers.tenancy.store.ways import FEW
from scoped_mcp.spine.gather import gather

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from scoped_mcp.layers.tenancy.logic import Standing
    from scoped_mcp.spine.tx import ReadTx


def standing_of(tx: ReadTx, principal: str) -> Standing:
    """Where a principal stands: its own places and its teams', within its delegator's."""
    return tx.memo(("standing", principal), lambda: _standing(tx, principal))


def _standing(tx: ReadTx, principal: str) -> Standing:
    roles, left = _own_roles(tx, principal)
    found, by = logic.standing(roles, facts.nodes_of(tx, roles)), _delegator(tx, principal)
    if not roles or by is None:
        return found
    made = facts.made_by(tx, [tx.known_key(principal)]) | left
    return logic.within(found, standing_of(tx, by), made)


def _own_roles(
    tx: ReadTx, principal: str, among: Sequence[int] | None = None
) -> tuple[dict[int, Role], frozenset[int]]:
    """Its own best role in each scope, or in each of some; and those that fell to it."""
    own = tx.key(principal)
    if own is None or identity.heir(tx, principal) != principal:
        return {}, frozenset()  # who ended stands nowhere
    keys = [own, *(tx.known_key(team) for team in sorted(identity.teams(tx, principal)))]
    roles: dict[int, Role] = {}
    for scope, role in facts.place(tx, keys, among):
        other = roles.get(scope)
        roles[scope] = role if other is None else max(role, other, key=logic.RANK.__getitem__)
    places = heirs.fallen(tx, principal, among)
    left = frozenset(tx.known_key(place.scope) for place in places)
    roles.update(dict.fromkeys(left, Role.OWNER))
    return roles, left


def standing_on(tx: ReadTx, principal: str, keys: Sequence[int]) -> Standing:
    """`standing_of`, as far as some scopes go: where it is a member of each, that says it all.

    Who has a role in thousands, archived ones most of all, is not asked about all of them.
    """
    if tx.recalls(("standing", principal)) or len(keys) > FEW or _delegator(tx, principal):
        return standing_of(tx, principal)
    roles: dict[int, Role] = {}
    for key in keys:
        role = role_in(tx, key, principal)[0]
        if role is not None:
            roles[key] = role
    found = logic.standing(roles, facts.nodes_of(tx, keys))
    return found if found.direct.issuperset(keys) else standing_of(tx, principal)


def _delegator(tx: ReadTx, principal: str) -> str | None:
    one = tx.peek(identity.Principal, principal)
    return one.sponsor if one is not None and one.delegate else None


def _roles_on(tx: ReadTx, principal: str, keys: Sequence[int]) -> Mapping[int, Role]:
    """The same roles, of a few scopes: who stands in thousands is not asked about all of them."""
    if tx.recalls(("standing", principal)):
        return standing_of(tx, principal).roles
    roles, left = _own_roles(tx, principal, keys)
    by = _delegator(tx, principal)
    if not roles or by is None:
        return roles
    made = facts.made_by(tx, [tx.known_key(principal)]) | left
    return logic.kept(roles, _roles_on(tx, by, keys), made)


def gather_places(tx: ReadTx, places: Sequence[Membership]) -> None:
    """Read at once what there is to know about the scopes in which the caller has these places."""
    if len(places) > 1:  # in one alone, it costs more to know where it stands
        identity.gather_principals(tx, (one.added_by for one in places))
        gather_scopes(tx, gather(tx, Scope, (one.scope for one in places)))


def gather_scopes(tx: ReadTx, page: Sequence[Scope]) -> None:
    """Read at once whose some scopes are, what is above them and where the caller stands."""
    gather(tx, Scope, (one.parent for one in page))
    identity.gather_principals(tx, (one.owner for one in page))
    above = facts.nodes_of(tx, [tx.known_key(one.id) for one in page])
    for key in above:
        tx.learn(("nodes", key), above)
    standing_of(tx, tx.caller.principal)


def role_in(tx: ReadTx, scope: int, principal: str) -> tuple[Role | None, Role | None]:
    """A principal's own role in a scope, and the best it holds above it."""
    above = tx.memo(("nodes", scope), lambda: facts.nodes_of(tx, [scope]))
    chain = [node.key for node in logic.chain(scope, above)]
    roles = tx.memo(("roles", principal, scope), lambda: _roles_on(tx, principal, chain))
    return roles.get(scope), logic.inherited(chain[1:], roles, above)


def held_until(tx: ReadTx, scope: str, principal: str) -> datetime | None:
    """When a principal stops administering a scope, by itself or through a team; None for never."""
    if heirs.fallen(tx, principal, [tx.known_key(scope)]):
        return None
    teams = [tx.known_key(team) for team in sorted(identity.teams(tx, principal))]
    ends = facts.ends(tx, scope, [tx.known_key(principal), *teams])
    dates = [end for end in ends if end is not None]
    return max(dates) if dates and len(dates) == len(ends) else None
