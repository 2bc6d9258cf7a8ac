"""Room 4: a page of what is shown in many places is one question, not one a thing."""

from __future__ import annotations

from typing import Any

import pytest

from scoped_mcp import Session
from tests.conftest import Home


async def _asked(house: Home, reader: Session) -> list[str]:
    """The queries of a list; and the list shows where each thing is shown."""
    asked: list[str] = []
    database: Any = house.scoped.spine.database
    raw = database._writer.raw
    await database._writer.run(lambda: raw.set_trace_callback(asked.append))
    page = await reader.call("object.list", {})
    await database._writer.run(lambda: raw.set_trace_callback(None))
    assert all(one["scopes"] for one in page["items"])
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
