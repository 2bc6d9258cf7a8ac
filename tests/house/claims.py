"""A pytest plugin that writes which collected test claims which promises (`-p tests.house.claims`).

The file is named by the environment: collection happens in a process of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FILE = "SCOPED_MCP_TEST_CLAIMS"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Every test that would run, in any profile."""
    claims = {
        item.nodeid: [name for mark in item.iter_markers("promise") for name in mark.args]
        for item in session.items
    }
    Path(os.environ[FILE]).write_text(json.dumps(claims))
