"""Several processes on one file: nobody is turned away, nothing acknowledged is missing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests import grounds
from tests.faults.processes import beside
from tests.faults.trail import contents
from tests.promises import promise

if TYPE_CHECKING:
    from tests.faults.conftest import Place

PROCESSES, CALLERS, SHARED = 4, 8, 4


@promise("session.one", "batch.company", "audit.processes")
async def test_four_processes_of_eight_callers_lose_nothing_and_meet_only_real_conflicts(
    place: Place, measured: dict[str, Any]
) -> None:
    await load(place, 3.0, measured)


@pytest.mark.slow
@pytest.mark.sqlite  # on PostgreSQL the chaos lasts as long
async def test_they_lose_nothing_in_twenty_seconds_either(
    place: Place, measured: dict[str, Any]
) -> None:
    await load(place, 20.0, measured)


async def load(place: Place, seconds: float, measured: dict[str, Any]) -> None:
    alice = await place.user("alice")
    scope = (await alice.call("scope.create", {"name": "shared"}))["id"]
    shared: list[str] = []
    for _ in range(SHARED):
        made = await alice.call("object.create", {"type": "note", "data": {}})
        shared.append(made["id"])
        share = {"object": made["id"], "scope": scope, "access": "write"}
        await alice.call("object.share", share)
    tokens: list[str] = []
    for number in range(CALLERS):
        issued = await place.issue(f"user{number}")  # in every process: they race for its session
        tokens.append(issued["token"])
        member = {"scope": scope, "principal": issued["principal"]["id"], "role": "viewer"}
        await alice.call("scope.add_member", member)
    given = {"url": place.url, "tokens": tokens, "shared": shared, "seconds": seconds}
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(beside("load", **given)) for _ in range(PROCESSES)
        ]
        for one in running:
            assert await one.line() == "ready"
        told = await asyncio.gather(*(one.stop() for one in running))
    errors = [error for one in told for error in one["errors"]]
    acks = [ack for one in told for ack in one["acks"]]
    times = sorted(moment for one in told for moment in one["times"])
    measured["acknowledged"] = len(acks)
    measured["conflicts"] = len(errors)
    measured["of each"] = [len(one["acks"]) for one in told]
    measured["slowest"] = times[-1]
    measured["p99"] = times[int(len(times) * 0.99)]
    assert [e for e in errors if not e.startswith("3 conflict")] == []
    fewest = min(len(one["acks"]) for one in told)
    assert fewest > len(acks) / PROCESSES / 10, "a process starved"
    stored = {
        (public_id, version): content["state"]["data"].get("marker")
        for public_id, version, content in contents(place.url, "object")
    }
    assert [ack for ack in acks if stored.get((ack[0], ack[1])) != ack[2]] == []
    ours = [marker for marker in stored.values() if marker is not None]
    assert sorted(ours) == sorted(ack[2] for ack in acks), (
        "a refused write was stored, or one twice"
    )
    verified = await place.root.call("audit.verify")
    assert verified["ok"], verified
    sessions = [
        content["state"]["credential"] for _, v, content in contents(place.url, "session") if v == 1
    ]
    assert len(sessions) == len(set(sessions)), "a credential has two sessions"
    grounds.of(place.url).sound(place.url)
