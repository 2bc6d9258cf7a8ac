"""What a place is worth and who may grant what: laws, not examples."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scoped_mcp.layers.tenancy import logic
from scoped_mcp.layers.tenancy.logic import Node, Shown
from scoped_mcp.layers.tenancy.model import Role, ScopeState
from scoped_mcp.spine.declare import Access
from tests.promises import promise

ROLE = st.sampled_from(list(Role))
MAYBE = st.none() | ROLE
STATE = st.sampled_from(list(ScopeState))
LADDER = [Role.VIEWER, Role.CONTRIBUTOR, Role.EDITOR, Role.ADMIN, Role.OWNER]


@st.composite
def trees(draw: Any) -> dict[int, Node]:
    """Scopes whose parents come before them: no circles, several roots."""
    nodes: dict[int, Node] = {}
    for key in range(1, draw(st.integers(1, 8)) + 1):
        parent = draw(st.none() | st.sampled_from(sorted(nodes))) if nodes else None
        nodes[key] = Node(key, parent, draw(STATE))
    return nodes


@st.composite
def places(draw: Any) -> tuple[dict[int, Node], dict[int, Role]]:
    nodes = draw(trees())
    return nodes, draw(st.dictionaries(st.sampled_from(sorted(nodes)), ROLE))


@st.composite
def two(draw: Any) -> tuple[dict[int, Node], dict[int, Role], dict[int, Role]]:
    nodes, roles = draw(places())
    return nodes, roles, draw(st.dictionaries(st.sampled_from(sorted(nodes)), ROLE))


@st.composite
def shows(draw: Any) -> list[Shown]:
    level = st.sampled_from(["read", "write", "admin"])
    version, scope = st.integers(1, 9), st.integers(1, 8)
    live = st.builds(Shown, scope=scope, access=level, since=version, pinned=st.none())
    pin = st.builds(Shown, scope=scope, access=st.just("read"), since=st.none(), pinned=version)
    empty = st.builds(Shown, scope=scope, access=level, since=st.none(), pinned=st.none())
    return list(draw(st.lists(live | pin | empty, max_size=6)))


def _above(key: int, nodes: Mapping[int, Node]) -> set[int]:
    return {node.key for node in logic.chain(key, nodes)[1:]}


class TestStates:
    @promise("taking.works")
    @given(trees())
    @example({1: Node(1, None, ScopeState.FROZEN), 2: Node(2, 1, ScopeState.ACTIVE)})
    def test_what_is_above_counts_and_archived_outweighs_frozen(
        self, nodes: dict[int, Node]
    ) -> None:
        for key in nodes:
            above = {node.state for node in logic.chain(key, nodes)}
            state = logic.state_of(key, nodes)
            assert (state is ScopeState.ARCHIVED) == (ScopeState.ARCHIVED in above)
            assert (state is ScopeState.ACTIVE) == (above == {ScopeState.ACTIVE})

    def test_an_unknown_scope_has_nothing_above_it(self) -> None:
        assert logic.chain(1, {}) == []
        assert logic.state_of(1, {}) is ScopeState.ACTIVE


class TestStanding:
    @promise("scopes.deep")
    @given(places())
    def test_data_is_seen_where_one_is_a_member_and_read_above_and_nowhere_else(
        self, given_places: tuple[dict[int, Node], dict[int, Role]]
    ) -> None:
        nodes, roles = given_places
        where = logic.standing(roles, nodes)
        for key in nodes:
            archived = logic.state_of(key, nodes) is ScopeState.ARCHIVED
            member = key in roles and roles[key] is not Role.AUDITOR
            assert (key in where.direct) == (member and not archived)
            below = any(key in _above(k, nodes) for k in where.direct)
            assert (key in where.above) == (below and key not in where.direct)
            seen = key in where.direct | where.above
            frozen = logic.state_of(key, nodes) is ScopeState.FROZEN
            assert (key in where.frozen) == (seen and frozen)

    @promise("attenuation.places")
    @given(two())
    def test_a_delegate_s_place_is_within_its_own_and_its_delegator_s(
        self, given_two: tuple[dict[int, Node], dict[int, Role], dict[int, Role]]
    ) -> None:
        nodes, mine, theirs = given_two
        own, delegator = logic.standing(mine, nodes), logic.standing(theirs, nodes)
        both = logic.within(own, delegator)
        assert both.direct <= own.direct & delegator.direct
        assert both.direct | both.above <= own.direct | own.above
        assert both.direct | both.above <= delegator.direct | delegator.above
        for key, role in both.roles.items():
            assert logic.common(role, own.roles[key]) is role
            assert logic.common(role, delegator.roles[key]) is role

    @promise("attenuation.kept")
    @given(two())
    def test_what_a_delegate_made_it_keeps_whatever_its_delegator_is_there(
        self, given_two: tuple[dict[int, Node], dict[int, Role], dict[int, Role]]
    ) -> None:
        nodes, mine, theirs = given_two
        own, delegator = logic.standing(mine, nodes), logic.standing(theirs, nodes)
        made = frozenset(list(mine)[:1])
        kept = logic.within(own, delegator, made)
        for key in made:
            assert kept.roles[key] is mine[key]
            assert (key in kept.direct) == (key in own.direct)
        for key, role in logic.within(own, delegator).roles.items():
            assert kept.roles[key] is role or key in made
        assert logic.within(own, own).roles == own.roles
        assert logic.within(own, own).direct == own.direct


class TestRoles:
    @given(ROLE, ROLE)
    def test_what_two_places_have_in_common_is_in_both(self, one: Role, other: Role) -> None:
        found = logic.common(one, other)
        assert found is logic.common(other, one)
        assert found in {one, other, None}
        if found is None:
            assert Role.AUDITOR in {one, other}
        else:
            assert logic.RANK[found] <= min(logic.RANK[one], logic.RANK[other])
        assert logic.common(one, one) is one
        assert logic.common(one, None) is None

    @given(MAYBE, MAYBE, MAYBE)
    def test_holding_all_of_another_place_is_an_order(
        self, one: Role | None, two: Role | None, three: Role | None
    ) -> None:
        assert logic.holds(one, one)
        if logic.holds(one, two) and logic.holds(two, three):
            assert logic.holds(one, three)
        if logic.holds(one, two) and logic.holds(two, one):
            assert one is two

    def test_in_the_root_scope_an_admin_does_not_hold_an_auditor_s_place(self) -> None:
        assert not logic.holds(Role.ADMIN, Role.AUDITOR)
        assert logic.holds(Role.OWNER, Role.AUDITOR)
        assert not logic.holds(Role.AUDITOR, Role.VIEWER)
        assert not logic.holds(None, Role.VIEWER)

    @given(places())
    def test_a_role_in_an_archived_scope_is_there_for_its_owner_alone(
        self, given_places: tuple[dict[int, Node], dict[int, Role]]
    ) -> None:
        nodes, roles = given_places
        for key in roles:
            archived = logic.state_of(key, nodes) is ScopeState.ARCHIVED
            owns = roles[key] is Role.OWNER
            assert logic.in_force(key, roles, nodes) == (owns or not archived)
        for key in nodes:
            above = _above(key, nodes)
            found = logic.inherited(sorted(above), roles, nodes)
            counting = [roles[k] for k in above & roles.keys() if logic.in_force(k, roles, nodes)]
            assert (found is None) == (not counting)
            assert found is None or all(logic.RANK[found] >= logic.RANK[r] for r in counting)


class TestScopeAccess:
    @given(MAYBE, MAYBE, STATE, st.booleans())
    def test_more_standing_never_gives_less(
        self, role: Role | None, above: Role | None, state: ScopeState, below: bool
    ) -> None:
        have = logic.scope_access(role, above, state, below=below)
        assert logic.scope_access(Role.OWNER, above, state, below=below) >= have
        assert logic.scope_access(role, Role.OWNER, state, below=below) >= have
        assert logic.scope_access(role, above, state, below=True) >= have
        assert logic.scope_access(role, above, ScopeState.ACTIVE, below=below) >= have

    @given(MAYBE, MAYBE, st.booleans())
    def test_only_owners_and_admins_above_see_what_is_archived(
        self, role: Role | None, above: Role | None, below: bool
    ) -> None:
        have = logic.scope_access(role, above, ScopeState.ARCHIVED, below=below)
        administers = above in {Role.ADMIN, Role.OWNER}
        assert (have > Access.NONE) == (role is Role.OWNER or administers)

    @given(MAYBE, st.sampled_from([None, *LADDER[:3], Role.AUDITOR]))
    def test_a_lesser_role_above_gives_nothing_below(
        self, role: Role | None, above: Role | None
    ) -> None:
        for state in ScopeState:
            assert logic.scope_access(role, above, state, below=False) == logic.scope_access(
                role, None, state, below=False
            )


class TestSights:
    @promise("share.levels")
    @given(shows(), places())
    @example(
        [Shown(1, "read", None, 3), Shown(1, "write", 2, None), Shown(1, "admin", None, None)],
        ({1: Node(1, None, ScopeState.ACTIVE)}, {1: Role.VIEWER}),
    )
    def test_a_share_reaches_those_who_stand_there_at_most_at_its_level(
        self, shown: list[Shown], given_places: tuple[dict[int, Node], dict[int, Role]]
    ) -> None:
        nodes, roles = given_places
        where = logic.standing(roles, nodes)
        sight = logic.object_sight(shown, where)
        reached = [s for s in shown if s.scope in where.direct | where.above]
        assert (sight.access > Access.NONE) == bool(reached)
        assert sight.access <= max((logic.LEVEL[s.access] for s in reached), default=Access.NONE)
        if sight.access > Access.READ:
            level = [s for s in reached if s.scope in where.direct - where.frozen]
            assert any(logic.LEVEL[s.access] == sight.access and s.pinned is None for s in level)
        for version in range(1, 12):
            exists = any(
                s.pinned == version or (s.since is not None and version >= s.since) for s in reached
            )
            assert sight.shows(version) == exists

    @given(shows(), shows(), places())
    def test_another_share_takes_nothing_away(
        self,
        shown: list[Shown],
        more: list[Shown],
        given_places: tuple[dict[int, Node], dict[int, Role]],
    ) -> None:
        nodes, roles = given_places
        where = logic.standing(roles, nodes)
        less, all_of_it = logic.object_sight(shown, where), logic.object_sight(shown + more, where)
        assert all_of_it.access >= less.access
        assert all(all_of_it.shows(v) for v in range(1, 12) if less.shows(v))
        assert logic.object_sight((shown + more)[::-1], where) == all_of_it

    @given(shows(), two())
    def test_a_delegate_sees_no_more_than_its_delegator(
        self,
        shown: list[Shown],
        given_two: tuple[dict[int, Node], dict[int, Role], dict[int, Role]],
    ) -> None:
        nodes, mine, theirs = given_two
        delegator = logic.standing(theirs, nodes)
        both = logic.within(logic.standing(mine, nodes), delegator)
        sight, theirs_of_it = (logic.object_sight(shown, w) for w in (both, delegator))
        assert sight.access <= theirs_of_it.access
        assert all(theirs_of_it.shows(v) for v in range(1, 12) if sight.shows(v))


EVERY = [None, *Role]
GRANTS = list(product(EVERY, EVERY, EVERY, Role, (False, True)))
"""Who grants, what it holds above, what was there, what shall be, and whether for longer."""


class TestGranting:
    @promise("scopes.grants")
    def test_nobody_grants_more_than_they_hold_nor_touches_who_holds_more(self) -> None:
        for granter, above, before, after, longer in GRANTS:
            if logic.may_grant(granter, above, before, after, longer=longer) is not None:
                continue
            held = max(logic.RANK[r] for r in (granter, above) if r is not None)
            assert held >= logic.RANK[Role.ADMIN]
            assert logic.RANK[after] <= held
            assert before is None or logic.RANK[before] <= held

    @promise("inherited.raise")
    def test_an_inherited_role_gives_nothing_that_was_not_there(self) -> None:
        for granter, above, before, after, longer in GRANTS:
            if granter in {Role.ADMIN, Role.OWNER}:
                continue
            if logic.may_grant(granter, above, before, after, longer=longer) is None:
                assert above in {Role.ADMIN, Role.OWNER}
                assert not longer
                assert logic.lowers(before, after)

    def test_an_owner_grants_everything(self) -> None:
        for _, above, before, after, longer in GRANTS:
            assert logic.may_grant(Role.OWNER, above, before, after, longer=longer) is None

    @given(MAYBE, ROLE)
    def test_lowering_is_within_what_was_there(self, before: Role | None, after: Role) -> None:
        if logic.lowers(before, after):
            assert before is not None
            assert logic.RANK[after] <= logic.RANK[before]
        assert logic.lowers(after, after)

    def test_a_viewer_made_auditor_is_not_lowered(self) -> None:
        assert not logic.lowers(Role.VIEWER, Role.AUDITOR)
        assert not logic.lowers(Role.AUDITOR, Role.VIEWER)
        assert logic.lowers(Role.ADMIN, Role.AUDITOR)

    @pytest.mark.parametrize(
        ("granted", "held", "longer"),
        [(None, None, False), (1, None, False), (None, 1, True), (1, 1, False), (2, 1, True)],
    )
    def test_a_grant_outlives_what_ends_before_it(
        self, granted: int | None, held: int | None, longer: bool
    ) -> None:
        def at(day: int | None) -> datetime | None:
            return None if day is None else datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)

        assert logic.outlives(at(granted), at(held)) is longer


def test_a_scope_in_which_nobody_stands_shows_nothing_of_what_it_owns() -> None:
    assert logic.owned_sight(1, logic.Standing(direct=frozenset({2}))).access is Access.NONE
