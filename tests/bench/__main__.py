"""Ratios of the product to its peers, side by side in one run.

python -m tests.bench [NAME ...] [--quick | --full] [--objects N ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import (  # noqa: F401 - they declare themselves
    environments,
    growth,
    lists,
    memory,
    organisations,
    postgres,
    pyscoped,
    serving,
    workers,
    writes,
)
from tests.bench.measure import FULL, QUICK, Finding, Scale, as_json, benchmarks

SIZES = ("rounds", "seconds", "creates", "objects", "scopes", "workers", "calls", "sessions")


def main() -> None:
    asking = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    asking.add_argument("names", nargs="*", metavar="NAME", help=", ".join(benchmarks))
    much = asking.add_mutually_exclusive_group()
    much.add_argument("--quick", action="store_true", help="see it run; too little to believe")
    much.add_argument("--full", action="store_true", help="a million objects; takes an hour")
    for size in SIZES:
        asking.add_argument(f"--{size}", type=type(getattr(FULL, size)), metavar="N")
    asking.add_argument("--postgres", metavar="URL", help="a PostgreSQL that may be written to")
    asking.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    asked = asking.parse_args()
    if unknown := set(asked.names) - set(benchmarks):
        asking.error(
            f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(benchmarks)}"
        )
    scale = QUICK if asked.quick else FULL if asked.full else Scale()
    given = {name: getattr(asked, name) for name in (*SIZES, "postgres")}
    scale = replace(scale, **{name: value for name, value in given.items() if value is not None})
    logging.disable(logging.INFO)
    console = Console(stderr=True)
    findings: list[Finding] = []
    for name in asked.names or benchmarks:
        about, run = benchmarks[name]
        with tempfile.TemporaryDirectory(prefix="bench") as folder, console.status(about):
            findings += asyncio.run(run(replace(scale, folder=Path(folder))))
        if asked.json is not None:  # after each: a long run may be cut short
            asked.json.write_text(json.dumps(as_json(findings), indent=2) + "\n")
    Console().print(_table(findings, quick=asked.quick))


def _table(findings: list[Finding], *, quick: bool) -> Table:
    title = "one run, median of its rounds" + (" (quick: too little to believe)" if quick else "")
    table = Table("what", "measured", "aim", "", "rounds", "made of", title=title)
    for one in findings:
        unit = "" if one.unit == "×" else f" {one.unit}"
        table.add_row(
            one.name,
            f"{one.value:.3g}{unit}",
            one.aim,
            "[green]met[/]" if one.met else "[red]missed[/]",
            " ".join(f"{value:.3g}" for value in one.rounds),
            ", ".join(f"{key} {value:,.4g}" for key, value in one.detail.items()),
        )
    return table


if __name__ == "__main__":
    main()
