"""(f) Organisations: what the router costs a call, what a hundred of them hold, what a move takes.

Routed and direct calls take turns on the same open house. A process of its own serves a hundred
houses, each with ten sessions, under the default settings. A move copies and verifies a full house.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from scoped_mcp import Houses, Scoped, Session, houses
from scoped_mcp.config import Settings
from scoped_mcp.houses import Step
from scoped_mcp.spine.caller import Origin
from tests.bench.measure import Finding, Scale, at_most, benchmark

ROOT = Path(__file__).parents[2]
CALLS = 300  # each of a round
MANY, SESSIONS = 100, 10
MEMORY_MIB = 400.0
TOGETHER = 200
NOTE = {"type": "note", "data": {"n": 1}}
HOLD = """
import asyncio, json, sys
import psutil
from scoped_mcp import Houses
from scoped_mcp.config import Settings
from scoped_mcp.faces.mcp import application

async def main():
    db, tokens = json.loads(sys.stdin.read())
    async with Houses.open(Settings(db=db)) as town:
        application(town)
        before = psutil.Process().memory_info().rss
        for some in tokens:
            for token in some:
                await (await town.session(token)).call("object.list", {})
        print(json.dumps([before, psutil.Process().memory_info().rss]))

asyncio.run(main())
"""


@benchmark("organisations", "routed and direct calls, a hundred open houses, a move")
async def organisations(scale: Scale) -> list[Finding]:
    return [await _routed(scale), await _held(scale), await _moved(scale)]


async def _town(folder: Path) -> Settings:
    settings = Settings(db=f"sqlite:///{folder}/scoped.db")
    await Scoped.create(settings.db, name="root")
    return settings


async def _routed(scale: Scale) -> Finding:
    settings = await _town(scale.folder / "routed")
    times: tuple[list[float], list[float]] = ([], [])
    async with Houses.open(settings) as town:
        token = (await houses.create(town, "acme", owner="root")).token
        routed = await town.session(token)
        tenant = await town.directory.named("acme")
        async with town.pool.at(tenant) as scoped:
            direct = Session(scoped.spine, token, Origin())
            made = await direct.call("object.create", NOTE)
            for _ in range(scale.rounds):
                for who, took in zip((routed, direct), times, strict=True):
                    began = time.perf_counter()
                    for _ in range(CALLS):
                        await who.call("object.get", {"id": made["id"]})
                    took.append((time.perf_counter() - began) / CALLS)
    return at_most("object_get, through the router / directly", 1.1, *times)


async def _held(scale: Scale) -> Finding:
    """Resident memory with many houses open, the server's own included."""
    settings, many = await _town(scale.folder / "held"), min(MANY, scale.objects // 1_000)
    tokens: list[list[str]] = []
    async with Houses.open(settings) as town:
        for number in range(many):
            token = (await houses.create(town, f"org {number}", owner="root")).token
            owner = await town.session(token)
            asked = {"kind": "user", "toolsets": ["core"]}
            issued = [
                await owner.call("token.issue", {"name": f"user {n}", **asked})
                for n in range(SESSIONS - 1)
            ]
            tokens.append([token, *(one["token"] for one in issued)])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, cwd=ROOT, stdin=-1, stdout=-1
    )
    said, _ = await child.communicate(json.dumps([settings.db, tokens]).encode())
    before, after = (octets / (1 << 20) for octets in json.loads(said))
    name = f"{many} organisations served, {many * SESSIONS:,} sessions, resident"
    detail = {"before_mib": before, "open": float(min(many, settings.open_organisations))}
    aim = f"< {MEMORY_MIB:.0f} MiB"
    return Finding(name, after, aim, after < MEMORY_MIB, "MiB", detail=detail)


async def _moved(scale: Scale) -> Finding:
    """Objects a second of the processor's time: copied, and all of them verified."""
    settings = await _town(scale.folder / "moved")
    async with Houses.open(settings) as town:
        owner = await town.session((await houses.create(town, "acme", owner="root")).token)
        for _ in range(0, scale.objects, TOGETHER):
            await owner.call("object.create_many", {"objects": [NOTE] * TOGETHER})
        began, at = time.process_time(), {}
        async for step in houses.move(town, "acme", str(scale.folder / "there.db")):
            at[step] = time.process_time() - began
    rate = scale.objects / at[Step.ARRIVED]
    detail = {
        "copy_s": at[Step.COPIED] - at[Step.CLOSED],
        "verify_s": at[Step.VERIFIED] - at[Step.COPIED],
    }
    name = f"a move of {scale.objects:,} objects, by the processor's time"
    return Finding(name, rate, "stated", met=True, unit="objects/s", detail=detail)
