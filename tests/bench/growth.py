"""(g) From ten scopes to thousands: what a house with many costs beside one with few.

Both houses belong to one principal, who owns every scope; a second one is a member of ten in each.
What is timed is the whole operation, one caller at a time, the two houses taking turns.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

from scoped_mcp import Scoped, Session
from tests.bench.engines import Place, on_each
from tests.bench.measure import Finding, Scale, at_most, benchmark

FEW = 10
TOGETHER = 200
TIMES = 25  # each of a round
Asked = list[tuple[Session, str, dict[str, Any]]]


@benchmark("growth", "operations in a house of many scopes and in one of ten")
async def growth(scale: Scale) -> list[Finding]:
    return await on_each(scale, _grown)


async def _grown(engine: str, place: Place, scale: Scale) -> list[Finding]:
    times: dict[str, tuple[list[float], list[float]]] = {}
    async with AsyncExitStack() as stack:
        many = await _house(stack, place("many"), scale.scopes)
        few = await _house(stack, place("few"), FEW)
        for _ in range(scale.rounds):
            for name in many:
                for asked, took in zip((many[name], few[name]), _of(times, name), strict=True):
                    took.append(await _timed(asked))
    size = f"{scale.scopes:,} / {FEW} scopes, {engine}"
    return [at_most(f"{name}, {size}", 2.0, *both) for name, both in times.items()]


def _of(
    times: dict[str, tuple[list[float], list[float]]], name: str
) -> tuple[list[float], list[float]]:
    return times.setdefault(name, ([], []))


async def _timed(asked: Asked) -> float:
    began = time.perf_counter()
    for _ in range(TIMES // len(asked) or 1):
        for who, operation, arguments in asked:
            await who.call(operation, arguments)
    return (time.perf_counter() - began) / TIMES


async def _house(stack: AsyncExitStack, url: str, count: int) -> dict[str, Asked]:
    token = await Scoped.create(url, name="alice")
    scoped = await stack.enter_async_context(Scoped.open(url))
    alice = await scoped.session(token)
    issued = await alice.call("token.issue", {"name": "bob", "kind": "user", "toolsets": ["all"]})
    bob = await scoped.session(issued["token"])
    scopes: list[str] = []
    for first in range(0, count, TOGETHER):
        names = [f"scope {n}" for n in range(first, min(first + TOGETHER, count))]
        made = await asyncio.gather(*(alice.call("scope.create", {"name": n}) for n in names))
        scopes += [one["id"] for one in made]
    principal = issued["principal"]["id"]
    for scope in scopes[:FEW]:
        member = {"scope": scope, "principal": principal, "role": "viewer"}
        await alice.call("scope.add_member", member)
    note = await alice.call("object.create", {"type": "note", "data": {"n": 1}})
    shown = {"object": note["id"], "scope": scopes[0]}
    await alice.call("object.share", shown)
    return {
        "object_create by who owns them all": [
            (alice, "object.create", {"type": "note", "data": {"n": 1}})
        ],
        "object_get by a member": [(bob, "object.get", {"id": note["id"]})],
        "object_list by a member": [(bob, "object.list", {})],
        "object_share and unshare by who owns them all": [
            (alice, "object.unshare", shown),
            (alice, "object.share", shown),
        ],
        "scope_get by who owns them all": [(alice, "scope.get", {"id": scopes[0]})],
    }
