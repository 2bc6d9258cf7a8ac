"""Every story of `agent_examples/` is a program that asserts: each must end with 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises import promise

STORIES = sorted((Path(__file__).parents[2] / "agent_examples").glob("*/main.py"))
FIRST = "fork_and_merge"  # told in the default profile; the others in the slow one


def test_there_are_stories() -> None:
    told = {"two_agents", "research_team", "fork_and_merge", "orchestrator"}
    assert told <= {story.parent.name for story in STORIES}


@promise("cli.start")
@pytest.mark.parametrize(
    "story",
    [pytest.param(s, marks=[] if s.parent.name == FIRST else [pytest.mark.slow]) for s in STORIES],
    ids=lambda story: story.parent.name,
)
def test_a_story_holds(story: Path, tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCOPED_MCP_")}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(story)],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert (story.parent / "README.md").is_file()
