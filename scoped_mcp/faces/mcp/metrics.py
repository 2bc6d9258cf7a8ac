"""What the server counts of itself, as Prometheus text (exposition format 0.0.4).

Names of operations and outcomes alone: no principal, no id. Even so, how much others do is nobody's
business: the counts of an organisation are shown to administrators of its root scope, the uptime to
all.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict

from scoped_mcp.spine.declare import catalogue

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server process, from its start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._calls: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)

    def count(self, house: str, operation: str, outcome: str) -> None:
        """Count one call; names that nobody declared are one, or clients could grow the table."""
        self._calls[house][operation if operation in catalogue else "unknown", outcome] += 1

    def text(self, house: str | None) -> str:
        """All that is shown, one metric a line; the calls of one organisation, or of none."""
        lines = [
            "# HELP scoped_mcp_uptime_seconds Seconds since this process started to serve.",
            "# TYPE scoped_mcp_uptime_seconds gauge",
            f"scoped_mcp_uptime_seconds {time.monotonic() - self._started:.3f}",
        ]
        if house is not None:
            lines += [
                "# HELP scoped_mcp_calls_total Calls by operation and outcome (done, or a code).",
                "# TYPE scoped_mcp_calls_total counter",
                *(
                    f'scoped_mcp_calls_total{{operation="{name}",outcome="{outcome}"}} {count}'
                    for (name, outcome), count in sorted(self._calls[house].items())
                ),
            ]
        return "\n".join(lines) + "\n"
