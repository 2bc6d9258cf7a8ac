"""The sweeper of every house: those that are open each time, the others in turn, rarely.

Each is swept in a task of its own, and not again before it is done: a slow one delays itself alone.
Of the houses that are not open one at a time is opened for it, and closed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from scoped_mcp.layers import environments, registry

if TYPE_CHECKING:
    from scoped_mcp.app import Scoped
    from scoped_mcp.houses.directory import Directory
    from scoped_mcp.houses.pool import Pool

EVERY = 60.0
_HOME = ""
log = logging.getLogger("scoped_mcp")


class Sweeper:
    """Sweeps until told to stop; what fails is logged and tried again in its turn."""

    def __init__(self, home: Scoped, directory: Directory, pool: Pool) -> None:
        self._home = home
        self._directory = directory
        self._pool = pool
        self._sweeping: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, int] = {}
        self._round = 0

    async def run(self, stop: asyncio.Event, every: float = EVERY) -> None:
        """A round, then a pause, until told to stop; then wait for what is being swept."""
        while not stop.is_set():
            await self.round()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
        await self.done()

    async def round(self) -> None:
        """Start to sweep whatever is open, and the closed house that has waited longest."""
        self._round += 1
        self._start(_HOME, None)
        try:
            tenants = await self._directory.read()
        except Exception:
            log.exception("the directory cannot be read; the sweeper tries again")
            return
        here = [one for one in tenants if one.state is not registry.TenantState.MOVING]
        closed = [one for one in here if self._pool.opened(one) is None]
        for one in here:
            if one not in closed:
                self._start(one.id, one)
        closed.sort(key=lambda one: self._turns.get(one.id, 0))
        if closed and not any(one.id in self._sweeping for one in closed):
            self._start(closed[0].id, closed[0])

    async def done(self) -> None:
        """Return once nothing is being swept."""
        while self._sweeping:
            await asyncio.wait(self._sweeping.values())
            await asyncio.sleep(0)  # for their callbacks

    def _start(self, name: str, tenant: registry.Tenant | None) -> None:
        if name in self._sweeping:
            return
        self._turns[name] = self._round
        task = self._sweeping[name] = asyncio.create_task(self._sweep(tenant), name=f"sweep {name}")
        task.add_done_callback(lambda _task: self._sweeping.pop(name))

    async def _sweep(self, tenant: registry.Tenant | None) -> None:
        try:
            if tenant is None:
                await environments.worker.sweep(self._home.spine)
                return
            async with self._pool.at(tenant, brief=True) as scoped:
                await environments.worker.sweep(scoped.spine)
        except Exception:
            log.exception("the sweeper failed; it tries again")
