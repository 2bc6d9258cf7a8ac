"""Every branch of the kernel, the spine and every pure decision is run by their own tests.

By the examples that stand in them, and one that is drawn: no branch is left to chance.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

PROVED = "scoped_mcp/kernel/*,scoped_mcp/spine/*,*/logic.py"
BOTH = ("tests/spine/test_beside.py",)
"""On both engines: some branches are taken on one of them alone."""
LOGICAL = ("identity", "tenancy", "environments", "registry", "flow")
ONE = (
    "tests/kernel",
    "tests/spine",
    *(f"tests/layers/{room}/test_logic.py" for room in LOGICAL),
    *(f"tests/layers/{room}/test_operations.py" for room in ("objects", "identity")),
    "tests/layers/flow/test_merging.py",
    "tests/layers/flow/test_large.py",
    "tests/layers/environments/test_life.py",
    "tests/houses/test_router.py",
    "tests/layers/audit/test_follows.py",
)
"""On one, in what the default profile plays."""


def _coverage(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *arguments],
        cwd=ROOT,
        env=os.environ
        | {"COVERAGE_FILE": str(folder / "coverage"), "SCOPED_MCP_TEST_EXAMPLES": "one"},
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_every_branch_of_the_kernel_the_spine_and_every_pure_decision_is_run(
    tmp_path: Path,
) -> None:
    here = f"--basetemp={tmp_path / 'tests'}"
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", here)
    _coverage(tmp_path, "run", "-m", "pytest", *quiet, "-m", "", *BOTH)
    _coverage(tmp_path, "run", "--append", "-m", "pytest", *quiet, *ONE)
    _coverage(tmp_path, "report", f"--include={PROVED}", "--fail-under=100")
