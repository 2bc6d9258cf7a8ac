"""Room 4: a page of what stands in many places, or under many, is one question, not one a thing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scoped_mcp import Session
from tests.conftest import Home
from tests.promises import promise

AGENTS = 550  # a statement of SQLite's takes 500 parts
AT_ONCE = 50
AUTHORS = 30


async def _asked(house: Home, reader: Session) -> list[str]:
    """The queries of a list."""
    asked: list[str] = []
    database: Any = house.scoped.spine.database
    raw = database._writer.raw
    await database._writer.run(lambda: raw.set_trace_callback(asked.append))
    page = await reader.call("object.list", {})
    await database._writer.run(lambda: raw.set_trace_callback(None))
    assert page["items"]
    return [sql for sql in asked if sql.startswith(("SELECT", "WITH"))]


@pytest.mark.sqlite
async def test_a_page_of_many_scopes_asks_as_often_as_one_of_two(
    house: Home, alice: Session, bob: Session
) -> None:
    me = (await bob.call("whoami"))["principal"]["id"]

    async def shown(number: int) -> None:
        for _ in range(number):
            thing = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
            scope = (await alice.call("scope.create", {"name": f"of {thing}"}))["id"]
            await alice.call("object.share", {"object": thing, "scope": scope})
            place = {"scope": scope, "principal": me, "role": "viewer"}
            await alice.call("scope.add_member", place)

    await shown(2)
    few = await _asked(house, bob)
    await shown(10)
    many = await _asked(house, bob)
    assert few
    assert len(many) == len(few)


@promise("attenuation.many")
async def test_who_had_hundreds_of_agents_lists_what_they_left(house: Home, alice: Session) -> None:
    left: list[str] = []
    for first in range(0, AGENTS, AT_ONCE):
        names = (f"agent {first + n}" for n in range(AT_ONCE))
        asked = ({"name": name, "ttl_seconds": 60, "toolsets": ["all"]} for name in names)
        made = await asyncio.gather(*(alice.call("agent.delegate", one) for one in asked))
        for one in made[: AUTHORS - len(left)]:
            agent = await house.scoped.session(one["token"])
            left.append((await agent.call("object.create", {"type": "note", "data": {}}))["id"])
        house.clock.advance(61)
    page = await alice.call("object.list", {"limit": 100})
    assert {one["id"] for one in page["items"]} == set(left)
    assert {one["access"] for one in page["items"]} == {"owner"}
    assert len((await alice.call("whoami"))["delegates"]) == 0
    assert (await alice.call("token.list", {"limit": 100}))["items"]
    assert (await alice.call("audit.list", {"limit": 100}))["items"]
