"""The benchmarks run, and say what they aim at; what they measure is nobody's verdict here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_benchmark_runs_and_says_what_it_found(tmp_path: Path) -> None:
    told = tmp_path / "bench.json"
    run = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(told)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(told.read_text())["findings"]
    names = " ".join(one["name"] for one in found)
    for what in ("durable creates", "object_create over HTTP", "object_get over HTTP"):
        assert what in names
    for what in ("object_list", "member of 200 scopes", "resident", "growth"):
        assert what in names
    for what in ("environment_spawn", "environment_discard", "spawn → 10 creates → discard"):
        assert what in names
    for what in ("through the router", "organisations served", "a move of"):
        assert what in names
    assert all(one["aim"] and one["value"] is not None for one in found)
