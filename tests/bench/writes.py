"""(a) Durable creates through `Session.run` beside the very same rows written bare.

The product goes first in each round. What it wrote is read back, and written again into a copy of
the database as it was before: the same rows into the same schema, triggers, keys and
`synchronous=FULL` included, by the driver's module alone, 50 creates to a transaction.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from scoped_mcp import Scoped
from scoped_mcp.layers.objects import CreateObject
from scoped_mcp.storage import driver
from tests.bench.measure import Finding, Scale, at_least, benchmark

CALLERS = 32
TOGETHER = 50
TABLES = ("registry", "versions", "version_contents", "objects", "entries", "outbox")
HEAD = "UPDATE chain_heads SET seq = ?, hash = ?, at = ? WHERE chain = 0"
DATA = {"title": "hello", "body": "a note of the usual size, with a sentence or two in it", "n": 1}


@benchmark("writes", "durable creates of 32 callers beside the same rows written bare")
async def writes(scale: Scale) -> list[Finding]:
    ours: list[float] = []
    bare: list[float] = []
    costs: dict[str, list[float]] = {}
    base = scale.folder / "base" / "scoped.db"
    token = await Scoped.create(f"sqlite:///{base}", name="alice")
    async with Scoped.open(f"sqlite:///{base}") as scoped:
        await (await scoped.session(token)).run(CreateObject(type="note", data=DATA))
    for number in range(scale.rounds):
        made, again = (_copy(base, scale.folder / f"{number}{who}") for who in ("ours", "bare"))
        began = time.process_time()
        took = await through_the_product(f"sqlite:///{made}", token, scale.creates)
        ours.append(scale.creates / took)
        costs.setdefault("ours", []).append((time.process_time() - began) / scale.creates)
        rows = _rows_since(made, base)
        assert len(rows) == scale.creates
        began = time.process_time()
        bare.append(scale.creates / _written_bare(again, rows))
        costs.setdefault("peer", []).append((time.process_time() - began) / scale.creates)
        assert _rows_since(again, base) == rows, "not the same rows"
    found = at_least("durable creates, 32 callers / same rows bare", 0.16, ours, bare)
    worked = {f"{who}_cpu_us": statistics.median(each) * 1e6 for who, each in costs.items()}
    return [replace(found, detail={**found.detail, **worked})]


async def through_the_product(url: str, token: str, creates: int, callers: int = CALLERS) -> float:
    """Seconds for so many durable creates by so many callers at once."""
    async with Scoped.open(url) as scoped:
        alice = await scoped.session(token)
        left = iter(range(creates))

        async def caller() -> None:
            for _ in left:
                await alice.run(CreateObject(type="note", data=DATA))

        gc.collect()
        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return time.perf_counter() - began


def _rows_since(path: Path, base: Path) -> list[dict[str, Any]]:
    """What each create wrote, by table, in the order of the trail."""
    with driver.dbapi.connect(base) as before:
        (last,) = before.execute("SELECT max(id) FROM entries").fetchone()
    before.close()
    found: dict[int, dict[str, Any]] = {}
    raw = driver.dbapi.connect(path)
    for table in TABLES:
        entry = "id" if table == "entries" else "entry"
        wanted = f"SELECT {entry}, * FROM {table} WHERE {entry} > ?"
        if table == "version_contents":
            wanted = (
                "SELECT v.entry, c.* FROM versions v JOIN version_contents c"
                " ON c.id = v.id AND c.version = v.version WHERE v.entry > ?"
            )
        for key, *row in raw.execute(wanted, (last,)):
            found.setdefault(key, {})[table] = row
    heads = raw.execute("SELECT id, seq, hash, at FROM entries WHERE id > ?", (last,))
    for key, *head in heads.fetchall():
        found[key]["head"] = head
    raw.close()
    return [found[key] for key in sorted(found) if "objects" in found[key]]


def _written_bare(path: Path, rows: list[dict[str, Any]]) -> float:
    raw = driver.connect(path)
    inserts: dict[str, str] = {}
    for table in TABLES:
        marks = ", ".join("?" * len(rows[0][table]))
        inserts[table] = f"INSERT INTO {table} VALUES ({marks})"
    gc.collect()
    began = time.perf_counter()
    for first in range(0, len(rows), TOGETHER):
        raw.execute("BEGIN IMMEDIATE")
        for row in rows[first : first + TOGETHER]:
            for table, insert in inserts.items():
                raw.execute(insert, row[table])
            raw.execute(HEAD, row["head"])
        raw.execute("COMMIT")
    took = time.perf_counter() - began
    raw.close()
    return took


def _copy(base: Path, folder: Path) -> Path:
    shutil.copytree(base.parent, folder)
    return folder / base.name
