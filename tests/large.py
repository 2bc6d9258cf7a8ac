"""Documents that are too large to be worked on beside the database, and a hold on who works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from scoped_mcp.spine.workshop import PLACES, Workshop

BOUND = 60.0  # seconds: a hang fails, it does not wait for ever
MIB_ROWS = 6_500


def document(mark: str, rows: int) -> dict[str, Any]:
    """About 150 bytes a row; with another mark it differs at every hundredth row."""
    filler = "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor"
    return {
        f"row{n}": {"n": n, "text": filler, "mark": mark if n % 100 == 0 else "", "tags": [n, "a"]}
        for n in range(rows)
    }


async def until(there: Callable[[], object]) -> None:
    """Let others work until something is so; bounded."""
    async with asyncio.timeout(BOUND):
        while not there():  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def held(workshop: Workshop) -> AsyncIterator[Hold]:
    """Every place of a workshop is taken: work waits until it is let go on, one job at a time."""
    hold = Hold(workshop)
    for _ in range(PLACES):
        await workshop._free.acquire()
    try:
        yield hold
    finally:
        for _ in range(PLACES):
            workshop._free.release()


class Hold:
    """What keeps the places of a workshop taken."""

    def __init__(self, workshop: Workshop) -> None:
        self._free = workshop._free

    async def waiting(self) -> None:
        """Somebody's work waits."""
        await until(lambda: self._free._waiters)

    async def one(self) -> None:
        """Let one job be done, and take its place again."""
        self._free.release()
        async with asyncio.timeout(BOUND):
            await self._free.acquire()
