"""Tokens, toolsets, and who counts as an agent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoped_mcp.kernel.ids import CredentialId, OrganisationId
from scoped_mcp.layers.identity import logic
from scoped_mcp.layers.identity.model import TOOLSETS
from tests.promises import promise

ORG = "org_aaaaaaaaaaaaaaaa"
ENTROPY = st.binary(min_size=logic.SECRET_BYTES, max_size=logic.SECRET_BYTES)
ID = st.binary(min_size=10, max_size=10).map(CredentialId.of)
SALT = st.binary(min_size=logic.SALT_BYTES, max_size=logic.SALT_BYTES)
SOME = st.frozensets(st.sampled_from(sorted(TOOLSETS)), min_size=1)
KINDS = st.lists(st.sampled_from(["user", "agent", "service", "robot"]), max_size=5)


class TestTokens:
    @given(ID, ENTROPY, SALT)
    def test_a_token_splits_into_what_it_was_made_of_and_proves_it(
        self, credential: CredentialId, entropy: bytes, salt: bytes
    ) -> None:
        secret = logic.secret_of(entropy, ORG)
        assert logic.split(logic.token_of(credential, secret)) == (credential, secret)
        verifier = logic.verifier_of(secret, salt)
        assert logic.matches(secret, verifier)
        assert secret not in verifier

    @given(ID, ENTROPY, st.binary(min_size=10, max_size=10).map(OrganisationId.of))
    def test_a_token_carries_the_tag_of_its_organisation(
        self, credential: CredentialId, entropy: bytes, organisation: OrganisationId
    ) -> None:
        token = logic.token_of(credential, logic.secret_of(entropy, organisation))
        assert logic.tag_in(token) == logic.tag_of(organisation)
        assert (logic.tag_of(organisation) == logic.tag_of(ORG)) is (organisation == ORG)

    @given(ENTROPY, ENTROPY, SALT)
    def test_no_other_secret_proves_it(self, one: bytes, other: bytes, salt: bytes) -> None:
        verifier = logic.verifier_of(logic.secret_of(one, ORG), salt)
        assert logic.matches(logic.secret_of(other, ORG), verifier) is (one == other)
        assert not logic.matches(logic.secret_of(other, ORG), logic.NO_VERIFIER)

    @given(st.text())
    def test_what_has_not_the_shape_of_a_token_is_none(self, text: str) -> None:
        assert logic.split(text) is None
        assert logic.tag_in(text) is None

    @given(ID, ENTROPY, st.sampled_from([" {}", "{} ", "{}\n", "{}a", "x{}", "Bearer {}"]))
    def test_a_token_is_never_trimmed_or_folded(
        self, credential: CredentialId, entropy: bytes, around: str
    ) -> None:
        token = logic.token_of(credential, logic.secret_of(entropy, ORG))
        assert logic.split(around.format(token)) is None
        assert logic.split(token.upper()) is None

    @given(st.text(), st.text(), st.text(), st.text())
    def test_two_external_identities_never_have_one_name(
        self, issuer: str, subject: str, other: str, another: str
    ) -> None:
        same = logic.external_name(issuer, subject) == logic.external_name(other, another)
        assert same is ((issuer, subject) == (other, another))


class TestToolsets:
    @given(SOME, SOME, SOME)
    def test_holding_is_an_order_and_all_is_above_every_one(
        self, one: frozenset[str], two: frozenset[str], three: frozenset[str]
    ) -> None:
        assert logic.holds(one, one)
        assert logic.holds({"all"}, one)
        if logic.holds(one, two) and logic.holds(two, three):
            assert logic.holds(one, three)

    @given(SOME)
    def test_nobody_but_all_hands_on_all(self, some: frozenset[str]) -> None:
        assert logic.holds(some, {"all"}) is ("all" in some)

    @given(SOME)
    def test_they_are_shown_by_their_own_names(self, some: frozenset[str]) -> None:
        shown = logic.named(some)
        assert "all" not in shown
        assert list(shown) == sorted(shown)
        assert set(shown) == (TOOLSETS - {"all"} if "all" in some else some)


class TestAgents:
    """Ruling 7."""

    @given(KINDS)
    def test_an_agent_is_one_whoever_answers_for_it(self, above: list[str]) -> None:
        assert logic.counts_as_agent("agent", above)

    @promise("agents.who")
    @given(KINDS)
    def test_what_stands_beyond_the_first_user_makes_no_difference(self, above: list[str]) -> None:
        assert logic.counts_as_agent("service", [*above, "user", "agent"]) is (
            logic.counts_as_agent("service", above)
        )

    @promise("agents.who")
    @pytest.mark.parametrize(
        ("above", "agent"),
        [
            ([], False),
            (["user"], False),
            (["service", "user"], False),
            (["agent", "user"], True),
            (["service", "agent", "user"], True),
            (["user", "agent"], False),
        ],
    )
    def test_an_agent_below_the_first_user_makes_everything_below_it_one(
        self, above: list[str], agent: bool
    ) -> None:
        assert logic.counts_as_agent("service", above) is agent
