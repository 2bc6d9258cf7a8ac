"""`kill -9` under load: what was acknowledged is there, what was not is whole or absent."""

from __future__ import annotations

import asyncio
import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from scoped_mcp import Scoped
from tests.faults.http import Line, code, line
from tests.faults.processes import BOUND, server
from tests.faults.trail import contents, entries
from tests.grounds import SQLITE, Ground
from tests.promises import promise

if TYPE_CHECKING:
    from pathlib import Path

CALLERS = 8
BULK = 5  # objects of one bulk creation: all of them, or none
WRITING = {"object.create", "object.update", "object.create_many"}
MANY = int(os.environ.get("SCOPED_MCP_TEST_KILLS", "5"))


@dataclass
class Ledger:
    """What the callers were promised, and what they do not know.

    Attributes:
        acked: Marker → operation, for all that was acknowledged.
        unknown: Marker → operation and arguments, for all that was cut off.
    """

    acked: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    enough: asyncio.Event = field(default_factory=asyncio.Event)


def work(turn: int, marker: str, own: str) -> tuple[str, dict[str, Any]]:
    """Creations, updates and bulk creations in turn."""
    data = {"marker": marker}
    if turn % 3 == 1 and own:
        return "object_update", {"id": own, "data": data}
    if turn % 3 == 2:
        one = {"type": "note", "data": data}
        return "object_create_many", {"objects": [one] * BULK}
    return "object_create", {"type": "note", "data": data}


async def hold_on(caller: Line, name: str, ledger: Ledger, until: int) -> None:
    """Call without pause until the line breaks."""
    own, turn = "", 0
    while True:
        marker = f"{name}/{turn}"
        tool, asked = work(turn, marker, own)
        try:
            answer = await caller.call(tool, asked, key=marker)
        except (httpx2.TransportError, ValueError):
            ledger.unknown[marker] = (tool, asked)
            return
        assert code(answer) == "done", answer
        ledger.acked[marker] = tool
        if tool == "object_create":
            own = answer["id"]
        if len(ledger.acked) >= until:
            ledger.enough.set()
        turn += 1


def found(url: str) -> dict[str, int]:
    """Marker → in how many versions it stands."""
    count: dict[str, int] = defaultdict(int)
    for _, _, content in contents(url, "object"):
        count[content["state"]["data"]["marker"]] += 1
    return count


def whole(tool: str) -> int:
    return BULK if tool == "object_create_many" else 1


@promise("faults.killed")
async def test_a_killed_server_keeps_what_it_acknowledged_and_no_half_of_anything(
    tmp_path: Path, ground: Ground, measured: dict[str, Any]
) -> None:
    await kill(tmp_path, ground, 1, measured)


@pytest.mark.slow
async def test_it_keeps_it_however_often_it_is_killed(
    tmp_path: Path, measured: dict[str, Any]
) -> None:
    await kill(tmp_path, SQLITE, MANY, measured)


async def kill(folder: Path, ground: Ground, kills: int, measured: dict[str, Any]) -> None:
    url = ground.place(folder)
    token = await Scoped.create(url, name="root")
    chance = random.Random(20260105)  # noqa: S311 - chance, not secrecy
    promised: dict[str, str] = {}
    cut = there = 0
    for number in range(kills):
        ledger = Ledger()
        async with server(url) as (process, address), line(address, token) as caller:
            until = chance.randint(40, 160)
            names = [f"{number}/{n}" for n in range(CALLERS)]
            tasks = [asyncio.create_task(hold_on(caller, n, ledger, until)) for n in names]
            async with asyncio.timeout(BOUND):
                await ledger.enough.wait()
            await process.kill()
            await asyncio.gather(*tasks)
        promised |= ledger.acked
        cut += len(ledger.unknown)
        ground.sound(url)
        count = found(url)
        assert {m: count[m] for m in promised} == {m: whole(t) for m, t in promised.items()}
        half = [m for m, (t, _) in ledger.unknown.items() if count[m] not in {0, whole(t)}]
        assert half == []
        there += sum(count[m] > 0 for m in ledger.unknown)
        async with server(url) as (_, address), line(address, token) as caller:
            for marker, (tool, asked) in ledger.unknown.items():  # the retry that a client makes
                answer = await caller.call(tool, asked, key=marker)
                assert code(answer) == "done", answer  # the first answer, where it was kept
                promised[marker] = tool
            assert (await caller.call("audit_verify"))["ok"]
        count = found(url)
        assert {m: count[m] for m in promised} == {m: whole(t) for m, t in promised.items()}
    trail = entries(url)
    within = {e["parent"] for e in trail}
    done = [e for e in trail if e["operation"] in WRITING and e["parent"] is None]
    # A repetition is traced too; it changes nothing, and nothing is done within it.
    first = [e for e in done if e["outcome"] == "done" and (e["changes"] or e["id"] in within)]
    measured |= {"kills": kills, "acked": len(promised), "cut off": cut, "of these there": there}
    assert len(first) == len(promised), "something was done twice, or without its trace"
    ground.forget(url)
