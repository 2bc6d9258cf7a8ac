"""Hearing of commits, by whatever process: LISTEN, on an own connection, while somebody waits.

Every write says NOTIFY with its commit; who does not listen pays nothing for it. What is heard says
that something was committed and nothing else: the transaction stays the authority.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from scoped_mcp.storage.commits import Commits
    from scoped_mcp.storage.postgres.address import Address

WAIT = 1.0  # seconds of one wait: as long as closing may take
AGAIN = 0.5  # seconds until the next try where the server is away
LINGER = 10.0  # seconds for which it listens on when nobody waits


class Ear:
    """Tells `commits` of what it hears while somebody waits; on one event loop."""

    def __init__(self, address: Address, commits: Commits) -> None:
        self._address = address
        self._commits = commits
        self._thread = ThreadPoolExecutor(1, "scoped-mcp-listen")
        self._raw: psycopg.Connection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0
        self._closed = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Listen at least for as long as this."""
        self._waiting += 1
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._listen())
            yield
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Listen no more."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])
        self._thread.shutdown(wait=False)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and not self._closed:  # who comes while it hangs up is heard for, too
            idle = loop.time() + LINGER
            while not self._closed and (self._waiting or loop.time() < idle):
                if self._waiting:
                    idle = loop.time() + LINGER
                if await loop.run_in_executor(self._thread, self._heard):
                    self._commits.tell()
            await loop.run_in_executor(self._thread, self._hang_up)

    def _heard(self) -> bool:
        """On its thread: whether there was anything, or may have been."""
        try:
            if self._raw is None:
                self._raw = psycopg.connect(self._address.conninfo, autocommit=True)
                self._raw.execute(
                    sql.SQL("LISTEN {}").format(sql.Identifier(self._address.channel))
                )
                return True
            return any(True for _ in self._raw.notifies(timeout=WAIT, stop_after=1))
        except psycopg.Error:  # the server went: listen again, and suppose that there was something
            self._hang_up()
            time.sleep(AGAIN)
            return False

    def _hang_up(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None
