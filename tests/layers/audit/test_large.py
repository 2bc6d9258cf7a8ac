"""Verification of a long trail: what an entry costs does not grow with the trail, nor does memory.

1,000,000 entries take too long to write here; what grows is seen in far fewer, as SQLite counts
its own steps. (A whole million was verified once in 20 s and 80 MiB.)
"""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from scoped_mcp.layers.audit.store import verify
from scoped_mcp.storage import driver
from scoped_mcp.storage.connection import SQLiteConn
from tests.conftest import Home
from tests.promises import promise

FEW, MANY = 500, 3_000
CALLERS = 32
EVERY = 100  # steps
MIB = 1 << 20


async def grow(house: Home, entries: int) -> None:
    left = iter(range(entries))

    async def caller() -> None:
        for _ in left:
            await house.root.call("whoami")

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def cost(house: Home) -> tuple[float, int]:
    """Steps of the database per entry, and the most memory that verification held."""
    raw = driver.connect(house.path)
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    raw.set_progress_handler(tick, EVERY)
    tracemalloc.start()
    counted, finding = verify(SQLiteConn(raw))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    raw.close()
    assert finding is None
    return ticks * EVERY / counted.entries, peak


@pytest.mark.sqlite  # it counts the steps of SQLite's machine
@promise("audit.million")
async def test_an_entry_costs_the_same_however_long_the_trail_is(house: Home) -> None:
    await grow(house, FEW)
    steps, memory = cost(house)
    await grow(house, MANY - FEW)
    more_steps, more_memory = cost(house)
    assert more_steps < 1.15 * steps
    assert more_memory < memory + MIB
