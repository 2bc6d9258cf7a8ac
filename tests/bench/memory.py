"""(d) What an idle server holds in memory, and whether calls make it hold more.

The load is many connections that call and are answered; what counts is what the server keeps when
they are gone. The database grows on disk; the server's memory is to stay where it is.
"""

from __future__ import annotations

import statistics
from typing import Any

import psutil

from tests.bench.measure import Finding, Scale, benchmark
from tests.bench.servers import load, product
from tests.bench.writes import DATA

IDLE_MIB = 150.0
FLAT_MIB = 10.0  # over all calls after the first tenth, which fills caches
SECONDS = 5.0  # of load between two looks
MIB = 1 << 20


@benchmark("memory", "the memory of a server, idle and after many calls")
async def memory(scale: Scale) -> list[Finding]:
    async with product(scale.folder) as (url, token, pid):
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
