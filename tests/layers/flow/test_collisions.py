"""Two at once: one outcome each, both are told the truth, and the trail is whole."""

from __future__ import annotations

import asyncio
from typing import Any

from scoped_mcp import ScopedError, Session
from tests.layers.flow.conftest import Team, View
from tests.promises import promise

DAY = 86_400


async def told(who: Session, operation: str, arguments: View) -> Any:
    """The state answered, or the code of the refusal."""
    try:
        return (await who.call(operation, arguments)).get("state", "done")
    except ScopedError as error:
        return error.code


async def both(one: Any, other: Any) -> tuple[Any, Any]:
    """Both at once, in either order."""
    return tuple(await asyncio.gather(one, other))  # type: ignore[return-value]


async def waiting(team: Team, who: Session | None = None, **more: Any) -> tuple[View, View]:
    """A promotion that waits, and the approval of it that rita has ready."""
    who = who or team.bot
    asked = await team.ask(who, await team.note(who, {"n": 1}), **more)
    await team.rita.call("promotion.get", {"id": asked["id"]})
    return asked, {"id": asked["id"], "decision": "approve", "picture": asked["picture"]}


async def whole(team: Team) -> None:
    found = await team.house.root.call("audit.verify")
    assert found["ok"], found["problem"]


@promise("environment.pending", "flow.races")
async def test_approve_and_discard(team: Team) -> None:
    for first in ("approve", "discard", "either"):
        home = (await team.bot.call("environment.spawn"))["id"]
        _, yes = await waiting(team)
        before, applied = await team.shown(), first == "approve"
        approve = told(team.rita, "promotion.review", yes)
        discard = told(team.bot, "environment.discard", {"id": home})
        if first == "approve":
            assert (await approve, await discard) == ("applied", "discarded")
        elif first == "discard":
            assert (await discard, await approve) == ("discarded", "stale")
        else:
            answers = await both(approve, discard)
            assert answers in {("applied", "discarded"), ("stale", "discarded")}
            applied = answers[0] == "applied"
        assert len(await team.shown()) == len(before) + applied
    await whole(team)


@promise("promotion.picture")
async def test_approve_and_edit(team: Team) -> None:
    for first in ("approve", "edit"):
        note = await team.note(team.bot, {"n": first})
        asked = await team.ask(team.bot, note)
        yes = {"id": asked["id"], "decision": "approve", "picture": asked["picture"]}
        approve = told(team.rita, "promotion.review", yes)
        edit = told(team.bot, "object.update", {"id": note, "data": {"n": "edited"}})
        order = (approve, edit) if first == "approve" else (edit, approve)
        assert set(await both(*order)) == {"applied", "active"}
    assert {one["n"] for one in (await team.shown()).values()} == {"approve", "edit"}
    await whole(team)


@promise("flow.reviewer")
async def test_approve_and_revoke_the_reviewer_s_role(team: Team) -> None:
    _, yes = await waiting(team)
    gone = {"scope": team.scope, "principal": team.house.id("rita")}
    revoke = told(team.alice, "scope.remove_member", gone)
    approve = told(team.rita, "promotion.review", yes)
    assert await both(revoke, approve) == ("active", "not_found")
    assert await team.shown() == {}
    await whole(team)


@promise("promotion.apply", "flow.reviewer")
async def test_a_reviewer_who_lost_the_role_before_the_last_approval_voids_it(
    team: Team,
) -> None:
    two = await team.opened("two", approvals=2)
    asked, yes = await waiting(team, channel=two)
    assert await told(team.rita, "promotion.review", yes) == "pending"
    gone = {"scope": team.scope, "principal": team.house.id("rita")}
    await team.alice.call("scope.remove_member", gone)
    assert await told(team.alice, "promotion.review", yes) == "stale"
    assert await team.state(asked, team.bot) == "stale"
    assert await team.shown() == {}


@promise("promotion.apply")
async def test_a_requester_who_lost_the_role_voids_it(team: Team) -> None:
    _, yes = await waiting(team)
    gone = {"scope": team.scope, "principal": team.house.id("bot")}
    await team.alice.call("scope.remove_member", gone)
    assert await told(team.rita, "promotion.review", yes) == "stale"
    _, yes = await waiting(team, team.bob)
    await team.house.root.call("principal.suspend", {"id": team.house.id("bob")})
    assert await told(team.rita, "promotion.review", yes) == "stale"
    assert await team.shown() == {}


async def test_spawn_and_suspend_the_principal(team: Team) -> None:
    bot = {"id": team.house.id("bot")}
    for first in ("spawn", "suspend"):
        name = f"{first} first"
        spawn = told(team.bot, "environment.spawn", {"name": name})
        suspend = told(team.house.root, "principal.suspend", bot)
        if first == "spawn":
            assert await both(spawn, suspend) == ("active", "suspended")
        else:
            assert await both(suspend, spawn) == ("suspended", "unauthenticated")
        assert await told(team.bot, "environment.list", {}) == "unauthenticated"
        await team.house.root.call("principal.resume", bot)
        found = (await team.bot.call("environment.list"))["items"]
        assert [one["name"] for one in found] == ["spawn first"]
    await whole(team)


async def test_two_approvals_for_the_last_slot(team: Team) -> None:
    _, yes = await waiting(team)
    one = told(team.rita, "promotion.review", yes)
    other = told(team.alice, "promotion.review", yes)
    assert sorted(await both(one, other)) == ["applied", "conflict"]
    assert len(await team.shown()) == 1
    await whole(team)


@promise("flow.races")
async def test_two_promotions_of_one_published_object(team: Team) -> None:
    note = await team.note(team.bot, {"n": 1})
    (copy,) = await team.publish(team.bot, note)
    decisions = []
    for n in (2, 3):
        await team.bot.call("object.update", {"id": note, "data": {"n": n}})
        asked = await team.ask(team.bot, note)
        yes = {"id": asked["id"], "decision": "approve", "picture": asked["picture"]}
        decisions.append(told(team.rita, "promotion.review", yes))
    answers = await both(*decisions)
    assert answers in {("applied", "stale"), ("stale", "applied")}
    assert await team.shown() == {copy: {"n": 2 if answers[0] == "applied" else 3}}
    await whole(team)


async def test_two_first_promotions_of_one_object(team: Team) -> None:
    note = await team.note(team.bot, {"n": 1})
    decisions = []
    for _ in range(2):
        asked = await team.ask(team.bot, note)
        yes = {"id": asked["id"], "decision": "approve", "picture": asked["picture"]}
        decisions.append(told(team.rita, "promotion.review", yes))
    assert sorted(await both(*decisions)) == ["applied", "stale"]
    assert len(await team.shown()) == 1


async def test_expiry_and_approve(team: Team) -> None:
    _, yes = await waiting(team)
    team.house.clock.advance(7 * DAY)
    assert await told(team.rita, "promotion.review", yes) == "conflict"
    assert await team.shown() == {}


async def test_withdraw_and_approve(team: Team) -> None:
    applied = 0
    for _ in range(3):
        asked, yes = await waiting(team)
        approve = told(team.rita, "promotion.review", yes)
        withdraw = told(team.bot, "promotion.withdraw", {"id": asked["id"]})
        answers = await both(approve, withdraw)
        assert answers in {("applied", "conflict"), ("conflict", "withdrawn")}
        applied += answers[0] == "applied"
        assert len(await team.shown()) == applied
    await whole(team)


async def test_approve_and_freeze(team: Team) -> None:
    asked, yes = await waiting(team)
    freeze = told(team.alice, "scope.set_state", {"id": team.scope, "state": "frozen"})
    assert await both(freeze, told(team.rita, "promotion.review", yes)) == ("frozen", "conflict")
    assert await team.state(asked) == "pending"
    await team.alice.call("scope.set_state", {"id": team.scope, "state": "active"})
    assert await told(team.rita, "promotion.review", yes) == "applied"


async def test_an_approval_sent_twice_under_one_key_is_one(team: Team) -> None:
    _, yes = await waiting(team)
    first = await team.rita.call("promotion.review", yes, key="once")
    again = await team.rita.call("promotion.review", yes, key="once")
    assert (first["state"], again["state"]) == ("applied", "applied")
    assert len(await team.shown()) == 1
