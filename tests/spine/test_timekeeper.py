"""The time of a transaction (ruling 55)."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from scoped_mcp.kernel.errors import InternalError
from scoped_mcp.spine.timekeeper import SLACK, Timekeeper
from tests.conftest import START, FixedClock, Home
from tests.sample import refused

SECOND = timedelta(seconds=1)


def test_it_is_the_clock_s_unless_the_newest_entry_is_a_little_ahead() -> None:
    clock = FixedClock()
    time = Timekeeper(clock)
    assert time.now(None) == time.now(START - SECOND) == START
    assert time.now(START + SECOND) == START + SECOND
    assert time.now(START + SLACK) == START + SLACK
    clock.advance(86_400)
    assert time.now(START) == START + timedelta(days=1)


def test_an_entry_far_ahead_of_the_clock_stops_it() -> None:
    time = Timekeeper(FixedClock())
    with pytest.raises(InternalError):
        time.now(START + SLACK + SECOND)


@pytest.mark.parametrize("way", [1, -1])
def test_a_clock_that_jumped_stops_it_until_it_is_set_right(way: int) -> None:
    clock = FixedClock()
    time = Timekeeper(clock)
    clock.jump(way * SLACK.total_seconds())
    assert time.now(None) == START + way * SLACK
    clock.jump(way)
    with pytest.raises(InternalError):
        time.now(None)
    clock.jump(-way)
    assert time.now(None) == START + way * SLACK


async def test_a_failure_that_cannot_be_traced_is_in_the_log_and_still_answered(
    house: Home, caplog: pytest.LogCaptureFixture
) -> None:
    house.clock.jump(2 * SLACK.total_seconds())
    with (
        caplog.at_level(logging.ERROR, "scoped_mcp"),
        pytest.raises(InternalError) as caught,
    ):
        await house.root.call("object.create", {"type": "note", "data": {}})
    assert caught.value.entry is None
    assert "the failure could not be traced" in caplog.text
    assert house.root_token not in caplog.text
    house.clock.jump(-2 * SLACK.total_seconds())
    with refused("invalid"):
        await house.root.call("object.create", {"type": "BAD", "data": {}})
    assert (await house.root.call("audit.verify"))["ok"]
