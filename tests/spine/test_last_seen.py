"""Ruling 18: last use is not state: a minute's precision, no version, no entry of its own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from scoped_mcp import Session
from scoped_mcp.kernel.clock import stamp
from scoped_mcp.storage.path import entries, last_seen, versions
from scoped_mcp.storage.walls import past_walls
from tests.conftest import Home
from tests.promises import promise


async def _rows(house: Home, statement: Any) -> list[tuple[Any, ...]]:
    found = await house.scoped.spine.database.read(lambda conn: conn.rows(past_walls(statement)))
    return [tuple(row) for row in found]


@promise("last_seen")
async def test_last_use_is_written_once_a_minute_without_version_or_entry(
    house: Home, alice: Session
) -> None:
    await alice.call("whoami")
    seen = select(func.max(last_seen.c.at))
    count = select(select(func.count()).select_from(versions).scalar_subquery())
    before, kept = await _rows(house, seen), await _rows(house, count)
    assert before == [(stamp(house.clock.now()),)]
    house.clock.advance(59)
    await alice.call("whoami")
    assert await _rows(house, seen) == before
    house.clock.advance(1)
    trail = len(await _rows(house, select(entries.c.seq)))
    await alice.call("whoami")
    assert await _rows(house, seen) == [(stamp(house.clock.now()),)]
    assert await _rows(house, count) == kept
    assert len(await _rows(house, select(entries.c.seq))) == trail + 1, "the call's own"
