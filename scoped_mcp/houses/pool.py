"""Which houses are open: opened by whoever needs one first, closed when others need the place.

1. whoever needs a house counts as using it, opening included; the first one starts the opening
2. the opening is a task of its own: who gives up waiting stops nothing, and who waits for one
   house waits for no other
3. beyond the bound, those used longest ago are closed, never one in use: rather one more is open
   for a moment than one organisation's slow calls hold up another's
4. one that could not be opened is forgotten: the next call tries again
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scoped_mcp.app import Scoped
from scoped_mcp.houses.directory import settings_of
from scoped_mcp.kernel.errors import InternalError, InvalidError, ScopedError, outline
from scoped_mcp.layers import registry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from scoped_mcp.config import Settings
    from scoped_mcp.kernel.clock import Clock, Entropy

log = logging.getLogger("scoped_mcp")


@dataclass(eq=False)
class _Held:
    """A house that is open, opening, or about to close."""

    tenant: registry.Tenant
    opening: asyncio.Task[Scoped]
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    users: int = 0
    brief: bool = True
    retired: bool = False


class Pool:
    """The open houses beside the home."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, entropy: Entropy | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._open: OrderedDict[str, _Held] = OrderedDict()  # used longest ago first
        self._closing: dict[str, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def at(self, tenant: registry.Tenant, *, brief: bool = False) -> AsyncGenerator[Scoped]:
        """An organisation's house, which stays open meanwhile.

        Args:
            tenant: Which.
            brief: Nobody asked for it: it takes no other's place, and closes when it was not open.

        Raises:
            InternalError: it cannot be opened; the next call tries again.
        """
        held = self._hold(tenant)
        held.users += 1
        if not brief:
            held.brief = False
            self._open.move_to_end(tenant.id)
            self._trim()
        try:
            yield await self._opened(held)
        finally:
            held.users -= 1
            if held.retired or (held.brief and not held.users):
                self._retire(held)
            self._trim()

    def opened(self, tenant: registry.Tenant) -> Scoped | None:
        """An organisation's house, if it is open."""
        held = self._open.get(tenant.id)
        ready = held is not None and held.opening.done() and not held.opening.cancelled()
        if held is None or not ready or held.opening.exception() is not None:
            return None
        return held.opening.result()

    async def close(self) -> None:
        """Close them all."""
        for held in list(self._open.values()):
            held.users = 0
            self._retire(held)
        while self._closing:
            await asyncio.wait(self._closing.values())
            await asyncio.sleep(0)  # for their callbacks

    def _hold(self, tenant: registry.Tenant) -> _Held:
        """1, 2: the house that is open or opening where the directory says, or a new one."""
        held = self._open.get(tenant.id)
        if held is not None and held.tenant.url != tenant.url:
            self._retire(held)
            held = None
        if held is None:
            stack = contextlib.AsyncExitStack()
            opening = asyncio.create_task(self._start(tenant, stack), name=f"open {tenant.id}")
            held = self._open[tenant.id] = _Held(tenant, opening, stack)
            opening.add_done_callback(lambda task: self._forget(held, task))
        return held

    async def _opened(self, held: _Held) -> Scoped:
        try:
            return await asyncio.shield(held.opening)
        except (ScopedError, OSError):  # `_start` has told the operator
            message = "the organisation's database cannot be opened"
            hint = "try again; if it persists, tell whoever runs this server"
            refusal = InternalError(message, hint=hint, retry=True)
            refusal.elsewhere = True
            raise refusal from None

    async def _start(self, tenant: registry.Tenant, stack: contextlib.AsyncExitStack) -> Scoped:
        settings = settings_of(tenant.id, tenant.url, self._settings)
        earlier = self._closing.get(tenant.id)
        if earlier is not None:
            await asyncio.wait({earlier})
        try:
            house = Scoped.open(
                settings.db, clock=self._clock, entropy=self._entropy, settings=settings
            )
            scoped = await stack.enter_async_context(house)
            await arrive(scoped, tenant)
        except BaseException as error:
            told = str(error) if isinstance(error, ScopedError) else outline(error)
            log.error("organisation %s cannot be opened: %s", tenant.id, told)  # noqa: TRY400 - see `outline`
            await stack.aclose()
            raise
        return scoped

    def _forget(self, held: _Held, task: asyncio.Task[Scoped]) -> None:
        """4, and its failure has been seen: whoever waited for it was told."""
        failed = task.cancelled() or task.exception() is not None
        if failed and self._open.get(held.tenant.id) is held:
            del self._open[held.tenant.id]

    def _trim(self) -> None:
        """3: close what was used longest ago."""
        kept = [held for held in self._open.values() if not held.brief]
        beyond = len(kept) - self._settings.open_organisations
        for held in kept:
            if beyond > 0 and not held.users and held.opening.done():
                self._retire(held)
                beyond -= 1

    def _retire(self, held: _Held) -> None:
        """Take no new users; close when the last one is gone."""
        held.retired = True
        if self._open.get(held.tenant.id) is held:
            del self._open[held.tenant.id]
        if held.users:
            return
        earlier = self._closing.get(held.tenant.id)
        task = asyncio.create_task(_end(held, earlier), name=f"close {held.tenant.id}")
        self._closing[held.tenant.id] = task
        task.add_done_callback(lambda done: self._ended(held.tenant.id, done))

    def _ended(self, tenant: str, task: asyncio.Task[None]) -> None:
        if self._closing.get(tenant) is task:
            del self._closing[tenant]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("organisation %s did not close well: %s", tenant, outline(error))


async def _end(held: _Held, earlier: asyncio.Task[None] | None) -> None:
    if earlier is not None:
        await asyncio.wait({earlier})
    await asyncio.wait({held.opening})
    await held.stack.aclose()


async def arrive(scoped: Scoped, tenant: registry.Tenant) -> None:
    """Refuse a database of somebody else; open one to which the directory says it went.

    Raises:
        InvalidError: the database at this address is another organisation's.
    """
    spine = scoped.spine
    if spine.house.organisation != tenant.organisation:
        message = "the database at this address is another organisation's"
        raise InvalidError(message, hint="put the right one back, or move the organisation")
    _, moved_to = await spine.database.read(registry.standing)
    if moved_to == tenant.url and tenant.state is not registry.TenantState.MOVING:
        await spine.run_as_house(registry.ArriveInDatabase(at=tenant.url))
        if await spine.database.read(registry.unregistered):
            await spine.run_as_house(registry.RegisterKinds())
