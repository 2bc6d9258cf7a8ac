"""The steps in their order, played up to the first that does not hold."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from mcp import MCPError

from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.demo import proofs, story
from scoped_mcp.faces.cli.demo.stage import BrokenPromiseError, Stage
from scoped_mcp.kernel.errors import ScopedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from scoped_mcp.faces.cli.demo.document import Section

STEPS: tuple[Callable[[Stage], Awaitable[str]], ...] = (
    story.everyone_is_somebody,
    story.what_is_made_is_private,
    story.changes_make_versions,
    story.a_lost_race_loses_nothing,
    story.strangers_see_nothing,
    story.nothing_leaves_but_through_a_channel,
    story.the_copy_is_what_was_approved,
    story.reading_is_not_writing,
    story.what_was_published_can_be_taken_back,
    story.an_edit_of_what_is_published_is_a_fork,
    story.a_pinned_agent_has_one_environment,
    story.what_is_thrown_away_is_gone,
    story.revocation_bites_the_next_call,
    proofs.saying_so_changes_nothing,
    proofs.a_stopped_agent_is_stopped,
    proofs.the_trail_names_all_of_it,
    proofs.the_trail_verifies,
    proofs.tampering_is_found,
)


async def play(folder: Path, sections: list[Section], *, in_json: bool) -> list[dict[str, Any]]:
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
            name = getattr(step, "__name__", "").replace("_", " ")
            seconds = round(monotonic() - began, 3)
            played.append({"step": name, "ok": ok, "proved": proved, "seconds": seconds})
            if not in_json:
                show.line(f"{'✓' if ok else '✗'} {name}: {proved}")
            if not ok:
                break
    return played
