"""How a ratio is measured: the peers take turns within one run, the median of the rounds counts.

A benchmark is a function that is handed a `Scale` and answers `Ratio`s and `Level`s. It says what
it aims at and never fails by time: `met` is printed, not asserted.

    @benchmark("writes", "durable creates beside bare inserts")
    async def writes(scale: Scale) -> list[Finding]: ...
"""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scoped_mcp.storage import driver


@dataclass(frozen=True)
class Scale:
    """How much is done. A run of `Scale()` is short; `full` is what the issue names; `quick` is
    enough to see it run and too little to believe. Each of them is a flag of the command.

    Attributes:
        rounds: How often the peers take turns; the median counts.
        seconds: How long one load lasts.
        creates: Objects made in one round.
        objects: Objects of the large house.
        scopes: Scopes of the house with many.
        workers: Server processes, beside one.
        calls: Calls over which a server's memory is watched.
        sessions: Sessions that are open at once.
        postgres: An empty PostgreSQL's URL; without one, one is started where the wheel is there.
    """

    folder: Path = Path()
    rounds: int = 5
    seconds: float = 2.0
    creates: int = 1_600
    objects: int = 50_000
    scopes: int = 1_000
    workers: int = 2
    calls: int = 20_000
    sessions: int = 200
    postgres: str | None = None


QUICK = Scale(
    rounds=3,
    seconds=0.5,
    creates=320,
    objects=5_000,
    scopes=100,
    calls=3_000,
    sessions=50,
)
FULL = Scale(
    seconds=5.0,
    creates=6_400,
    objects=1_000_000,
    scopes=10_000,
    workers=4,
    calls=200_000,
    sessions=1_000,
)


@dataclass(frozen=True)
class Finding:
    """What was measured, and what the issue asks for.

    Attributes:
        name: What was done.
        value: The median of `rounds`: a ratio, or a level in `unit`.
        aim: The bound, for people: `≥ 0.14`.
        met: Whether `value` keeps to it.
        detail: What the value was made of: rates and times of this machine, at this moment.
    """

    name: str
    value: float
    aim: str
    met: bool
    unit: str = "×"
    rounds: Sequence[float] = ()
    detail: dict[str, float] = field(default_factory=dict)


Run = Callable[[Scale], Awaitable[list[Finding]]]
benchmarks: dict[str, tuple[str, Run]] = {}


def benchmark(name: str, about: str) -> Callable[[Run], Run]:
    """Declare a benchmark; `python -m tests.bench NAME` runs it alone."""

    def declare(run: Run) -> Run:
        benchmarks[name] = (about, run)
        return run

    return declare


def at_least(
    name: str, aim: float | None, ours: Sequence[float], theirs: Sequence[float]
) -> Finding:
    """Ours over theirs, round by round; both are rates. Without an aim the ratio is told alone."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    value = statistics.median(ratios)
    detail = {
        "ours_per_second": statistics.median(ours),
        "peer_per_second": statistics.median(theirs),
    }
    said = "told" if aim is None else f"≥ {aim}"
    return Finding(name, value, said, aim is None or value >= aim, rounds=ratios, detail=detail)


def at_most(name: str, aim: float, large: Sequence[float], small: Sequence[float]) -> Finding:
    """Large over small, round by round; both are times."""
    ratios = [a / b for a, b in zip(large, small, strict=True)]
    value = statistics.median(ratios)
    detail = {
        "large_ms": statistics.median(large) * 1e3,
        "small_ms": statistics.median(small) * 1e3,
    }
    return Finding(name, value, f"≤ {aim}", value <= aim, rounds=ratios, detail=detail)


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "python": platform.python_version(),
        "sqlite": ".".join(map(str, driver.VERSION)),
        "sqlite_of_python": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything that was measured, round by round."""
    return {"machine": machine(), "findings": [asdict(one) for one in findings]}
