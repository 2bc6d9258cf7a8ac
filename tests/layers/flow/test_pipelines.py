"""Stages are entered in order, with the approvals they take; the way back is open."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from tests.layers.flow.conftest import Team, View, refused
from tests.promises import promise


@pytest_asyncio.fixture
async def line(team: Team) -> list[str]:
    """The stages draft, tested and live; the last takes two approvals."""
    stages = [{"name": "draft"}, {"name": "tested"}, {"name": "live", "approvals": 2}]
    asked = {"name": "line", "scope": team.scope, "stages": stages}
    made = await team.alice.call("pipeline.create", asked)
    await team.member(team.bob, "editor")
    return [one["id"] for one in made["stages"]]


@pytest_asyncio.fixture
async def copy(team: Team) -> str:
    """Something in the scope that the agent wrote."""
    return (await team.publish(team.bot, await team.note(team.bot, {"n": 1})))[0]


async def move(team: Team, copy: str, stage: str, who: Any = None) -> View:
    return await (who or team.bob).call("stage.move", {"object": copy, "stage": stage})


async def test_an_explicit_null_within_an_argument_is_absence_too(team: Team) -> None:
    stages = [{"name": "draft", "approvals": None}]
    asked = {"name": "line", "scope": team.scope, "stages": stages}
    made = await team.alice.call("pipeline.create", asked)
    assert [one["approvals"] for one in made["stages"]] == [0]


@promise("flow.stages")
async def test_an_object_goes_on_one_by_one_and_back_at_will(
    team: Team, line: list[str], copy: str
) -> None:
    with refused("invalid", "pipeline_list"):
        await move(team, copy, line[1])
    for stage in (line[0], line[1]):
        assert (await move(team, copy, stage))["stage"] == stage
    with refused("invalid"):
        await move(team, copy, line[1])
    with refused("conflict", "stage_request"):
        await move(team, copy, line[2])
    assert (await move(team, copy, line[0]))["version"] == 3
    (seen,) = (await team.bot.call("pipeline.list", {"object": copy}))["items"]
    assert seen["placement"]["stage"] == line[0]


@promise("flow.stages")
async def test_a_stage_that_takes_approvals_is_asked_for(
    team: Team, line: list[str], copy: str
) -> None:
    for stage in line[:2]:
        await move(team, copy, stage)
    place = {"object": copy, "stage": line[2]}
    asked = await team.bob.call("stage.request", place)
    assert (asked["wanted"], asked["needed"], asked["stage"]) == (line[2], 2, line[1])
    yes = {"id": asked["id"]}
    with refused("denied", "admins"):
        await team.bob.call("stage.approve", yes)
    once = await team.rita.call("stage.approve", yes)
    assert once["approved_by"] == [team.house.id("rita")]
    with refused("conflict", "another admin"):
        await team.rita.call("stage.approve", yes)
    done = await team.alice.call("stage.approve", yes)
    assert done["stage"] == line[2]
    assert "wanted" not in done
    assert (await move(team, copy, line[1]))["stage"] == line[1]


async def test_an_approval_is_for_the_version_that_there_was(
    team: Team, line: list[str], copy: str
) -> None:
    for stage in line[:2]:
        await move(team, copy, stage)
    asked = await team.bob.call("stage.request", {"object": copy, "stage": line[2]})
    await team.rita.call("stage.approve", {"id": asked["id"]})
    await team.bob.call("object.update", {"id": copy, "data": {"n": 2}})
    with refused("conflict", "stage_request"):
        await team.alice.call("stage.approve", {"id": asked["id"]})


async def test_who_wrote_or_asked_does_not_approve(team: Team, line: list[str], copy: str) -> None:
    for stage in line[:2]:
        await move(team, copy, stage)
    asked = await team.rita.call("stage.request", {"object": copy, "stage": line[2]})
    with refused("denied", "another admin"):
        await team.rita.call("stage.approve", {"id": asked["id"]})
    await team.alice.call("object.update", {"id": copy, "data": {"n": 2}})
    asked = await team.bob.call("stage.request", {"object": copy, "stage": line[2]})
    with refused("denied", "another admin"):
        await team.alice.call("stage.approve", {"id": asked["id"]})


async def test_a_channel_publishes_into_a_stage_and_on_from_there(
    team: Team, line: list[str]
) -> None:
    to = await team.opened("to tested", target={"kind": "stage", "id": line[1]})
    on = await team.opened(
        "on", source={"kind": "stage", "id": line[1]}, target={"kind": "stage", "id": line[2]}
    )
    note = await team.note(team.bot, {"n": 1})
    (copy,) = await team.publish(team.bot, note, channel=to)
    (seen,) = (await team.bot.call("pipeline.list", {"object": copy}))["items"]
    assert seen["placement"]["stage"] == line[1]
    asked = await team.ask(team.bob, copy, channel=on)
    assert asked["objects"][0]["becomes"] == "stage"
    await team.alice.call("object.update", {"id": copy, "data": {"n": 2}})
    assert (await team.decide(team.rita, asked, "approve"))["state"] == "stale"
    (same,) = await team.publish(team.bob, copy, channel=on)
    assert same == copy
    (seen,) = (await team.bot.call("pipeline.list", {"object": copy}))["items"]
    assert seen["placement"]["stage"] == line[2]
    assert await team.shown() == {copy: {"n": 2}}
    with refused("invalid", "flow_routes"):
        await team.ask(team.bob, copy, channel=on)


async def test_only_what_is_in_the_scope_enters_its_stages(team: Team, line: list[str]) -> None:
    own = (await team.bob.call("object.create", {"type": "note", "data": {}}))["id"]
    with refused("invalid", "flow_routes"):
        await move(team, own, line[0])
    await team.bob.call("object.share", {"object": own, "scope": team.scope})
    assert (await move(team, own, line[0]))["stage"] == line[0]
    with refused("denied"):
        await move(team, own, line[1], team.bot)


async def test_a_frozen_scope_moves_nothing(team: Team, line: list[str], copy: str) -> None:
    own = (await team.bob.call("object.create", {"type": "note", "data": {}}))["id"]
    await team.bob.call("object.share", {"object": own, "scope": team.scope})
    await team.alice.call("scope.set_state", {"id": team.scope, "state": "frozen"})
    with refused("conflict", "scope_set_state"):
        await move(team, own, line[0])
    with refused("denied"):
        await move(team, copy, line[0], team.alice)


async def test_names_are_taken_once_and_made_by_admins(team: Team, line: list[str]) -> None:
    assert len(line) == 3
    asked = {"name": "line", "scope": team.scope, "stages": [{"name": "one"}]}
    with refused("conflict", "pipeline_list"):
        await team.rita.call("pipeline.create", asked)
    with refused("denied", "admins"):
        await team.bob.call("pipeline.create", asked | {"name": "other"})
    with refused("not_found"):
        await team.house.root.call("pipeline.create", asked)
