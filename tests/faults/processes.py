"""Programs that run beside a test, each in a process of its own, and how a test holds them.

    async with beside("writers", url=house.url, tokens=[…], target="obj_…") as writers:
        assert await writers.line() == "ready"
        …
        told = await writers.stop()

A program says `ready`, works until its input ends, and then says as JSON what it did.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.faces.mcp import serve as serve_http
from scoped_mcp.faces.mcp import serve_stdio
from scoped_mcp.spine.caller import Origin
from tests import forked

ROOT = Path(__file__).parents[2]
CLI = [sys.executable, "-m", "scoped_mcp.faces.cli"]
KEYS = "SCOPED_MCP_DATA_FOLDER"
PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
LONG = 2**26  # a line of theirs
BOUND = 120.0  # seconds: a hang fails, it does not wait for ever


class FileClock:
    """The machine's clock plus as many seconds as a file says: one clock for several processes."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead())

    def elapsed(self) -> float:
        return time.monotonic() + self._ahead()

    def advance(self, seconds: float) -> None:
        """Let time pass, for everyone who reads the file."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(self._ahead() + seconds))
        fresh.replace(self.file)

    def _ahead(self) -> float:
        return float(self.file.read_text()) if self.file.exists() else 0.0


class Process:
    """A program beside the test."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self._process, self._stdout, self._stderr = process, stdout, stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, bound: float = BOUND) -> str:
        """The next line that it says; what it complained of where it has ended instead."""
        line = await asyncio.wait_for(self._stdout.readline(), bound)
        assert line, await self.complaint()
        return line.decode().strip()

    async def all(self) -> str:
        """All that it says until it ends."""
        return (await asyncio.wait_for(self._stdout.read(), BOUND)).decode()

    async def complaint(self) -> str:
        """What it wrote to standard error until it ended."""
        return (await asyncio.wait_for(self._stderr.read(), BOUND)).decode()

    async def stop(self) -> Any:
        """Tell it to stop; what it says it did."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        said = json.loads(await self.line())
        assert await self.over() == 0, await self.complaint()
        return said

    async def over(self) -> int:
        """Wait until it ends by itself; how."""
        return await asyncio.to_thread(self._process.wait, BOUND)

    async def tell(self, line: str) -> None:
        """Say a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def interrupt(self) -> None:
        """SIGINT: it ends when it is ready to."""
        self._process.send_signal(signal.SIGINT)

    async def kill(self) -> None:
        """SIGKILL: it has no time for anything."""
        self._process.kill()
        await self.over()


def environment(**more: str) -> dict[str, str]:
    """This process's environment without the settings of a house, and some of them.

    Where the keys of databases are kept is the same for all.
    """
    kept = {k: v for k, v in os.environ.items() if k == KEYS or not k.startswith("SCOPED_MCP_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


@asynccontextmanager
async def running(*arguments: str, **settings: str) -> AsyncIterator[Process]:
    """Any program, killed at the end if it still runs."""
    with forked.start(arguments, ROOT, environment(**settings), **PIPES) as started:
        pipes = [await _read(pipe) for pipe in (started.stdout, started.stderr)]
        process = Process(started, *(reader for reader, _ in pipes))
        try:
            yield process
        finally:
            for _, transport in pipes:
                transport.close()
            await process.kill()


async def _read(pipe: IO[bytes] | None) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader(LONG)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return reader, transport


def command(program: str, **given: Any) -> list[str]:
    """The command line of one of the programs below."""
    return [sys.executable, "-m", "tests.faults.processes", program, json.dumps(given)]


@asynccontextmanager
async def beside(program: str, **given: Any) -> AsyncIterator[Process]:
    """One of the programs below."""
    async with running(*command(program, **given)) as process:
        yield process


@asynccontextmanager
async def server(url: str, clock: FileClock | None = None) -> AsyncIterator[tuple[Process, str]]:
    """An HTTP server in a process of its own, ready, and its address.

    It is the command that people start; with a clock of the test's own, the same server without it.
    """
    if clock is None:
        arguments = ["serve", "--transport", "http", "--port", "0", "--json", "--db", url]
        async with running(*CLI, *arguments) as process:
            yield process, json.loads(await process.line())["url"]
    else:
        async with beside("http", url=url, clock=str(clock.file)) as process:
            yield process, await process.line()


# --- the programs


async def http(url: str, clock: str | None = None) -> None:
    """Serve MCP over HTTP on a free port, whose address is the first line."""
    kept = None if clock is None else FileClock(Path(clock))
    async with Scoped.open(url, clock=kept) as scoped:
        await serve_http(scoped, "127.0.0.1", 0, ready=say)


async def stdio(url: str, clock: str | None = None) -> None:
    """Serve MCP over stdio, as the principal of `SCOPED_MCP_TOKEN`."""
    kept = None if clock is None else FileClock(Path(clock))
    async with Scoped.open(url, clock=kept) as scoped:
        await serve_stdio(scoped)


async def writers(url: str, tokens: list[str], target: str) -> None:
    """One writer a token, until the input ends."""
    async with Scoped.open(url) as scoped:
        stop = asyncio.Event()
        say("ready")
        tasks = [asyncio.create_task(write_until(stop, scoped, t, target)) for t in tokens]
        await input_ended()
        stop.set()
        told = sum((await asyncio.gather(*tasks)), Counter())
        say(json.dumps(told))


async def write_until(stop: asyncio.Event, scoped: Scoped, token: str, target: str) -> Counter[str]:
    """Update the target with a token of one's own making, a new one whenever it was revoked."""
    origin = Origin()
    base = Session(scoped.spine, token, origin)
    me = await base.call("whoami")
    working, told = base, Counter[str]()
    while not stop.is_set():
        await asyncio.sleep(0)  # a refusal may come without waiting for anything
        try:
            if working is base:
                made = await base.call("token.issue", {"principal": me["principal"]["id"]})
                working = Session(scoped.spine, made["token"], origin)
            await working.call("object.update", {"id": target, "patch": {"n": told["done"]}})
            told["done"] += 1
        except ScopedError as error:
            told[error.code.value] += 1
            if error.code == "unauthenticated":
                working = base
    return told


async def load(url: str, tokens: list[str], shared: list[str], seconds: float) -> None:
    """As many callers as tokens, creating, updating and racing; what was acknowledged."""
    acks: list[tuple[str, int, str]] = []
    errors: list[str] = []
    times: list[float] = []
    async with Scoped.open(url) as scoped:
        say("ready")
        await input_ended()
        end = time.monotonic() + seconds
        callers = [
            _caller(Session(scoped.spine, token, Origin()), shared, end, acks, errors, times, i)
            for i, token in enumerate(tokens)
        ]
        await asyncio.gather(*callers)
    say(json.dumps({"acks": acks, "errors": errors, "times": times}))


async def _caller(
    session: Session,
    shared: list[str],
    end: float,
    acks: list[tuple[str, int, str]],
    errors: list[str],
    times: list[float],
    number: int,
) -> None:
    chance = random.Random(f"{os.getpid()}/{number}")  # noqa: S311 - chance, not secrecy
    count, own = 0, ""
    while time.monotonic() < end:
        count += 1
        marker = f"{os.getpid()}/{number}/{count}"
        kind = count % 4 if own else 0
        begun = time.monotonic()
        try:
            if kind == 0:
                asked = {"type": "note", "data": {"marker": marker}}
                view = await session.call("object.create", asked)
                own = view["id"]
            elif kind in {1, 2}:
                asked = {"id": own, "data": {"marker": marker}}
                view = await session.call("object.update", asked)
            else:
                read = await session.call("object.get", {"id": chance.choice(shared)})
                asked = {"id": read["id"], "expected_version": read["version"]}
                view = await session.call("object.update", asked | {"data": {"marker": marker}})
            acks.append((view["id"], view["version"], marker))
        except ScopedError as error:
            errors.append(f"{kind} {error}")
        except Exception as error:  # noqa: BLE001 - what reaches a caller is what is tested
            errors.append(f"{kind} {error!r}")
        times.append(time.monotonic() - begun)


async def limited(url: str, token: str) -> None:
    """Create objects in a process whose files may grow by a megabyte, until one is refused."""
    path = Path(url.removeprefix("sqlite:///"))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        most = path.stat().st_size + 2**20
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        acked: list[str] = []
        while len(acked) < 1_000:
            marker = str(len(acked))
            asked = {"type": "note", "data": {"marker": marker, "x": "x" * 20_000}}
            try:
                await root.call("object.create", asked)
            except ScopedError as error:
                told = {"code": error.code.value, "message": error.message, "hint": error.hint}
                break
            acked.append(marker)
        say(json.dumps(told | {"acked": acked}))


async def as_nobody(url: str) -> None:
    """Open a house as a user to whom it does not belong."""
    os.setgid(65_534)
    os.setuid(65_534)
    try:
        async with Scoped.open(url):
            say(json.dumps({"code": "done"}))
    except ScopedError as error:
        say(json.dumps({"code": error.code.value, "message": error.message, "hint": error.hint}))


def say(line: str) -> None:
    """One line to whoever started this program."""
    print(line, flush=True)  # noqa: T201 - a program speaks so


async def input_ended() -> None:
    """Wait until whoever started this program closes its input."""
    await asyncio.to_thread(sys.stdin.read)


PROGRAMS = {
    "http": http,
    "stdio": stdio,
    "writers": writers,
    "load": load,
    "limited": limited,
    "as_nobody": as_nobody,
}

if __name__ == "__main__":
    asyncio.run(PROGRAMS[sys.argv[1]](**json.loads(sys.argv[2])))
