"""Channels of every kind: made by the target's own admins, used by its contributors, found."""

from __future__ import annotations

from typing import Any

import pytest

from tests.layers.flow.conftest import Team, refused
from tests.promises import promise


async def listed(who: Any, **asked: Any) -> list[str]:
    return [one["name"] for one in (await who.call("channel.list", asked))["items"]]


async def test_one_environment_s_channel_is_for_what_lives_there(team: Team) -> None:
    home = (await team.bot.call("environment.spawn"))["id"]
    seat = {"id": home, "principal": team.house.id("alice"), "role": "viewer"}
    with refused("denied"):
        await team.bot.call("environment.invite", seat)
    mine = (await team.alice.call("environment.spawn"))["id"]
    source = {"kind": "environment", "id": mine}
    only = await team.opened("only", source=source)
    inside = await team.note(team.alice, {}, environment=mine)
    assert (await team.ask(team.alice, inside, channel=only))["state"] == "pending"
    with refused("invalid", "flow_routes"):
        await team.ask(team.bot, await team.note(team.bot, {}, environment=home), channel=only)
    assert await listed(team.alice, environment=mine) == ["only", "results"]
    assert await listed(team.bot, environment=home) == ["results"]
    seen = await team.bot.call("channel.list", {"target": team.scope})
    assert seen["items"][0]["source"] == {"kind": "environment"}
    with refused("not_found"):
        await team.opened("foreign", source={"kind": "environment", "id": home})


async def test_a_template_s_channel_is_for_environments_made_from_it(team: Team) -> None:
    asked = {"name": "study", "scope": team.scope}
    template = (await team.alice.call("template.create", asked))["id"]
    studies = await team.opened("studies", source={"kind": "template", "id": template})
    made = await team.bot.call("environment.spawn", {"template": template})
    note = await team.note(team.bot, {}, environment=made["id"])
    assert (await team.ask(team.bot, note, channel=studies))["state"] == "pending"
    plain = (await team.bot.call("environment.spawn"))["id"]
    with refused("invalid", "flow_routes"):
        await team.ask(team.bot, await team.note(team.bot, {}, environment=plain), channel=studies)


async def test_from_scope_to_scope_what_is_shown_or_owned_there_goes_on(team: Team) -> None:
    firm = (await team.alice.call("scope.create", {"name": "firm"}))["id"]
    for who, role in ((team.rita, "admin"), (team.bob, "contributor")):
        await team.member(who, role, firm)
    await team.member(team.bob, "editor")
    up = await team.opened(
        "up", source={"kind": "scope", "id": team.scope}, target={"kind": "scope", "id": firm}
    )
    (copy,) = await team.publish(team.bot, await team.note(team.bot, {"n": 1}))
    asked = await team.ask(team.bob, copy, channel=up)
    assert set(asked["objects"][0]["authors"]) == {team.house.id("bot")}
    done = await team.decide(team.rita, asked, "approve")
    assert done["state"] == "applied"
    assert (await team.bob.call("object.get", {"id": done["objects"][0]["published"]}))["data"] == {
        "n": 1
    }
    own = await team.bob.call("object.create", {"type": "note", "data": {}})
    with refused("invalid", "flow_routes"):
        await team.ask(team.bob, own["id"], channel=up)
    await team.bob.call("object.share", {"object": own["id"], "scope": team.scope})
    assert (await team.ask(team.bob, own["id"], channel=up))["state"] == "pending"


@promise("flow.channels")
async def test_it_is_made_by_admins_of_the_target_itself(team: Team) -> None:
    asked = {
        "name": "x",
        "source": {"kind": "any_environment"},
        "target": {"kind": "scope", "id": team.scope},
    }
    with refused("denied", "admins"):
        await team.bob.call("channel.create", asked)
    with refused("not_found"):
        await team.house.root.call("channel.create", asked)
    below = (await team.alice.call("scope.create", {"name": "b", "parent": team.scope}))["id"]
    with refused("denied", "admins"):
        to = {"target": {"kind": "scope", "id": below}}
        await team.rita.call("channel.create", asked | to)
    with refused("conflict", "channel_update"):
        await team.rita.call("channel.create", asked | {"name": "results"})
    await team.alice.call("scope.set_state", {"id": team.scope, "state": "frozen"})
    with refused("conflict", "scope_set_state"):
        await team.rita.call("channel.create", asked)


async def test_closing_works_from_above_and_opening_does_not(team: Team) -> None:
    below = (await team.alice.call("scope.create", {"name": "b", "parent": team.scope}))["id"]
    inner = await team.opened("inner", target={"kind": "scope", "id": below})
    await team.alice.call("scope.set_state", {"id": below, "state": "frozen"})
    closed = await team.rita.call("channel.set_state", {"id": inner, "state": "closed"})
    assert closed["state"] == "closed"
    assert await listed(team.alice, target=below) == []
    assert await listed(team.alice, target=below, state="closed") == ["inner"]
    with refused("denied", "admins"):
        await team.rita.call("channel.set_state", {"id": inner, "state": "active"})
    with refused("denied", "admins"):
        await team.rita.call("channel.update", {"id": inner, "approvals": 0})
    await team.alice.call("scope.set_state", {"id": below, "state": "active"})
    assert (await team.alice.call("channel.set_state", {"id": inner, "state": "active"}))["may"]


@promise("flow.channels")
async def test_the_list_says_what_one_may_do(team: Team) -> None:
    viewer = await team.house.user("viewer")
    await team.member(viewer, "viewer")
    told = {}
    people = {"alice": team.alice, "rita": team.rita, "bob": team.bob, "bot": team.bot}
    for name, who in (people | {"viewer": viewer}).items():
        (one,) = (await who.call("channel.list"))["items"]
        told[name] = one["may"]
    assert told == {
        "alice": ["request", "review", "admin"],
        "rita": ["request", "review", "admin"],
        "bob": ["request"],
        "bot": ["request"],
        "viewer": [],
    }
    assert await listed(team.house.root) == []


async def test_named_requesters_are_contributors_too(team: Team) -> None:
    viewer = await team.house.user("viewer")
    await team.member(viewer, "viewer")
    few = await team.opened("few", requesters=[team.house.id("bob"), team.house.id("viewer")])
    assert (await team.ask(team.bob, await team.note(team.bob, {}), channel=few))["id"]
    for who in (team.bot, viewer):
        with refused("denied", "channel_list"):
            await team.ask(who, await team.note(who, {}), channel=few)


async def test_asking_takes_write_on_each_object(team: Team) -> None:
    home = await team.bob.call("environment.spawn")
    seat = {"id": home["id"], "principal": team.house.id("rita"), "role": "viewer"}
    await team.bob.call("environment.invite", seat)
    note = await team.note(team.bob, {})
    with refused("denied"):
        await team.ask(team.rita, note)
    with refused("not_found"):
        await team.ask(team.bot, note)


@promise("flow.channels")
async def test_routes_lead_from_where_a_thing_is_channel_by_channel(team: Team) -> None:
    firm = (await team.alice.call("scope.create", {"name": "firm"}))["id"]
    await team.member(team.bob, "viewer", firm)
    to = {"kind": "scope", "id": firm}
    await team.opened("up", source={"kind": "scope", "id": team.scope}, target=to)
    note = await team.note(team.bob, {})
    found = await team.bob.call("flow.routes", {"start": note, "to": firm})
    assert found["can_flow"] is True
    ((first, second),) = [route["hops"] for route in found["routes"]]
    assert (first["name"], first["may"]) == ("results", ["request"])
    assert (second["name"], second["may"]) == ("up", [])
    assert second["target"] == {"kind": "scope", "id": firm, "name": "firm"}
    everywhere = await team.bob.call("flow.routes", {"start": note})
    assert [route["to"] for route in everywhere["routes"]] == [team.scope, firm]
    assert not (await team.bob.call("flow.routes", {"start": firm, "to": team.scope}))["can_flow"]
    with refused("not_found"):
        await team.bot.call("flow.routes", {"start": team.scope, "to": firm})
    with refused("invalid", "scope or a stage"):
        await team.bob.call("flow.routes", {"start": team.house.id("bob")})


TYPES = [("scope", "env"), ("environment", "scp"), ("stage", "scp"), ("template", "scp")]


@pytest.mark.parametrize(("kind", "prefix"), TYPES)
async def test_an_end_and_its_id_are_of_one_kind(team: Team, kind: str, prefix: str) -> None:
    wrong = {"kind": kind, "id": f"{prefix}_aaaaaaaaaaaaaaaa"}
    with refused("invalid", "channel_create"):
        await team.opened("x", source=wrong)
