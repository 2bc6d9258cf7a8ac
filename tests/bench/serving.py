"""(b) The product over HTTP beside an echo on bare FastMCP, which stores and checks nothing."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from tests.bench.measure import Finding, Scale, at_least, benchmark
from tests.bench.servers import echo, load, product
from tests.bench.writes import DATA

MADE = {"type": "note", "data": DATA}


@benchmark("serving", "calls over HTTP, 16 connections, beside an echo on bare FastMCP")
async def serving(scale: Scale) -> list[Finding]:
    async with product(scale.folder) as (ours, token, pid), echo() as (theirs, key, peer):
        first = await load(ours, token, 0.1, "object_create", MADE)
        target = first["answer"]["result"]["structuredContent"]["id"]
        asked: list[tuple[int, str, str, str, dict[str, Any]]] = [
            (peer, theirs, key, "echo", MADE),
            (pid, ours, token, "object_create", MADE),
            (pid, ours, token, "object_get", {"id": target}),
        ]
        rates: dict[str, list[float]] = {}
        costs: dict[str, list[float]] = {}
        busy: list[float] = []
        for _ in range(scale.rounds):
            for server, url, who, tool, arguments in asked:
                told = await load(url, who, scale.seconds, tool, arguments, server)
                rates.setdefault(tool, []).append(told["answers"] / told["seconds"])
                costs.setdefault(tool, []).append(told["server_ms"])
                busy.append(told["busy"])
    found = [
        at_least(f"{tool} over HTTP / echo on FastMCP", aim, rates[tool], rates["echo"])
        for tool, aim in (("object_create", 0.7), ("object_get", 0.75))
    ]
    # What the servers worked: on a machine that others use too it wavers less than the rates. A
    # client that is busy near 1 would be what is measured.
    worked = {f"{tool}_cpu_ms": statistics.median(cost) for tool, cost in costs.items()}
    worked["client_busy"] = statistics.median(busy)
    return [replace(one, detail={**one.detail, **worked}) for one in found]
