"""Room 2 through the path: who can become somebody, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.spine.caller import External
from tests.conftest import FixedClock, Home
from tests.promises import promise
from tests.sample import WEEK, refused

WRONG_SECRET = "a" * 52


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _note(session: Session, **more: Any) -> dict[str, Any]:
    return await session.call("object.create", {"type": "note", "data": {"title": "x"}} | more)


async def _delegate(session: Session, name: str = "helper", **more: Any) -> dict[str, Any]:
    return await session.call("agent.delegate", {"name": name, "ttl_seconds": WEEK} | more)


class TestEnrolment:
    """Ruling 1: others may issue until a principal has authenticated once."""

    async def test_a_principal_can_act_once_a_token_was_issued_for_it(self, house: Home) -> None:
        made = await house.root.call("principal.create", {"name": "dora"})
        issued = await house.root.call("token.issue", {"principal": made["id"]})
        dora = await house.scoped.session(issued["token"])
        assert await _me(dora) == made["id"]

    @promise("identity.enrolment")
    async def test_nobody_issues_for_who_has_authenticated(self, house: Home) -> None:
        alice = await house.user("alice")
        with refused("denied"):
            await house.root.call("token.issue", {"principal": await _me(alice)})
        with refused("denied"):
            await house.root.call("token.issue", {"name": "alice", "kind": "user"})

    @promise("identity.enrolment")
    async def test_who_has_authenticated_issues_for_itself(
        self, alice: Session, house: Home
    ) -> None:
        issued = await alice.call("token.issue", {"principal": await _me(alice), "ttl_seconds": 60})
        again = await house.scoped.session(issued["token"])
        assert await _me(again) == await _me(alice)

    async def test_a_name_of_another_kind_is_a_conflict(self, house: Home, alice: Session) -> None:
        assert alice
        with refused("conflict"):
            await house.root.call("token.issue", {"name": "alice", "kind": "agent"})

    async def test_a_stranger_enrols_nobody(self, house: Home, mallory: Session) -> None:
        made = await house.root.call("principal.create", {"name": "dora"})
        with refused("denied"):
            await mallory.call("token.issue", {"principal": made["id"]})
        with refused("denied"):
            await mallory.call("token.issue", {"name": "accomplice", "kind": "user"})

    async def test_the_name_of_the_suspended_answers_a_stranger_like_an_absent_one(
        self, house: Home, alice: Session, mallory: Session
    ) -> None:
        await house.root.call("principal.suspend", {"id": await _me(alice)})
        answers = []
        for name in ("alice", "nobody"):
            with pytest.raises(Exception) as caught:
                await mallory.call("token.issue", {"name": name, "kind": "user"})
            answers.append(str(caught.value))
        assert answers[0] == answers[1]

    async def test_an_instance_admin_enrols_nobody_who_holds_more_than_it_does(
        self, house: Home, alice: Session
    ) -> None:
        """Otherwise whoever is admin becomes the owner who has not signed in yet."""
        root = await _root(house)
        await _member(house.root, root, await _me(alice), "admin")
        made = await house.root.call("principal.create", {"name": "second"})
        await _member(house.root, root, made["id"], "owner")
        with refused("denied"):
            await alice.call("token.issue", {"principal": made["id"]})
        await house.root.call("token.issue", {"principal": made["id"]})

    async def test_a_team_has_no_token(self, house: Home) -> None:
        team = await house.root.call("principal.create", {"name": "crew", "kind": "team"})
        with refused("invalid"):
            await house.root.call("token.issue", {"principal": team["id"]})

    async def test_a_delegate_gets_no_second_token_beside_its_lifeline(
        self, alice: Session, house: Home
    ) -> None:
        """It would outlive the credential that it was delegated from (ruling 4)."""
        made = await _delegate(alice)
        for session in (alice, house.root):
            with refused("denied"):
                await session.call("token.issue", {"principal": made["principal"]["id"]})

    @promise("identity.recovery")
    async def test_recovery_ends_every_credential_and_opens_enrolment_again(
        self, house: Home, alice: Session
    ) -> None:
        mine = await _me(alice)
        recovered = await house.root.call("principal.recover", {"id": mine, "reason": "lost"})
        assert recovered["id"] == mine
        with refused("unauthenticated"):
            await alice.call("whoami")
        house.clock.advance(1)
        issued = await house.root.call("token.issue", {"principal": mine})
        again = await house.scoped.session(issued["token"])
        shown = (await again.call("whoami"))["recovered"]
        assert shown["by"] == house.id("root")
        with refused("denied"):
            await house.root.call("token.issue", {"principal": mine})

    async def test_nobody_recovers_who_holds_more(self, house: Home, alice: Session) -> None:
        await _member(house.root, await _root(house), await _me(alice), "admin")
        with refused("denied"):
            await alice.call("principal.recover", {"id": house.id("root")})
        assert await house.root.call("whoami")

    async def test_a_stranger_recovers_nobody(self, alice: Session, mallory: Session) -> None:
        with refused("denied"):
            await mallory.call("principal.recover", {"id": await _me(alice)})


class TestLifelines:
    """Ruling 4: a credential is alive only while all above it are."""

    @promise("identity.wrong_tokens")
    async def test_a_revocation_bites_the_very_next_call(self, house: Home, alice: Session) -> None:
        listed = await alice.call("token.list")
        await house.root.call("token.revoke", {"id": listed["items"][0]["id"]})
        with refused("unauthenticated"):
            await alice.call("whoami")

    @promise("session.revoke", "lifeline.alive")
    async def test_revoking_a_session_revokes_its_credential_and_delegates(
        self, house: Home, alice: Session
    ) -> None:
        made = await _delegate(alice)
        helper = await house.scoped.session(made["token"])
        deeper = await house.scoped.session((await _delegate(helper, "deeper"))["token"])
        session = (await alice.call("whoami"))["session"]["id"]
        await house.root.call("session.revoke", {"id": session})
        for one in (alice, helper, deeper):
            with refused("unauthenticated"):
                await one.call("whoami")

    @promise("lifeline.alive")
    async def test_a_token_issued_for_oneself_ends_with_the_one_it_came_from(
        self, house: Home, alice: Session
    ) -> None:
        mine = await _me(alice)
        first = (await alice.call("token.list"))["items"][-1]["id"]
        issued = await alice.call("token.issue", {"principal": mine, "ttl_seconds": 60})
        second = await house.scoped.session(issued["token"])
        await second.call("whoami")
        await house.root.call("token.revoke", {"id": first})
        with refused("unauthenticated"):
            await second.call("whoami")

    @promise("lifeline.expiry")
    async def test_a_delegate_ends_no_later_than_its_delegator(self, house: Home) -> None:
        brief = await house.user("brief", ttl_seconds=100)
        made = await _delegate(brief)
        expires = (await brief.call("whoami"))["session"]["expires_at"]
        assert made["expires_at"] == expires
        issued = await brief.call("token.issue", {"principal": await _me(brief)})
        assert issued["expires_at"] == expires

    @promise("identity.wrong_tokens")
    async def test_expiry_is_exact_to_the_microsecond(self, house: Home) -> None:
        brief = await house.user("brief", ttl_seconds=100)
        house.clock.advance(99.999999)
        assert await brief.call("whoami")
        house.clock.advance(0.000001)
        with refused("unauthenticated"):
            await brief.call("whoami")

    @promise("readme.limits")
    async def test_delegation_has_a_greatest_depth(self, house: Home, alice: Session) -> None:
        session = alice
        for level in range(Limits().delegation_depth):
            made = await _delegate(session, f"d{level}")
            session = await house.scoped.session(made["token"])
        with refused("invalid"):
            await _delegate(session, "too-deep")

    @promise("lifeline.number")
    async def test_live_delegates_have_a_greatest_number(self, house: Home, alice: Session) -> None:
        most = Limits().delegates
        made = [await _delegate(alice, f"d{n}", ttl_seconds=60 + n) for n in range(most)]
        with refused("invalid"):
            await _delegate(alice, "one-more")
        await alice.call("agent.stop", {"id": made[5]["principal"]["id"]})
        await _delegate(alice, "one-more")
        with refused("invalid"):
            await _delegate(alice, "another")
        house.clock.advance(60)  # the first one is over
        await _delegate(alice, "another")

    @promise("names.delegates")
    async def test_the_name_of_a_delegate_whose_time_is_over_is_free(
        self, house: Home, alice: Session
    ) -> None:
        first = await _delegate(alice, "writer", ttl_seconds=60)
        with refused("conflict"):
            await _delegate(alice, "writer")
        house.clock.advance(61)
        again = await _delegate(alice, "writer")
        assert again["principal"]["name"] == first["principal"]["name"]
        assert again["principal"]["id"] != first["principal"]["id"]
        with refused("conflict"):
            await _delegate(alice, "writer")
        await alice.call("token.revoke", {"id": again["credential"]})
        assert (await _delegate(alice, "writer"))["principal"]["id"] != again["principal"]["id"]

    async def test_a_delegate_s_whole_name_keeps_to_the_limit_which_is_named(
        self, alice: Session
    ) -> None:
        longest = 200 - len("alice/")
        with pytest.raises(ScopedError) as caught:
            await _delegate(alice, "x" * (longest + 1))
        assert caught.value.code == "invalid"
        assert ("200" in caught.value.message, str(longest) in caught.value.hint) == (True, True)
        await _delegate(alice, "x" * longest)

    async def test_a_delegation_is_at_most_thirty_days_long(self, alice: Session) -> None:
        with refused("invalid"):
            await _delegate(alice, ttl_seconds=Limits().delegation_seconds + 1)
        with refused("invalid"):
            await _delegate(alice, ttl_seconds=0)

    @promise("lifeline.alive", "lifeline.stop")
    async def test_stopping_a_delegate_stops_those_below_it(
        self, house: Home, alice: Session
    ) -> None:
        made = await _delegate(alice)
        helper = await house.scoped.session(made["token"])
        deeper = await house.scoped.session((await _delegate(helper, "deeper"))["token"])
        listed = (await alice.call("whoami"))["delegates"]
        assert [one["id"] for one in listed] == [made["principal"]["id"]]
        await alice.call("agent.stop", {"id": made["principal"]["id"]})
        for one in (helper, deeper):
            with refused("unauthenticated"):
                await one.call("whoami")
        assert (await alice.call("whoami"))["delegates"] == []
        await alice.call("agent.stop", {"id": made["principal"]["id"]})

    @promise("lifeline.stop")
    async def test_only_ones_own_delegates_can_be_stopped(
        self, house: Home, alice: Session, mallory: Session
    ) -> None:
        made = await _delegate(alice)
        for one in (mallory, house.root):
            with refused("denied"):
                await one.call("agent.stop", {"id": made["principal"]["id"]})
        with refused("denied"):
            await mallory.call("agent.stop", {"id": await _me(alice)})


class TestAttenuation:
    """Ruling 5: within the delegating credential, always."""

    @promise("attenuation.powers")
    async def test_a_delegate_holds_no_toolset_that_its_delegator_lacks(self, house: Home) -> None:
        plain = await house.user("plain", toolsets=["core", "scopes"])
        with refused("denied"):
            await _delegate(plain, toolsets=["core", "admin"])
        with refused("denied"):
            await _delegate(plain, toolsets=["all"])
        made = await _delegate(plain, toolsets=["scopes"])
        assert made["toolsets"] == ["scopes"]
        assert (await _delegate(plain, "second"))["toolsets"] == ["core"]

    @promise("readme.toolsets")
    async def test_a_tool_outside_the_toolsets_answers_as_if_it_did_not_exist(
        self, house: Home
    ) -> None:
        plain = await house.user("plain", toolsets=["core"])
        answers = []
        for name in ("principal.list", "no.such_thing"):
            with pytest.raises(Exception) as caught:
                await plain.call(name, {})
            words = str(caught.value).replace(name.replace(".", "_"), "it").replace(name, "it")
            answers.append(words)
        assert answers[0] == answers[1]

    @promise("attenuation.powers")
    async def test_a_read_only_credential_reads_alone_and_hands_on_no_more(
        self, house: Home
    ) -> None:
        reader = await house.user("reader", read_only=True)
        assert (await reader.call("whoami"))["read_only"]
        assert await reader.call("object.list")
        for name, arguments in (
            ("object.create", {"type": "note", "data": {}}),
            ("agent.delegate", {"name": "x", "ttl_seconds": 60}),
            ("token.issue", {"principal": house.id("reader")}),
            ("scope.create", {"name": "x"}),
        ):
            with refused("not_found"):
                await reader.call(name, arguments)

    @promise("attenuation.powers")
    async def test_a_read_only_delegate_reads_alone(self, house: Home, alice: Session) -> None:
        made = await _delegate(alice, read_only=True)
        helper = await house.scoped.session(made["token"])
        with refused("not_found"):
            await _note(helper)

    async def test_a_delegate_starts_with_no_access_but_its_own(
        self, house: Home, alice: Session
    ) -> None:
        note = await _note(alice)
        helper = await house.scoped.session((await _delegate(alice))["token"])
        with refused("not_found"):
            await helper.call("object.get", {"id": note["id"]})
        own = await _note(helper)
        with refused("not_found"):
            await alice.call("object.get", {"id": own["id"]})

    @promise("attenuation.kept")
    async def test_a_delegate_keeps_the_scope_that_it_made(
        self, house: Home, alice: Session
    ) -> None:
        helper = await house.scoped.session((await _delegate(alice))["token"])
        scope = await helper.call("scope.create", {"name": "mine"})
        assert (await helper.call("scope.get", {"id": scope["id"]}))["role"] == "owner"
        assert (await helper.call("scope.list"))["items"]

    @promise("attenuation.places")
    async def test_a_place_of_a_delegate_counts_at_most_as_high_as_its_delegator_s(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await bob.call("scope.create", {"name": "s"})
        await _member(bob, scope["id"], await _me(alice), "viewer")
        made = await _delegate(alice)
        helper = await house.scoped.session(made["token"])
        await _member(bob, scope["id"], made["principal"]["id"], "admin")
        assert (await helper.call("scope.get", {"id": scope["id"]}))["role"] == "viewer"
        await bob.call("scope.remove_member", {"scope": scope["id"], "principal": await _me(alice)})
        with refused("not_found"):
            await helper.call("scope.get", {"id": scope["id"]})

    async def test_an_auditor_s_place_gives_a_viewer_s_delegate_no_trail(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await bob.call("scope.create", {"name": "s"})
        await _member(bob, scope["id"], await _me(alice), "viewer")
        made = await _delegate(alice)
        helper = await house.scoped.session(made["token"])
        await _member(bob, scope["id"], made["principal"]["id"], "auditor")
        seen = (await helper.call("audit.list", {"limit": 100}))["items"]
        assert all(one["principal"] == made["principal"]["id"] for one in seen)

    @promise("attenuation.fall")
    async def test_what_an_ended_delegate_owns_belongs_to_its_delegator(
        self, house: Home, alice: Session, mallory: Session
    ) -> None:
        made = await _delegate(alice, ttl_seconds=60)
        helper = await house.scoped.session(made["token"])
        note = await _note(helper)
        scope = await helper.call("scope.create", {"name": "left behind"})
        with refused("not_found"):
            await alice.call("object.get", {"id": note["id"]})
        house.clock.advance(60)
        assert (await alice.call("object.get", {"id": note["id"]}))["access"] == "owner"
        place = await alice.call("environment.get", {"id": note["environment"]})
        assert place["access"] == "owner"
        listed = await alice.call("object.list")
        assert [one["id"] for one in listed["items"]] == [note["id"]]
        assert (await alice.call("scope.get", {"id": scope["id"]}))["role"] == "owner"
        for name, target in (("object.get", note["id"]), ("scope.get", scope["id"])):
            with refused("not_found"):
                await mallory.call(name, {"id": target})
        await alice.call("object.delete", {"id": note["id"]})

    @promise("attenuation.fall")
    async def test_what_falls_back_goes_to_the_nearest_live_delegator(
        self, house: Home, alice: Session
    ) -> None:
        first = await _delegate(alice)
        helper = await house.scoped.session(first["token"])
        second = await _delegate(helper, "deeper", ttl_seconds=60)
        deeper = await house.scoped.session(second["token"])
        note = await _note(deeper)
        house.clock.advance(60)
        assert await helper.call("object.get", {"id": note["id"]})
        with refused("not_found"):
            await alice.call("object.get", {"id": note["id"]})
        await alice.call("agent.stop", {"id": first["principal"]["id"]})
        assert await alice.call("object.get", {"id": note["id"]})


class TestSuspension:
    """Ruling 6: one fact of one principal; what hangs below it is computed."""

    @promise("suspension.computed", "identity.step_one", "identity.suspended")
    async def test_it_bites_the_next_call_of_the_principal_and_all_it_answers_for(
        self, house: Home, alice: Session
    ) -> None:
        helper = await house.scoped.session((await _delegate(alice))["token"])
        mine = await _me(alice)
        await house.root.call("principal.suspend", {"id": mine})
        for one in (alice, helper):
            with refused("unauthenticated"):
                await one.call("whoami")
        await house.root.call("principal.resume", {"id": mine})
        for one in (alice, helper):
            assert await one.call("whoami")

    @promise("suspension.computed")
    async def test_resuming_restores_exactly_what_it_took(
        self, house: Home, alice: Session
    ) -> None:
        made = await _delegate(alice)
        helper, own = await house.scoped.session(made["token"]), made["principal"]["id"]
        await alice.call("principal.suspend", {"id": own})
        mine = await _me(alice)
        await house.root.call("principal.suspend", {"id": mine})
        await house.root.call("principal.resume", {"id": mine})
        with refused("unauthenticated"):
            await helper.call("whoami")
        await alice.call("principal.resume", {"id": own})
        assert await helper.call("whoami")

    @promise("suspension.users")
    async def test_a_user_does_not_answer_for_a_user(self, house: Home, alice: Session) -> None:
        await _member(house.root, await _root(house), await _me(alice), "admin")
        carol = await alice.call("token.issue", {"name": "carol", "kind": "user"})
        session = await house.scoped.session(carol["token"])
        await house.root.call("principal.suspend", {"id": await _me(alice)})
        assert await session.call("whoami")

    async def test_the_suspended_is_unknown_to_others_and_archiving_is_final(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        mine = await _me(alice)
        assert (await bob.call("principal.get", {"id": mine}))["name"] == "alice"
        await house.root.call("principal.archive", {"id": mine})
        with refused("not_found"):
            await bob.call("principal.get", {"id": mine})
        with refused("conflict"):
            await house.root.call("principal.resume", {"id": mine})
        await house.root.call("principal.create", {"name": "alice"})

    async def test_an_agent_suspended_by_an_admin_is_not_resumed_by_its_sponsor(
        self, house: Home, alice: Session
    ) -> None:
        made = await _delegate(alice)
        await house.root.call("principal.suspend", {"id": made["principal"]["id"]})
        with refused("denied"):
            await alice.call("principal.resume", {"id": made["principal"]["id"]})
        await house.root.call("principal.resume", {"id": made["principal"]["id"]})

    @promise("suspension.last", "transfer.last")
    @pytest.mark.parametrize("operation", ["principal.suspend", "principal.archive"])
    async def test_the_last_active_root_owner_stays(self, house: Home, operation: str) -> None:
        with refused("conflict"):
            await house.root.call(operation, {"id": house.id("root")})
        for more in ({"role": "admin"}, {"role": "viewer"}):
            with refused("conflict"):
                asked = {"scope": await _root(house), "principal": house.id("root")}
                await house.root.call("scope.add_member", asked | more)
        with refused("invalid"):
            asked = {"scope": await _root(house), "principal": house.id("root"), "role": "owner"}
            far = (house.clock.now() + timedelta(days=1)).isoformat()
            await house.root.call("scope.add_member", asked | {"expires_at": far})

    @promise("suspension.last", "transfer.last")
    async def test_the_house_itself_is_no_second_owner(self, house: Home) -> None:
        """Nobody can ask it for anything, nor be it: the root scope would be nobody's for ever."""
        root = await _root(house)
        itself = (await house.root.call("whoami"))["scopes"][0]["added_by"]
        await _member(house.root, root, itself, "owner")
        with refused("conflict"):
            await house.root.call("scope.leave", {"id": root})
        for operation in ("principal.suspend", "principal.archive"):
            with refused("conflict"):
                await house.root.call(operation, {"id": house.id("root")})

    @promise("suspension.last")
    async def test_an_owner_that_acts_only_through_another_is_no_second_owner(
        self, house: Home
    ) -> None:
        """A delegate's place counts as high as its delegator's: it cannot stay behind alone."""
        made = await _delegate(house.root, toolsets=["all"])
        root = await _root(house)
        await _member(house.root, root, made["principal"]["id"], "owner")
        with refused("conflict"):
            await house.root.call("scope.leave", {"id": root})
        with refused("conflict"):
            await house.root.call("principal.suspend", {"id": house.id("root")})
        agent = await house.root.call("principal.create", {"name": "bot", "kind": "agent"})
        await _member(house.root, root, agent["id"], "owner")
        with refused("conflict"):
            await house.root.call("principal.suspend", {"id": house.id("root")})

    async def test_with_a_second_owner_the_first_may_go(self, house: Home, alice: Session) -> None:
        await _member(house.root, await _root(house), await _me(alice), "owner")
        await alice.call("principal.suspend", {"id": house.id("root")})
        with refused("unauthenticated"):
            await house.root.call("whoami")

    async def test_the_house_itself_cannot_be_stopped(self, house: Home) -> None:
        own = house.scoped.spine.house.principal
        for operation in ("principal.suspend", "principal.archive", "principal.recover"):
            with refused("denied"):
                await house.root.call(operation, {"id": own})
        with refused("denied"):
            await house.root.call("token.issue", {"principal": own})


class TestAgents:
    """Ruling 7: who counts as one; agents create and enrol agents only."""

    @promise("agents.make")
    async def test_an_agent_creates_agents_only(self, house: Home) -> None:
        bot = await house.agent("bot")
        await _member(house.root, await _root(house), house.id("bot"), "admin")
        for kind in ("user", "service", "team"):
            with refused("denied"):
                await bot.call("principal.create", {"name": f"a-{kind}", "kind": kind})
        made = await bot.call("principal.create", {"name": "lesser", "kind": "agent"})
        assert made["sponsor"]["id"] == house.id("bot")

    @promise("agents.make")
    async def test_an_agent_enrols_agents_only(self, house: Home) -> None:
        bot = await house.agent("bot")
        await _member(house.root, await _root(house), house.id("bot"), "admin")
        carol = await house.root.call("principal.create", {"name": "carol"})
        with refused("denied"):
            await bot.call("token.issue", {"principal": carol["id"]})

    @promise("identity.same_party", "agents.scopes")
    async def test_a_delegate_of_an_agent_brings_nobody_into_the_agent_s_scope(
        self, house: Home, mallory: Session
    ) -> None:
        bot = await house.agent("bot")
        scope = await bot.call("scope.create", {"name": "own"})
        with refused("denied"):
            await _member(bot, scope["id"], await _me(mallory), "viewer")
        made = await _delegate(bot)
        helper = await house.scoped.session(made["token"])
        await _member(bot, scope["id"], made["principal"]["id"], "admin")
        with refused("denied"):
            await _member(helper, scope["id"], await _me(mallory), "viewer")
        await _member(bot, scope["id"], house.id("root"), "viewer")


class TestNames:
    """Ruling 8."""

    @promise("names.unique")
    async def test_a_principal_s_name_is_unique_and_free_of_slashes(self, house: Home) -> None:
        await house.root.call("principal.create", {"name": "dora"})
        with refused("conflict"):
            await house.root.call("principal.create", {"name": "dora", "kind": "team"})
        with refused("invalid"):
            await house.root.call("principal.create", {"name": "dora/x"})

    @promise("names.delegates")
    async def test_a_delegate_s_name_begins_with_its_delegator_s(self, alice: Session) -> None:
        made = await _delegate(alice)
        assert made["principal"]["name"] == "alice/helper"
        with refused("conflict"):
            await _delegate(alice)
        with refused("invalid"):
            await _delegate(alice, "a/b")

    @promise("readme.limits")
    async def test_metadata_is_small_whoever_writes_it(self, house: Home, alice: Session) -> None:
        large = {"x": "y" * 20_000}
        with refused("invalid"):
            await house.root.call("principal.create", {"name": "dora", "metadata": large})
        with refused("invalid"):
            await alice.call("principal.update", {"id": await _me(alice), "metadata": large})
        deep: dict[str, Any] = {}
        for _ in range(65):
            deep = {"x": deep}
        with refused("invalid"):
            await alice.call("principal.update", {"id": await _me(alice), "metadata": deep})
        fits = {"x": "y" * 16_000}
        assert await alice.call("principal.update", {"id": await _me(alice), "metadata": fits})

    @promise("names.unique")
    async def test_names_are_chosen_by_admins_and_metadata_by_oneself(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        mine = await _me(alice)
        changed = await alice.call("principal.update", {"id": mine, "metadata": {"x": 1}})
        assert changed["metadata"] == {"x": 1}
        with refused("denied"):
            await alice.call("principal.update", {"id": mine, "name": "boss"})
        with refused("denied"):
            await bob.call("principal.update", {"id": mine, "metadata": {}})
        await house.root.call("principal.update", {"id": mine, "name": "alicia"})
        assert (await alice.call("whoami"))["principal"]["name"] == "alicia"

    @promise("names.known")
    async def test_only_admins_list_principals_and_others_read_name_and_kind(
        self, alice: Session, bob: Session, house: Home
    ) -> None:
        with refused("denied"):
            await alice.call("principal.list")
        seen = await alice.call("principal.get", {"id": await _me(bob)})
        assert seen.keys() == {"id", "name", "kind"}
        full = await house.root.call("principal.list", {"name": "bob"})
        assert full["items"][0]["state"] == "active"

    async def test_tokens_and_sessions_of_others_are_not_listed(
        self, alice: Session, bob: Session, house: Home
    ) -> None:
        other = {"principal": await _me(bob)}
        for operation in ("token.list", "session.list"):
            assert (await alice.call(operation, other))["items"] == []
            mine = (await alice.call(operation))["items"]
            assert {one["principal"]["name"] for one in mine} == {"alice"}
            everyone = (await house.root.call(operation, other))["items"]
            assert {one["principal"]["name"] for one in everyone} == {"bob"}


class TestTokens:
    @promise("readme.identity", "identity.wrong_tokens", "identity.flood")
    async def test_every_wrong_token_answers_the_same(self, house: Home, alice: Session) -> None:
        token = house.token("alice")
        stem, secret = token.rsplit("_", 1)
        swapped = secret[:-2] + ("a" if secret[-2] != "a" else "c") + secret[-1]
        wrong = [
            f"{stem}_{WRONG_SECRET}",
            f"smcp_{'b' * 16}_{secret}",
            f"{stem}_{swapped}",
            token.upper(),
            f" {token}",
            token + "a",
            "",
            "Bearer",
            "\ud800",
            "x" * 100_000,
            house.scoped.spine.house.principal,
        ]
        answers = set()
        for one in wrong:
            with pytest.raises(Exception) as caught:
                await house.scoped.session(one)
            answers.add(str(caught.value))
        assert len(answers) == 1
        assert await alice.call("whoami")

    @promise("readme.secrets")
    async def test_a_token_is_never_shown_again_nor_stored(
        self, house: Home, alice: Session
    ) -> None:
        secret = house.token("alice").rsplit("_", 1)[1].encode()
        await alice.call("token.list")
        for suffix in ("", "-wal"):
            file = house.path.with_name(house.path.name + suffix)
            assert not file.exists() or secret not in file.read_bytes()

    @promise("failures.counted")
    async def test_failed_authentications_are_one_entry_a_minute(
        self, house: Home, alice: Session
    ) -> None:
        assert alice
        for _ in range(20):
            with refused("unauthenticated"):
                await house.scoped.session(f"smcp_{'b' * 16}_{WRONG_SECRET}")
        seen = await house.root.call("audit.list", {"operation": "authenticate"})
        assert len(seen["items"]) == 1
        assert seen["items"][0]["principal"] == house.scoped.spine.house.principal
        entry = await house.root.call("audit.get", {"id": seen["items"][0]["id"]})
        assert "smcp_" not in str(entry)
        assert (await alice.call("audit.list", {"operation": "authenticate"}))["items"] == []

    async def test_nobody_revokes_the_credential_of_another(
        self, alice: Session, mallory: Session
    ) -> None:
        listed = await alice.call("token.list")
        with refused("not_found"):
            await mallory.call("token.revoke", {"id": listed["items"][0]["id"]})
        session = (await alice.call("whoami"))["session"]["id"]
        with refused("not_found"):
            await mallory.call("session.revoke", {"id": session})
        assert await alice.call("whoami")

    @promise("readme.limits")
    async def test_a_token_lives_at_most_a_year(self, alice: Session) -> None:
        asked = {"principal": await _me(alice), "ttl_seconds": Limits().token_seconds + 1}
        with refused("invalid"):
            await alice.call("token.issue", asked)


class TestLinks:
    """Ruling 10: the mapping is the credential."""

    ASKED: ClassVar[dict[str, str]] = {"issuer": "https://login.example.com", "subject": "1"}

    @promise("identity.enrolment", "external.mapping")
    async def test_an_identity_leads_to_one_principal_until_its_link_is_revoked(
        self, house: Home, alice: Session
    ) -> None:
        root = house.root
        linked = await root.call("identity.link", self.ASKED | {"principal": await _me(root)})
        erin = await root.call("principal.create", {"name": "erin"})
        with refused("conflict"):
            await root.call("identity.link", self.ASKED | {"principal": erin["id"]})
        with refused("denied"):
            await root.call("identity.link", self.ASKED | {"principal": await _me(alice)})
        await root.call("token.revoke", {"id": linked["id"]})
        await root.call("identity.link", self.ASKED | {"principal": erin["id"]})

    async def test_nobody_squats_an_identity_that_may_be_somebody_else_s(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """Nothing proves whose it is; who came in with one is linked to it already."""
        proof = External("https://login.example.com", "2", house.clock.now() + timedelta(hours=1))
        asked = {"issuer": proof.issuer, "subject": proof.subject}
        erin = await house.root.call("principal.create", {"name": "erin"})
        await house.root.call(
            "identity.link", asked | {"principal": erin["id"], "toolsets": ["core", "admin"]}
        )
        linked = await house.scoped.session(proof)
        for session in (alice, bob, linked):
            with refused("denied"):
                await session.call("identity.link", self.ASKED | {"principal": await _me(session)})
        with refused("conflict"):
            await house.root.call("identity.link", asked | {"principal": house.id("root")})

    async def test_links_are_made_on_leap_days_too(self, tmp_path: Path) -> None:
        clock = FixedClock(datetime(2028, 2, 29, tzinfo=UTC))
        url = f"sqlite:///{tmp_path / 'leap.db'}"
        token = await Scoped.create(url, name="root", clock=clock)
        async with Scoped.open(url, clock=clock) as scoped:
            root = await scoped.session(token)
            asked = {"issuer": "https://login.example.com", "subject": "1"}
            assert await root.call("identity.link", asked | {"principal": await _me(root)})


class TestRelationships:
    @promise("identity.teams")
    async def test_a_member_of_a_team_has_the_access_of_its_scopes(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        team = await house.root.call("principal.create", {"name": "crew", "kind": "team"})
        scope = await bob.call("scope.create", {"name": "s"})
        await _member(bob, scope["id"], team["id"], "contributor")
        with refused("not_found"):
            await alice.call("scope.get", {"id": scope["id"]})
        edge = {"source": await _me(alice), "label": "member_of", "target": team["id"]}
        await house.root.call("principal.relate", edge)
        assert (await alice.call("scope.get", {"id": scope["id"]}))["role"] == "contributor"
        await alice.call("principal.unrelate", edge)
        with refused("not_found"):
            await alice.call("scope.get", {"id": scope["id"]})

    @promise("identity.teams")
    async def test_teams_within_teams_and_an_archived_team_gives_nothing(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        inner = await house.root.call("principal.create", {"name": "inner", "kind": "team"})
        outer = await house.root.call("principal.create", {"name": "outer", "kind": "team"})
        mine = await _me(alice)
        for source, target in ((mine, inner["id"]), (inner["id"], outer["id"])):
            edge = {"source": source, "label": "member_of", "target": target}
            await house.root.call("principal.relate", edge)
        scope = await bob.call("scope.create", {"name": "s"})
        await _member(bob, scope["id"], outer["id"], "viewer")
        assert await alice.call("scope.get", {"id": scope["id"]})
        lineage = await alice.call("principal.ancestors", {"id": mine, "label": "member_of"})
        assert [one["distance"] for one in lineage["items"]] == [1, 2]
        await house.root.call("principal.archive", {"id": inner["id"]})
        with refused("not_found"):
            await alice.call("scope.get", {"id": scope["id"]})

    @promise("identity.graph")
    async def test_hierarchical_labels_make_no_circle(self, house: Home) -> None:
        made = [await house.root.call("principal.create", {"name": n}) for n in ("x", "y", "z")]
        ids = [one["id"] for one in made]
        for source, target in ((0, 1), (1, 2)):
            edge = {"source": ids[source], "label": "reports_to", "target": ids[target]}
            await house.root.call("principal.relate", edge)
        edge = {"source": ids[2], "label": "reports_to", "target": ids[0]}
        with refused("conflict"):
            await house.root.call("principal.relate", edge)
        with refused("invalid"):
            await house.root.call("principal.relate", edge | {"target": ids[2]})
        await house.root.call("principal.relate", edge | {"label": "likes"})

    async def test_nobody_puts_itself_into_a_team(self, house: Home, alice: Session) -> None:
        team = await house.root.call("principal.create", {"name": "crew", "kind": "team"})
        edge = {"source": await _me(alice), "label": "member_of", "target": team["id"]}
        with refused("denied"):
            await alice.call("principal.relate", edge)
        await _member(house.root, await _root(house), await _me(alice), "admin")
        with refused("denied"):
            await alice.call("principal.relate", edge)
        helper = await _delegate(alice)
        with refused("denied"):
            await alice.call("principal.relate", edge | {"source": helper["principal"]["id"]})

    async def test_nobody_makes_root_owners_by_way_of_a_team(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        team = await house.root.call("principal.create", {"name": "owners", "kind": "team"})
        outer = await house.root.call("principal.create", {"name": "outer", "kind": "team"})
        root = await _root(house)
        await _member(house.root, root, outer["id"], "owner")
        await house.root.call(
            "principal.relate",
            {"source": team["id"], "label": "member_of", "target": outer["id"]},
        )
        await _member(house.root, root, await _me(alice), "admin")
        edge = {"source": await _me(bob), "label": "member_of", "target": team["id"]}
        with refused("denied"):
            await alice.call("principal.relate", edge)
        await house.root.call("principal.relate", edge)

    @promise("identity.graph")
    async def test_a_relationship_ends_and_begins_again_as_versions_of_one(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        edge = {"source": await _me(alice), "label": "likes", "target": await _me(bob)}
        first = await house.root.call("principal.relate", edge)
        assert (await house.root.call("principal.relate", edge))["version"] == first["version"]
        ended = await house.root.call("principal.unrelate", edge)
        again = await house.root.call("principal.relate", edge)
        assert (ended["version"], again["version"]) == (2, 3)
        assert {first["id"], ended["id"], again["id"]} == {first["id"]}
        with refused("denied"):
            await bob.call("principal.unrelate", edge)
        with refused("not_found"):
            await alice.call("principal.unrelate", edge | {"label": "hates"})


async def _root(house: Home) -> str:
    return house.scoped.spine.house.root


async def _member(session: Session, scope: str, principal: str, role: str) -> None:
    asked = {"scope": scope, "principal": principal, "role": role}
    await session.call("scope.add_member", asked)
