"""Whoever is in more environments than a filter names sees in lists what single reads show."""

from __future__ import annotations

from typing import Any

from scoped_mcp import ScopedError, Session
from scoped_mcp.layers.audit import ListEntries
from scoped_mcp.layers.environments import ListEnvironments
from scoped_mcp.layers.objects import ListObjects
from scoped_mcp.layers.tenancy import FEW
from tests.conftest import Home
from tests.layers.environments.conftest import ids, invite, note, spawn
from tests.promises import promise

LISTS = {"object.list": "object.get", "environment.list": "environment.get"}


async def shown(session: Session, things: list[str], operation: str) -> set[str]:
    """Those of some things that a single read shows."""
    found: set[str] = set()
    for one in things:
        try:
            found.add((await session.call(operation, {"id": one}))["id"])
        except ScopedError as error:
            assert error.code == "not_found"
    return found


async def agree(session: Session, made: dict[str, list[str]]) -> list[int]:
    """How many of each kind are shown: the same in lists as one by one."""
    counts: list[int] = []
    for listing, reading in LISTS.items():
        singly = await shown(session, made[listing], reading)
        assert set(await ids(session, listing)) & set(made[listing]) == singly
        counts.append(len(singly))
    return counts


@promise("lists.once")
async def test_lists_show_what_single_reads_do_in_many_environments(
    house: Home, alice: Session, bob: Session
) -> None:
    most = FEW + 3
    made: dict[str, list[str]] = {name: [] for name in LISTS}
    for number in range(most):
        home = await spawn(alice, name=f"home {number}")
        made["environment.list"].append(home)
        made["object.list"].append((await note(alice, home))["id"])
        if number < FEW + 2:
            await invite(alice, home, bob, "viewer" if number % 2 else "editor")
    first: dict[str, Any] = {"environment": made["environment.list"][0]}
    callers = {
        "owner": alice,
        "guest": bob,
        "agent": await house.agent("agent", of=alice),
        "below": await house.agent("below", of=bob),
        "pinned": await house.agent("pinned", of=alice, **first),
    }
    told = {name: await agree(caller, made) for name, caller in callers.items()}
    assert told["owner"] == [most] * 2
    assert told["guest"] == [FEW + 2] * 2
    assert told["pinned"] == [1] * 2
    assert told["agent"] == [1] * 2  # where its delegator works
    assert told["below"] == [0] * 2
    for gone in made["environment.list"][5:]:
        await alice.call("environment.discard", {"id": gone})
    assert await agree(bob, made) == [5] * 2


async def test_the_house_is_inside_of_none(house: Home, alice: Session) -> None:
    """It has no credential to be there by; what it reads of the trail is its own."""
    await note(alice, await spawn(alice))
    spine = house.scoped.spine
    for asked in (ListObjects(), ListEnvironments()):
        assert (await spine.run_as_house(asked, "sweeper")).items == ()
    trail = (await spine.run_as_house(ListEntries(), "sweeper")).items
    assert trail
    assert {one.operation for one in trail}.isdisjoint({"environment.spawn", "object.create"})
