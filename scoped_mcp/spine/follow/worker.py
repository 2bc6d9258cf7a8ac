"""Everything that is followed in one process, and the one task that looks at it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextvars import Context as Variables
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import (
    Code,
    InternalError,
    LimitedError,
    ScopedError,
    UnauthenticatedError,
    outline,
)
from scoped_mcp.spine import parse
from scoped_mcp.spine.caller import External
from scoped_mcp.spine.follow import looks
from scoped_mcp.spine.follow.stream import End, Follow, Stream

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.context import Record
    from scoped_mcp.spine.declare import Operation
    from scoped_mcp.spine.follow.looks import Found
    from scoped_mcp.spine.run import Spine

TICK = 0.2  # seconds: looks begin at whole ticks, whoever's commit is the reason
AT_ONCE = 16  # looks in one snapshot: other readers get their turn
REST = 9  # times as long as the looks took: whatever is followed, it takes a tenth of the time
EVERY = 10.0  # seconds from one look at everything to the next
WITHIN = 15.0  # seconds: who could not be authorised again by then is not followed any more
AGAIN = 1.0  # seconds until the next try where the database has trouble
MOST = 1_000  # what one process follows, whoever asks
_LOST = frozenset({Code.NOT_FOUND, Code.DENIED})
_ALL = 0  # the position behind which everything is
log = logging.getLogger("scoped_mcp")


class Follows:
    """Opens, looks, ends.

    Attributes:
        tick: Seconds between two moments at which looks may begin.
        every: Seconds from one look at everything to the next.
        within: Seconds after which who could not be authorised again is not followed any more.
    """

    def __init__(self, spine: Spine) -> None:
        self.tick = TICK
        self.every = EVERY
        self.within = WITHIN
        self._spine = spine
        self._streams: dict[Stream, None] = {}
        self._held: Counter[object] = Counter()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._stopped = False

    def stream(self, token: Proof, origin: Origin, *, lasting: bool = False) -> Stream:
        """Somewhere to follow things, for one client.

        Args:
            token: Its credential, which each look authenticates.
            origin: Where it came in.
            lasting: Whether it goes on when everything that it followed is gone.
        """
        return Stream(self, token, origin, lasting=lasting)

    def stop(self) -> None:
        """End all and refuse what is new: the server stops."""
        self._stopped = True
        for stream in list(self._streams):
            stream.close(End.STOPPED)

    async def close(self) -> None:
        """The same, and return when the last end is traced."""
        self.stop()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        while self._tasks:
            await asyncio.wait(self._tasks)

    def task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that is done whatever becomes of who wants it; `close` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # raised to whoever waits for it, if anybody still does

    async def open(self, stream: Stream, key: str, name: str, arguments: Mapping[str, Any]) -> None:
        """The read on the path; then what it answers now, to compare with.

        Raises:
            ScopedError: it was refused; the refusal stands in the trail.
        """
        asked = parse.of_call(name, arguments, stream.token, stream.origin, self._spine.limits)
        operation = cast("Operation", asked.operation)
        opened: list[Record] = []  # the last one counts, where a batch is done again
        first = replace(
            asked,
            operation=looks.opening(operation, opened.append),
            refusal=self._full(stream.token) or asked.refusal,
        )
        holder = _holder(stream.token)
        self._held[holder] += 1
        try:
            await self._spine._answer(first)
        except BaseException:
            self._release(holder)
            raise
        follow = Follow(stream, key, asked, operation, opened[-1])
        try:
            async with self._turn:  # no pass between the look and what it is good for
                (found,) = await self._looks([follow])
                self._begin(follow, found)
        except BaseException:
            self._release(holder)
            self.task(self._note(follow, End.UNANSWERED))
            raise

    def _begin(self, follow: Follow, found: Found) -> None:
        """Compare with this from now on.

        Raises:
            ScopedError: it was lost since it was opened, or the server stops.
        """
        if isinstance(found, ScopedError):
            raise found
        if self._stopped:
            message = "the server is stopping"
            raise InternalError(message, hint="subscribe again when it is back", retry=True)
        stream, loop = follow.stream, asyncio.get_running_loop()
        before = stream.follows.get(follow.key)
        if before is not None:
            self.leave(before, End.LEFT)
        follow.seen = found
        stream.follows[follow.key] = follow
        stream.authorised_at = loop.time()
        self._streams[stream] = None
        if stream.ended is not None:  # its client left meanwhile
            self.leave(follow, stream.ended)
        elif self._watcher is None or self._watcher.done():
            self._watcher = loop.create_task(self._watch(), context=Variables())

    def leave(self, follow: Follow, why: End) -> None:
        """Follow this no more, and trace that."""
        stream = follow.stream
        del stream.follows[follow.key]
        if not stream.follows:
            self._streams.pop(stream, None)
        self._release(_holder(stream.token))
        self.task(self._note(follow, why))

    async def _note(self, follow: Follow, why: End) -> None:
        end = partial(looks.trace_end, self._spine, follow=follow, why=why)
        try:
            await self._spine.database.write(end, beside=True)
        except Exception as error:  # noqa: BLE001 - it is logged, and ended it is
            if _is_elsewhere(error):  # what was left takes no entry more
                return
            log.error("an end could not be traced: %s", outline(error))  # noqa: TRY400 - see `outline`

    def _full(self, token: Proof) -> LimitedError | None:
        limit = self._spine.limits.subscriptions
        if self._held[_holder(token)] >= limit:
            message = f"this credential has {limit} subscriptions open, which is the limit"
            return LimitedError(message, hint="end one of them first")
        if self._held.total() >= MOST:
            message = f"this server process has {MOST} subscriptions open, which is the limit"
            return LimitedError(message, hint="try again later", retry=True)
        return None

    def _release(self, holder: object) -> None:
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]

    async def _watch(self) -> None:
        """Look where there is reason to, until nothing is followed."""
        loop = asyncio.get_running_loop()
        heard, came_to, due = 0, _ALL, loop.time()
        while self._streams:
            try:
                heard, came_to = await self._reason(heard, came_to, due)
                began, whole = loop.time(), came_to == _ALL
                async with asyncio.timeout_at(due + self.within - self.every):
                    came_to = await self._pass(came_to)
                due = began + self.every if whole else due
                spent = loop.time() - began
                await asyncio.sleep(min(spent * REST, max(0.0, due - loop.time())))
            except Exception as error:  # noqa: BLE001 - it is logged, and tried again
                if _is_elsewhere(error):  # the house moved: there it is opened anew
                    for stream in list(self._streams):
                        stream.close(End.UNANSWERED)
                    continue
                log.error("a look failed: %s", outline(error))  # noqa: TRY400 - see `outline`
                came_to = _ALL
                await asyncio.sleep(AGAIN)
            for stream in list(self._streams):
                if loop.time() - stream.authorised_at > self.within:
                    stream.close(End.UNANSWERED)

    async def _reason(self, heard: int, came_to: int, due: float) -> tuple[int, int]:
        """Wait until something was committed, and then for the tick; or until all is due."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(due):
                heard = await self._spine.database.changed(heard)
                await asyncio.sleep(self.tick - loop.time() % self.tick)
        except TimeoutError:
            return heard, _ALL  # time alone may have changed everything
        return heard, came_to

    async def _pass(self, since: int = _ALL) -> int:
        """Look at what may have changed behind a position of the trail; where that now ends."""
        async with self._turn:
            end, changed = await self._spine.database.read(partial(looks.moved, since=since))
            follows = [
                follow
                for stream in self._streams
                for follow in stream.follows.values()
                if since == _ALL or changed or (end != since and follow.operation.trail)
            ]
            follows.sort(key=lambda follow: hash(follow.stream.token))  # one caller's together
            for start in range(0, len(follows), AT_ONCE):
                some = follows[start : start + AT_ONCE]
                for follow, found in zip(some, await self._looks(some), strict=True):
                    if follow.stream.follows.get(follow.key) is follow:
                        self._compare(follow, found)
        return end

    async def _looks(self, follows: Sequence[Follow]) -> list[Found]:
        """What each would read now; one whose handler fails hinders no other."""
        look = partial(looks.look, self._spine, follows=follows)
        try:
            return await self._spine.database.read(look)
        except ScopedError:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and looked at again
            if len(follows) > 1:
                return [found for each in follows for found in await self._looks([each])]
            log.error("a look failed: %s", outline(error))  # noqa: TRY400 - see `outline`
            return [InternalError("a look failed", retry=True)]

    def _compare(self, follow: Follow, found: Found) -> None:
        """Tell what has changed; end what a look found at its end."""
        stream = follow.stream
        if isinstance(found, UnauthenticatedError):
            stream.close(End.UNAUTHENTICATED)
            return
        if isinstance(found, ScopedError) and found.code not in _LOST:
            return  # nothing is known: it is looked at again
        stream.authorised_at = asyncio.get_running_loop().time()
        if found != follow.seen:
            stream.tell(follow.key)
        if isinstance(found, bytes):
            follow.seen = found
            return
        self.leave(follow, End.GONE)
        if not stream.follows and not stream.lasting:
            stream.close(End.GONE)


def _is_elsewhere(error: BaseException) -> bool:
    """Whether another house is the one to ask."""
    return isinstance(error, ScopedError) and error.elsewhere


def _holder(token: Proof) -> object:
    """Whose subscriptions are counted together: those of one credential."""
    return (token.issuer, token.subject) if isinstance(token, External) else token
