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
    async with product(scale.folder) as (ours, token, _), echo() as (theirs, key, _):
        first = await load(ours, token, 0.1, "object_create", MADE)
        target = first["answer"]["result"]["structuredContent"]["id"]
        asked: list[tuple[str, str, str, dict[str, Any]]] = [
            (theirs, key, "echo", MADE),
            (ours, token, "object_create", MADE),
            (ours, token, "object_get", {"id": target}),
        ]
        rates: dict[str, list[float]] = {}
        busy: list[float] = []
        for _ in range(scale.rounds):
            for url, who, tool, arguments in asked:
                told = await load(url, who, scale.seconds, tool, arguments)
                rates.setdefault(tool, []).append(told["answers"] / told["seconds"])
                busy.append(told["busy"])
    found = [
        at_least(f"{tool} over HTTP / echo on FastMCP", aim, rates[tool], rates["echo"])
        for tool, aim in (("object_create", 0.6), ("object_get", 0.65))
    ]
    idle = {"client_busy": statistics.median(busy)}  # near 1, the client would be what is measured
    return [replace(one, detail={**one.detail, **idle}) for one in found]
