"""A thousand bad tokens a second: good callers are served, and the trail stays short."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp.faces.mcp.credentials import Credentials
from scoped_mcp.kernel.errors import UnauthenticatedError
from tests.faults.trail import entries
from tests.promises import promise

if TYPE_CHECKING:
    from scoped_mcp import Session
    from tests.faults.conftest import Place

pytestmark = pytest.mark.sqlite  # floods meet the door before any engine

SHAPED = "smcp_aaaaaaaaaaaaaaaa_" + "b" * 32
Bad = Callable[[int], str]


async def flood(door: Credentials, bad: Bad, rate: int, stop: asyncio.Event) -> int:
    """As many bad tokens a second, until told to stop; how many were turned away."""
    sent, begun = 0, time.monotonic()
    while not stop.is_set():
        due = int((time.monotonic() - begun) * rate)
        for number in range(sent, due):
            with pytest.raises(UnauthenticatedError):
                await door.caller(bad(number))
        sent = max(sent, due)
        await asyncio.sleep(0.001)
    return sent


async def good(session: Session, seconds: float) -> list[float]:
    """Normal load: how long each call took. On a busy machine it lasts longer, and does no less."""
    times: list[float] = []
    end, worked = time.monotonic() + seconds, time.process_time() + seconds / 5
    while time.monotonic() < end or time.process_time() < worked:
        begun = time.monotonic()
        await session.call("object.create", {"type": "note", "data": {}})
        times.append(time.monotonic() - begun)
    return times


@promise("failures.counted", "identity.flood")
@pytest.mark.parametrize(
    "seconds", [pytest.param(0.6, id="short"), pytest.param(8.0, id="long", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["the same", "each another"])
async def test_good_callers_are_served_and_failures_are_told_once_a_window(
    place: Place,
    kind: str,
    seconds: float,
    measured: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    alice = await place.user("alice")
    door = Credentials(place.scoped.spine)
    quiet = await good(alice, seconds / 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stop = asyncio.Event()

    def bad(number: int) -> str:
        return SHAPED if kind == "the same" else f"{SHAPED[:-9]}{number:09d}"

    with caplog.at_level(logging.INFO):
        flooding = asyncio.create_task(flood(door, bad, 1_000, stop))
        loud = await good(alice, seconds)
        stop.set()
        sent = await flooding
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told = [e for e in entries(place.url) if e["operation"] == "authenticate"]
    measured |= {"bad a second": round(sent / seconds), "good calls": len(loud)}
    measured["latency beside quiet"] = round(median(loud) / median(quiet), 2)
    measured["KiB more"] = grown
    assert sent > 100 * seconds
    assert len(loud) > 10 * seconds, "good callers starve"
    assert 1 <= len(told) <= 2 + seconds // 60, "one entry a source and window"
    assert {e["outcome"] for e in told} == {"denied"}
    assert grown < 64 * 1024
    assert [r for r in caplog.records if r.name.startswith("scoped_mcp")] == []
    failures = place.scoped.spine._failures
    assert len(failures._bad) <= 4_096
    assert len(failures._windows) == 1


@promise("identity.flood")
async def test_a_flooding_token_is_turned_away_before_a_row_or_a_signature_is_looked_at(
    place: Place,
) -> None:
    asked: list[str] = []

    class Counting:
        create = False

        async def proof(self, token: str) -> None:
            asked.append(token)

    door = Credentials(place.scoped.spine, Counting())  # type: ignore[arg-type]
    limit = place.scoped.spine.limits.failures_a_minute
    for _ in range(limit + 100):
        with pytest.raises(UnauthenticatedError):
            await door.caller("a.b.c")
    assert limit <= len(asked) <= limit + 2
    assert (await door.caller(place.root_token)).subject, "a good token of that address is heard"
