"""The command: plays every step, prints what it proved, ends with 1 at the first that fails."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer
from mcp import MCPError

from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.demo import document, proofs, story
from scoped_mcp.faces.cli.demo.stage import BrokenPromiseError, Stage
from scoped_mcp.faces.cli.options import Json
from scoped_mcp.kernel.errors import ScopedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STEPS: tuple[Callable[[Stage], Awaitable[str]], ...] = (
    story.everyone_is_somebody,
    story.what_is_made_is_private,
    story.changes_make_versions,
    story.a_lost_race_loses_nothing,
    story.strangers_see_nothing,
    story.sharing_shows_exactly_that,
    story.reading_is_not_writing,
    story.revocation_bites_the_next_call,
    proofs.saying_so_changes_nothing,
    proofs.a_stopped_agent_is_stopped,
    proofs.the_trail_names_all_of_it,
    proofs.the_trail_verifies,
    proofs.tampering_is_found,
)
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
            help="The document that the agent works on. [default: this project's README]",
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
    text = document.read(source)
    folder = Path(tempfile.mkdtemp(prefix="scoped-mcp-demo-"))
    try:
        steps = asyncio.run(_play(folder, document.sections(text), in_json=json))
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


async def _play(
    folder: Path, sections: list[document.Section], *, in_json: bool
) -> list[dict[str, Any]]:
    """Play the steps up to the first that does not hold."""
    played: list[dict[str, Any]] = []
    async with Stage.set_up(folder, sections) as stage:
        if not in_json:
            show.note(f"serving {stage.address}")
        for step in STEPS:
            began = monotonic()
            try:
                proved, ok = await step(stage), True
            except (BrokenPromiseError, MCPError, ScopedError) as error:
                proved, ok = str(error), False
            name = step.__name__.replace("_", " ")
            seconds = round(monotonic() - began, 3)
            played.append({"step": name, "ok": ok, "proved": proved, "seconds": seconds})
            if not in_json:
                show.line(f"{'✓' if ok else '✗'} {name}: {proved}")
            if not ok:
                break
    return played
