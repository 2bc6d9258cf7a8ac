"""A house that lived for years: what is over is thousands, and what is asked for is a page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from scoped_mcp import Session
from scoped_mcp.layers.environments.operations.closing import CREDENTIALS
from tests.conftest import Home
from tests.layers.environments.conftest import invite, me, note, spawn
from tests.promises import promise

AT_ONCE = 50
STEPS = 10
GROWTH = 1.3
"""What is over is ten times as much: of what grows with it, so are the steps."""


def _links(house: Home) -> list[Any]:
    database: Any = house.scoped.spine.database
    return [database._writer, *database._readers]


async def asked(house: Home, reader: Session, operation: str, **arguments: Any) -> list[str]:
    """The queries of a read, wherever it is done."""
    found: list[str] = []
    for link in _links(house):
        await link.run(lambda raw=link.raw: raw.set_trace_callback(found.append))
    await reader.call(operation, arguments)
    for link in _links(house):
        await link.run(lambda raw=link.raw: raw.set_trace_callback(None))
    return [sql for sql in found if sql.startswith(("SELECT", "WITH"))]


@asynccontextmanager
async def counted(house: Home) -> AsyncIterator[list[int]]:
    """How many steps the database takes meanwhile, in tens."""
    steps: list[int] = []

    def tick() -> int:
        steps.append(1)
        return 0

    for link in _links(house):
        await link.run(lambda raw=link.raw: raw.set_progress_handler(tick, STEPS))
    yield steps
    for link in _links(house):
        await link.run(lambda raw=link.raw: raw.set_progress_handler(None, 0))


async def cost(house: Home, reader: Session, operation: str, **arguments: Any) -> int:
    """The steps of an operation that was done before: what is prepared once, is prepared."""
    await reader.call(operation, arguments)
    async with counted(house) as steps:
        await reader.call(operation, arguments)
    return len(steps)


async def many(number: int, make: Callable[[int], Awaitable[Any]]) -> list[Any]:
    found: list[Any] = []
    for first in range(0, number, AT_ONCE):
        some = range(first, min(first + AT_ONCE, number))
        found += await asyncio.gather(*(make(each) for each in some))
    return found


async def _agent(alice: Session, number: int, **more: Any) -> None:
    asked = {"name": f"agent {number}", "ttl_seconds": 60, **more}
    await alice.call("agent.delegate", asked)


class Lives:
    """Of everything that lists show, some more: each thing of its own scope, made by an agent."""

    def __init__(self, house: Home, alice: Session) -> None:
        self.house, self.alice = house, alice
        self.number = 0

    async def live(self, turns: int) -> None:
        for _ in range(turns):
            self.number += 1
            name, alice = f"life {self.number}", self.alice
            agent = await self.house.agent(name, of=alice)
            guest = await self.house.user(f"guest {self.number}")
            scope = (await alice.call("scope.create", {"name": name}))["id"]
            member = {"scope": scope, "principal": await me(guest), "role": "viewer"}
            await alice.call("scope.add_member", member)
            home = await spawn(alice, name=name)
            await invite(alice, home, guest, "editor")
            await note(agent, home)
            thing = await note(alice)
            await alice.call("object.share", {"object": thing["id"], "scope": scope})


LISTS = (
    "whoami",
    "object.list",
    "environment.list",
    "scope.list",
    "token.list",
    "session.list",
    "audit.list",
)


@pytest.mark.sqlite
@promise("lists.once")
async def test_what_a_page_names_is_asked_for_once_however_much_it_is(
    house: Home, alice: Session
) -> None:
    lives = Lives(house, alice)
    await lives.live(3)
    few = {name: len(await asked(house, alice, name)) for name in LISTS}
    await lives.live(7)
    much = {name: len(await asked(house, alice, name)) for name in LISTS}
    assert {name: much[name] for name in LISTS if much[name] > few[name]} == {}


@pytest.mark.sqlite
async def test_the_members_of_a_scope_are_asked_for_once(house: Home, alice: Session) -> None:
    scope = (await alice.call("scope.create", {"name": "all"}))["id"]

    async def join(number: int) -> None:
        who = await me(await house.user(f"member {number}"))
        await alice.call("scope.add_member", {"scope": scope, "principal": who, "role": "viewer"})

    for number in range(3):
        await join(number)
    few = len(await asked(house, alice, "scope.get", id=scope))
    for number in range(3, 12):
        await join(number)
    assert len(await asked(house, alice, "scope.get", id=scope)) == few


@pytest.mark.sqlite
@promise("trail.page")
async def test_a_page_of_the_trail_costs_a_page_however_long_it_is(
    house: Home, alice: Session, bob: Session
) -> None:
    thing = (await note(bob))["id"]
    reads = [{}, {"session": (await alice.call("whoami"))["session"]["id"]}, {"about": thing}]
    readers = [alice, alice, bob]
    for turn in range(2):
        calls = 60 if turn == 0 else 600
        await many(calls, lambda _: alice.call("whoami"))
        await many(calls, lambda _: bob.call("object.get", {"id": thing}))
        costs = [
            await cost(house, reader, "audit.list", **asked)
            for reader, asked in zip(readers, reads, strict=True)
        ]
        if turn == 0:
            first = costs
    assert all(now < GROWTH * before for now, before in zip(costs, first, strict=True))


@pytest.mark.sqlite
@promise("environment.over")
async def test_discarded_environments_cost_nothing_any_more(house: Home, alice: Session) -> None:
    thing = (await note(alice))["id"]
    await spawn(alice, name="current")
    reads: tuple[tuple[str, dict[str, str]], ...] = (
        ("object.list", {}),
        ("object.get", {"id": thing}),
        ("scope.list", {}),
        ("audit.list", {"about": thing}),
    )

    async def live_on(number: int) -> None:
        made = await many(number, lambda n: alice.call("environment.spawn", {"purpose": f"{n}"}))
        await many(number, lambda n: alice.call("environment.discard", {"id": made[n]["id"]}))

    await live_on(20)
    few = {name: await cost(house, alice, name, **arguments) for name, arguments in reads}
    await live_on(180)
    much = {name: await cost(house, alice, name, **arguments) for name, arguments in reads}
    assert {name: much[name] for name in much if much[name] > GROWTH * few[name]} == {}


@pytest.mark.sqlite
@promise("attenuation.single")
async def test_one_thing_is_not_looked_for_among_all_that_agents_ever_left(
    house: Home, alice: Session, bob: Session
) -> None:
    home, thing = await spawn(alice), (await note(alice))["id"]
    scope = (await bob.call("scope.create", {"name": "team"}))["id"]
    member = {"scope": scope, "principal": await me(alice), "role": "contributor"}
    await bob.call("scope.add_member", member)
    await alice.call("object.share", {"object": thing, "scope": scope})
    theirs = (await note(bob))["id"]
    await bob.call("object.share", {"object": theirs, "scope": scope})
    await invite(alice, home, bob, "viewer")
    number = iter(range(1_000))

    async def live_on(turns: int) -> None:
        for _ in range(turns):
            await many(AT_ONCE, lambda _: _agent(alice, next(number)))
            house.clock.advance(61)

    reads: tuple[tuple[str, dict[str, Any]], ...] = (
        ("object.update", {"id": thing, "data": {}}),
        ("object.get", {"id": theirs}),
        ("environment.get", {"id": home}),
        ("scope.get", {"id": scope}),
        ("principal.get", {"id": await me(bob)}),
        ("environment.spawn", {}),
    )
    await live_on(1)
    few = {name: await cost(house, alice, name, **arguments) for name, arguments in reads}
    await live_on(5)
    much = {name: await cost(house, alice, name, **arguments) for name, arguments in reads}
    assert {name: much[name] for name in much if much[name] > GROWTH * few[name]} == {}


async def test_who_archived_scopes_finds_them_in_the_list_of_those_and_not_in_whoami(
    alice: Session,
) -> None:
    kept = (await alice.call("scope.create", {"name": "kept"}))["id"]
    top = (await alice.call("scope.create", {"name": "top"}))["id"]
    below = (await alice.call("scope.create", {"name": "below", "parent": top}))["id"]
    assert [one["id"] for one in (await alice.call("whoami"))["scopes"]] == [kept, top, below]
    await alice.call("scope.set_state", {"id": top, "state": "archived"})
    assert [one["id"] for one in (await alice.call("whoami"))["scopes"]] == [kept]
    archived = (await alice.call("scope.list", {"state": "archived"}))["items"]
    assert [one["id"] for one in archived] == [top]


@pytest.mark.slow
@pytest.mark.sqlite
@promise("environment.thousand")
async def test_agents_that_ended_do_not_count_among_those_pinned_to_an_environment(
    house: Home, alice: Session
) -> None:
    home = await spawn(alice, ttl_seconds=86_400)
    for first in range(0, CREDENTIALS + AT_ONCE, AT_ONCE):
        await many(AT_ONCE, lambda n, first=first: _agent(alice, first + n, environment=home))
        house.clock.advance(61)
    assert (await alice.call("whoami"))["delegates"] == []
