"""The sweeper: discards what expired and can no longer be revived."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from scoped_mcp.layers.environments.model import SweepEnvironments
from scoped_mcp.layers.environments.operations.closing import due

if TYPE_CHECKING:
    from scoped_mcp.spine.run import Spine

EVERY = 60.0
log = logging.getLogger("scoped_mcp")


async def sweep(spine: Spine) -> int:
    """Sweep once, through the same path as everybody; how many environments were discarded.

    Two servers on one database sweep each environment once: whoever comes second finds nothing.
    """
    swept = 0
    while await spine.look(lambda tx: bool(due(tx)), None):
        done = await spine.run_as_house(SweepEnvironments(), "sweeper")
        swept += done.things
        if not done.things:
            break
    return swept


async def run(spine: Spine, stop: asyncio.Event, every: float = EVERY) -> None:
    """Sweep until told to stop; what fails is logged and tried again next time."""
    while not stop.is_set():
        try:
            await sweep(spine)
        except Exception:
            log.exception("the sweeper failed; it tries again")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)
