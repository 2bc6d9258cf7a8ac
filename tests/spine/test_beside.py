"""What works beside others on PostgreSQL, and what starts again alone; who went elsewhere."""

from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import timedelta
from typing import Any

import pytest

from scoped_mcp import Session
from scoped_mcp.houses.router import Router
from scoped_mcp.kernel.errors import ConflictError, InternalError
from scoped_mcp.kernel.ids import PrincipalId
from scoped_mcp.layers.registry import ArriveInDatabase, LeaveDatabase, RegisterKinds
from scoped_mcp.spine import steps
from scoped_mcp.spine.caller import Caller
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.run import Spine
from scoped_mcp.spine.timekeeper import Timekeeper
from scoped_mcp.spine.way import Way
from tests.conftest import START, FixedClock, Home
from tests.faults import trail
from tests.sample import refused

NOTE = {"type": "note", "data": {}}


async def test_a_name_is_decided_alone(alice: Session) -> None:
    """What else is created beside could take it meanwhile."""
    await alice.call("object.create", NOTE | {"name": "the one"})
    with refused("conflict"):
        await alice.call("object.create", NOTE | {"name": "the one"})


async def test_an_agent_that_needs_an_environment_gets_it_alone(house: Home) -> None:
    agent = await house.agent("robot")
    made = await agent.call("object.create", NOTE)
    assert made["version"] == 1
    assert (await house.root.call("audit.verify"))["ok"]


async def test_a_clock_that_went_back_a_little_takes_nothing_back(
    house: Home, alice: Session
) -> None:
    made = await alice.call("object.create", NOTE)
    house.clock.jump(-2)
    changed = await alice.call("object.update", {"id": made["id"], "patch": {"x": 1}})
    assert changed["updated_at"] >= made["updated_at"]


@pytest.mark.postgresql
async def test_nobody_writes_into_the_past_of_what_they_change(
    house: Home, alice: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who began before another's change was written begins again, after it."""
    made = await alice.call("object.create", NOTE)
    loop, slow, callers = asyncio.get_running_loop(), threading.Event(), house.scoped.spine._callers
    enter = callers.enter

    def meanwhile(tx: Any, request: Any, authority: int) -> Any:
        if b"slow" in request.arguments and not slow.is_set():
            slow.set()
            house.clock.advance(60)
            quick = alice.call("object.update", {"id": made["id"], "patch": {"quick": 1}})
            asyncio.run_coroutine_threadsafe(quick, loop).result(60)
        return enter(tx, request, authority)

    monkeypatch.setattr(callers, "enter", meanwhile)
    asked = {"id": made["id"], "patch": {"slow": 1}}
    changed = await alice.call("object.update", asked)
    assert slow.is_set()
    assert (changed["version"], changed["data"]) == (3, {"quick": 1, "slow": 1})
    assert (await house.root.call("audit.verify"))["ok"]


async def test_who_went_elsewhere_answers_nobody_and_writes_nothing(
    house: Home, alice: Session
) -> None:
    spine = house.scoped.spine
    await spine.run_as_house(LeaveDatabase(to="sqlite:///there.db"))
    before = trail.entries(house.url)
    elsewhere = spine.run_as_house(ArriveInDatabase(at="sqlite:///elsewhere.db"))
    for ask in (alice.call("whoami"), spine.run_as_house(RegisterKinds()), elsewhere):
        with pytest.raises(ConflictError) as refusal:
            await ask
        assert refusal.value.elsewhere
    assert trail.entries(house.url) == before


async def test_the_house_stands_where_no_room_says_how(
    house: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "standing", None)
    done = await house.scoped.spine.run_as_house(LeaveDatabase(to="sqlite:///there.db"))
    assert done.moved_to == "sqlite:///there.db"


def test_a_caller_without_a_credential_consists_of_its_principal() -> None:
    caller = Caller(PrincipalId(f"prn_{'a' * 16}"), 7, "user", "alice")
    assert caller.keys == {caller.principal: 7}


async def test_walls_are_told_nothing_of_a_name_that_no_room_gave(house: Home) -> None:
    spine = house.scoped.spine
    told = await spine.database.read(lambda conn: steps.told(spine._begin(conn)[0], "nothing"))
    assert told is None


def test_the_spine_and_the_router_are_ways() -> None:
    """Their calls take what `Way` says, by the same names."""
    calls = [name for name, one in vars(Way).items() if inspect.isfunction(one) and name[0] != "_"]
    assert len(calls) > 5
    for name in calls:
        asked = list(inspect.signature(getattr(Way, name)).parameters)
        for kind in (Spine, Router):
            assert list(inspect.signature(getattr(kind, name)).parameters) == asked, (kind, name)


def test_the_database_s_clock_counts_where_this_process_was_given_none() -> None:
    clock = FixedClock()
    time = Timekeeper(clock, own=False)
    theirs = START + timedelta(hours=5)
    assert time.now(None, theirs) == theirs
    clock.advance(60)
    assert time.now(None, theirs + timedelta(seconds=60)) == theirs + timedelta(seconds=60)
    with pytest.raises(InternalError):
        time.now(None, START)
