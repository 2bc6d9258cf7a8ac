"""A clock that jumps: writing stops where the trail would lie, and says how to mend it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp import Scoped, ScopedError
from scoped_mcp.kernel.clock import moment
from tests.conftest import FixedClock
from tests.faults.conftest import open_place
from tests.faults.trail import entries
from tests.grounds import Ground
from tests.promises import promise

if TYPE_CHECKING:
    from pathlib import Path

SLACK = 300
NOTE: dict[str, Any] = {"type": "note", "data": {}}


def times(url: str) -> list[str]:
    return [entry["at"] for entry in entries(url)]


@promise("clock.order")
@pytest.mark.parametrize("seconds", [SLACK + 1, -SLACK - 1, 86_400.0, -86_400.0])
async def test_a_jump_of_more_than_five_minutes_stops_writing_until_it_is_undone(
    tmp_path: Path, ground: Ground, seconds: float
) -> None:
    clock = FixedClock()
    async with open_place(tmp_path, clock, ground) as place:
        before = len(entries(place.url))
        clock.jump(seconds)
        for operation, given in (("object.create", NOTE), ("object.list", {}), ("whoami", {})):
            with pytest.raises(ScopedError) as refused:
                await place.root.call(operation, given)
            assert refused.value.code == "internal"
            assert "clock" in refused.value.message
            assert "clock" in refused.value.hint
        assert len(entries(place.url)) == before
        clock.jump(-seconds)
        await place.root.call("object.create", NOTE)
        assert (await place.root.call("audit.verify"))["ok"]


@promise("clock.order")
async def test_a_small_jump_back_never_turns_the_trail_around(
    tmp_path: Path, ground: Ground
) -> None:
    clock = FixedClock()
    async with open_place(tmp_path, clock, ground) as place:
        for seconds in (60, -30, -200, 10, -60, 120):
            clock.jump(seconds)
            clock.advance(1)
            await place.root.call("object.create", NOTE)
        stamps = times(place.url)
        assert stamps == sorted(stamps)
        assert (await place.root.call("audit.verify"))["ok"]


async def test_hours_of_sleep_are_no_jump(tmp_path: Path, ground: Ground) -> None:
    clock = FixedClock()
    async with open_place(tmp_path, clock, ground) as place:
        clock.advance(8 * 3_600)
        await place.root.call("object.create", NOTE)


@promise("clock.order")
async def test_a_house_whose_newest_entry_is_ahead_of_the_clock_does_not_write(
    tmp_path: Path, ground: Ground
) -> None:
    clock = FixedClock()
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(open_place(tmp_path, clock, ground))
        url, token = place.url, place.root_token
        await place.scoped.spine.database.close()
        await _behind(url, token)


async def _behind(url: str, token: str) -> None:
    held = len(entries(url))
    behind = FixedClock()
    behind.advance(-SLACK - 1)
    async with Scoped.open(url, clock=behind) as scoped:
        with pytest.raises(ScopedError) as refused:
            await scoped.session(token)
        assert refused.value.code == "internal"
        assert "clock" in refused.value.message
        assert refused.value.hint
        assert len(entries(url)) == held
        behind.advance(2)
        root = await scoped.session(token)
        await root.call("object.create", NOTE)
    stamps = times(url)
    assert stamps == sorted(stamps)
    assert moment(stamps[-1]) >= moment(stamps[held - 1])
