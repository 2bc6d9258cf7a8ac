"""The benchmarks run, and say what they aim at; what they measure is nobody's verdict here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scoped_mcp import Scoped
from scoped_mcp.layers.audit import VerifyTrail
from scoped_mcp.layers.objects import CreateObject, ListObjects
from tests import postgres
from tests.bench.engines import engines
from tests.bench.measure import Scale
from tests.bench.seed import seed

ROOT = Path(__file__).parents[2]
# Not those that start servers or take minutes, nor pyscoped, which its benchmark installs.
HERE = ("writes", "lists")


@pytest.mark.slow
def test_quick_benchmarks_run_and_say_what_they_found(tmp_path: Path) -> None:
    told = tmp_path / "bench.json"
    run = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(told)]
    run += ["--rounds", "1", "--creates", "64", "--objects", "2000", *HERE]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(told.read_text())["findings"]
    names = " ".join(one["name"] for one in found)
    for what in ("durable creates", "object_list", "object_get", "member of 200 scopes"):
        assert what in names
    assert all(one["aim"] and one["value"] is not None for one in found)


@pytest.mark.parametrize("engine", ["SQLite", "PostgreSQL"])
async def test_what_is_seeded_is_what_the_product_would_have_written(
    tmp_path: Path, engine: str
) -> None:
    scale = Scale(folder=tmp_path, postgres=postgres.server().get_uri())
    with engines(scale) as places:
        await seeded(places[engine]("seeded"))


async def seeded(url: str) -> None:
    token = await Scoped.create(url, name="alice")
    async with Scoped.open(url) as scoped:
        alice = await scoped.session(token)
        await alice.run(CreateObject(type="note", data={"n": -1}))
    seed(url, [{"n": n} for n in range(600)])
    async with Scoped.open(url) as scoped:
        alice = await scoped.session(token)
        page = await alice.run(ListObjects(limit=100, detail="full"))
        assert [one.data for one in page.items] == [{"n": n} for n in range(599, 499, -1)]
        await alice.run(CreateObject(type="note", data={"n": 600}))
        assert (await alice.run(VerifyTrail())).ok
