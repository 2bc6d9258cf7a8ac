"""`call`: any operation, from JSON to JSON."""

from __future__ import annotations

import json as json_format
import sys
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.kernel.text import quote

if TYPE_CHECKING:
    from collections.abc import Sequence


def call(
    operation: Annotated[
        str, typer.Argument(help="Its name, such as object.create.", show_default=False)
    ],
    arguments: Annotated[
        str,
        typer.Argument(metavar="[JSON]", help="Its arguments; `-` reads standard input."),
    ] = "{}",
    key: Annotated[
        str | None,
        typer.Option(help="Do it once in 24 hours, however often it is called with this key."),
    ] = None,
    db: Db = None,
    *,
    json: Json = False,  # noqa: ARG001 - accepted everywhere; the answer always is JSON
) -> None:
    """Do any operation as the principal of SCOPED_MCP_TOKEN; the answer is JSON.

    scoped-mcp call object.create '{"type": "note", "data": {"title": "hello"}}'
    """
    asked = parse(sys.stdin.buffer.read() if arguments == "-" else arguments)
    show.as_json(acting.act(db, lambda session: session.call(operation, asked, key=key)))


def parse(text: str | bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        typer.BadParameter: it is something else, or names a key twice.
    """
    try:
        read: object = json_format.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        message = f"the arguments are not JSON: {error}"
        raise typer.BadParameter(message) from None
    if not isinstance(read, dict):
        message = "the arguments are not a JSON object"
        raise typer.BadParameter(message)
    return cast("dict[str, Any]", read)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name in found if [n for n, _ in pairs].count(name) > 1)
        message = f"the key {quote(twice)} stands there twice"
        raise ValueError(message)
    return found
