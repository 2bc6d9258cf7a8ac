"""Who reviews: named or an admin of the target, on nobody's side, having looked (40 to 42)."""

from __future__ import annotations

import pytest

from scoped_mcp import Session
from scoped_mcp.spine.caller import Origin
from tests.layers.flow.conftest import Team, refused
from tests.promises import promise

FORGED = "0" * 64


@promise("promotion.review", "flow.forged")
async def test_nobody_reviews_what_they_asked_for(team: Team) -> None:
    asked = await team.ask(team.rita, await team.note(team.rita, {}))
    with refused("denied", "another reviewer"):
        await team.decide(team.rita, asked, "approve")
    assert (await team.decide(team.alice, asked, "approve"))["state"] == "applied"


@promise("promotion.review")
async def test_nobody_reviews_what_they_wrote(team: Team) -> None:
    home = await team.bob.call("environment.spawn")
    seat = {"id": home["id"], "principal": team.house.id("rita"), "role": "editor"}
    await team.bob.call("environment.invite", seat)
    note = await team.note(team.bob, {"n": 1})
    await team.rita.call("object.update", {"id": note, "data": {"n": 2}})
    await team.bob.call("object.update", {"id": note, "data": {"n": 3}})
    asked = await team.ask(team.bob, note)
    assert set(asked["objects"][0]["authors"]) == {team.house.id("bob"), team.house.id("rita")}
    with refused("denied", "another reviewer"):
        await team.decide(team.rita, asked, "approve")


@pytest.fixture
def toolsets() -> dict[str, list[str]]:
    """What agents that review hold."""
    return {"toolsets": ["all"]}


@promise("promotion.review")
async def test_an_agent_reviews_only_where_the_channel_says_so(team: Team) -> None:
    judge = await team.house.agent("judge")
    await team.member(judge, "admin")
    asked = await team.ask(team.bob, await team.note(team.bob, {}))
    with refused("denied"):
        await team.decide(judge, asked, "approve")
    open_ = await team.opened("open", agents_may_review=True)
    asked = await team.ask(team.bob, await team.note(team.bob, {}), channel=open_)
    assert (await team.decide(judge, asked, "approve"))["state"] == "applied"


async def test_a_delegate_never_reviews_for_its_side_nor_the_other_way_round(team: Team) -> None:
    open_ = await team.opened("open", agents_may_review=True)
    lead = await team.house.agent("lead")
    await team.member(lead, "admin")
    sub = await team.house.agent("sub", of=lead)
    await team.member(sub, "admin")
    for asks, decides in ((lead, sub), (sub, lead)):
        asked = await team.ask(asks, await team.note(asks, {}), channel=open_)
        with refused("denied"):
            await team.decide(decides, asked, "approve")
    own = await team.house.agent("own", of=team.alice)
    await team.member(own, "admin")
    asked = await team.ask(team.alice, await team.note(team.alice, {}), channel=open_)
    with refused("denied"):
        await team.decide(own, asked, "approve")


async def test_a_delegator_and_its_delegate_are_one_approval(team: Team) -> None:
    two = await team.opened("two", agents_may_review=True, approvals=2)
    lead = await team.house.agent("lead")
    await team.member(lead, "admin")
    sub = await team.house.agent("sub", of=lead)
    await team.member(sub, "admin")
    asked = await team.ask(team.bob, await team.note(team.bob, {}), channel=two)
    assert (await team.decide(lead, asked, "approve"))["state"] == "pending"
    with refused("conflict"):
        await team.decide(sub, asked, "approve")


@promise("promotion.review")
async def test_a_user_reviews_its_own_agent_s_work_unless_the_channel_is_independent(
    team: Team,
) -> None:
    helper = await team.house.agent("helper", of=team.rita)
    await team.member(helper, "contributor")
    await team.publish(helper, await team.note(helper, {}))
    apart = await team.opened("apart", independent=True)
    asked = await team.ask(helper, await team.note(helper, {}), channel=apart)
    with refused("denied"):
        await team.decide(team.rita, asked, "approve")
    assert (await team.decide(team.alice, asked, "approve"))["state"] == "applied"


async def test_named_reviewers_review_and_admins_do_not(team: Team) -> None:
    named = await team.opened("named", reviewers=[team.house.id("bob")])
    asked = await team.ask(team.bot, await team.note(team.bot, {}), channel=named)
    with refused("denied", "channel_list"):
        await team.decide(team.rita, asked, "approve")
    seen = await team.rita.call("promotion.get", {"id": asked["id"]})
    assert "object" not in seen["objects"][0]
    assert "diff" not in seen["objects"][0]
    assert (await team.decide(team.bob, asked, "approve"))["state"] == "applied"


async def test_a_reviewer_may_be_a_team(team: Team) -> None:
    crew = await team.house.root.call("principal.create", {"name": "crew", "kind": "team"})
    edge = {"source": team.house.id("bob"), "label": "member_of", "target": crew["id"]}
    await team.house.root.call("principal.relate", edge)
    named = await team.opened("named", reviewers=[crew["id"]])
    asked = await team.ask(team.bot, await team.note(team.bot, {}), channel=named)
    assert (await team.decide(team.bob, asked, "approve"))["state"] == "applied"


async def test_an_inherited_role_reviews_nothing(team: Team) -> None:
    below = await team.alice.call("scope.create", {"name": "below", "parent": team.scope})
    inner = await team.opened("inner", target={"kind": "scope", "id": below["id"]})
    await team.member(team.bot, "contributor", below["id"])
    asked = await team.ask(team.bot, await team.note(team.bot, {}), channel=inner)
    with refused("not_found"):
        await team.rita.call("promotion.get", {"id": asked["id"]})
    assert (await team.decide(team.alice, asked, "approve"))["state"] == "applied"


class TestPictures:
    async def test_a_decision_is_about_the_picture_given(self, team: Team) -> None:
        asked = await team.ask(team.bot, await team.note(team.bot, {}))
        yes = {"id": asked["id"], "decision": "approve"}
        with refused("conflict", "promotion_get"):
            await team.rita.call("promotion.review", yes | {"picture": FORGED})
        done = await team.rita.call("promotion.review", yes | {"picture": asked["picture"]})
        assert done["state"] == "applied"

    async def test_or_else_about_the_one_that_was_read_last(self, team: Team) -> None:
        asked = await team.ask(team.bot, await team.note(team.bot, {}))
        other = await team.ask(team.bot, await team.note(team.bot, {}))
        yes = {"id": asked["id"], "decision": "approve"}
        await team.rita.call("promotion.get", {"id": other["id"]})
        await team.alice.call("promotion.get", {"id": asked["id"]})
        with refused("conflict", "promotion_get"):
            await team.rita.call("promotion.review", yes)
        await team.rita.call("promotion.get", {"id": asked["id"]})
        assert (await team.rita.call("promotion.review", yes))["state"] == "applied"

    async def test_two_promotions_never_have_the_same(self, team: Team) -> None:
        note = await team.note(team.bot, {})
        seen = {(await team.ask(team.bot, note))["picture"]}
        await team.bot.call("object.update", {"id": note, "data": {"n": 1}})
        seen.add((await team.ask(team.bot, note))["picture"])
        seen.add((await team.ask(team.bot, note, channel=await team.opened("b")))["picture"])
        assert len(seen) == 3


@promise("promotion.review")
async def test_a_person_decides_on_the_command_line_not_in_a_model_s_session(
    team: Team,
) -> None:
    person = await team.opened("person", decide="person")
    asked = await team.ask(team.bot, await team.note(team.bot, {}), channel=person)
    with refused("denied", "scoped-mcp review"):
        await team.decide(team.rita, asked, "approve")
    shell = await at_the_shell(team, "rita")
    assert (await team.decide(shell, asked, "approve"))["state"] == "applied"


async def at_the_shell(team: Team, name: str) -> Session:
    return await team.house.scoped.session(team.house.token(name), Origin(face="cli"))


@promise("agents.scopes")
async def test_an_agent_s_scope_takes_a_user_s_approval(team: Team) -> None:
    root, bot = team.house.root, team.bot
    own = (await bot.call("scope.create", {"name": "own"}))["id"]
    asked = {
        "name": "in",
        "source": {"kind": "any_environment"},
        "target": {"kind": "scope", "id": own},
    }
    with refused("invalid", "approvals=1"):
        await bot.call("channel.create", asked | {"approvals": 0})
    place = {"scope": own, "principal": team.house.id("root"), "role": "admin"}
    await bot.call("scope.add_member", place)
    helper = await team.house.agent("helper", of=bot)
    place = {"scope": own, "principal": team.house.id("helper"), "role": "admin"}
    await bot.call("scope.add_member", place)
    channel = await bot.call("channel.create", asked | {"agents_may_review": True})
    waiting = await team.ask(bot, await team.note(bot, {}), channel=channel["id"])
    with refused("denied"):
        await team.decide(helper, waiting, "approve")
    assert (await team.decide(root, waiting, "approve"))["state"] == "applied"
