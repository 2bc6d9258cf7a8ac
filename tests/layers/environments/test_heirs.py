"""What ended delegates left is their heir's at once; the sweeper writes it down (ruling 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.layers.environments import worker
from scoped_mcp.layers.identity import BreakGlass
from tests.conftest import Home
from tests.layers.environments.conftest import DAY, ids, invite, me, note, spawn
from tests.promises import promise
from tests.sample import refused

SEVERAL = 3
LISTS = ("object.list", "environment.list", "scope.list", "template.list", "promotion.list")


@dataclass
class Estate:
    """What `sub`, a delegate of the delegate `bot` of alice, made: one of each, and a promotion."""

    house: Home
    people: Mapping[str, Session]
    things: Mapping[str, str]

    async def end(self, name: str) -> None:
        """By who delegated it."""
        over = {"sub": "bot", "bot": "alice"}[name]
        await self.people[over].call("agent.stop", {"id": self.house.id(name)})

    async def sweep(self) -> int:
        return await worker.sweep(self.house.scoped.spine)

    async def seen(self, *without: str) -> dict[str, Any]:
        """Every answer that somebody gets about it."""
        found: dict[str, Any] = {}
        for name, session in self.people.items():
            if name in without:
                continue
            asked = [(listed, {"limit": 100}) for listed in LISTS]
            asked += [("object.list", {"state": "deleted"}), ("whoami", {})]
            for kind, public_id in self.things.items():
                asked.append((f"{kind}.get", {"id": public_id}))
                asked += [("object.history", {"id": public_id})] if kind == "object" else []
            for operation, arguments in asked:
                found[f"{name} {operation} {arguments}"] = await _answer(
                    session, operation, arguments
                )
        return found


async def _answer(session: Session, operation: str, arguments: dict[str, Any]) -> Any:
    """What is compared: a version more, by the house, is all that a sweep may show."""
    try:
        view = await session.call(operation, arguments)
    except ScopedError as error:
        return error.code
    if operation == "object.history":
        written = [one for one in view["items"] if one["version"] <= SEVERAL]
        return [{k: v for k, v in one.items() if k != "reason"} for one in written]
    return _without_versions(view)


def _without_versions(view: Any) -> Any:
    if isinstance(view, dict):
        return {k: _without_versions(v) for k, v in view.items() if k != "version"}
    return [_without_versions(one) for one in view] if isinstance(view, list) else view


async def _trail(session: Session, **filters: Any) -> list[str]:
    """The newest entries that it reads."""
    page = await session.call("audit.list", {"limit": 100, **filters})
    return [one["id"] for one in page["items"]]


@pytest.fixture
async def estate(house: Home, alice: Session, bob: Session, mallory: Session) -> Estate:
    bot = await house.agent("bot", of=alice)
    sub = await house.agent("sub", of=bot)
    here = await spawn(sub, name="shop", ttl_seconds=20 * DAY)
    made = await note(sub, here)
    for n in range(1, SEVERAL):
        await sub.call("object.update", {"id": made["id"], "data": {"n": n}})
    for guest, role in ((alice, "editor"), (bot, "viewer")):
        await invite(sub, here, guest, role)
    await alice.call(
        "environment.invite", {"id": here, "principal": await me(bob), "role": "editor"}
    )
    scope = (await sub.call("scope.create", {"name": "hall"}))["id"]
    for member, role in ((alice, "viewer"), (bot, "contributor")):
        asked = {"scope": scope, "principal": await me(member), "role": role}
        await sub.call("scope.add_member", asked)
    template = (await sub.call("template.create", {"name": "form"}))["id"]
    team = (await alice.call("scope.create", {"name": "team"}))["id"]
    for member in (bob, sub, bot):
        asked = {"scope": team, "principal": await me(member), "role": "contributor"}
        await alice.call("scope.add_member", asked)
    ends = {"target": {"kind": "scope", "id": team}, "source": {"kind": "any_environment"}}
    channel = (await alice.call("channel.create", {"name": "in", **ends}))["id"]
    asked = {"objects": [made["id"]], "channel": channel, "depends_on": [made["id"]]}
    promotion = (await bob.call("promotion.request", asked))["id"]
    people = {"alice": alice, "bob": bob, "bot": bot, "mallory": mallory, "root": house.root}
    things = {"object": made["id"], "environment": here, "scope": scope}
    return Estate(house, people, things | {"template": template, "promotion": promotion})


@promise("attenuation.rewritten")
@pytest.mark.parametrize("how", ["one after the other", "both at once"])
async def test_nobody_sees_that_it_is_written_down(estate: Estate, how: str) -> None:
    if how == "one after the other":
        await estate.end("sub")
        before = await estate.seen()
        assert await estate.sweep() == 4
        assert await estate.seen() == before
        assert await estate.sweep() == 0
    await estate.end("bot")
    before = await estate.seen("bot")
    assert await estate.sweep() == 4
    assert await estate.seen("bot") == before
    assert await estate.sweep() == 0
    alice = estate.people["alice"]
    mine = await me(alice)
    for kind in ("object", "environment", "scope", "template"):
        view = await alice.call(f"{kind}.get", {"id": estate.things[kind]})
        assert view["owner"] == mine
        assert view.get("access", "owner") == "owner"
    assert (await estate.house.root.call("audit.verify"))["ok"]


@promise("attenuation.rewritten")
async def test_two_servers_write_it_down_once_and_each_change_has_its_entry(estate: Estate) -> None:
    house = estate.house
    await estate.end("sub")
    async with Scoped.open(house.url, clock=house.clock) as other:
        spines = (house.scoped.spine, other.spine)
        assert sum(await asyncio.gather(*(worker.sweep(spine) for spine in spines))) == 4
    done = ["object.inherit", "environment.inherit", "scope.inherit", "template.inherit"]
    trail = {name: await _trail(house.root, operation=name) for name in done}
    assert [len(trail[name]) for name in done] == [1, 1, 2, 1]
    entry = await house.root.call("audit.get", {"id": trail["template.inherit"][0]})
    assert entry["parent"]
    assert entry["under"] == "sweeper"
    assert entry["owner"] == house.id("sub")
    history = await estate.people["bot"].call("object.history", {"id": estate.things["object"]})
    assert [one["version"] for one in history["items"]] == [4, 3, 2, 1]


@promise("attenuation.rewritten")
async def test_its_trail_is_read_by_whom_it_was_read(estate: Estate) -> None:
    await estate.end("sub")

    async def read(name: str) -> list[list[str]]:
        return [
            await _trail(estate.people[name], about=one, operation=of)
            for one, of in (
                (estate.things["object"], "object.update"),
                (estate.things["environment"], "environment.invite"),
                (estate.things["scope"], "scope.add_member"),
            )
        ]

    before = {name: await read(name) for name in ("alice", "bot", "root", "mallory")}
    assert all(before["bot"])
    await estate.sweep()
    assert {name: await read(name) for name in before} == before


@promise("attenuation.rewritten", "suspension.computed")
async def test_who_is_suspended_comes_back_to_all_of_it(estate: Estate) -> None:
    house, sub = estate.house, {"id": estate.house.id("sub")}
    await house.root.call("principal.suspend", sub)
    assert await estate.sweep() == 0
    await house.root.call("principal.resume", sub)
    session = await house.scoped.session(house.token("sub"))
    thing = await session.call("object.get", {"id": estate.things["object"]})
    assert (thing["access"], thing["owner"]) == ("owner", sub["id"])


@promise("attenuation.rewritten", "lifeline.alive")
async def test_who_ended_never_comes_back(estate: Estate) -> None:
    house = estate.house
    bot, sub = estate.people["bot"], await house.scoped.session(house.token("sub"))
    held = (await sub.call("token.list", {"principal": house.id("sub")}))["items"]
    await bot.call("token.revoke", {"id": held[0]["id"]})
    assert await estate.sweep() == 4
    known = await house.root.call("principal.get", {"id": house.id("sub")})
    with refused("not_found"):
        await house.scoped.spine.run_as_house(BreakGlass(name=known["name"]))
    with refused("denied"):
        asked = {"principal": house.id("sub"), "ttl_seconds": 60, "toolsets": ["core"]}
        await bot.call("token.issue", asked)


@promise("attenuation.rewritten")
@pytest.mark.parametrize("swept", [False, True])
async def test_names_that_meet_stay_and_no_third_is_given(estate: Estate, swept: bool) -> None:
    bot, here = estate.people["bot"], estate.things["environment"]
    own = await spawn(bot, name="shop")
    scope = (await bot.call("scope.create", {"name": "hall"}))["id"]
    await bot.call("template.create", {"name": "form"})
    await estate.end("sub")
    if swept:
        await estate.sweep()
    for public_id, kind in ((own, "environment"), (here, "environment"), (scope, "scope")):
        assert (await bot.call(f"{kind}.get", {"id": public_id}))["name"] in {"shop", "hall"}
    for operation, name in (
        ("environment.spawn", "shop"),
        ("scope.create", "hall"),
        ("template.create", "form"),
    ):
        with refused("conflict"):
            await bot.call(operation, {"name": name})
    await bot.call("environment.discard", {"id": own})
    with refused("conflict"):
        await bot.call("environment.spawn", {"name": "shop"})
    await bot.call("environment.discard", {"id": here})
    await spawn(bot, name="shop")


@promise("attenuation.rewritten")
@pytest.mark.parametrize("swept", [False, True])
async def test_who_is_in_it_changes_alike(estate: Estate, swept: bool) -> None:
    """What is not written down yet is, before anybody comes or goes."""
    people, things = estate.people, estate.things
    await estate.end("sub")
    if swept:
        await estate.sweep()
    bot, alice = people["bot"], people["alice"]
    hall = {"scope": things["scope"]}
    with refused("conflict"):
        await bot.call("scope.leave", {"id": things["scope"]})
    await bot.call("scope.add_member", {**hall, "principal": await me(alice), "role": "owner"})
    await bot.call("scope.leave", {"id": things["scope"]})
    members = (await alice.call("scope.get", {"id": things["scope"]}))["members"]
    assert [(one["principal"], one["role"]) for one in members] == [(await me(alice), "owner")]
    inside = {"id": things["environment"]}
    with refused("invalid"):
        await bot.call("environment.invite", {**inside, "principal": await me(bot), "role": "none"})
    scope = (await bot.call("environment.get", inside))["scope"]
    with refused("conflict"):
        await bot.call("scope.leave", {"id": scope})
    await bot.call("environment.invite", {**inside, "principal": await me(alice), "role": "none"})
    with refused("not_found"):
        await alice.call("environment.get", inside)


@promise("attenuation.rewritten", "environments.snapshots")
@pytest.mark.parametrize("swept", [False, True])
async def test_a_snapshot_from_before_comes_back_to_the_heir(estate: Estate, swept: bool) -> None:
    house, things = estate.house, estate.things
    sub = await house.scoped.session(house.token("sub"))
    here = {"id": things["environment"]}
    kept = (await sub.call("environment.snapshot", here))["id"]
    await estate.end("sub")
    if swept:
        await estate.sweep()
    bot = estate.people["bot"]
    await bot.call("object.update", {"id": things["object"], "data": {"n": 100}})
    await bot.call("environment.restore", {"snapshot": kept})
    await estate.sweep()
    thing = await bot.call("object.get", {"id": things["object"]})
    assert (thing["data"], thing["access"]) == ({"n": SEVERAL - 1}, "owner")
    members = (await bot.call("environment.get", here))["members"]
    roles = {one["principal"]: one["role"] for one in members}
    assert roles[await me(bot)] == "owner"
    again = (await bot.call("environment.snapshot", here))["id"]
    await bot.call("environment.restore", {"snapshot": again})
    assert (await house.root.call("audit.verify"))["ok"]


@promise("attenuation.rewritten")
@pytest.mark.parametrize("state", ["suspended", "completed", "discarded"])
async def test_what_takes_no_changes_is_written_down_too(estate: Estate, state: str) -> None:
    sub = await estate.house.scoped.session(estate.house.token("sub"))
    here = {"id": estate.things["environment"]}
    if state == "discarded":
        await sub.call("environment.discard", here)
    else:
        await sub.call("environment.finish", {**here, "state": state})
    await estate.end("sub")
    before = await estate.seen()
    assert await estate.sweep() == 4
    assert await estate.seen() == before


@promise("attenuation.rewritten")
async def test_who_wrote_it_still_may_not_review_it(estate: Estate) -> None:
    """Nor its side: the sweeper's version hides nobody behind it."""
    house, alice = estate.house, estate.people["alice"]
    await estate.end("sub")
    await estate.sweep()
    (channel,) = await ids(alice, "channel.list")
    await alice.call("channel.update", {"id": channel, "agents_may_review": True})
    team = (await alice.call("channel.list"))["items"][0]["target"]["id"]
    asked = {"scope": team, "principal": house.id("bot"), "role": "admin"}
    await alice.call("scope.add_member", asked)
    asked = {"objects": [estate.things["object"]], "channel": channel}
    made = (await estate.people["bob"].call("promotion.request", asked))["id"]
    bot = estate.people["bot"]
    await bot.call("promotion.get", {"id": made})
    with refused("denied"):
        await bot.call("promotion.review", {"id": made, "decision": "approve"})


@promise("attenuation.rewritten")
async def test_an_offer_of_what_fell_to_its_receiver_is_none(house: Home, alice: Session) -> None:
    helper = await house.agent("helper", of=alice)
    scope = (await helper.call("scope.create", {"name": "hall"}))["id"]
    await helper.call("scope.transfer", {"id": scope, "to": await me(alice)})
    assert scope in (await alice.call("whoami"))["waiting"]["transfers"]
    await alice.call("agent.stop", {"id": house.id("helper")})
    for _ in range(2):
        assert scope not in (await alice.call("whoami"))["waiting"]["transfers"]
        with refused("not_found"):
            await alice.call("scope.transfer_accept", {"id": scope})
        assert (await alice.call("scope.get", {"id": scope}))["role"] == "owner"
        await worker.sweep(house.scoped.spine)


@promise("attenuation.rewritten")
async def test_a_sweep_writes_down_so_many_at_a_time(house: Home, alice: Session) -> None:
    helper = await house.agent("helper", of=alice)
    here = await spawn(helper)
    things = [{"type": "note", "data": {"n": n}} for n in range(130)]
    await helper.call("object.create_many", {"objects": things, "environment": here})
    await alice.call("agent.stop", {"id": house.id("helper")})
    assert await worker.sweep(house.scoped.spine) == 131
    assert len(await _trail(house.root, operation="object.sweep")) == 2
