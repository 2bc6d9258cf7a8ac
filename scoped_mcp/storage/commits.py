"""That something was committed: a signal for who waits, the same on every engine.

It carries nothing of what was committed, so nobody can learn from it what a transaction would not
show. It is a number that grows, not a queue: however many commits there were, a waiter is woken
once, and keeps nothing but the number that it saw.

An engine tells its own commits, and whatever it hears of those of other processes.
"""

from __future__ import annotations

import asyncio


class Commits:
    """Counts commits and wakes who waits for the next; on one event loop."""

    def __init__(self) -> None:
        self._number = 1
        self._next = asyncio.Event()
        self._closed = False

    def tell(self) -> None:
        """Something was committed, or may have been."""
        self._number += 1
        self._wake()

    def close(self) -> None:
        """Nothing more is told: who waits goes, and who comes does not wait."""
        self._closed = True
        self._wake()

    async def after(self, number: int) -> int | None:
        """The newest number, once it is greater than `number`; None when nothing more is told."""
        while not self._closed:
            if self._number > number:
                return self._number
            await self._next.wait()
        return None

    def _wake(self) -> None:
        self._next.set()
        self._next = asyncio.Event()
