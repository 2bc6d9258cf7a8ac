"""(i) Creates on PostgreSQL beside the very same rows written bare with psycopg.

As on SQLite: the product goes first in each round, what it wrote is read back and written again
into a copy of the database as it was before — the same rows, the same keys and triggers, one
transaction a create — over one psycopg connection.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from scoped_mcp import Scoped
from scoped_mcp.layers.objects import CreateObject
from tests.bench.engines import EMPTY, connected, remade, server
from tests.bench.measure import Finding, Scale, at_least, benchmark
from tests.bench.writes import CALLERS, DATA, TABLES, through_the_product

BASE, OURS, BARE = "scoped_bench", "scoped_bench_ours", "scoped_bench_bare"
ALONE = 16  # how many times fewer creates one caller makes
HEAD = "UPDATE chain_heads SET seq = %s, hash = %s, at = %s WHERE chain = 0"
AIM = 0.4


@benchmark("postgres", "creates on PostgreSQL beside the same rows written bare with psycopg")
async def postgres(scale: Scale) -> list[Finding]:
    with server(scale) as url:
        if url is None:
            return []
        base = remade(url, BASE, EMPTY)
        token = await Scoped.create(base, name="alice")
        async with Scoped.open(base) as scoped:
            await (await scoped.session(token)).run(CreateObject(type="note", data=DATA))
        rates: dict[str, list[float]] = {}
        for _ in range(scale.rounds):
            alone = scale.creates // ALONE
            for name, callers, count in (("one", 1, alone), ("many", CALLERS, scale.creates)):
                ours, bare = remade(url, OURS, BASE), remade(url, BARE, BASE)
                rate = count / await through_the_product(ours, token, count, callers)
                rates.setdefault(name, []).append(rate)
                if callers == 1:
                    rows = _rows_since(ours, base)
                    assert len(rows) == count
                    rates.setdefault("bare", []).append(count / _written_bare(bare, rows))
    what = "durable creates on PostgreSQL"
    return [
        at_least(f"{what}, one caller / same rows bare", AIM, rates["one"], rates["bare"]),
        at_least(f"{what}, {CALLERS} callers / bare one", None, rates["many"], rates["bare"]),
    ]


def _rows_since(url: str, base: str) -> list[dict[str, Any]]:
    """What each create wrote, by table, in the order of the trail."""
    with connected(base) as before:
        (last,) = before.execute("SELECT max(id) FROM entries").fetchone()
    found: dict[int, dict[str, Any]] = {}
    with connected(url) as raw:
        for table in TABLES:
            of, entry = table, "id" if table == "entries" else "entry"
            if table == "version_contents":
                of, entry = "version_contents JOIN versions USING (id, version)", "versions.entry"
            wanted = f"SELECT {entry}, {table}.* FROM {of} WHERE {entry} > %s"
            for key, *row in raw.execute(wanted, (last,)):
                found.setdefault(key, {})[table] = row
        heads = raw.execute("SELECT id, seq, hash, at FROM entries WHERE id > %s", (last,))
        for key, *head in heads:
            found[key]["head"] = head
    return [found[key] for key in sorted(found) if "objects" in found[key]]


def _written_bare(url: str, rows: list[dict[str, Any]]) -> float:
    inserts = {
        table: f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES"
        f" ({', '.join(['%s'] * len(rows[0][table]))})"
        for table in TABLES
    }
    gc.collect()
    with connected(url) as raw:
        began = time.perf_counter()
        for row in rows:
            for table, insert in inserts.items():
                raw.execute(insert, row[table])
            raw.execute(HEAD, row["head"])
            raw.commit()
        return time.perf_counter() - began
