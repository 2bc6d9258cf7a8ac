"""Two edit what is published: one fast-forwards, one merges, one conflicts, resolves or rebases."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from scoped_mcp import Session
from tests.layers.flow.conftest import Team, refused
from tests.promises import promise

FIRST = {"title": "plan", "body": {"a": 1, "b": 1}, "list": [1]}


@pytest_asyncio.fixture
async def copy(team: Team) -> str:
    """An object in the scope, made from a note of bot's."""
    (published,) = await team.publish(team.bot, await team.note(team.bot, FIRST))
    return published


async def fork(who: Session, thing: str, patch: dict[str, Any]) -> str:
    """Import into a fresh environment and edit there; the id of the fork."""
    home = await who.call("environment.spawn")
    await who.call("environment.import", {"id": home["id"], "objects": [thing]})
    forked = await who.call("object.update", {"id": thing, "patch": patch})
    assert forked["forked_from"]["object"] == thing
    return str(forked["id"])


@promise("promotion.fork")
async def test_an_unchanged_origin_is_fast_forwarded(team: Team, copy: str) -> None:
    mine = await fork(team.bob, copy, {"body": {"a": 2}})
    asked = await team.ask(team.bob, mine)
    one = asked["objects"][0]
    assert (one["becomes"], one["published"]) == ("merge", copy)
    assert one["lineage"][0] == {"object": copy, "version": 1}
    assert (await team.decide(team.rita, asked, "approve"))["state"] == "applied"
    assert await team.shown() == {copy: FIRST | {"body": {"a": 2, "b": 1}}}


async def test_what_does_not_overlap_is_merged(team: Team, copy: str) -> None:
    his = await fork(team.bob, copy, {"body": {"a": 2}})
    its = await fork(team.bot, copy, {"body": {"b": 3}, "new": True})
    await team.publish(team.bob, his)
    await team.publish(team.bot, its)
    assert await team.shown() == {copy: FIRST | {"body": {"a": 2, "b": 3}, "new": True}}


async def test_the_second_of_two_that_wait_is_stale_and_merges_when_asked_again(
    team: Team, copy: str
) -> None:
    his = await fork(team.bob, copy, {"body": {"a": 2}})
    its = await fork(team.bot, copy, {"body": {"b": 3}})
    first, second = await team.ask(team.bob, his), await team.ask(team.bot, its)
    assert (await team.decide(team.rita, first, "approve"))["state"] == "applied"
    assert (await team.decide(team.rita, second, "approve"))["state"] == "stale"
    assert await team.shown() == {copy: FIRST | {"body": {"a": 2, "b": 1}}}
    await team.publish(team.bot, its)
    assert await team.shown() == {copy: FIRST | {"body": {"a": 2, "b": 3}}}


@pytest.fixture
def clash() -> dict[str, Any]:
    """What bot changes against bob."""
    return {"body": {"a": 3}, "list": [1, 2]}


@pytest_asyncio.fixture
async def conflicted(team: Team, copy: str, clash: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A fork of bot's that cannot be merged any more, and the request that said so."""
    its = await fork(team.bot, copy, clash)
    his = await fork(team.bob, copy, {"body": {"a": 2}, "list": [0]})
    await team.publish(team.bob, his)
    return its, await team.ask(team.bot, its)


@promise("promotion.merge")
async def test_a_conflict_is_data_path_base_ours_theirs_and_who(
    team: Team, conflicted: tuple[str, dict[str, Any]]
) -> None:
    _, asked = conflicted
    assert asked["state"] == "conflicted"
    by = {"ours": team.house.id("bot"), "theirs": team.house.id("rita")}
    assert asked["objects"][0]["conflicts"] == [
        {"path": "/body/a", "base": 1, "ours": 3, "theirs": 2, "by": by},
        {"path": "/list", "base": [1], "ours": [1, 2], "theirs": [0], "by": by},
    ]
    with refused("conflict"):
        await team.decide(team.rita, asked, "approve")


@promise("flow.conflicts")
async def test_conflicts_are_resolved_by_path_in_a_new_request(
    team: Team, copy: str, conflicted: tuple[str, dict[str, Any]]
) -> None:
    its, _ = conflicted
    half = await team.ask(team.bot, its, resolutions={"/list": "theirs"})
    assert half["state"] == "conflicted"
    assert [one["path"] for one in half["objects"][0]["conflicts"]] == ["/body/a"]
    chosen = {f"{its}/body/a": {"value": 5}, "/list": "ours"}
    await team.publish(team.bot, its, resolutions=chosen)
    assert await team.shown() == {copy: FIRST | {"body": {"a": 5, "b": 1}, "list": [1, 2]}}


async def test_a_resolution_of_nothing_is_refused(
    team: Team, conflicted: tuple[str, dict[str, Any]]
) -> None:
    its, _ = conflicted
    for path in ("/nothing", f"{its}/title", "obj_aaaaaaaaaaaaaaaa/list"):
        with refused("invalid", "resolutions"):
            await team.ask(team.bot, its, resolutions={path: "ours", "/list": "ours"})
    for wrong in ({"list": "ours"}, {"/list": "mine"}, {"/list": {"values": 1}}):
        with refused("invalid", "promotion_request"):
            await team.ask(team.bot, its, resolutions=wrong)


@pytest.mark.usefixtures("conflicted")
async def test_importing_again_rebases(team: Team, copy: str) -> None:
    again = await fork(team.bot, copy, {"body": {"a": 3}})
    await team.publish(team.bot, again)
    assert await team.shown() == {copy: FIRST | {"body": {"a": 3, "b": 1}, "list": [0]}}


async def test_a_fork_goes_on_from_what_it_published_last(team: Team, copy: str) -> None:
    mine = await fork(team.bob, copy, {"body": {"a": 2}})
    await team.publish(team.bob, mine)
    await team.bob.call("object.update", {"id": mine, "patch": {"body": {"a": 3}}})
    await team.publish(team.bob, mine)
    assert await team.shown() == {copy: FIRST | {"body": {"a": 3, "b": 1}}}


async def test_the_first_original_still_finds_its_copy_after_a_fork_was_merged(
    team: Team,
) -> None:
    note = await team.note(team.bot, FIRST)
    (copy,) = await team.publish(team.bot, note)
    await team.publish(team.bob, await fork(team.bob, copy, {"body": {"b": 2}}))
    await team.bot.call("object.update", {"id": note, "patch": {"body": {"a": 9}}})
    await team.publish(team.bot, note)
    assert await team.shown() == {copy: FIRST | {"body": {"a": 9, "b": 2}}}


async def test_what_editors_of_the_scope_changed_is_merged_too(team: Team) -> None:
    note = await team.note(team.bot, FIRST)
    (copy,) = await team.publish(team.bot, note)
    await team.alice.call("object.update", {"id": copy, "patch": {"title": "better"}})
    await team.bot.call("object.update", {"id": note, "patch": {"list": []}})
    await team.publish(team.bot, note)
    assert await team.shown() == {copy: FIRST | {"title": "better", "list": []}}
    await team.alice.call("object.update", {"id": copy, "patch": {"list": [7]}})
    await team.bot.call("object.update", {"id": note, "patch": {"list": [8]}})
    assert (await team.ask(team.bot, note))["state"] == "conflicted"


@promise("promotion.fork")
async def test_a_fork_of_what_another_scope_owns_is_published_as_new(team: Team, copy: str) -> None:
    other = (await team.alice.call("scope.create", {"name": "other"}))["id"]
    await team.member(team.bob, "contributor", other)
    await team.member(team.rita, "admin", other)
    away = await team.opened("away", target={"kind": "scope", "id": other})
    mine = await fork(team.bob, copy, {"title": "mine"})
    (published,) = await team.publish(team.bob, mine, channel=away)
    assert published != copy
    assert await team.shown() == {copy: FIRST}


async def test_a_copy_that_is_gone_is_published_anew(team: Team) -> None:
    note = await team.note(team.bot, {})
    (copy,) = await team.publish(team.bot, note)
    asked = await team.ask(team.bot, note)
    await team.alice.call("object.delete", {"id": copy})
    assert (await team.decide(team.rita, asked, "approve"))["state"] == "stale"
    (fresh,) = await team.publish(team.bot, note)
    assert fresh != copy
