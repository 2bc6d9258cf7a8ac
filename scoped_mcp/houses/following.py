"""Reads that stay open, in whichever house a credential leads to: it stays open for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from scoped_mcp.kernel.errors import ScopedError
from scoped_mcp.spine.follow import End, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from scoped_mcp.app import Scoped
    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.follow import Follows

    At = Callable[[Proof], contextlib.AbstractAsyncContextManager[Scoped]]
    Reread = Callable[[], Awaitable[object]]


class Following:
    """What `Follows` is for one house, before several."""

    def __init__(self, home: Follows, at: At, reread: Reread) -> None:
        self._home = home
        self._at = at
        self._reread = reread
        self._led: set[_Led] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    def stream(self, token: Proof, origin: Origin, *, lasting: bool = False) -> Stream:
        """Somewhere to follow things, for one client; `Follows.stream` says more."""
        return _Led(self, self._home, token, origin, lasting=lasting)

    def stop(self) -> None:
        """End all and refuse what is new: the server stops."""
        self._home.stop()
        for stream in list(self._led):
            stream.close(End.STOPPED)

    async def close(self) -> None:
        """The same, and return when every house was let go of."""
        self.stop()
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def enter(self, stream: _Led) -> Follows:
        """Open the house that the stream's credential leads to, and keep it until it ends."""
        scoped = await stream.kept.enter_async_context(self._at(stream.token))
        self._led.add(stream)
        if stream.ended is not None:  # its client left meanwhile
            self.leave(stream)
        return scoped.follows

    async def look_again(self, stream: _Led) -> None:
        """Let go of a house that was the wrong one to ask, and read anew which is the right one."""
        left, stream.kept = stream.kept, contextlib.AsyncExitStack()
        await left.aclose()
        await self._reread()

    def leave(self, stream: _Led) -> None:
        """Let go of the house of a stream that has ended."""
        self._led.discard(stream)
        task = asyncio.create_task(stream.kept.aclose())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class _Led(Stream):
    """A stream that finds its house when it first opens something there."""

    def __init__(
        self, following: Following, home: Follows, token: Proof, origin: Origin, *, lasting: bool
    ) -> None:
        super().__init__(home, token, origin, lasting=lasting)
        self.kept = contextlib.AsyncExitStack()
        self._following = following
        self._entered: asyncio.Task[Follows] | None = None

    async def open(self, key: str, name: str, arguments: Mapping[str, Any]) -> None:
        """Follow what this read answers, in the house that the credential leads to.

        One that moved is followed; what is followed where it was ends there.

        Raises:
            ScopedError: it was refused, or the house cannot be opened.
        """
        try:
            await self._open(key, name, arguments)
        except ScopedError as refusal:
            if not refusal.elsewhere or self.follows:
                raise
            self._entered = None
            await self._following.look_again(self)
            await self._open(key, name, arguments)

    async def _open(self, key: str, name: str, arguments: Mapping[str, Any]) -> None:
        if self._entered is None:
            self._entered = asyncio.create_task(self._following.enter(self))
        try:
            self._hub = await asyncio.shield(self._entered)
        except BaseException:
            self._entered = None
            raise
        await super().open(key, name, arguments)

    def close(self, why: End = End.LEFT) -> None:
        """Follow nothing more."""
        first = self.ended is None
        super().close(why)
        if first:
            self._following.leave(self)
