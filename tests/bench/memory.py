"""(d) What a server holds in memory: idle, with many open sessions, and after many calls.

The load is many connections that call and are answered; what counts is what the server keeps when
they are gone. The database grows on disk; the server's memory is to stay where it is. An open
session is a credential of its own that has called over a connection of its own, which stays open.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import psutil

from scoped_mcp import Scoped
from tests.bench.load import REQUEST
from tests.bench.measure import Finding, Scale, benchmark
from tests.bench.servers import BOUND, load, product, served
from tests.bench.writes import DATA

IDLE_MIB = 150.0
OPEN_MIB = 400.0
FLAT_MIB = 10.0  # over all calls after the first tenth, which fills caches
SECONDS = 5.0  # of load between two looks
AT_ONCE = 50  # sessions that open together
MIB = 1 << 20
WHOAMI = {"name": "whoami", "arguments": {}}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": WHOAMI}


@benchmark("memory", "the memory of a server: idle, with many sessions, after many calls")
async def memory(scale: Scale) -> list[Finding]:
    return [await _sessions(scale), *await _calls(scale)]


async def _sessions(scale: Scale) -> Finding:
    """The server's memory while all are open: in one organisation, the only one it can have."""
    url = f"sqlite:///{scale.folder}/sessions/scoped.db"
    tokens = await _issue(url, scale.sessions)
    async with served(url) as (address, pid), _open(address, tokens):
        held = psutil.Process(pid).memory_info().rss / MIB
    name = f"{scale.sessions:,} open sessions, resident"
    return Finding(name, held, f"< {OPEN_MIB:.0f} MiB", held < OPEN_MIB, "MiB")


async def _issue(url: str, count: int) -> list[str]:
    """A principal and a token for each session."""
    first = await Scoped.create(url, name="alice")
    async with Scoped.open(url) as scoped:
        alice = await scoped.session(first)
        asked = [{"name": f"user {n}", "kind": "user"} for n in range(count)]
        issued = await asyncio.gather(*(alice.call("token.issue", one) for one in asked))
    return [one["token"] for one in issued]


@asynccontextmanager
async def _open(address: str, tokens: Iterable[str]) -> AsyncIterator[None]:
    """A connection for each token, over which one call was answered; open until the end."""
    turns = asyncio.Semaphore(AT_ONCE)
    where, body = urlsplit(address), json.dumps(CALL)
    async with AsyncExitStack() as stack:

        async def session(token: str) -> None:
            async with turns:
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
                stack.callback(writer.close)
                head = REQUEST.format(
                    path=where.path, host=where.netloc, token=token, length=len(body)
                )
                writer.write((head + body).encode())
                said = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = said.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
                answer = await reader.readexactly(int(length))
                assert b'"isError":true' not in answer, answer.decode()

        await asyncio.wait_for(asyncio.gather(*(session(token) for token in tokens)), BOUND)
        yield


async def _calls(scale: Scale) -> list[Finding]:
    async with product(scale.folder / "calls") as (url, token, pid):
        server = psutil.Process(pid)
        idle = server.memory_info().rss / MIB
        made = {"type": "note", "data": DATA}
        first = await load(url, token, 0.1, "object_create", made)
        target = first["answer"]["result"]["structuredContent"]["id"]
        asked: list[tuple[str, dict[str, Any]]] = [
            ("object_create", made),
            ("object_get", {"id": target}),
            ("object_list", {"limit": 5}),
        ]
        calls, seen = 0, [(0, idle)]
        while calls < scale.calls:
            for tool, arguments in asked:
                told = await load(url, token, min(SECONDS, scale.seconds * 2), tool, arguments)
                calls += told["answers"]
            seen.append((calls, server.memory_info().rss / MIB))
    warm = [rss for at, rss in seen if at >= scale.calls / 10]
    third = max(1, len(warm) // 3)
    grown = statistics.median(warm[-third:]) - statistics.median(warm[:third])
    levels = [rss for _, rss in seen]
    detail = {"calls": float(calls), "highest_mib": max(levels)}
    return [
        Finding("idle server, resident", idle, f"< {IDLE_MIB:.0f} MiB", idle < IDLE_MIB, "MiB"),
        Finding(
            f"growth over {calls:,} calls",
            grown,
            f"≤ {FLAT_MIB:.0f} MiB",
            grown <= FLAT_MIB,
            "MiB",
            rounds=levels,
            detail=detail,
        ),
    ]
