"""One command runs what CI runs: style, types and the floor plan are tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

BIN = Path(sys.executable).parent
TOOLS = {
    "style": ("ruff", "check", "."),
    "layout": ("ruff", "format", "--check", "."),
    "types": ("mypy",),
    "types again": ("pyright", "--pythonpath", sys.executable),
    "floor plan": ("lint-imports", "--no-logo"),
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_tools_have_nothing_to_say(tool: str) -> None:
    name, *arguments = TOOLS[tool]
    done = subprocess.run(
        [BIN / name, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
