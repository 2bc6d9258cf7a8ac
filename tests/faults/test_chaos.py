"""Four workers on PostgreSQL while whatever can die does: what was acknowledged is there, once.

Eight seconds in the slow profile; SCOPED_MCP_TEST_CHAOS=60 plays a minute.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from scoped_mcp import Scoped
from tests import postgres
from tests.faults.http import Line, code, line
from tests.faults.processes import CLI, running
from tests.faults.test_killed import WRITING, found, whole, work
from tests.faults.trail import entries
from tests.grounds import POSTGRESQL
from tests.promises import promise

SECONDS = float(os.environ.get("SCOPED_MCP_TEST_CHAOS", "8"))
WORKERS, CALLERS = 4, 32
MORE = 60  # calls that are acknowledged after each blow: it is survived
BOUND = 180.0  # seconds: a hang fails, it does not wait for ever
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'scoped-mcp' AND random() < %s
"""


@pytest.fixture
def apart() -> Iterator[postgres.Server]:
    server = postgres.start()
    yield server
    server.stop()


class Fleet:
    """The server that answers now, and what can be done to it.

    Attributes:
        blows: What was done, and how often.
        acked: Marker → tool, for all that was acknowledged.
        asked: Marker → tool, for all that was asked.
    """

    def __init__(self, url: str, beneath: postgres.Server, stack: AsyncExitStack) -> None:
        self.blows = Counter[str]()
        self.acked: dict[str, str] = {}
        self.asked: dict[str, str] = {}
        self.over, self._moved = asyncio.Event(), asyncio.Event()
        self.address = ""
        self._url, self._beneath, self._stack = url, beneath, stack
        self._pid = 0
        self._chance = random.Random(5)  # noqa: S311 - chance, not secrecy

    async def start(self) -> None:
        """Another server, to which everybody turns from now on."""
        serve = ("serve", "--transport", "http", "--port", "0", "--json", "--db", self._url)
        server = running(*CLI, *serve, "--workers", str(WORKERS))
        process = await self._stack.enter_async_context(server)
        self.address, self._pid = json.loads(await process.line(BOUND))["url"], process.pid

    @property
    def workers(self) -> list[int]:
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in _command(pid)]

    # --- blows

    async def kill_a_worker(self) -> None:
        os.kill(self._chance.choice(self.workers), signal.SIGKILL)

    async def cut_some_connections(self) -> None:
        await asyncio.to_thread(self._cut, 0.4)

    async def cut_all_connections(self) -> None:
        await asyncio.to_thread(self._cut, 1.0)

    async def fail_over(self) -> None:
        """The server is killed; another has been started beside it."""
        old = self._pid, *self.workers
        await self.start()
        for pid in old:
            os.kill(pid, signal.SIGKILL)

    async def crash_the_database(self) -> None:
        await asyncio.to_thread(self._beneath.restart, "immediate")

    def _cut(self, share: float) -> None:
        with psycopg.connect(self._beneath.get_uri(), autocommit=True) as raw:
            raw.execute(CUT, [share])

    async def strike(self) -> None:
        """One blow after the other, each survived before the next; the database crashes once."""
        first = [self.cut_some_connections, self.kill_a_worker, self.crash_the_database]
        first += [self.fail_over, self.cut_all_connections]
        again = itertools.cycle([self.kill_a_worker, self.cut_some_connections, self.fail_over])
        end = time.monotonic() + SECONDS
        for blow in itertools.chain(first, again):
            if blow.__name__ in self.blows and time.monotonic() > end:
                break
            await blow()
            self.blows[blow.__name__] += 1
            await self._until(len(self.acked) + MORE)
        self.over.set()

    async def _until(self, many: int) -> None:
        async with asyncio.timeout(BOUND):
            while len(self.acked) < many:
                self._moved.clear()
                await self._moved.wait()

    def acknowledge(self, marker: str, tool: str) -> None:
        self.acked[marker] = tool
        self._moved.set()


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


@asynccontextmanager
async def calls(fleet: Fleet, token: str) -> AsyncIterator[Callable[..., Any]]:
    """A client that calls until it is answered, whoever answers, and repeats under its key."""
    async with AsyncExitStack() as stack:
        at: str | None = None
        caller: Line | None = None

        async def call(tool: str, asked: Any, key: str | None = None) -> dict[str, Any]:
            nonlocal at, caller
            async with asyncio.timeout(BOUND):
                while True:
                    if at != fleet.address or caller is None:
                        at = fleet.address
                        caller = await stack.enter_async_context(line(at, token))
                    try:
                        answer = await caller.call(tool, asked, key=key)
                    except (httpx2.TransportError, ValueError):
                        await asyncio.sleep(0)
                        continue
                    if code(answer) != "internal":
                        return answer

        yield call


async def hold_on(fleet: Fleet, token: str, name: str) -> None:
    """Work without pause; nothing but `done` may be the end of it."""
    own = ""
    async with calls(fleet, token) as call:
        for turn in itertools.count():
            if fleet.over.is_set():
                return
            marker = f"{name}/{turn}"
            tool, asked = work(turn, marker, own)
            fleet.asked[marker] = tool
            answer = await call(tool, asked, marker)
            assert code(answer) == "done", answer
            fleet.acknowledge(marker, tool)
            if tool == "object_create":
                own = answer["id"]


async def revoke(fleet: Fleet, root: str, told: Counter[str]) -> None:
    """A token that one worker takes is refused by whoever answers the next call."""
    async with calls(fleet, root) as call:
        for number in itertools.count():
            if fleet.over.is_set():
                return
            asked = {"name": f"guest {number}", "kind": "user", "ttl_seconds": 600}
            made = await call("token_issue", asked)
            if code(made) != "done":  # it was made, and its answer lost: nobody shows it again
                continue
            async with calls(fleet, made["token"]) as guest:
                assert code(await guest("whoami", {})) == "done"
                revoked = await call("token_revoke", {"id": made["id"]}, f"revoke {number}")
                assert code(revoked) == "done", revoked
                assert code(await guest("whoami", {})) == "unauthenticated"
            async with calls(fleet, made["token"]) as elsewhere:  # perhaps another worker
                assert code(await elsewhere("whoami", {})) == "unauthenticated"
            told["revoked"] += 1


@promise("postgres.chaos")
@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_and_nothing_is_half_done_whatever_dies(
    apart: postgres.Server, measured: dict[str, Any]
) -> None:
    url = apart.get_uri()
    token = await Scoped.create(url, name="root")
    told = Counter[str]()
    async with AsyncExitStack() as stack:
        fleet = Fleet(url, apart, stack)
        await fleet.start()
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(hold_on(fleet, token, str(number)))
            group.create_task(revoke(fleet, token, told))
            group.create_task(fleet.strike())
    measured |= {"acked": len(fleet.acked), "blows": dict(fleet.blows), **told}
    assert told["revoked"] > 2
    stored = found(url)
    assert {m: stored[m] for m in fleet.acked} == {m: whole(t) for m, t in fleet.acked.items()}
    assert fleet.asked.keys() == fleet.acked.keys()
    assert set(stored) == set(fleet.acked)
    trail = entries(url)
    within = {e["parent"] for e in trail}
    done = [e for e in trail if e["operation"] in WRITING and e["parent"] is None]
    first = [e for e in done if e["outcome"] == "done" and (e["changes"] or e["id"] in within)]
    assert len(first) == len(fleet.acked), "something was done twice, or without its trace"
    POSTGRESQL.sound(url)
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        assert (await root.call("audit.verify"))["ok"]
