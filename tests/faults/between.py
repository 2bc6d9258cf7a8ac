"""What stands between a house and its PostgreSQL server, and cuts the line when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from psycopg.conninfo import conninfo_to_dict

SAID = b"COMMIT\x00"
DONE = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""PostgreSQL's answer to a commit: CommandComplete."""
When = Literal["before", "after"]


class Between:
    """A socket that passes on what it hears, until it is armed and somebody commits.

    Attributes:
        cuts: How often it has cut.
    """

    def __init__(self, server: Path) -> None:
        self.cuts = 0
        self._server = server
        self._lines: set[asyncio.Task[None]] = set()
        self._armed: When | None = None
        self._meanwhile: Callable[[], Awaitable[None]] | None = None

    def arm(self, when: When, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cut once: before the server hears of the next commit, or after it has said it is done.

        Args:
            when: Which of both.
            meanwhile: What happens before anybody learns of the cut.
        """
        self._armed, self._meanwhile = when, meanwhile

    async def _cut(self) -> None:
        self._armed = None
        self.cuts += 1
        if self._meanwhile is not None:
            await self._meanwhile()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has come."""
        self._lines.add(asyncio.create_task(self._hold(reader, writer)))

    async def close(self) -> None:
        """Hang up on whoever is still there."""
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._server)
        ways = [
            asyncio.create_task(self._pass(reader, there_writer, "before", SAID)),
            asyncio.create_task(self._pass(there_reader, writer, "after", DONE)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, there_writer):
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, when: When, mark: bytes
    ) -> None:
        with contextlib.suppress(OSError):
            while heard := await reader.read(2**16):
                if self._armed == when and mark in heard:
                    await self._cut()
                    return
                writer.write(heard)
                await writer.drain()


@asynccontextmanager
async def between(url: str, folder: Path) -> AsyncIterator[tuple[Between, str]]:
    """Such a socket, and the URL of the same database through it."""
    known = conninfo_to_dict(url)
    one = Between(Path(str(known["host"])) / ".s.PGSQL.5432")
    listening = await asyncio.start_unix_server(one.take, folder / ".s.PGSQL.5432")
    try:
        yield one, f"postgresql://{known['user']}@/{known['dbname']}?host={folder}"
    finally:
        listening.close()
        await one.close()
