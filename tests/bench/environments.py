"""(e) Environments: what starting and discarding one costs, whatever else there is.

Spawning is timed in a house with many environments beside one with ten, the two taking turns;
discarding in a copy of one house, of an environment full of objects and of one with ten.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

from fastmcp.client import Client
from fastmcp.client.transports import StreamableHttpTransport

from scoped_mcp import Scoped, Session
from tests.bench.measure import Finding, Scale, at_most, benchmark
from tests.bench.servers import product

FEW = 10
TOGETHER = 200
SPAWNS = 25  # each of a round
WORKERS = 8
NOTE = {"type": "note", "data": {"n": 1}}


@benchmark("environments", "spawn and discard in a full house and in an empty one; a whole life")
async def environments(scale: Scale) -> list[Finding]:
    return [await _spawning(scale), await _discarding(scale), await _living(scale)]


async def _spawning(scale: Scale) -> Finding:
    many = scale.objects // 10
    times: tuple[list[float], list[float]] = ([], [])
    async with AsyncExitStack() as stack:
        houses: list[Session] = []
        for name, count in (("many", many), ("few", FEW)):
            url = f"sqlite:///{scale.folder}/{name}/scoped.db"
            token = await Scoped.create(url, name="alice")
            scoped = await stack.enter_async_context(Scoped.open(url))
            alice = await scoped.session(token)
            for first in range(0, count, TOGETHER):
                some = range(first, min(first + TOGETHER, count))
                await asyncio.gather(*(_spawn(alice) for _ in some))
            houses.append(alice)
        for _ in range(scale.rounds):
            for alice, took in zip(houses, times, strict=True):
                began = time.perf_counter()
                for _ in range(SPAWNS):
                    await _spawn(alice)
                took.append((time.perf_counter() - began) / SPAWNS)
    return at_most(f"environment_spawn, {many:,} / {FEW} environments", 2.0, *times)


async def _discarding(scale: Scale) -> Finding:
    base = scale.folder / "base" / "scoped.db"
    token = await Scoped.create(f"sqlite:///{base}", name="alice")
    async with Scoped.open(f"sqlite:///{base}") as scoped:
        alice = await scoped.session(token)
        homes = [await _spawn(alice), await _spawn(alice)]
        for home, count in zip(homes, (scale.objects, FEW), strict=True):
            for first in range(0, count, TOGETHER):
                asked = {"objects": [NOTE] * min(TOGETHER, count - first), "environment": home}
                await alice.call("object.create_many", asked)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(scale.rounds):
        folder = scale.folder / f"round{number}"
        shutil.copytree(base.parent, folder)
        async with Scoped.open(f"sqlite:///{folder / base.name}") as scoped:
            alice = await scoped.session(token)
            order = (0, 1) if number % 2 else (1, 0)  # the first pays for what is cold
            for which in order:
                began = time.perf_counter()
                await alice.call("environment.discard", {"id": homes[which]})
                times[which].append(time.perf_counter() - began)
        shutil.rmtree(folder)
    return at_most(f"environment_discard, {scale.objects:,} / {FEW} objects inside", 3.0, *times)


async def _living(scale: Scale) -> Finding:
    """Spawn → 10 creates → discard, by clients over HTTP: how many a second."""
    rates: list[float] = []
    async with product(scale.folder) as (url, token, _), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                Client(StreamableHttpTransport(url, headers={"Authorization": f"Bearer {token}"}))
            )
            for _ in range(WORKERS)
        ]
        for _ in range(scale.rounds):
            began = time.perf_counter()
            lives = await asyncio.gather(*(_live(one, began + scale.seconds) for one in clients))
            rates.append(sum(lives) / (time.perf_counter() - began))
    rate = statistics.median(rates)
    name = f"spawn → 10 creates → discard over HTTP, {WORKERS} clients"
    return Finding(name, rate, "stated", met=True, unit="per second", rounds=rates)


async def _live(client: Client[Any], until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        made = await client.call_tool("environment_spawn", {})
        home = (made.structured_content or {})["id"]
        for _ in range(10):
            await client.call_tool("object_create", NOTE | {"environment": home})
        await client.call_tool("environment_discard", {"id": home})
        done += 1
    return done


async def _spawn(who: Session) -> str:
    return str((await who.call("environment.spawn"))["id"])
