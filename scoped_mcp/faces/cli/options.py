"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import AwareDatetime, TypeAdapter, ValidationError

_DURATION = TypeAdapter(timedelta)
_MOMENT = TypeAdapter(AwareDatetime)
_SHORT = re.compile(r"(?:(\d+)d)?((?:\d+[hms])*)")

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="SCOPED_MCP_DB",
        metavar="URL",
        help="The database, such as sqlite:///scoped.db. Default: in the user's data folder.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and refusals as JSON too.")]
Count = Annotated[int, typer.Option("--limit", min=1, help="How many to show at most.")]
Cursor = Annotated[
    str | None, typer.Option(help="Continue after this `next_cursor`.", show_default=False)
]
Reason = Annotated[
    str | None, typer.Option(help="Why; it stands in the history.", show_default=False)
]


def duration(text: str) -> timedelta:
    """Read `8h`, `30m`, `1d12h` or an ISO 8601 duration such as `PT8H`.

    Raises:
        typer.BadParameter: it is neither.
    """
    short = _SHORT.fullmatch(text.strip().lower())
    if text and short is not None:
        text = f"P{short[1] or 0}DT{short[2].upper()}"
    try:
        found = _DURATION.validate_python(text)
    except ValidationError:
        found = timedelta()
    if found < timedelta(seconds=1):
        message = f"`{text[:64]}` is not a duration; write 30m, 8h, 2d or 1d12h"
        raise typer.BadParameter(message) from None
    return found


def moment(text: str) -> datetime:
    """Read a time (RFC 3339, with its zone), or how long ago: `2h`.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        return _MOMENT.validate_python(text)
    except ValidationError:
        with contextlib.suppress(typer.BadParameter):
            return datetime.now(UTC) - duration(text)
    message = f"`{text[:64]}` is no time; write 2026-01-31T12:00:00Z, or how long ago: 2h"
    raise typer.BadParameter(message)


def words(text: str | None) -> list[str] | None:
    """Read `a,b,c`; None where nothing was said."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
