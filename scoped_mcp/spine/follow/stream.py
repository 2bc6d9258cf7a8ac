"""What one client follows, and what of it that is still to be told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.context import Record
    from scoped_mcp.spine.declare import Operation
    from scoped_mcp.spine.follow.worker import Follows
    from scoped_mcp.spine.parse import Request


class End(StrEnum):
    """Why nothing more is told."""

    LEFT = "left"
    GONE = "gone"
    UNAUTHENTICATED = "unauthenticated"
    STALLED = "stalled"
    UNANSWERED = "unanswered"
    STOPPED = "stopped"


@dataclass(eq=False)
class Follow:
    """One read that stays open.

    Attributes:
        key: What its client calls it.
        request: The read, as it was asked.
        opened: What the entry of its opening says.
        seen: A digest of the answer at the last look.
    """

    stream: Stream
    key: str
    request: Request
    operation: Operation
    opened: Record
    seen: bytes = b""


class Stream:
    """What one client follows: a name once, and once that it has changed until that is taken.

    async for key in stream: ...

    Attributes:
        lasting: Whether it goes on when everything that it followed is gone.
        ended: Why it is over, once it is.
        authorised_at: When a look last found its credential good, by the loop's clock.
    """

    def __init__(
        self, hub: Follows, token: Proof, origin: Origin, *, lasting: bool = False
    ) -> None:
        self.token = token
        self.origin = replace(origin, key=None)
        self.lasting = lasting
        self.ended: End | None = None
        self.follows: dict[str, Follow] = {}
        self.authorised_at = 0.0
        self._hub = hub
        self._pending: dict[str, None] = {}
        self._wake = asyncio.Event()

    async def open(self, key: str, name: str, arguments: Mapping[str, Any]) -> None:
        """Follow what this read answers, instead of what had the same key before.

        Raises:
            ScopedError: it was refused; the refusal stands in the trail.
        """
        # In a task of its own: once its entry is written it is followed, or ended, by somebody.
        await asyncio.shield(self._hub.task(self._hub.open(self, key, name, arguments)))

    def drop(self, key: str) -> None:
        """Follow this no more."""
        self._pending.pop(key, None)
        if key in self.follows:
            self._hub.leave(self.follows[key], End.LEFT)

    def close(self, why: End = End.LEFT) -> None:
        """Follow nothing more; what is still to be told is told only where it is gone."""
        if self.ended is not None:
            return
        self.ended = why
        if why is not End.GONE:
            self._pending.clear()
        for follow in list(self.follows.values()):
            self._hub.leave(follow, why)
        self._wake.set()

    def tell(self, key: str) -> None:
        """That this has changed."""
        self._pending[key] = None
        self._wake.set()

    def __aiter__(self) -> Stream:
        """What has changed, one after the other, until it ends."""
        return self

    async def __anext__(self) -> str:
        """The key of what has changed."""
        while not self._pending:
            if self.ended is not None:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._pending))
        del self._pending[key]
        return key
