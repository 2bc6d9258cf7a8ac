"""The life of a promotion: asked, looked at, decided, published; and what others see of it."""

from __future__ import annotations

import asyncio

from scoped_mcp import Scoped
from scoped_mcp.layers import environments
from tests.layers.flow.conftest import Team, refused
from tests.promises import promise

DAY = 86_400


@promise("publish.owner", "flow.copy")
async def test_what_was_approved_is_published_as_a_copy_that_belongs_to_the_scope(
    team: Team,
) -> None:
    note = await team.note(team.bot, {"title": "found"}, name="finding")
    asked = await team.ask(team.bot, note, reason="it is ready")
    assert asked["state"] == "pending"
    assert await team.shown() == {}
    (copy,) = await team.publish(team.bot, await team.note(team.bot, {"title": "other"}))
    done = await team.decide(team.rita, asked, "approve", comment="well done")
    assert done["state"] == "applied"
    assert done["reviews"][0]["comment"] == "well done"
    published = done["objects"][0]["published"]
    seen = await team.bob.call("object.get", {"id": published})
    assert (seen["owner"], seen["data"], seen["name"]) == (
        team.scope,
        {"title": "found"},
        "finding",
    )
    assert seen["published_from"] == {"promotion": asked["id"]}
    assert seen["untrusted"] is True
    assert set(await team.shown(team.bob)) == {copy, published}
    passed = await team.rita.call("object.get", {"id": published})
    assert passed["untrusted"] is True
    mine = await team.bot.call("object.get", {"id": published})
    assert mine["published_from"] == {"promotion": asked["id"], "object": note, "version": 1}


@promise("flow.copy")
async def test_editing_the_original_changes_nothing_outside(team: Team) -> None:
    note = await team.note(team.bot, {"n": 1})
    asked = await team.ask(team.bot, note)
    await team.bot.call("object.update", {"id": note, "data": {"n": 2}})
    assert await team.state(asked) == "pending"
    done = await team.decide(team.rita, asked, "approve")
    (copy,) = [one["published"] for one in done["objects"]]
    assert await team.shown() == {copy: {"n": 1}}
    await team.bot.call("object.update", {"id": note, "data": {"n": 3}})
    await team.bot.call("object.delete", {"id": note})
    assert await team.shown() == {copy: {"n": 1}}


async def test_a_version_is_named_behind_the_id(team: Team) -> None:
    note = await team.note(team.bot, {"n": 1})
    await team.bot.call("object.update", {"id": note, "data": {"n": 2}})
    (copy,) = await team.publish(team.bot, f"{note}@1")
    assert await team.shown() == {copy: {"n": 1}}


async def test_publishing_again_is_a_new_version_of_the_same_copy(team: Team) -> None:
    note = await team.note(team.bot, {"n": 1, "kept": True})
    (copy,) = await team.publish(team.bot, note)
    await team.bot.call("object.update", {"id": note, "patch": {"n": 2}})
    asked = await team.ask(team.bot, note)
    assert asked["objects"][0]["published"] == copy
    assert asked["objects"][0]["becomes"] == "update"
    assert asked["objects"][0]["diff"] == [{"op": "replace", "path": "/n", "value": 2}]
    await team.decide(team.rita, asked, "approve")
    assert await team.shown() == {copy: {"n": 2, "kept": True}}


async def test_where_nobody_reviews_it_is_applied_at_once(team: Team) -> None:
    free = await team.opened("free", approvals=0)
    done = await team.ask(team.bot, await team.note(team.bot, {}), channel=free)
    assert done["state"] == "applied"
    assert list(await team.shown()) == [done["objects"][0]["published"]]


async def test_several_approvals_are_several_and_the_last_one_applies(team: Team) -> None:
    two = await team.opened("two", approvals=2)
    asked = await team.ask(team.bot, await team.note(team.bot, {}), channel=two)
    first = await team.decide(team.rita, asked, "approve")
    assert (first["state"], first["needed"], len(first["reviews"])) == ("pending", 2, 1)
    with refused("conflict", "promotion_get"):
        await team.decide(team.rita, asked, "approve")
    assert (await team.decide(team.alice, asked, "approve"))["state"] == "applied"


async def test_a_rejected_one_says_why_and_stays_rejected(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {}))
    done = await team.decide(team.rita, asked, "reject", comment="no sources")
    assert done["state"] == "rejected"
    seen = await team.bot.call("promotion.get", {"id": asked["id"]})
    assert (seen["state"], seen["reviews"][0]["comment"]) == ("rejected", "no sources")
    for operation, arguments in (
        ("promotion.review", {"id": asked["id"], "decision": "approve"}),
        ("promotion.revert", {"id": asked["id"]}),
    ):
        with refused("conflict", "promotion_list"):
            await team.alice.call(operation, arguments)
    with refused("conflict", "promotion_list"):
        await team.bot.call("promotion.withdraw", {"id": asked["id"]})
    assert await team.shown() == {}


async def test_it_is_taken_back_by_who_asked_alone(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {}))
    with refused("denied"):
        await team.rita.call("promotion.withdraw", {"id": asked["id"]})
    done = await team.bot.call("promotion.withdraw", {"id": asked["id"], "reason": "too early"})
    assert done["state"] == "withdrawn"
    with refused("conflict"):
        await team.decide(team.rita, asked, "approve")


@promise("flow.expiry")
async def test_it_dies_at_its_second_and_is_swept_once(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {}))
    clock = team.house.clock
    clock.advance(7 * DAY - 1)
    assert await team.state(asked) == "pending"
    clock.advance(1)
    assert await team.state(asked) == "expired"
    with refused("conflict"):
        await team.decide(team.rita, asked, "approve")
    async with Scoped.open(team.house.url, clock=clock) as other:
        spines = (team.house.scoped.spine, other.spine)
        swept = await asyncio.gather(*(environments.worker.sweep(spine) for spine in spines))
    assert sum(swept) == 1
    trail = await team.rita.call("audit.list", {"about": asked["id"]})
    assert "promotion.expire" in [one["operation"] for one in trail["items"]]


async def test_lists_answer_mine_and_what_waits_for_me(team: Team) -> None:
    mine = await team.ask(team.bot, await team.note(team.bot, {}))
    other = await team.ask(team.bob, await team.note(team.bob, {}))

    async def listed(who: object, **asked: str) -> list[str]:
        page = await who.call("promotion.list", asked)  # type: ignore[attr-defined]
        return [one["id"] for one in page["items"]]

    assert await listed(team.bot) == await listed(team.bot, role="mine") == [mine["id"]]
    assert await listed(team.rita, role="to_review") == [other["id"], mine["id"]]
    assert await listed(team.bob, role="to_review") == []
    assert (await team.rita.call("whoami"))["waiting"]["reviews"] == 2
    await team.decide(team.rita, mine, "reject")
    assert await listed(team.rita, role="to_review") == [other["id"]]
    assert await listed(team.rita, state="rejected") == [mine["id"]]
    assert await listed(team.rita, state="pending") == [other["id"]]
    assert (await team.rita.call("whoami"))["waiting"]["reviews"] == 1
    assert (await team.bob.call("whoami"))["waiting"]["reviews"] == 0


@promise("environment.pending")
async def test_a_pending_one_stops_the_clock_of_its_environment(team: Team) -> None:
    home = await team.bot.call("environment.spawn", {"ttl_seconds": 3600})
    note = await team.note(team.bot, {}, environment=home["id"])
    asked = await team.ask(team.bot, note)
    team.house.clock.advance(2 * DAY)
    assert (await team.bot.call("environment.get", {"id": home["id"]}))["state"] == "active"
    await team.bot.call("promotion.withdraw", {"id": asked["id"]})
    team.house.clock.advance(3599)
    assert (await team.bot.call("object.get", {"id": note}))["id"] == note
    team.house.clock.advance(3601)
    assert (await team.bot.call("environment.get", {"id": home["id"]}))["state"] == "expired"


@promise("flow.depends")
async def test_what_was_read_while_working_may_not_have_moved(team: Team) -> None:
    (basis,) = await team.publish(team.bot, await team.note(team.bot, {"n": 1}))
    note = await team.note(team.bot, {"sum": 1})
    asked = await team.ask(team.bot, note, depends_on=[f"{basis}@1"])
    assert asked["depends_on"] == [f"{basis}@1"]
    await team.alice.call("object.update", {"id": basis, "data": {"n": 2}})
    assert await team.state(asked) == "stale"
    assert (await team.decide(team.rita, asked, "approve"))["state"] == "stale"
    assert (await team.ask(team.bot, note, depends_on=[f"{basis}@1"]))["state"] == "stale"
    assert (await team.ask(team.bot, note, depends_on=[basis]))["state"] == "pending"


@promise("promotion.apply")
async def test_a_changed_or_closed_channel_voids_what_waits_in_it(team: Team) -> None:
    for operation, change in (
        ("channel.update", {"allowed_types": ["note"]}),
        ("channel.set_state", {"state": "closed"}),
    ):
        asked = await team.ask(team.bot, await team.note(team.bot, {}))
        await team.alice.call(operation, {"id": team.channel} | change)
        assert await team.state(asked) == "stale"
        assert (await team.decide(team.rita, asked, "approve"))["state"] == "stale"
    with refused("conflict", "channel_list"):
        await team.ask(team.bot, await team.note(team.bot, {}))
    assert await team.shown() == {}


async def test_a_deleted_original_voids_it(team: Team) -> None:
    note = await team.note(team.bot, {})
    asked = await team.ask(team.bot, note)
    await team.bot.call("object.delete", {"id": note})
    assert (await team.decide(team.rita, asked, "approve"))["state"] == "stale"


@promise("flow.checks")
async def test_checks_are_recorded_and_a_failed_one_ends_it(team: Team) -> None:
    narrow = await team.opened("narrow", allowed_types=["report"], max_bytes=10)
    note = await team.note(team.bot, {"key": "AKIA" + "ABCDEFGHIJKLMNOP"}, name="same")
    asked = await team.ask(team.bot, note, channel=narrow)
    found = {check["name"]: check["outcome"] for check in asked["checks"]}
    assert asked["state"] == "failed"
    assert found == {"types": "failed", "size": "failed", "secrets": "failed", "names": "passed"}
    assert "ABCDEFGHIJKLMNOP" not in str(asked["checks"])
    await team.publish(team.bob, await team.note(team.bob, {}, name="same"))
    asked = await team.ask(team.bot, await team.note(team.bot, {}, name="same too"))
    assert asked["state"] == "pending"
    twin = await team.bob.call("environment.spawn", {"name": "second"})
    again = await team.note(team.bob, {}, name="same", environment=twin["id"])
    assert (await team.ask(team.bob, again))["state"] == "failed"
