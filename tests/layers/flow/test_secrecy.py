"""What leaves is seen when it has left; what is inside stays there (rulings 34, 44 and 47)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scoped_mcp import ScopedError, Session
from scoped_mcp.spine.declare import Effect, catalogue, id_fields
from tests.layers.flow.conftest import Team, View, refused
from tests.promises import promise

SECRET = "the inside of it"


async def everything_about(who: Session, ids: list[str]) -> str:
    """Every read about every id, as text."""
    heard: list[Any] = []
    for operation in catalogue.values():
        if not operation.tool or operation.effect is not Effect.READ:
            continue
        fields = list(id_fields(operation.command)) or [""]
        for field in fields:
            for one in ids:
                asked = dict(operation.command.example) | ({field: one} if field else {})
                try:
                    heard.append(await who.call(operation.name, asked))
                except ScopedError as error:
                    heard.append([error.code, error.message.replace(one, "it")])
    return json.dumps(heard)


async def waiting(team: Team) -> tuple[str, str, View]:
    home = (await team.bot.call("environment.spawn", {"name": SECRET}))["id"]
    note = await team.note(team.bot, {"text": SECRET}, name=SECRET, environment=home)
    return home, note, await team.ask(team.bot, note, reason=SECRET)


@pytest.mark.parametrize("who", ["root", "viewer", "auditor", "mallory"])
@promise("promotion.read")
async def test_while_it_waits_nobody_but_its_reviewers_hears_of_it(team: Team, who: str) -> None:
    other = team.house.root if who == "root" else await team.house.user(who)
    if who in {"viewer", "auditor"}:
        await team.member(other, who)
    home, note, asked = await waiting(team)
    heard = await everything_about(other, [asked["id"], note, home])
    assert SECRET not in heard
    assert note not in heard.replace(f'"about": "{note}"', "")
    with refused("not_found"):
        await other.call("promotion.get", {"id": asked["id"]})
    page = await other.call("promotion.list")
    assert page["items"] == []


async def test_reviewers_read_contents_through_the_promotion_alone(team: Team) -> None:
    home, note, asked = await waiting(team)
    seen = await team.rita.call("promotion.get", {"id": asked["id"]})
    assert seen["objects"][0]["object"] == note
    assert seen["objects"][0]["diff"] == [{"op": "add", "path": "/text", "value": SECRET}]
    assert seen["reason"] == SECRET
    assert "environment" not in seen
    assert seen["requester"] == team.house.id("bot")
    assert seen["asker"]["sponsors"] == [team.house.id("root")]
    closed = {"object.get": note, "object.history": note, "environment.get": home}
    for operation, named in closed.items():
        with refused("not_found"):
            await team.rita.call(operation, {"id": named})


@promise("promotion.read")
async def test_once_it_is_decided_reviewers_read_what_was_published_and_no_more(
    team: Team,
) -> None:
    _, note, asked = await waiting(team)
    await team.decide(team.rita, asked, "reject")
    seen = await team.rita.call("promotion.get", {"id": asked["id"]})
    assert seen["objects"] == [{"version": 1, "becomes": "new"}]
    again = await team.ask(team.bot, note)
    done = await team.decide(team.rita, again, "approve")
    (one,) = done["objects"]
    assert "object" not in one
    assert one["diff"] == [{"op": "add", "path": "/text", "value": SECRET}]


async def test_who_does_not_review_a_channel_hears_which_checks_failed_and_not_of_what(
    team: Team,
) -> None:
    narrow = await team.opened("n", allowed_types=["x"], reviewers=[team.house.id("bob")])
    _, note, _ = await waiting(team)
    asked = await team.ask(team.bot, note, channel=narrow)
    assert note in asked["checks"][0]["detail"]
    for who in (team.rita, team.bob):
        seen = await who.call("promotion.get", {"id": asked["id"]})
        assert seen["state"] == "failed"
        assert seen["checks"][0] == {"name": "types", "outcome": "failed"}
        assert note not in json.dumps(seen)


async def test_members_see_what_was_published_and_how_but_not_what_is_behind(team: Team) -> None:
    viewer = await team.house.user("viewer")
    await team.member(viewer, "viewer")
    _, note, asked = await waiting(team)
    done = await team.decide(team.rita, asked, "approve")
    copy = done["objects"][0]["published"]
    await team.bot.call("object.update", {"id": note, "data": {"text": "later"}})
    seen = await viewer.call("promotion.get", {"id": asked["id"]})
    assert seen["state"] == "applied"
    assert seen["objects"][0]["published"] == copy
    assert "object" not in seen["objects"][0]
    heard = await everything_about(viewer, [asked["id"], copy])
    assert note not in heard
    assert "later" not in heard


async def test_the_trail_of_the_scope_tells_that_and_what_not_from_where(team: Team) -> None:
    home, note, asked = await waiting(team)
    await team.decide(team.rita, asked, "approve")
    trail = await team.alice.call("audit.list", {"about": asked["id"]})
    told = {one["operation"] for one in trail["items"]}
    assert told == {"promotion.request", "promotion.get", "promotion.review", "promotion.apply"}
    details = [await team.alice.call("audit.get", {"id": one["id"]}) for one in trail["items"]]
    assert not {home, note} & set(json.dumps(details).replace('"', " ").split())
    under = {one["operation"]: one.get("under") for one in details}
    assert under == dict.fromkeys(told) | {"promotion.apply": "channel"}


async def test_a_pinned_agent_sees_the_promotions_and_channels_of_its_environment(
    team: Team,
) -> None:
    home, note, asked = await waiting(team)
    other = (await team.bot.call("environment.spawn"))["id"]
    elsewhere = await team.ask(team.bot, await team.note(team.bot, {}, environment=other))
    side = (await team.alice.call("scope.create", {"name": "side"}))["id"]
    await team.opened("that one", source={"kind": "scope", "id": side})
    limits = {"environment": home}
    pinned = await team.house.agent("pinned", of=team.bot, **limits)
    assert (await pinned.call("channel.list"))["items"] == []
    await team.member(pinned, "contributor")
    listed = await pinned.call("promotion.list")
    assert [one["id"] for one in listed["items"]] == [asked["id"]]
    channels = await pinned.call("channel.list")
    assert [one["id"] for one in channels["items"]] == [team.channel]
    with refused("not_found"):
        await pinned.call("promotion.get", {"id": elsewhere["id"]})
    await pinned.call("object.update", {"id": note, "data": {"text": "by the pinned one"}})
    mine = await team.ask(pinned, note)
    assert mine["state"] == "pending"
    assert (await pinned.call("promotion.withdraw", {"id": mine["id"]}))["state"] == "withdrawn"
