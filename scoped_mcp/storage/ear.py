"""Hearing on SQLite that another process has committed.

`PRAGMA data_version` is another number than before on a connection when anything was committed
through a different one. So the connection is always the same, this one's own: opened when somebody
first listens, and asked only while somebody does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiosqlite

from scoped_mcp.storage import driver

if TYPE_CHECKING:
    from pathlib import Path

EVERY = 0.1  # seconds between two looks, while somebody waits
STOP_SECONDS = 5.0  # for a thread that could not open its connection


class Ear:
    """One connection that reads nothing but that number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: aiosqlite.Connection | None = None
        self._turn = asyncio.Lock()
        self._version = 0
        self._heard_at = 0.0
        self._closed = False

    async def heard(self) -> bool:
        """Whether anything was committed since it was last asked; true the first time.

        However many ask, the database is looked at once in a tenth of a second.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._closed or loop.time() - self._heard_at < EVERY / 2:
                return False
            try:
                if self._thread is None:
                    self._thread = await self._open()
                rows = await self._thread.execute_fetchall("PRAGMA data_version")
            except driver.dbapi.Error as error:
                raise driver.translate(error) from error
            self._heard_at = loop.time()
            before, self._version = self._version, next(int(row[0]) for row in rows)
            return self._version != before

    async def close(self) -> None:
        """Let go of the file."""
        async with self._turn:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                await thread.close()

    async def _open(self) -> aiosqlite.Connection:
        thread = aiosqlite.Connection(self._connect, 64)
        thread._thread.daemon = True  # noqa: SLF001 - a forgotten close must not hang exit
        try:
            return await thread
        except BaseException:  # aiosqlite stops the thread, which still speaks to this loop once
            thread._thread.join(STOP_SECONDS)  # noqa: SLF001 - aiosqlite has no public name
            raise

    def _connect(self) -> driver.Raw:
        raw = driver.connect(self._path, reader=True)
        driver.confine(raw)
        return raw
