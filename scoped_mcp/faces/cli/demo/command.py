"""The command: plays every step, prints what it proved, ends with 1 at the first that fails."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.demo import document
from scoped_mcp.faces.cli.options import Json

LIMITS = (
    "the embedded database does not promise: an agent with a shell of your account can read the"
    " file and its neighbours' tokens. To keep agents out, serve as another user or host."
)


def demo(
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="The document that the agent works on; this project's README if not given.",
        ),
    ] = None,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the database; say where it is.")
    ] = False,
    json: Json = False,
) -> None:
    """See the main job done: two agents, one document, on a fresh database over real HTTP.

    Starts a server on a free loopback port and drives it with MCP clients. Each step prints what it
    proved; the first that does not hold ends the demo with 1.
    """
    from scoped_mcp.faces.cli.demo import play  # noqa: PLC0415 - clients take long to import

    text = document.read(source)
    folder = Path(tempfile.mkdtemp(prefix="scoped-mcp-demo-"))
    try:
        steps = asyncio.run(play.play(folder, document.sections(text), in_json=json))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    kept = {"folder": str(folder)} if keep else {}
    broken = [step for step in steps if not step["ok"]]
    if json:
        show.as_json({"ok": not broken, "steps": steps, **kept})
    elif not broken:
        show.line(f"all {len(steps)} steps hold")
    if keep:
        show.note(f"kept {folder}: scoped.db, and the first principal's token in root.token")
    if broken:
        raise typer.Exit(1)
    show.note(LIMITS)
