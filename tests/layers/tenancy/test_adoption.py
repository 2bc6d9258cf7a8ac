"""Ruling 33: a scope whose owners cannot act gets one, and whoever arranges it gains nothing."""

from __future__ import annotations

from typing import Any

import pytest

from scoped_mcp import Session
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _left(house: Home, bob: Session) -> tuple[str, str]:
    """A scope of carol's in which bob is a viewer, and what carol shows there."""
    carol = await house.user("carol")
    scope = (await carol.call("scope.create", {"name": "left"}))["id"]
    bobs = {"scope": scope, "principal": await _me(bob), "role": "viewer"}
    await carol.call("scope.add_member", bobs)
    note = (await carol.call("object.create", {"type": "note", "data": {"n": 1}}))["id"]
    await carol.call("object.share", {"object": note, "scope": scope})
    return scope, note


async def _adopt(who: Session, scope: str, owner: Session | str) -> dict[str, Any]:
    owner = owner if isinstance(owner, str) else await _me(owner)
    return await who.call("scope.adopt", {"id": scope, "owner": owner})


@promise("scope.adopt")
@pytest.mark.parametrize("ended", ["suspend", "archive"])
@pytest.mark.parametrize("state", ["active", "frozen", "archived"])
async def test_a_member_becomes_owner_where_no_owner_can_act(
    house: Home, bob: Session, ended: str, state: str
) -> None:
    scope, note = await _left(house, bob)
    carol = await house.user("carol")
    if state != "active":
        await carol.call("scope.set_state", {"id": scope, "state": state})
    with refused("not_found"):
        await _adopt(house.root, scope, bob)
    await house.root.call(f"principal.{ended}", {"id": house.id("carol")})
    assert await _adopt(house.root, scope, bob) == {"scope": scope, "owner": await _me(bob)}
    view = await bob.call("scope.get", {"id": scope})
    mine = next(one for one in view["members"] if one["principal"] == house.id("bob"))
    assert (mine["role"], mine["added_by"]) == ("owner", house.id("root")), "its members see it"
    if state != "active":
        await bob.call("scope.set_state", {"id": scope, "state": "active"})
    assert (await bob.call("object.get", {"id": note}))["access"] == "read"
    for call, asked in (("scope.get", {"id": scope}), ("object.get", {"id": note})):
        with refused("not_found"):
            await house.root.call(call, asked)
    assert (await house.root.call("audit.verify"))["ok"]


async def test_it_is_for_instance_admins_alone(house: Home, bob: Session) -> None:
    scope, _ = await _left(house, bob)
    await house.root.call("principal.suspend", {"id": house.id("carol")})
    with refused("denied"):
        await _adopt(bob, scope, bob)
    with refused("denied"):
        await _adopt(await house.user("mallory"), scope, bob)


@promise("scope.adopt")
async def test_nobody_on_the_admin_s_own_side_and_no_stranger_takes_it(
    house: Home, alice: Session, bob: Session
) -> None:
    scope, _ = await _left(house, bob)
    carol = await house.user("carol")
    team = await house.root.call("principal.create", {"name": "crew", "kind": "team"})
    helper = await bob.call("agent.delegate", {"name": "h", "ttl_seconds": 600})
    robot = await house.agent("robot")  # root answers for it
    inside = [house.id("root"), team["id"], helper["principal"]["id"], await _me(robot)]
    for one in inside:
        member = {"scope": scope, "principal": one, "role": "viewer"}
        await carol.call("scope.add_member", member)
    await house.root.call("principal.suspend", {"id": house.id("carol")})
    for one in (*inside, await _me(alice), house.id("carol"), f"prn_{'z' * 16}"):
        with refused("denied"):
            await _adopt(house.root, scope, one)
    await _adopt(house.root, scope, bob)


async def test_an_owner_who_is_a_delegate_of_one_who_can_act_is_not_gone(
    house: Home, alice: Session, bob: Session
) -> None:
    helper = await house.agent("helper", of=alice)
    scope = (await helper.call("scope.create", {"name": "s"}))["id"]
    await alice.call("agent.stop", {"id": house.id("helper")})
    bobs = {"scope": scope, "principal": await _me(bob), "role": "viewer"}
    await alice.call("scope.add_member", bobs)  # it fell back to her (ruling 5)
    with refused("not_found"):
        await _adopt(house.root, scope, bob)


async def test_one_that_is_not_abandoned_answers_like_one_that_is_not_there(
    house: Home, bob: Session
) -> None:
    scope, _ = await _left(house, bob)
    answers: list[str] = []
    for one in (scope, f"scp_{'z' * 16}"):
        with pytest.raises(Exception, match="not_found") as caught:
            await _adopt(house.root, one, bob)
        answers.append(str(caught.value).replace(one, "it"))
    assert answers[0] == answers[1]
    with refused("conflict"):
        await _adopt(house.root, house.scoped.spine.house.root, bob)
