"""(f) The same work by pyscoped 0.1.0 and 1.8.1 from PyPI, taking turns with the product.

Each version is installed into a folder of its own, since two cannot live in one environment, and
works in a process of its own. What the product does beside it and they do not: a registry, an
outbox, one transaction instead of three, keys and triggers that refuse, a trace of every read, and
verification of every state rather than of hashes alone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from scoped_mcp import Scoped, Session
from scoped_mcp.layers.audit import VerifyTrail
from scoped_mcp.layers.objects import CreateObject, GetObject, ListObjects
from scoped_mcp.layers.tenancy import ShareObject, UnshareObject
from scoped_mcp.spine.declare import Command
from tests.bench.measure import Finding, Scale, at_least, benchmark
from tests.bench.servers import BOUND
from tests.bench.writes import CALLERS, DATA

VERSIONS = ("0.1.0", "1.8.1")
PEER = Path(__file__).with_name("pyscoped_peer.py")
AIMS = {("0.1.0", f"create, {CALLERS} callers"): 1.5, ("0.1.0", "create"): 0.7}
INSTALLING = 300.0


class Peer:
    """One version of pyscoped at work in its process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def rate(self, what: str, times: int) -> float:
        """How many a second; of a verification, how many entries."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {times}\n".encode())
        line = await asyncio.wait_for(self._process.stdout.readline(), BOUND)
        assert line, f"pyscoped could not {what}"
        seconds, done = line.split()
        return int(done) / float(seconds)


@benchmark("pyscoped", "the same work by pyscoped 0.1.0 and 1.8.1")
async def pyscoped(scale: Scale) -> list[Finding]:
    rates: dict[str, dict[str, list[float]]] = {}
    async with AsyncExitStack() as stack:
        peers = {v: await stack.enter_async_context(_peer(v, scale.folder)) for v in VERSIONS}
        url = f"sqlite:///{scale.folder}/ours/scoped.db"
        token = await Scoped.create(url, name="alice")
        scoped = await stack.enter_async_context(Scoped.open(url))
        alice = await scoped.session(token)
        scope = (await alice.call("scope.create", {"name": "shared"}))["id"]
        few = max(20, scale.creates // 16)
        for _ in range(scale.rounds):
            found = await _ours(alice, scope, few, scale.creates)
            for what, rate in found.items():
                rates.setdefault(what, {}).setdefault("ours", []).append(rate)
            for version, peer in peers.items():
                for what in found:
                    verb = what.partition(",")[0]
                    times = 1 if verb == "verify" else few
                    rates[what].setdefault(version, []).append(await peer.rate(verb, times))
    return [
        at_least(f"{what} / pyscoped {v}", AIMS.get((v, what)), of["ours"], of[v])
        for v in VERSIONS
        for what, of in rates.items()
    ]


async def _ours(alice: Session, scope: str, few: int, creates: int) -> dict[str, float]:
    """Each kind of work, so many a second: operations, and entries that were verified."""
    made = CreateObject(type="note", data=DATA)
    gc.collect()
    found = {f"create, {CALLERS} callers": await _many(alice, made, creates)}
    began = time.perf_counter()
    ids = [(await alice.run(made)).id for _ in range(few)]
    found["create"] = few / (time.perf_counter() - began)
    get = GetObject.model_validate_json(f'{{"id": "{ids[-1]}"}}')
    found["get"] = await _rate(alice, (get for _ in range(few)))
    found["list"] = await _rate(alice, (ListObjects(limit=20) for _ in range(few)))
    asked = [f'{{"object": "{one}", "scope": "{scope}"}}' for one in ids]
    shares = [ShareObject.model_validate_json(one) for one in asked]
    revocations = [UnshareObject.model_validate_json(one) for one in asked]
    found["share"] = await _rate(alice, iter(shares))
    found["revoke"] = await _rate(alice, iter(revocations))
    began = time.perf_counter()
    verified = await alice.run(VerifyTrail())
    found["verify"] = verified.entries / (time.perf_counter() - began)
    return found


async def _many(alice: Session, made: CreateObject, creates: int) -> float:
    left = iter(range(creates))

    async def caller() -> None:
        for _ in left:
            await alice.run(made)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return creates / (time.perf_counter() - began)


async def _rate(alice: Session, commands: Iterator[Command]) -> float:
    began, done = time.perf_counter(), 0
    for done, command in enumerate(commands, 1):  # noqa: B007 - counted
        await alice.run(command)
    return done / (time.perf_counter() - began)


@asynccontextmanager
async def _peer(version: str, folder: Path) -> AsyncIterator[Peer]:
    target = folder / version
    pip = ("-m", "pip", "install", "-q", "--target", str(target), f"pyscoped=={version}")
    installing = await asyncio.create_subprocess_exec(
        sys.executable, *pip, stderr=asyncio.subprocess.PIPE
    )
    _, trouble = await asyncio.wait_for(installing.communicate(), INSTALLING)
    assert installing.returncode == 0, trouble.decode()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(PEER), str(folder / f"{version}.db")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    try:
        yield Peer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), BOUND)
