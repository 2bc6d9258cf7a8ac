"""Reverting brings the scope, its stages and lineage back, and can be reverted."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from tests.layers.flow.conftest import Team, View, refused
from tests.promises import promise


async def scene(team: Team) -> dict[str, Any]:
    """The scope, where it stands in its pipelines and where it comes from."""
    page = await team.bot.call("object.list", {"scope": team.scope, "detail": "full"})
    found: dict[str, Any] = {}
    for one in page["items"]:
        placed = await team.bot.call("pipeline.list", {"object": one["id"]})
        stages = [p.get("placement", {}).get("stage") for p in placed["items"]]
        found[one["id"]] = (one["data"], one.get("name"), one["published_from"], stages)
    return found


async def turned(team: Team, promotion: str) -> View:
    return await team.alice.call("promotion.revert", {"id": promotion})


@pytest_asyncio.fixture
async def update(team: Team) -> tuple[str, str]:
    """A promotion that changed one copy and made another, at a stage; and the one before."""
    stages = [{"name": "draft"}, {"name": "live"}]
    made = {"name": "line", "scope": team.scope, "stages": stages}
    line = (await team.alice.call("pipeline.create", made))["stages"]
    to = await team.opened("to live", target={"kind": "stage", "id": line[1]["id"]})
    old, new = await team.note(team.bot, {"n": 1}, name="old"), await team.note(team.bot, {})
    first = await team.ask(team.bot, old)
    (copy,) = [o["published"] for o in (await team.decide(team.rita, first, "approve"))["objects"]]
    await team.bob.call("object.get", {"id": copy})
    await team.alice.call("stage.move", {"object": copy, "stage": line[0]["id"]})
    await team.bot.call("object.update", {"id": old, "data": {"n": 2}})
    second = await team.ask(team.bot, old, new, channel=to)
    assert (await team.decide(team.rita, second, "approve"))["state"] == "applied"
    return str(first["id"]), str(second["id"])


@promise("flow.revert")
async def test_back_and_forth_the_scope_is_as_it_was(team: Team, update: tuple[str, str]) -> None:
    _, second = update
    after = await scene(team)
    assert (await turned(team, second))["state"] == "reverted"
    before = await scene(team)
    assert len(before) == len(after) - 1
    (kept,) = before
    assert before[kept][0] == {"n": 1}
    assert before[kept][3] != after[kept][3]
    for _ in range(2):
        assert (await turned(team, second))["state"] == "applied"
        assert await scene(team) == after
        assert (await turned(team, second))["state"] == "reverted"
        assert await scene(team) == before
    assert (await team.house.root.call("audit.verify"))["ok"]


async def test_what_was_built_on_is_reverted_first(team: Team, update: tuple[str, str]) -> None:
    first, second = update
    with refused("conflict", "object_history"):
        await turned(team, first)
    await turned(team, second)
    await turned(team, first)
    assert await team.shown() == {}
    with refused("conflict", "object_history"):
        await turned(team, second)
    await turned(team, first)
    assert (await turned(team, second))["state"] == "applied"


async def test_the_first_publication_is_gone_and_comes_back(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {"n": 1}))
    done = await team.decide(team.rita, asked, "approve")
    copy = done["objects"][0]["published"]
    await turned(team, asked["id"])
    assert await team.shown() == {}
    with refused("not_found"):
        await team.bot.call("object.get", {"id": copy})
    seen = await team.bot.call("promotion.get", {"id": asked["id"]})
    assert seen["state"] == "reverted"
    assert "published" not in seen["objects"][0]
    await turned(team, asked["id"])
    assert await team.shown() == {copy: {"n": 1}}


async def test_what_was_changed_since_is_not_trampled_on(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {"n": 1}))
    done = await team.decide(team.rita, asked, "approve")
    copy = done["objects"][0]["published"]
    await team.alice.call("object.update", {"id": copy, "data": {"n": 2}})
    with refused("conflict", "object_history"):
        await turned(team, asked["id"])
    assert await team.shown() == {copy: {"n": 2}}


async def test_it_takes_an_admin_of_the_target_itself(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {}))
    await team.decide(team.rita, asked, "approve")
    for who in (team.bot, team.bob):
        with refused("denied", "admins"):
            await who.call("promotion.revert", {"id": asked["id"]})
    with refused("not_found"):
        await team.house.root.call("promotion.revert", {"id": asked["id"]})


async def test_a_frozen_scope_takes_away_and_changes_nothing(
    team: Team, update: tuple[str, str]
) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {}))
    await team.decide(team.rita, asked, "approve")
    await team.alice.call("scope.set_state", {"id": team.scope, "state": "frozen"})
    with refused("conflict", "scope_set_state"):
        await turned(team, update[1])
    assert (await turned(team, asked["id"]))["state"] == "reverted"
    with refused("conflict", "scope_set_state"):
        await turned(team, asked["id"])
