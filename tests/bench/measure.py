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
    """How much is done: enough to believe (`Scale.full`), or enough to see it run."""

    folder: Path
    rounds: int
    seconds: float
    creates: int
    objects: int
    calls: int

    @classmethod
    def full(cls, folder: Path) -> Scale:
        return cls(folder, rounds=5, seconds=3.0, creates=3_200, objects=100_000, calls=100_000)

    @classmethod
    def quick(cls, folder: Path) -> Scale:
        return cls(folder, rounds=3, seconds=0.5, creates=640, objects=5_000, calls=3_000)


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


def at_least(name: str, aim: float, ours: Sequence[float], theirs: Sequence[float]) -> Finding:
    """Ours over theirs, round by round; both are rates."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    value = statistics.median(ratios)
    detail = {
        "ours_per_second": statistics.median(ours),
        "peer_per_second": statistics.median(theirs),
    }
    return Finding(name, value, f"≥ {aim}", value >= aim, rounds=ratios, detail=detail)


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
