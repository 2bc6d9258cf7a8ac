"""Pure decisions of environments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoped_mcp.layers.environments import logic
from scoped_mcp.layers.environments.model import EnvironmentState
from scoped_mcp.spine.declare import Access

NOW = datetime(2026, 1, 5, tzinfo=UTC)
seconds = st.integers(1, 10**8)
accesses = st.sampled_from(list(Access))
places = st.sampled_from([Access.NONE, Access.READ, Access.WRITE])


@pytest.mark.parametrize("state", list(logic.MOVES))
def test_nothing_moves_to_itself_and_what_is_discarded_stays(state: str) -> None:
    assert not any(logic.may_move(EnvironmentState.DISCARDED, to) for to in EnvironmentState)
    assert state not in logic.MOVES[state]


def test_the_moves_are_those_of_the_ruling() -> None:
    moves = {(state, to.value) for state, found in logic.MOVES.items() for to in found}
    active, suspended, completed = "active", "suspended", "completed"
    assert moves == {
        (active, suspended),
        (active, completed),
        (active, "discarded"),
        (suspended, active),
        (suspended, completed),
        (suspended, "discarded"),
        (completed, active),
        (completed, "discarded"),
        ("expired", active),
        ("expired", "discarded"),
    }


@given(st.sampled_from(EnvironmentState), st.integers(-100, 100))
def test_what_is_past_its_time_is_expired_unless_discarded(
    state: EnvironmentState, left: int
) -> None:
    found = logic.in_force(state, NOW + timedelta(seconds=left), NOW)
    over = left <= 0 and state is not EnvironmentState.DISCARDED
    assert found == ("expired" if over else state)


@given(seconds, seconds, st.integers(0, 10**8))
def test_use_carries_an_environment_as_far_as_its_longest_life(
    ttl: int, longest: int, age: int
) -> None:
    renewed = NOW - timedelta(seconds=age)
    ends = logic.until(NOW, ttl, renewed, longest)
    assert ends <= NOW + timedelta(seconds=ttl)
    assert ends <= renewed + timedelta(seconds=longest)


@given(st.lists(st.sampled_from(["viewer", "editor", "owner", "auditor"])), st.booleans())
def test_the_best_place_counts_and_an_owner_needs_none(roles: list[str], owner: bool) -> None:
    have = logic.place(roles, owner=owner)
    if owner:
        assert have is Access.OWNER
    else:
        assert have == max((logic.WORTH.get(r, Access.READ) for r in roles), default=Access.NONE)


@given(places, accesses, st.booleans())
def test_a_delegate_is_worth_at_most_its_delegator(own: Access, above: Access, works: bool) -> None:
    have = logic.delegated(own, above, owner=False, works_here=works)
    assert have <= above
    assert have <= max(own, Access.WRITE)
    assert logic.delegated(own, above, owner=True, works_here=works) is Access.OWNER
