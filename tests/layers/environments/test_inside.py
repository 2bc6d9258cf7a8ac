"""Who sees and does what inside: members, delegates, pinned credentials, and nobody else."""

from __future__ import annotations

import pytest

from scoped_mcp import ScopedError, Session
from tests.conftest import Home
from tests.layers.environments.conftest import ids, invite, me, note, spawn
from tests.promises import promise
from tests.sample import refused

HOUR = 3600


class TestMembers:
    async def test_viewers_read_editors_write_and_everybody_owns_what_it_made(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        carol = await house.user("carol")
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        await invite(alice, here, carol, "viewer")
        hers, his = await note(alice, here), await note(bob, here)
        levels = {}
        for name, who in (("alice", alice), ("bob", bob), ("carol", carol)):
            for whose, thing in (("hers", hers), ("his", his)):
                seen = await who.call("object.get", {"id": thing["id"]})
                levels[name, whose] = seen["access"]
        assert levels == {
            ("alice", "hers"): "owner",
            ("alice", "his"): "admin",
            ("bob", "hers"): "write",
            ("bob", "his"): "owner",
            ("carol", "hers"): "read",
            ("carol", "his"): "read",
        }
        with refused("denied"):
            await note(carol, here)
        await invite(alice, here, bob, "viewer")
        assert (await bob.call("object.get", {"id": his["id"]}))["access"] == "read"

    @promise("environments.inside")
    async def test_nobody_outside_reads_anything_of_the_inside(
        self, house: Home, robot: Session, mallory: Session
    ) -> None:
        """Root owner, sponsor, auditor and admin: by no list, read, scope, trail or count."""
        auditor = await house.user("auditor")
        root = house.scoped.spine.house.root
        place = {"scope": root, "principal": await me(auditor), "role": "auditor"}
        await house.root.call("scope.add_member", place)
        made = await robot.call(
            "environment.spawn", {"name": "hidden-name", "purpose": "hidden-purpose"}
        )
        thing = await robot.call(
            "object.create", {"type": "plan", "name": "secret-name", "data": {"k": "secret-data"}}
        )
        inner = {made["id"], made["scope"], thing["id"], "hidden", "secret-name", "secret-data"}
        for who in (house.root, auditor, mallory):
            for operation, asked in (
                ("object.get", thing["id"]),
                ("object.history", thing["id"]),
                ("environment.get", made["id"]),
                ("scope.get", made["scope"]),
            ):
                with refused("not_found"):
                    await who.call(operation, {"id": asked})
            for operation in ("object.list", "environment.list", "scope.list", "audit.list"):
                seen = str(await who.call(operation, {}))
                assert not [one for one in inner if one in seen], operation
            listed = (await who.call("audit.list", {"limit": 100}))["items"]
            others = [one for one in listed if one.get("principal") != await me(who)]
            for one in others:
                detail = str(await who.call("audit.get", {"id": one["id"]}))
                assert not [each for each in inner if each in detail], one
        seen = (await house.root.call("audit.list", {"operation": "object.create"}))["items"]
        assert [one["outcome"] for one in seen] == ["done"]

    @promise("environment.closed")
    async def test_a_closed_scope_takes_no_children_shares_members_or_state(
        self, alice: Session, bob: Session
    ) -> None:
        made = await alice.call("environment.spawn", {})
        scope, mine = made["scope"], await note(alice)
        with refused("invalid"):
            await alice.call("scope.create", {"name": "x", "parent": scope})
        with refused("invalid"):
            await alice.call("object.share", {"object": mine["id"], "scope": scope})
        place = {"scope": scope, "principal": await me(bob)}
        with refused("invalid"):
            await alice.call("scope.add_member", place | {"role": "viewer"})
        for operation, more in (
            ("scope.set_state", {"state": "frozen"}),
            ("scope.update", {"name": "x"}),
            ("scope.transfer", {"to": await me(bob)}),
        ):
            with refused("denied"):
                await alice.call(operation, {"id": scope} | more)

    @promise("environment.closed")
    async def test_what_lives_inside_is_not_shared_or_given_away(
        self, alice: Session, bob: Session
    ) -> None:
        here, scope = await spawn(alice), await alice.call("scope.create", {"name": "s"})
        thing = await note(alice, here)
        with pytest.raises(ScopedError) as caught:
            await alice.call("object.share", {"object": thing["id"], "scope": scope["id"]})
        assert caught.value.code == "invalid"
        assert "promotion_request" in caught.value.hint
        with refused("invalid"):
            await alice.call("object.transfer", {"id": thing["id"], "to": await me(bob)})

    async def test_it_is_explained_by_the_environment(
        self, alice: Session, bob: Session, mallory: Session
    ) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        thing = (await note(alice, here))["id"]
        for who, level in ((alice, "owner"), (bob, "write"), (mallory, "none")):
            asked = {"principal": await me(who), "target": thing}
            seen = await alice.call("access.explain", asked)
            assert seen["access"] == level
            assert [one["through"] for one in seen["reasons"]] == [here] * (level != "none")

    async def test_a_member_may_leave_and_the_owner_stays(
        self, alice: Session, bob: Session
    ) -> None:
        made = await alice.call("environment.spawn", {})
        await invite(alice, made["id"], bob, "viewer")
        await bob.call("scope.leave", {"id": made["scope"]})
        with refused("not_found"):
            await bob.call("environment.get", {"id": made["id"]})
        with refused("conflict"):
            await alice.call("scope.leave", {"id": made["scope"]})
        with refused("invalid"):
            await invite(alice, made["id"], alice, "none")

    @promise("agents.scopes")
    async def test_an_agent_invites_only_its_own_side(
        self, house: Home, robot: Session, mallory: Session
    ) -> None:
        here = await spawn(robot)
        with refused("denied"):
            await invite(robot, here, mallory, "viewer")
        with refused("not_found"):
            await invite(house.root, here, mallory, "viewer")
        await invite(robot, here, house.root, "viewer")
        assert await ids(house.root, "environment.list") == [here]

    @promise("agents.scopes")
    async def test_the_user_it_answers_to_lets_others_in_as_far_as_its_own_place_goes(
        self, house: Home, robot: Session, alice: Session, bob: Session, mallory: Session
    ) -> None:
        here = await spawn(robot)
        await invite(robot, here, house.root, "viewer")
        with refused("denied"):
            await invite(house.root, here, alice, "editor")
        await invite(house.root, here, alice, "viewer")
        assert await ids(alice, "environment.list") == [here]
        for who, whom, role in (
            (alice, bob, "viewer"),  # no user that its owner answers to
            (house.root, alice, "none"),  # letting go is its owner's
            (house.root, house.root, "editor"),
        ):
            with refused("denied"):
                await invite(who, here, whom, role)
        await invite(robot, here, house.root, "editor")
        await invite(house.root, here, bob, "editor")
        for role in ("viewer", "editor"):  # she has her place
            with refused("denied"):
                await invite(house.root, here, alice, role)
        with refused("not_found"):
            await mallory.call("environment.get", {"id": here})

    async def test_a_tombstone_is_its_maker_s_alone(self, alice: Session, bob: Session) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        thing = (await note(bob, here))["id"]
        await alice.call("object.delete", {"id": thing})
        assert (await bob.call("object.get", {"id": thing}))["state"] == "deleted"
        with refused("not_found"):
            await alice.call("object.get", {"id": thing})

    @promise("environment.agents")
    async def test_an_agent_has_no_private_space_to_accept_things_into(
        self, alice: Session, robot: Session
    ) -> None:
        mine = await note(alice)
        await alice.call("object.transfer", {"id": mine["id"], "to": await me(robot)})
        with refused("denied"):
            await robot.call("object.transfer_accept", {"id": mine["id"]})


class TestDelegates:
    async def test_one_works_as_editor_where_its_delegator_works(
        self, house: Home, robot: Session
    ) -> None:
        here = (await note(robot))["environment"]
        helper = await house.agent("helper", of=robot)
        assert (await note(helper))["environment"] == here
        assert (await helper.call("environment.get", {"id": here}))["access"] == "write"
        elsewhere = await spawn(robot)
        assert (await note(helper))["environment"] == elsewhere
        with refused("not_found"):
            await helper.call("environment.get", {"id": here})

    async def test_its_place_counts_at_most_as_its_delegator_s_now(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "viewer")
        helper = await house.agent("helper", of=bob)
        await invite(alice, here, helper, "editor")
        assert (await helper.call("environment.get", {"id": here}))["access"] == "read"
        await invite(alice, here, bob, "none")
        with refused("not_found"):
            await helper.call("environment.get", {"id": here})

    async def test_what_it_spawned_is_its_own_and_falls_to_its_delegator(
        self, house: Home, alice: Session
    ) -> None:
        helper = await house.agent("helper", of=alice, ttl_seconds=60)
        thing = await note(helper)
        with refused("not_found"):
            await alice.call("object.get", {"id": thing["id"]})
        house.clock.advance(60)
        assert (await alice.call("object.get", {"id": thing["id"]}))["access"] == "owner"
        await alice.call("environment.discard", {"id": thing["environment"]})


class TestPinned:
    async def _pinned(self, house: Home, of: Session, here: str) -> Session:
        return await house.agent("pinned", of=of, environment=here)

    @promise("attenuation.pinned", "environments.pinned")
    async def test_one_sees_its_environment_and_nothing_else(
        self, house: Home, alice: Session
    ) -> None:
        here, other = await spawn(alice), await spawn(alice)
        scope = await alice.call("scope.create", {"name": "s"})
        outside = await note(alice)
        await alice.call("object.share", {"object": outside["id"], "scope": scope["id"]})
        inside, elsewhere = await note(alice, here), await note(alice, other)
        pinned = await self._pinned(house, alice, here)
        place = {"scope": scope["id"], "principal": house.id("pinned"), "role": "viewer"}
        await alice.call("scope.add_member", place)
        assert await ids(pinned) == [inside["id"]]
        assert await ids(pinned, "environment.list") == [here]
        assert await ids(pinned, "scope.list") == []
        for operation, asked in (
            ("object.get", outside["id"]),
            ("object.get", elsewhere["id"]),
            ("environment.get", other),
            ("scope.get", scope["id"]),
        ):
            with refused("not_found"):
                await pinned.call(operation, {"id": asked})
        with refused("not_found"):
            await note(pinned, other)
        assert (await note(pinned))["environment"] == here
        seen = (await pinned.call("audit.list", {"limit": 100}))["items"]
        assert {one["principal"] for one in seen} == {house.id("pinned")}

    async def test_what_it_cannot_do_inside_does_not_exist_for_it(
        self, house: Home, alice: Session
    ) -> None:
        pinned = await self._pinned(house, alice, await spawn(alice))
        for operation, asked in (
            ("environment.spawn", {}),
            ("scope.create", {"name": "x"}),
            ("principal.create", {"name": "x", "kind": "agent"}),
        ):
            with refused("not_found"):
                await pinned.call(operation, asked)

    @promise("attenuation.pinned")
    async def test_its_delegates_are_pinned_there_too(self, house: Home, alice: Session) -> None:
        here, other = await spawn(alice), await spawn(alice)
        pinned = await self._pinned(house, alice, here)
        made = await pinned.call("agent.delegate", {"name": "sub", "ttl_seconds": 60})
        assert made["environment"] == here
        sub = await house.scoped.session(made["token"])
        assert (await note(sub))["environment"] == here
        asked = {"name": "out", "ttl_seconds": 60, "environment": other}
        with refused("not_found"):
            await pinned.call("agent.delegate", asked)

    async def test_it_stops_what_works_there_and_nothing_else(
        self, house: Home, alice: Session
    ) -> None:
        asked = {"name": "outside", "ttl_seconds": 60}
        outside = (await alice.call("agent.delegate", asked))["principal"]["id"]
        here = await spawn(alice)
        mine = {"principal": await me(alice), "environment": here}
        pinned = await house.scoped.session((await alice.call("token.issue", mine))["token"])
        sub = (await pinned.call("agent.delegate", asked | {"name": "sub"}))["principal"]["id"]
        with refused("denied"):
            await pinned.call("agent.stop", {"id": outside})
        assert (await pinned.call("agent.stop", {"id": sub}))["state"] == "archived"
        assert (await alice.call("agent.stop", {"id": outside}))["state"] == "archived"

    async def test_it_reads_imports_at_their_version_if_its_principal_may(
        self, house: Home, alice: Session
    ) -> None:
        scope = await alice.call("scope.create", {"name": "s"})
        thing = await note(alice, None, n=1)
        await alice.call("object.share", {"object": thing["id"], "scope": scope["id"]})
        here = await spawn(alice)
        await alice.call("environment.import", {"id": here, "objects": [thing["id"]]})
        await alice.call("object.update", {"id": (await note(alice))["id"], "data": {}})
        pinned = await self._pinned(house, alice, here)
        with refused("not_found"):
            await pinned.call("object.get", {"id": thing["id"]})
        place = {"scope": scope["id"], "principal": house.id("pinned"), "role": "viewer"}
        await alice.call("scope.add_member", place)
        seen = await pinned.call("object.get", {"id": thing["id"]})
        assert (seen["access"], seen["version"]) == ("read", 1)
        assert await ids(pinned) == [thing["id"]]
        forked = await pinned.call("object.update", {"id": thing["id"], "patch": {"n": 2}})
        assert forked["environment"] == here
        assert forked["forked_from"] == {"object": thing["id"], "version": 1}
