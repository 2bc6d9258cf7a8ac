"""Ratios of the product to its peers, side by side in one run.

python -m tests.bench [NAME ...] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import (  # noqa: F401 - they declare themselves
    environments,
    lists,
    memory,
    organisations,
    serving,
    writes,
)
from tests.bench.measure import Finding, Scale, as_json, benchmarks


def main() -> None:
    asking = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    asking.add_argument("names", nargs="*", metavar="NAME", help=", ".join(benchmarks))
    asking.add_argument("--quick", action="store_true", help="see it run; too little to believe")
    asking.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    asked = asking.parse_args()
    if unknown := set(asked.names) - set(benchmarks):
        asking.error(
            f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(benchmarks)}"
        )
    logging.disable(logging.INFO)
    console = Console(stderr=True)
    findings: list[Finding] = []
    for name in asked.names or benchmarks:
        about, run = benchmarks[name]
        with tempfile.TemporaryDirectory(prefix="bench") as folder:
            make = Scale.quick if asked.quick else Scale.full
            with console.status(about):
                findings += asyncio.run(run(make(Path(folder))))
    Console().print(_table(findings, quick=asked.quick))
    if asked.json is not None:
        asked.json.write_text(json.dumps(as_json(findings), indent=2) + "\n")


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
