"""Several server processes on one socket and one database file.

No process keeps what another would need, so any of them answers any request. What each counts for
itself are `/metrics` and the failed authentications of a source.

1. The first process binds the address, without listening, and starts the workers.
2. Each worker opens the house, says that it is ready, and waits.
3. When all are ready they are told to go: they listen, and accept.
4. A worker that ends is replaced.
5. Told to stop, the first process closes its line to each worker, which ends it as SIGTERM would;
   what has not ended by then is killed. A worker whose first process is gone ends likewise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import threading
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from scoped_mcp.faces.mcp import http
from scoped_mcp.houses import Houses
from scoped_mcp.kernel.errors import InvalidError, ScopedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator
    from multiprocessing.context import SpawnProcess
    from types import FrameType

    from scoped_mcp.config import Settings

END_SECONDS = http.GRACE_SECONDS + 3  # of the ten that a stop may take
AGAIN_SECONDS = 1.0  # before a worker is started for one that never served
_READY, _GO, _SERVING = "ready", "go", "serving"
_SPAWN = get_context("spawn")
log = logging.getLogger("scoped_mcp")


class _ToldToStopError(Exception):
    """SIGTERM or SIGINT came."""


def serve_workers(
    settings: Settings, bound: socket.socket, count: int, *, ready: Callable[[str], None]
) -> None:
    """Serve with so many processes until SIGTERM or SIGINT.

    Args:
        settings: Of the house, which each worker opens for itself.
        bound: The socket, bound and not yet listening; closed at the end.
        count: How many processes serve.
        ready: Told the server's address once all of them accept connections.

    Raises:
        InvalidError: a worker could not start.
    """
    crew: list[_Worker] = []
    with _signals() as told, contextlib.suppress(_ToldToStopError):
        try:
            crew.extend(_Worker(settings, bound) for _ in range(count))
            for worker in crew:
                worker.expect(_READY, told)
            for worker in crew:
                worker.line.send(_GO)
            for worker in crew:
                worker.expect(_SERVING, told)
            ready(http.address_of(bound))
            _keep(crew, lambda: _Worker(settings, bound), told)
        finally:
            bound.close()  # or clients would wait for who never comes
            _end(crew)


class _Worker:
    """A process that serves for as long as its line is open."""

    def __init__(self, settings: Settings, bound: socket.socket) -> None:
        self.line, end = _SPAWN.Pipe()
        self.process: SpawnProcess = _SPAWN.Process(
            target=_work, args=(settings, bound, end), name="worker"
        )
        with _without_interrupts():
            self.process.start()
        end.close()

    def expect(self, word: str, told: Connection[Any, Any]) -> None:
        """Wait until it says so.

        Raises:
            InvalidError: it could not start.
        """
        if told in wait([told, self.line]):
            raise _ToldToStopError
        try:
            said = self.line.recv()
        except (EOFError, OSError):
            said = ("a worker ended before it served", "its own words stand above")
        if said != word:
            message, hint = said
            raise InvalidError(message, hint=hint)


def _keep(crew: list[_Worker], start: Callable[[], _Worker], told: Connection[Any, Any]) -> None:
    """Replace whoever ends, until told to stop."""
    while True:
        ended = wait([told, *(worker.line for worker in crew)])
        if told in ended:
            raise _ToldToStopError
        for place, worker in enumerate(crew):
            if worker.line in ended:
                worker.process.join()
                worker.line.close()
                crew[place] = start()
                _serving(crew[place], told)
                log.warning("a worker ended with %s and was replaced", worker.process.exitcode)


def _serving(worker: _Worker, told: Connection[Any, Any]) -> None:
    """Let a new worker serve; one that cannot is found ended, and replaced, a moment later."""
    try:
        worker.expect(_READY, told)
        worker.line.send(_GO)
        worker.expect(_SERVING, told)
    except (InvalidError, OSError) as error:
        log.error("a worker could not start: %s", error)  # noqa: TRY400 - a line, no traceback
        if told.poll(AGAIN_SECONDS):
            raise _ToldToStopError from None


def _end(crew: list[_Worker]) -> None:
    """End all, by asking, and in time."""
    for worker in crew:
        worker.line.close()
    until = time.monotonic() + END_SECONDS
    for worker in crew:
        worker.process.join(max(0.0, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextlib.contextmanager
def _signals() -> Generator[Connection[Any, Any]]:
    """A line that can be read once SIGTERM or SIGINT came."""
    told, tell = _SPAWN.Pipe(duplex=False)

    def stop(_number: int, _frame: FrameType | None) -> None:
        tell.send(None)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _without_interrupts() -> Generator[None]:
    """What starts here does not get the terminal's Ctrl-C: the first process does, and tells it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(settings: Settings, bound: socket.socket, line: Connection[Any, Any]) -> None:
    """A worker's whole life."""
    with contextlib.suppress(EOFError, BrokenPipeError):  # the first process is gone
        try:
            asyncio.run(_serve(settings, bound, line))
        except ScopedError as error:
            line.send((error.message, error.hint))
            sys.exit(1)


async def _serve(settings: Settings, bound: socket.socket, line: Connection[Any, Any]) -> None:
    async with Houses.open(settings) as houses:
        line.send(_READY)
        await asyncio.to_thread(line.recv)

        def ready(_address: str) -> None:
            with contextlib.suppress(OSError):  # told to stop meanwhile: the stopper hears of it
                line.send(_SERVING)

        await http.serve_on(houses, bound, ready=ready, stopper=_closed_by(line))


def _closed_by(line: Connection[Any, Any]) -> Callable[[Callable[[], None]], None]:
    """What calls a function once the first process has closed the line."""

    def watch(stop: Callable[[], None]) -> None:
        def until_closed() -> None:
            with contextlib.suppress(EOFError, OSError):
                line.recv()
            stop()

        threading.Thread(target=until_closed, daemon=True).start()

    return watch
