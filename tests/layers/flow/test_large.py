"""What is merged and compared in promotions holds nobody up, whatever its size (ruling 17)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scoped_mcp import Session
from tests.large import BOUND, MIB_ROWS, document, held, until
from tests.layers.flow.conftest import Team, refused
from tests.promises import promise

ROWS = 700


def _marked(mark: str, rows: int = ROWS, **more: Any) -> dict[str, Any]:
    return document(mark, rows) | more


async def _fork(team: Team, rows: int = ROWS) -> tuple[str, str]:
    """A large object of the scope, changed there since the bot forked it: origin and fork."""
    made = await team.note(team.bot, _marked("", rows, theirs=0, ours=0))
    (origin,) = await team.publish(team.bot, made)
    home = (await team.bot.call("environment.spawn"))["id"]
    await team.bot.call("environment.import", {"id": home, "objects": [origin]})
    change = {"id": origin, "patch": {"ours": 1}}
    fork = (await team.bot.call("object.update", change))["id"]
    await team.alice.call("object.update", {"id": origin, "patch": {"theirs": 1}})
    return origin, fork


@promise("slow.prepare")
async def test_a_large_merge_is_asked_for_shown_and_published(team: Team) -> None:
    origin, fork = await _fork(team)
    asked = await team.ask(team.bot, fork)
    assert asked["state"] == "pending"
    seen = await team.rita.call("promotion.get", {"id": asked["id"]})
    assert seen["objects"][0]["diff"] == [{"op": "replace", "path": "/ours", "value": 1}]
    done = await team.decide(team.rita, asked, "approve")
    assert done["state"] == "applied"
    assert (await team.shown())[origin] == _marked("", theirs=1, ours=1)
    assert (await team.house.root.call("audit.verify"))["ok"]


@promise("slow.nobody_waits")
@pytest.mark.slow
async def test_others_go_on_while_two_documents_of_a_mebibyte_are_merged(team: Team) -> None:
    _, fork = await _fork(team, MIB_ROWS)
    asking = asyncio.create_task(team.ask(team.bot, fork))
    done = 0
    while not asking.done():
        await team.bob.call("scope.list")
        await team.alice.call("object.create", {"type": "note", "data": {}})
        done += 1
    assert (await asking)["state"] == "pending"
    assert done > 5


@promise("slow.moved")
async def test_what_moved_while_it_was_prepared_is_prepared_again(team: Team) -> None:
    note = await team.note(team.bot, _marked("one"))
    async with held(team.house.scoped.spine.workshop) as hold:
        asking = asyncio.create_task(team.ask(team.bot, note))
        await hold.waiting()
        await team.bot.call("object.update", {"id": note, "data": _marked("two")})
        await hold.one()
        await hold.waiting()  # what was prepared was of version 1
        await hold.one()
        asked = await asking
    assert (asked["state"], asked["objects"][0]["version"]) == ("pending", 2)
    assert asked["objects"][0]["diff"][-1]["value"] == _marked("two")["row99"]


@promise("slow.moved")
async def test_what_moves_each_time_is_a_conflict_and_nothing_is_stored(team: Team) -> None:
    note = await team.note(team.bot, _marked("0"))
    async with held(team.house.scoped.spine.workshop) as hold:
        asking = asyncio.create_task(team.ask(team.bot, note))
        for n in range(4):  # once ahead of the transaction, and three times after it
            await hold.waiting()
            await team.bot.call("object.update", {"id": note, "data": _marked(str(n + 1))})
            await hold.one()
        with refused("conflict"):
            await asking
    assert (await team.bot.call("promotion.list"))["items"] == []
    asked = {"operation": "promotion.request"}
    (entry,) = (await team.bot.call("audit.list", asked))["items"]
    assert (entry["outcome"], entry["code"]) == ("failed", "conflict")


@promise("slow.prepare")
async def test_under_a_key_it_is_done_once_and_answered_again(team: Team) -> None:
    note = await team.note(team.bot, _marked("one"))
    asked = {"objects": [note], "channel": team.channel}
    first = await team.bot.call("promotion.request", asked, key="once")
    again = await team.bot.call("promotion.request", asked, key="once")
    assert again == first
    assert len((await team.bot.call("promotion.list"))["items"]) == 1


@promise("slow.prepare")
async def test_what_nobody_reviews_is_published_within_its_request(team: Team) -> None:
    channel = await team.opened("straight", approvals=0)
    note = await team.note(team.bot, _marked("one"))
    done = await team.ask(team.bot, note, channel=channel)
    assert done["state"] == "applied"
    assert list((await team.shown()).values()) == [_marked("one")]


@pytest.mark.sqlite
@promise("slow.prepare", "batch.replay")
async def test_a_batch_that_is_run_again_finds_it_prepared(team: Team) -> None:
    note = await team.note(team.bot, _marked("one"))
    database = team.house.scoped.spine.database
    entered, go = asyncio.Event(), asyncio.Event()
    loop, runs = asyncio.get_running_loop(), list[str]()

    def block(_conn: Any) -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(BOUND)

    def lose(conn: Any) -> None:
        """End the outer transaction as a full disk does; alone, behave."""
        runs.append("lose")
        if len(runs) == 1:
            conn._raw.execute("ROLLBACK")

    blocking = asyncio.create_task(database.write(block))
    await entered.wait()
    asking = asyncio.create_task(team.ask(team.bot, note))
    await until(lambda: database._queue)
    losing = asyncio.create_task(database.write(lose))
    await until(lambda: len(database._queue) == 2)
    go.set()
    await asyncio.gather(blocking, losing)
    assert (await asking)["state"] == "pending"
    assert runs == ["lose", "lose"]
    assert len((await team.bot.call("promotion.list"))["items"]) == 1
    assert (await team.house.root.call("audit.verify"))["ok"]


@promise("slow.prepare")
async def test_who_may_not_ask_starts_nothing_and_is_told_the_same(
    team: Team, mallory: Session
) -> None:
    note = await team.note(team.bot, _marked("one"))
    for one in (note, "obj_" + "a" * 16):
        with refused("not_found"):
            await mallory.call("promotion.request", {"objects": [one], "channel": team.channel})
    asked = {"operation": "promotion.request"}
    assert len((await mallory.call("audit.list", asked))["items"]) == 2
    assert team.house.scoped.spine.workshop.processes == ()
