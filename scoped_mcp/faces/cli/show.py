"""What is printed, and where: answers on standard output, everything else on standard error."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from scoped_mcp.kernel.errors import ScopedError

T = TypeVar("T")
SLOW_SECONDS = 1.0
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What could steer a terminal or turn the direction of what is read on it."""
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def plain(value: object) -> str:
    """Any value of a view as one safe line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ",".join(map(plain, cast("list[object]", value)))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _UNSAFE.sub(_escape, text)


def as_json(value: object) -> None:
    """Print a value as JSON: readable on a terminal, one line in a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    print(_UNSAFE_IN_JSON.sub(_escape, text), flush=True)  # noqa: T201 - the answer


def line(text: str) -> None:
    """Print one line of an answer."""
    print(_UNSAFE.sub(_escape, text), flush=True)  # noqa: T201 - the answer


def note(text: str) -> None:
    """Print an explanation, which is no part of the answer."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - an explanation


def refusal(error: ScopedError, *, in_json: bool, in_one: bool = False) -> None:
    """Print why it was refused and what to try: one line and a hint, or both in one line."""
    if in_json:
        told = {name: getattr(error, name) for name in ("message", "hint", "retry", "entry")}
        as_json({"error": {"code": error.code.value, **told}})
    said = f"{error.code.value}: {plain(error.message)}"
    if in_one and error.hint:
        note(f"{said}; {plain(error.hint)}")
        return
    note(said)
    if error.hint:
        note(f"hint: {plain(error.hint)}")


def rows(columns: Mapping[str, str], items: Iterable[Mapping[str, Any]]) -> None:
    """Print items as a table on a terminal, as tab-separated lines in a pipe.

    Args:
        columns: Heading → path of the value in an item, such as `principal.name`.
        items: What to print.
    """
    lines = [[plain(_at(item, path)) for path in columns.values()] for item in items]
    if not sys.stdout.isatty():
        for cells in lines:
            print("\t".join(cells), flush=True)  # noqa: T201 - the answer
        return
    if not lines:
        note("nothing to show")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in columns:
        table.add_column(heading, overflow="fold")  # an id cut short is of no use
    for cells in lines:
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


def page(found: Mapping[str, Any], columns: Mapping[str, str], *, in_json: bool) -> None:
    """Print a page of a list, and how to go on where there is more."""
    if in_json:
        as_json(found)
        return
    items: Sequence[Mapping[str, Any]] = found["items"]
    rows(columns, items)
    if found.get("next_cursor"):
        note(f"there is more: --cursor {found['next_cursor']}")


def _at(item: Mapping[str, Any], path: str) -> object:
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if hasattr(value, "get") else None
    return value


async def patiently(work: Coroutine[Any, Any, T], what: str) -> T:
    """Await what may take long; past a second a terminal shows that it goes on."""
    if not sys.stderr.isatty():
        return await work
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=SLOW_SECONDS)
    if not task.done():
        shown = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
            progress.add_task(what, total=None)
            await asyncio.wait({task})
    return await task
