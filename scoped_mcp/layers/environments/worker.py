"""The sweeper: writes down what has run out, of whatever room: it was dead at its second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.run import Spine

EVERY = 60.0
log = logging.getLogger("scoped_mcp")


async def sweep(spine: Spine) -> int:
    """Sweep once, through the same path as everybody; how many things there were to sweep.

    Two servers on one database sweep each thing once: whoever comes second finds nothing.
    """
    swept = 0
    for due, command in ports.sweeps:
        while await spine.look(due, None):
            done = await spine.run_as_house(command(), "sweeper")
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
