"""Which moves are legal, who may review, what a picture is of, which way things can go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scoped_mcp.layers.flow import logic
from scoped_mcp.layers.flow.logic import Edge, Party, Place
from scoped_mcp.layers.flow.model import Check, Item, PromotionState, SourceKind

S = PromotionState
NOW = datetime(2026, 1, 5, tzinfo=UTC)
STATES = st.sampled_from(list(S))
ENDS = {S.REJECTED, S.WITHDRAWN, S.EXPIRED, S.STALE, S.CONFLICTED, S.FAILED}


class TestMoves:
    @given(STATES, STATES)
    def test_what_is_decided_stays_decided(self, before: S, after: S) -> None:
        if before in ENDS:
            assert not logic.may_move(before, after)

    @given(STATES)
    def test_nothing_is_applied_that_was_not_approved(self, before: S) -> None:
        assert logic.may_move(before, S.APPLIED) == (before in {S.APPROVED, S.REVERTED})

    def test_a_revert_can_be_reverted(self) -> None:
        assert logic.may_move(S.APPLIED, S.REVERTED)
        assert logic.may_move(S.REVERTED, S.APPLIED)

    @pytest.mark.parametrize(("seconds", "moved"), [*product((-5, -1, 0, 1, 5), (False, True))])
    @pytest.mark.parametrize("state", list(S))
    def test_only_what_is_pending_runs_out_to_the_second(
        self, state: S, seconds: int, moved: bool
    ) -> None:
        now = logic.state_now(state, NOW + timedelta(seconds=seconds), NOW, moved=moved)
        if state is not S.PENDING:
            assert now is state
        elif seconds <= 0:
            assert now is S.EXPIRED
        else:
            assert now is (S.STALE if moved else S.PENDING)

    @pytest.mark.parametrize(
        ("moved", "conflicted", "fails", "needed"), [*product(*[(False, True)] * 3, (0, 1, 10))]
    )
    def test_what_cannot_land_is_answered_at_once(
        self, moved: bool, conflicted: bool, fails: bool, needed: int
    ) -> None:
        checks = [Check(name="one", outcome="failed" if fails else "passed")]
        state = logic.state_asked(checks, needed, conflicted=conflicted, moved=moved)
        wrong = [S.STALE] * moved + [S.CONFLICTED] * conflicted + [S.FAILED] * fails
        assert state is [*wrong, S.PENDING if needed else S.APPROVED][0]


def party(*chain: str, user: bool = True, agent: bool | None = None) -> Party:
    return Party(chain, user, len(chain) > 1 if agent is None else agent)


ANN, BEN = party("ann"), party("ben")
BOT, SUB = party("bot", "ann"), party("sub", "bot", "ann")
OTHER = party("other", "ann")
LONE = party("lone", user=False, agent=False)


def problem(reviewer: Party, *wrote: Party, **channel: bool) -> str | None:
    asked = {"agents_may_review": True, "independent": False, "agents_own": False} | channel
    return logic.review_problem(reviewer, wrote, **asked)


class TestReviewing:
    @pytest.mark.parametrize(
        ("reviewer", "writer"),
        [(ANN, ANN), (BOT, BOT), (SUB, BOT), (BOT, SUB), (BOT, ANN), (SUB, ANN), (LONE, LONE)],
    )
    def test_nobody_reviews_for_its_own_side(self, reviewer: Party, writer: Party) -> None:
        assert problem(reviewer, writer) is not None
        assert problem(reviewer, BEN, writer) is not None

    @pytest.mark.parametrize(
        ("reviewer", "writer"), [(BEN, ANN), (ANN, BOT), (ANN, SUB), (OTHER, BOT), (LONE, SUB)]
    )
    def test_others_do_and_a_user_what_its_own_agent_wrote(
        self, reviewer: Party, writer: Party
    ) -> None:
        assert problem(reviewer, writer) is None

    @pytest.mark.parametrize(("reviewer", "writer"), [(ANN, BOT), (ANN, SUB), (OTHER, BOT)])
    def test_not_where_the_channel_wants_independence(self, reviewer: Party, writer: Party) -> None:
        assert problem(reviewer, writer, independent=True) is not None
        assert problem(BEN, writer, independent=True) is None

    def test_agents_review_only_where_the_channel_says_so(self) -> None:
        assert problem(OTHER, BEN, agents_may_review=False) is not None
        assert problem(OTHER, BEN) is None
        assert problem(BEN, ANN, agents_may_review=False) is None

    def test_what_flows_into_an_agent_s_scope_is_reviewed_by_users(self) -> None:
        assert problem(OTHER, BEN, agents_own=True) is not None
        assert problem(ANN, BOT, agents_own=True) is None

    @given(st.lists(st.sampled_from([ANN, BEN, BOT, SUB, OTHER, LONE]), max_size=6))
    @example([BOT, SUB, BEN])
    def test_approvals_of_one_side_count_once(self, reviewers: list[Party]) -> None:
        sides = {"bot" if one in (BOT, SUB) else one.principal for one in reviewers}
        assert logic.parties(reviewers) == len(sides)


def item(**changes: Any) -> Item:
    whole = {"object": "obj_" + "a" * 16, "version": 1, "digest": "d" * 64}
    return Item.model_validate(whole | changes)


class TestPictures:
    def test_it_is_of_all_that_would_land_for_whom_and_through_which_version(self) -> None:
        whole: list[Any] = ["chn", 1, "scp", "stg", [item()], [b'{"a":1}']]
        changes: list[tuple[int, Any]] = [
            (0, "chm"),
            (1, 2),
            (2, "scq"),
            (3, "sth"),
            (4, [item(version=2)]),
            (4, [item(digest="e" * 64)]),
            (4, [item(target="obj_" + "b" * 16, target_version=1)]),
            (5, [b'{"a":2}']),
        ]
        seen = {logic.picture(*whole)}
        for at, value in changes:
            seen.add(logic.picture(*[value if i == at else one for i, one in enumerate(whole)]))
        assert len(seen) == len(changes) + 1
        assert logic.picture(*whole) in seen


def test_what_was_decided_about_one_object_goes_before_what_is_said_of_all() -> None:
    one, other = "obj_" + "a" * 16, "obj_" + "b" * 16
    given_ = {"/x": "ours", "/y": "ours", f"{one}/x": "theirs", f"{other}/z": "ours"}
    assert logic.resolutions_of(given_, one) == {"/x": "theirs", "/y": "ours"}
    assert logic.resolutions_of(given_, other) == {"/x": "ours", "/y": "ours", "/z": "ours"}


def test_a_check_names_its_first_problem_and_how_many_there_are() -> None:
    assert logic.checked("a", []) == Check(name="a", outcome="passed")
    assert logic.checked("a", ["x"]).detail == "x"
    assert logic.checked("a", ["x", "y", "z"]).detail == "x, and 2 more"


SECRETS = [
    b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----",
    b'"AKIA' + b'ABCDEFGHIJKLMNOP"',
    b"ghp_" + b"a" * 36,
    b"xoxb-" + b"1" * 24,
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_named_and_not_repeated(secret: bytes) -> None:
    found = logic.secret_in(b"before " + secret + b" after")
    assert found is not None
    assert secret.decode() not in found


@pytest.mark.parametrize("text", [b"", b"a public key", b"AKIA", b"ghp_short", b"xoxb-1"])
def test_what_only_looks_like_a_secret_is_none(text: bytes) -> None:
    assert logic.secret_in(text) is None


def channel(name: str, source: str | None, target: Place) -> Edge:
    return Edge(name, source, target)


TEAM, FIRM = Place("scp_team"), Place("scp_firm")
DRAFT, LIVE = Place("stg_draft", scope="scp_team"), Place("stg_live", scope="scp_team")
ENV = Place("env_one", template="tpl_one")
WAYS = [
    channel("out", None, TEAM),
    channel("by template", "tpl_one", DRAFT),
    channel("up", "scp_team", FIRM),
    channel("on", "stg_draft", LIVE),
    channel("back", "scp_firm", TEAM),
    channel("of another", "env_two", FIRM),
]


def names(ways: list[list[Edge]]) -> list[list[str]]:
    return [[edge.channel for edge in way] for way in ways]


class TestRoutes:
    def test_every_way_to_a_place_the_shortest_first(self) -> None:
        assert names(logic.routes(WAYS, [ENV], "scp_firm")) == [
            ["out", "up"],
            ["by template", "up"],
            ["by template", "on", "up"],
        ]

    def test_without_a_goal_the_shortest_to_each_place_within_reach(self) -> None:
        assert names(logic.routes(WAYS, [ENV], None)) == [
            ["out"],
            ["by template"],
            ["out", "up"],
            ["by template", "on"],
        ]

    def test_what_reaches_a_stage_has_reached_its_scope(self) -> None:
        assert names(logic.routes([WAYS[1]], [ENV], "scp_team")) == [["by template"]]

    def test_from_nowhere_to_nowhere_there_is_no_way(self) -> None:
        assert logic.routes(WAYS, [Place("env_one")], "stg_draft") == []
        assert logic.routes([], [ENV], None) == []

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
    def test_a_way_is_whole_comes_nowhere_twice_and_there_are_few(self, pairs: Any) -> None:
        edges = [channel(str(i), f"scp_{a}", Place(f"scp_{b}")) for i, (a, b) in enumerate(pairs)]
        found = logic.routes(edges, [Place("scp_0")], "scp_9")
        assert len(found) <= logic.ROUTES
        assert [len(way) for way in found] == sorted(len(way) for way in found)
        for way in found:
            assert len(way) <= logic.HOPS
            assert way[-1].target.id == "scp_9"
            been = ["scp_0", *(edge.target.id for edge in way)]
            assert len(set(been)) == len(been)
            assert [edge.source for edge in way] == been[:-1]

    def test_many_ways_are_found_in_bounded_time(self) -> None:
        edges = [
            channel(f"{a}-{b}-{n}", f"scp_{a}", Place(f"scp_{b}"))
            for a in range(12)
            for b in range(12)
            for n in range(3)
            if a != b
        ]
        assert len(logic.routes(edges, [Place("scp_0")], "scp_11")) <= logic.ROUTES


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (None, SourceKind.ANY_ENVIRONMENT),
        ("env_x", SourceKind.ENVIRONMENT),
        ("tpl_x", SourceKind.TEMPLATE),
        ("scp_x", SourceKind.SCOPE),
        ("stg_x", SourceKind.STAGE),
    ],
)
def test_a_source_is_told_by_its_id(source: str | None, kind: SourceKind) -> None:
    assert logic.kind_of(source) is kind


class TestStages:
    @given(st.integers(1, 6), st.integers(-1, 5), st.integers(0, 5))
    @example(3, -1, 1)
    @example(3, 0, 1)
    @example(3, 1, 0)
    def test_one_step_on_or_any_way_back(self, count: int, here: int, there: int) -> None:
        order = [f"stg_{n}" for n in range(count)]
        if here >= count or there >= count:
            return
        at = None if here < 0 else order[here]
        allowed = there == here + 1 or there < here
        assert (logic.stage_problem(order, at, order[there]) is None) == allowed

    def test_where_it_stands_nothing_enters_again(self) -> None:
        assert logic.stage_problem(["a", "b"], "b", "b") is not None

    def test_going_back_takes_no_approval(self) -> None:
        order = ["a", "b"]
        assert logic.takes_approval(order, "a", "b", 1)
        assert logic.takes_approval(order, None, "a", 1)
        assert not logic.takes_approval(order, "a", "b", 0)
        assert not logic.takes_approval(order, "b", "a", 1)
