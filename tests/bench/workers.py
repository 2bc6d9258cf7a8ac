"""(h) One server process, and several on one database: calls a second over HTTP.

Two loads at once from processes of their own. On SQLite one process writes at a time, whatever
their number, and every operation leaves a trace; on PostgreSQL they write side by side. Where the
machine has no more cores than servers and loads together, this says little, and says so.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any

from scoped_mcp import Scoped
from tests.bench.engines import Place, on_each
from tests.bench.measure import Finding, Scale, at_least, benchmark
from tests.bench.servers import load, served
from tests.bench.writes import DATA

LOADS = 2
AIM = 1.6  # of two workers
CORES = 6  # two servers, two loads, a database and what else there is
MADE = {"type": "note", "data": DATA}


@benchmark("workers", "calls over HTTP: several server processes beside one")
async def workers(scale: Scale) -> list[Finding]:
    return await on_each(scale, _beside)


async def _beside(engine: str, place: Place, scale: Scale) -> list[Finding]:
    rates: dict[tuple[str, int], list[float]] = {}
    async with AsyncExitStack() as stack:
        asked: list[tuple[int, str, str, str, dict[str, Any]]] = []
        for count in (1, scale.workers):
            database = place(f"workers_{count}")
            token = await Scoped.create(database, name="alice")
            url, _ = await stack.enter_async_context(served(database, count))
            first = await load(url, token, 0.1, "object_create", MADE)
            target = first["answer"]["result"]["structuredContent"]["id"]
            asked.append((count, url, token, "object_create", MADE))
            asked.append((count, url, token, "object_get", {"id": target}))
        for _ in range(scale.rounds):
            for count, url, token, tool, arguments in asked:
                loads = (load(url, token, scale.seconds, tool, arguments) for _ in range(LOADS))
                told = await asyncio.gather(*loads)
                rate = sum(one["answers"] / one["seconds"] for one in told)
                rates.setdefault((tool, count), []).append(rate)
    cores = os.cpu_count() or 1
    return [
        at_least(
            f"{tool} over HTTP, {engine}, {scale.workers} workers / 1, on {cores} cores",
            AIM if engine == "PostgreSQL" and cores >= CORES else None,
            rates[tool, scale.workers],
            rates[tool, 1],
        )
        for tool in ("object_create", "object_get")
    ]
