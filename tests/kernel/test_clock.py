"""Time is aware UTC, and its text sorts as it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from scoped_mcp.kernel.clock import SystemClock, SystemEntropy, moment, stamp

zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
times = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001 - the strategy adds the zone


@given(times)
def test_what_is_stamped_is_read_back(time: datetime) -> None:
    assert moment(stamp(time)) == time
    assert moment(stamp(time)).tzinfo is UTC


@given(times, times)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (stamp(one) < stamp(other)) == (one < other)
    assert len(stamp(one)) == len(stamp(other)) == 27


def test_the_machine_s_clocks_go_forward() -> None:
    clock = SystemClock()
    now, elapsed = clock.now(), clock.elapsed()
    assert now.tzinfo is UTC
    assert clock.now() >= now
    assert clock.elapsed() >= elapsed


def test_chance_is_as_long_as_asked_and_never_twice() -> None:
    entropy = SystemEntropy()
    assert {len(entropy.draw("x", n)) for n in (1, 10, 32)} == {1, 10, 32}
    assert entropy.draw("x", 16) != entropy.draw("x", 16)
