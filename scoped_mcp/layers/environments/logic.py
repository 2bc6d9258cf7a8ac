"""Pure decisions of environments: legal moves, lifetimes, what a place inside is worth."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.layers.environments.model import EnvironmentState
from scoped_mcp.spine.declare import Access

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

EXPIRED = "expired"
A, S, C, D = EnvironmentState
MOVES: dict[str, frozenset[EnvironmentState]] = {
    A: frozenset({S, C, D}),
    S: frozenset({A, C, D}),
    C: frozenset({A, D}),
    D: frozenset(),
    EXPIRED: frozenset({A, D}),
}
"""From a state in force to those that its owner may set (ruling 67)."""
WORTH = {"viewer": Access.READ, "editor": Access.WRITE, "owner": Access.OWNER}


def in_force(state: EnvironmentState, until: datetime, now: datetime) -> str:
    """The state that counts: what was discarded stays so, the rest expires."""
    if state is not EnvironmentState.DISCARDED and until <= now:
        return EXPIRED
    return state


def may_move(state: str, to: EnvironmentState) -> bool:
    """Whether an environment in that state may be set to another."""
    return to in MOVES[state]


def until(now: datetime, ttl: int, renewed: datetime, longest: int) -> datetime:
    """When an environment used now expires if nobody uses it again; seconds in, a time out."""
    return min(now + timedelta(seconds=ttl), renewed + timedelta(seconds=longest))


def noted_every(ttl: int) -> timedelta:
    """How often use is noted: once a minute, or what lives for seconds would end in mid-use."""
    return min(timedelta(minutes=1), timedelta(seconds=ttl) / 10)


def place(roles: Iterable[str], *, owner: bool) -> Access:
    """What somebody's own places inside are worth."""
    if owner:
        return Access.OWNER
    return max((WORTH.get(role, Access.READ) for role in roles), default=Access.NONE)


def delegated(own: Access, above: Access, *, owner: bool, works_here: bool) -> Access:
    """What a delegate's place is worth: at most its delegator's, but for what it made (ruling 5).

    Where its delegator works, or where it is pinned, it is an editor.
    """
    if owner:
        return Access.OWNER
    return min(max(own, Access.WRITE if works_here else Access.NONE), above)
