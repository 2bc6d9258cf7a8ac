"""A few processes for pure work, made when they are needed: no thread of this one is held up.

They are plain subprocesses rather than a pool of the standard library: each can be ended alone when
a caller goes away or a job takes too long, and none runs the program that opened the house again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import TYPE_CHECKING, Any, Self, cast

from scoped_mcp.kernel.errors import InternalError, LimitedError
from scoped_mcp.spine.worker import LENGTH, framed

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Sequence

    from scoped_mcp.spine.work import Task

PLACES = 2
TRIES = PLACES + 1
_START = "import sys; sys.path[:] = {path!r}; from scoped_mcp.spine.worker import main; main()"


class Workshop:
    """Does pure work in other processes, each one job at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._free = asyncio.Semaphore(PLACES)
        self._idle: list[Process] = []
        self._alive: set[Process] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Nothing starts before there is work."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every process, whatever it does."""
        self._closed = True
        for process in tuple(self._alive):
            self._end(process)
        while self._ending:
            await asyncio.gather(*self._ending)

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the processes that live."""
        return tuple(process.pid for process in self._alive)

    async def work(self, tasks: Sequence[Task]) -> list[Any]:
        """What the tasks come to, in their order.

        Raises:
            LimitedError: it takes longer than the budget, waiting for a place included.
            InternalError: a task failed, its process was ended again and again, or all is closing.
        """
        job = framed(list(tasks))
        try:
            async with asyncio.timeout(self._seconds), self._free:
                return await self._done(job, len(tasks))
        except TimeoutError:
            message = f"working this out took longer than the limit of {self._seconds:g} s"
            hint = "ask for fewer or smaller objects at a time, or again when less is going on"
            raise LimitedError(message, hint=hint, retry=True) from None

    async def _done(self, job: bytes, count: int) -> list[Any]:
        """One job in one process, and in another one if that is ended from outside."""
        for _ in range(TRIES):
            process = await self._process()
            try:
                found = await _ask(process, job, count)
            except (asyncio.IncompleteReadError, ConnectionError):
                self._end(process)
            except BaseException:  # the caller left, or there is no more time: so ends the work
                self._end(process)
                raise
            else:
                self._idle.append(process)
                return found
        message = "the process that worked this out was ended; nothing was stored"
        raise InternalError(message, hint="tell the operator", retry=True)

    async def _process(self) -> Process:
        if self._closed:
            message = "the house is closing"
            raise InternalError(message, hint="call again when the server is back", retry=True)
        if self._idle:
            return self._idle.pop()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            _START.format(path=sys.path),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("SCOPED_MCP_")},
        )
        self._alive.add(process)
        return process

    def _end(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process in self._alive:
            self._alive.remove(process)
            ending = asyncio.create_task(_ended(process))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)


async def _ask(process: Process, job: bytes, count: int) -> list[Any]:
    jobs, answers = cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout)
    jobs.write(job)
    await jobs.drain()
    found: list[Any] = []
    for _ in range(count):
        length = int.from_bytes(await answers.readexactly(LENGTH), "big")
        value, problem = pickle.loads(await answers.readexactly(length))  # noqa: S301 - see above
        if problem is not None:
            message = "something went wrong here; nothing was stored"
            raise InternalError(message, hint="tell the operator") from RuntimeError(problem)
        found.append(value)
    return found


async def _ended(process: Process) -> None:
    """Wait for the end of a process and let go of its pipes."""
    cast("StreamWriter", process.stdin).close()
    await process.wait()
    with contextlib.suppress(ConnectionError):
        await cast("StreamWriter", process.stdin).wait_closed()
    await cast("StreamReader", process.stdout).read()
