"""The life of an environment: spawned, used, finished, expired, revived, discarded, swept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.layers.environments import worker
from scoped_mcp.storage.path import entries
from scoped_mcp.storage.walls import past_walls
from tests.conftest import Home
from tests.layers.environments.conftest import DAY, ids, invite, me, note, spawn
from tests.promises import promise
from tests.sample import refused


class TestSpawning:
    @promise("environment.scope")
    async def test_it_makes_an_environment_its_scope_and_its_owner_s_place(
        self, alice: Session
    ) -> None:
        made = await alice.call("environment.spawn", {"name": "bench", "purpose": "try"})
        assert made["state"] == "active"
        assert made["access"] == "owner"
        assert made["current"] is True
        assert made["objects"] == 0
        assert [one["role"] for one in made["members"]] == ["owner"]
        assert (await alice.call("scope.get", {"id": made["scope"]}))["id"] == made["scope"]
        assert await ids(alice, "scope.list") == []
        assert (await alice.call("whoami"))["environment"]["id"] == made["id"]
        assert await ids(alice, "environment.list") == [made["id"]]

    @promise("environment.agents", "environments.first")
    async def test_an_agent_s_first_write_spawns_one_and_later_ones_stay_there(
        self, robot: Session
    ) -> None:
        first, second = await note(robot), await note(robot)
        assert first["environment"] == second["environment"]
        assert first["provenance"]["environment"] == first["environment"]
        assert len(await ids(robot, "environment.list")) == 1

    async def test_every_view_of_one_has_the_fields_that_clients_rely_on(
        self, house: Home, alice: Session
    ) -> None:
        fields = {"id", "name", "state", "owner", "scope", "expires_at", "objects", "members"}
        here = {"id": await spawn(alice)}
        seen = [await alice.call("environment.get", here)]
        seen += (await alice.call("environment.list"))["items"]
        seen += [await alice.call("environment.finish", here | {"state": "suspended"})]
        assert all(one["members"][0]["role"] == "owner" for one in seen)
        house.clock.advance(2 * DAY)
        seen += (await alice.call("environment.list", {"state": "expired"}))["items"]
        seen += [await alice.call("environment.discard", here)]
        seen += (await alice.call("environment.list", {"state": "discarded"}))["items"]
        assert len(seen) == 6
        assert [sorted(fields - set(one)) for one in seen] == [[]] * 6

    async def test_two_first_writes_at_once_share_one(self, robot: Session) -> None:
        made = await asyncio.gather(*(note(robot) for _ in range(5)))
        assert len({one["environment"] for one in made}) == 1

    async def test_a_user_s_private_space_is_outside_of_environments(self, alice: Session) -> None:
        await spawn(alice)
        assert "environment" not in await note(alice)

    @promise("environment.current")
    async def test_a_call_that_names_an_environment_is_not_touched_by_the_current_one(
        self, robot: Session
    ) -> None:
        first, second = await spawn(robot), await spawn(robot)
        assert (await note(robot, first))["environment"] == first
        assert (await note(robot))["environment"] == second
        await robot.call("environment.use", {"id": first})
        assert (await note(robot))["environment"] == first

    @pytest.mark.parametrize("ttl", [-1, 0, 10 * 365 * DAY, 30 * DAY + 1])
    async def test_a_lifetime_out_of_bounds_is_invalid(self, alice: Session, ttl: int) -> None:
        with refused("invalid"):
            await alice.call("environment.spawn", {"ttl_seconds": ttl})
        assert await ids(alice, "environment.list") == []

    async def test_a_name_is_unique_among_one_s_own_and_free_again_when_discarded(
        self, alice: Session, bob: Session
    ) -> None:
        first = await spawn(alice, name="bench")
        with refused("conflict"):
            await spawn(alice, name="bench")
        await spawn(bob, name="bench")
        await alice.call("environment.discard", {"id": first})
        await spawn(alice, name="bench")


class TestMoves:
    LEGAL: tuple[tuple[list[str], str, bool], ...] = (
        ([], "suspended", True),
        ([], "completed", True),
        (["suspended"], "active", True),
        (["suspended"], "completed", True),
        (["completed"], "active", True),
        (["completed"], "suspended", False),
    )

    @pytest.mark.parametrize(("before", "to", "legal"), LEGAL)
    @promise("environment.states")
    async def test_legal_moves_are_done_and_others_named(
        self, alice: Session, before: list[str], to: str, legal: bool
    ) -> None:
        here = await spawn(alice)
        for state in before:
            await alice.call("environment.finish", {"id": here, "state": state})
        if legal:
            seen = await alice.call("environment.finish", {"id": here, "state": to})
            assert seen["state"] == to
        else:
            with pytest.raises(ScopedError) as caught:
                await alice.call("environment.finish", {"id": here, "state": to})
            assert caught.value.code == "conflict"
            assert "active" in caught.value.hint

    @pytest.mark.parametrize("state", ["discarded", "expired", "promoted", "spawning", ""])
    async def test_unknown_states_are_invalid(self, alice: Session, state: str) -> None:
        here = await spawn(alice)
        with refused("invalid"):
            await alice.call("environment.finish", {"id": here, "state": state})

    @pytest.mark.parametrize("state", ["suspended", "completed"])
    @promise("environments.suspended")
    async def test_where_nobody_adds_or_edits_taking_away_still_works(
        self, alice: Session, bob: Session, state: str
    ) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        kept, gone = await note(alice, here), await note(bob, here)
        await alice.call("environment.finish", {"id": here, "state": state})
        for who, operation, asked in (
            (alice, "object.create", {"type": "note", "data": {}, "environment": here}),
            (alice, "object.update", {"id": kept["id"], "data": {}}),
            (bob, "object.update", {"id": kept["id"], "patch": {"x": 1}}),
            (bob, "object.tag", {"id": gone["id"], "tags": ["x"]}),
            (
                alice,
                "environment.invite",
                {"id": here, "principal": await me(bob), "role": "viewer"},
            ),
        ):
            with refused("conflict"):
                await who.call(operation, asked)
        assert (await bob.call("object.get", {"id": kept["id"]}))["data"] == {"n": 1}
        await bob.call("object.delete", {"id": gone["id"]})
        with refused("conflict"):
            await bob.call("object.restore", {"id": gone["id"]})
        out = {"id": here, "principal": await me(bob), "role": "none"}
        await alice.call("environment.invite", out)
        with refused("not_found"):
            await bob.call("object.get", {"id": kept["id"]})

    async def test_only_the_owner_finishes_renames_extends_and_discards(
        self, alice: Session, bob: Session
    ) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        asked: list[tuple[str, dict[str, Any]]] = [
            ("environment.finish", {"state": "suspended"}),
            ("environment.rename", {"name": "x"}),
            ("environment.extend", {}),
            ("environment.discard", {}),
            ("environment.invite", {"principal": await me(bob), "role": "viewer"}),
        ]
        for operation, more in asked:
            with refused("denied"):
                await bob.call(operation, {"id": here} | more)


class TestExpiry:
    @promise("environments.ttl")
    async def test_an_unused_environment_is_unreadable_from_that_second_on(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        here = await spawn(alice, ttl_seconds=3600)
        await invite(alice, here, bob, "viewer")
        thing = (await note(alice, here))["id"]
        house.clock.advance(3599.999999)
        assert await ids(bob) == [thing]
        house.clock.advance(3599.999999)  # that was a use, but of a list: it named nothing inside
        house.clock.advance(0.000001)
        for who in (alice, bob):
            with refused("not_found"):
                await who.call("object.get", {"id": thing})
            assert await ids(who) == []
        with refused("not_found"):
            await bob.call("environment.get", {"id": here})
        assert (await alice.call("environment.get", {"id": here}))["state"] == "expired"
        assert await ids(alice, "environment.list") == []
        assert await ids(alice, "environment.list", state="expired") == [here]
        assert (await alice.call("whoami"))["environment"]["state"] == "expired"

    async def test_one_for_seconds_lives_as_long_as_it_is_used(
        self, house: Home, alice: Session
    ) -> None:
        here = await spawn(alice, ttl_seconds=1)
        thing = (await note(alice, here))["id"]
        for _ in range(10):
            house.clock.advance(0.85)
            await alice.call("object.get", {"id": thing})
        house.clock.advance(1)
        with refused("not_found"):
            await alice.call("object.get", {"id": thing})

    async def test_use_by_a_member_extends_it_and_not_beyond_its_longest_life(
        self, house: Home
    ) -> None:
        alice = await house.user("ann", ttl_seconds=90 * DAY)
        here = await spawn(alice, ttl_seconds=DAY)
        thing = (await note(alice, here))["id"]
        for _ in range(32):
            house.clock.advance(DAY - 1)
            try:
                await alice.call("object.get", {"id": thing})
            except ScopedError as error:
                assert error.code == "not_found"
                break
        else:
            pytest.fail("it lived for ever")
        lived = house.clock.now() - (await _renewed(alice, here))
        assert 29 * DAY <= lived.total_seconds() <= 31 * DAY

    async def test_extending_begins_its_longest_life_anew(
        self, house: Home, alice: Session
    ) -> None:
        here = await spawn(alice, ttl_seconds=3600)
        house.clock.advance(1800)
        seen = await alice.call("environment.extend", {"id": here, "ttl_seconds": 7200})
        house.clock.advance(7199)
        assert (await alice.call("environment.get", {"id": here}))["state"] == "active"
        assert seen["ttl_seconds"] == 7200

    async def test_strangers_do_not_keep_it_alive(
        self, house: Home, alice: Session, mallory: Session
    ) -> None:
        here = await spawn(alice, ttl_seconds=3600)
        thing = (await note(alice, here))["id"]
        house.clock.advance(3000)
        for operation, asked in (("object.get", thing), ("environment.get", here)):
            with refused("not_found"):
                await mallory.call(operation, {"id": asked})
        house.clock.advance(601)
        assert (await alice.call("environment.get", {"id": here}))["state"] == "expired"

    @promise("environment.pending")
    async def test_the_owner_revives_it_for_seven_days(self, house: Home) -> None:
        alice = await house.user("ann", ttl_seconds=90 * DAY)
        here = await spawn(alice, ttl_seconds=3600)
        thing = (await note(alice, here))["id"]
        house.clock.advance(3600 + 7 * DAY)
        seen = await alice.call("environment.finish", {"id": here, "state": "active"})
        assert seen["state"] == "active"
        assert (await alice.call("object.get", {"id": thing}))["data"] == {"n": 1}
        house.clock.advance(3600 + 7 * DAY + 1)
        with refused("conflict"):
            await alice.call("environment.finish", {"id": here, "state": "active"})
        await alice.call("environment.discard", {"id": here})

    @promise("environment.pending")
    async def test_an_agent_s_next_write_says_what_happened_to_its_environment(
        self, house: Home, robot: Session
    ) -> None:
        here = (await note(robot))["environment"]
        house.clock.advance(2 * DAY)
        with pytest.raises(ScopedError) as caught:
            await note(robot)
        assert caught.value.code == "conflict"
        assert "expired" in caught.value.message
        assert "environment_spawn" in caught.value.hint
        fresh = await spawn(robot)
        assert (await note(robot))["environment"] == fresh != here


async def _renewed(session: Session, here: str) -> Any:
    from datetime import datetime

    seen = await session.call("environment.get", {"id": here})
    return datetime.fromisoformat(seen["created_at"])


class TestDiscarding:
    async def test_what_is_inside_is_gone_for_everybody(self, alice: Session, bob: Session) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        thing = (await note(bob, here))["id"]
        seen = await alice.call("environment.discard", {"id": here, "reason": "done"})
        assert seen["state"] == "discarded"
        for who in (alice, bob):
            for asked in ({"id": thing}, {"id": thing, "version": 1}):
                with refused("not_found"):
                    await who.call("object.get", asked)
            with refused("not_found"):
                await who.call("object.history", {"id": thing})
            assert await ids(who) == []
        with refused("not_found"):
            await bob.call("environment.get", {"id": here})
        assert await ids(alice, "environment.list", state="discarded") == [here]
        with refused("conflict"):
            await alice.call("environment.discard", {"id": here})

    @promise("environment.discard")
    async def test_it_is_one_change_whatever_is_inside(self, house: Home, alice: Session) -> None:
        here = await spawn(alice)
        many = [{"type": "note", "data": {"n": n}} for n in range(50)]
        await alice.call("object.create_many", {"objects": many, "environment": here})
        await alice.call("environment.discard", {"id": here})
        newest = past_walls(select(entries.c.body).order_by(entries.c.seq.desc()).limit(1))
        row = await house.scoped.spine.database.read(lambda conn: conn.row(newest))
        assert row is not None
        assert row.body.count(b'"urn"') == 1

    @promise("environment.discard")
    async def test_its_credentials_are_revoked(self, house: Home, alice: Session) -> None:
        here = await spawn(alice)
        asked = {"name": "h", "ttl_seconds": 3600, "environment": here}
        made = await alice.call("agent.delegate", asked)
        helper = await house.scoped.session(made["token"])
        await note(helper)
        await alice.call("environment.discard", {"id": here})
        with pytest.raises(ScopedError) as caught:
            await helper.call("whoami")
        assert caught.value.code == "unauthenticated"

    @promise("environments.race")
    async def test_a_call_racing_with_it_lands_before_or_is_refused(self, alice: Session) -> None:
        here = await spawn(alice)
        calls = [note(alice, here) for _ in range(10)]
        discard = alice.call("environment.discard", {"id": here})
        found = await asyncio.gather(*calls, discard, return_exceptions=True)
        codes = {one.code for one in found if isinstance(one, ScopedError)}
        assert codes <= {"conflict"}
        assert await ids(alice) == []


class TestSweeping:
    @promise("environments.ttl")
    async def test_what_cannot_be_revived_is_swept_once_by_the_house(self, house: Home) -> None:
        alice = await house.user("ann", ttl_seconds=90 * DAY)
        old, young = await spawn(alice, ttl_seconds=60), await spawn(alice, ttl_seconds=9 * DAY)
        house.clock.advance(7 * DAY)
        assert await worker.sweep(house.scoped.spine) == 0
        house.clock.advance(120)
        async with Scoped.open(house.url, clock=house.clock) as other:
            swept = await asyncio.gather(
                worker.sweep(house.scoped.spine), worker.sweep(other.spine)
            )
        assert sum(swept) == 1
        assert (await alice.call("environment.get", {"id": old}))["state"] == "discarded"
        assert (await alice.call("environment.get", {"id": young}))["state"] == "active"
        trail = await house.root.call("audit.list", {"operation": "environment.sweep_one"})
        assert len(trail["items"]) == 1
        assert (await house.root.call("audit.verify"))["ok"]

    async def test_the_worker_sweeps_until_it_is_told_to_stop(self, house: Home) -> None:
        alice = await house.user("ann", ttl_seconds=90 * DAY)
        here = await spawn(alice, ttl_seconds=60)
        house.clock.advance(8 * DAY)
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(house.scoped.spine, stop, every=0.01))
        async with asyncio.timeout(60):
            while await ids(alice, "environment.list", state="discarded") != [here]:
                pass
        stop.set()
        await running


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("environment.use", {}),
        ("environment.extend", {}),
        ("environment.rename", {"name": "x"}),
        ("environment.finish", {"state": "active"}),
        ("environment.discard", {}),
    ],
)
async def test_what_is_discarded_is_never_said_to_come_back(
    alice: Session, operation: str, more: dict[str, Any]
) -> None:
    here = {"id": await spawn(alice)}
    await alice.call("environment.discard", here)
    with pytest.raises(ScopedError) as caught:
        await alice.call(operation, here | more)
    assert (caught.value.code, "environment_spawn" in caught.value.hint) == ("conflict", True)
    assert "environment_finish" not in caught.value.hint
