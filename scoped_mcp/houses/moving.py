"""An organisation from one database to another: whole, or not at all.

1. the target is made, empty, and nobody else's until it is verified: of two who move at once one
   is refused; the organisation's key goes beside it
2. the directory says that it is moving, and where to
3. the source is closed: the final entry of its chain says where the organisation went. From here on
   step 1 of every call there refuses, whoever asks and whatever copy of it is asked
4. every row is copied as it is: keys, versions, entries, hashes
5. the copy is verified, all of it, and compared with what the source ends with
6. the directory says that it is there: this one write decides
7. the copy is opened: its chain goes on behind the final entry of the source

A move that ended early is made again with the same command and goes on where it was, or is given up
with `scoped-mcp org resume`. Until 3 the source can be used, from 6 on the target; whoever asks in
between is told to call again. Never can both.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING

from scoped_mcp.app import Scoped, place_of
from scoped_mcp.houses.directory import address, opening, settings_of
from scoped_mcp.houses.founding import FACE, arrived, at, entry, lives_at, put
from scoped_mcp.kernel.errors import ConflictError, InternalError, InvalidError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import audit, registry
from scoped_mcp.spine.trace import head_of
from scoped_mcp.storage import copying

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from scoped_mcp.config import Settings
    from scoped_mcp.houses.open import Houses
    from scoped_mcp.kernel.clock import Clock
    from scoped_mcp.storage.database import Database


class Step(StrEnum):
    """What has just been done; several of `COPIED`, one a chunk."""

    MADE = "made"
    MOVING = "moving"
    CLOSED = "closed"
    COPIED = "copied"
    VERIFIED = "verified"
    SWITCHED = "switched"
    ARRIVED = "arrived"


async def move(houses: Houses, name: str, to: str) -> AsyncGenerator[Step]:
    """Move an organisation; each step is told when it is done.

    Raises:
        NotFoundError: there is none of this name.
        InvalidError: the target is in use, or cannot be kept without a password.
        ConflictError: it is being moved elsewhere, or the directory is not the newest.
        InternalError: the copy does not verify; the source is closed and whole.
    """
    url = address(to)
    tenant = await entry(houses, name)
    if tenant.url != url:
        began = tenant.state is registry.TenantState.MOVING
        _require_moving(tenant, url, began=began)
        target = settings_of(tenant.id, url, houses.settings)

        async def announce() -> None:
            if began:  # somebody else may have ended it, or given it up, before the target was ours
                _require_moving(await houses.directory.named(name), url, began=True)
            else:
                await put(houses, tenant, state=registry.TenantState.MOVING, target=url)

        async with at(houses, tenant) as source:
            if (there := await lives_at(houses, tenant, source)) is not None:
                message = f"{quote(name)} lives in {quote(there)}: this directory is an older one"
                hint = "`scoped-mcp org resume` leads it there; then move it"
                raise ConflictError(message, hint=hint)
            carried = _carried(source, target, url, announce, began=began)
            async with contextlib.aclosing(carried):  # whoever looks away lets go of the target
                async for step in carried:
                    yield step
            suspended, _ = await source.spine.database.read(registry.standing)
        tenant = await houses.directory.named(name)
        _require_moving(tenant, url, began=True)
        state = registry.TenantState.SUSPENDED if suspended else registry.TenantState.ACTIVE
        tenant = await put(houses, tenant, url=url, state=state, target=None)
        yield Step.SWITCHED  # 6
    async with houses.pool.at(tenant):
        yield Step.ARRIVED  # 7


async def move_home(
    settings: Settings, to: str, *, clock: Clock | None = None
) -> AsyncGenerator[Step]:
    """Move the home itself, whose directory goes along: opening the copy is what decides.

    Servers find it where `SCOPED_MCP_DB` says from then on.

    Raises:
        InvalidError: the target is in use.
        ConflictError: it is being moved elsewhere.
        InternalError: the copy does not verify; the source is closed and whole.
    """
    url, target = address(to), settings.model_copy(update={"db": to})
    async with Scoped.open(settings.db, settings=settings, clock=clock) as source:
        _, left_for = await source.spine.database.read(registry.standing)
        if left_for not in {None, url}:
            message = f"it is being moved to {quote(left_for or '')}"
            raise ConflictError(message, hint="move it there, or `scoped-mcp org resume` it first")
        if left_for is None or not await arrived(target, source, clock):

            async def announce() -> None:
                """There is no directory above this one."""

            began = left_for is not None
            carried = _carried(source, target, url, announce, began=began)
            async with contextlib.aclosing(carried):
                async for step in carried:
                    yield step
    async with Scoped.open(to, settings=target, clock=clock) as copy:
        await copy.spine.run_as_house(registry.ArriveInDatabase(at=url), FACE)
        yield Step.ARRIVED


async def resume_home(settings: Settings, *, clock: Clock | None = None) -> None:
    """Give up the move of the home: it stays where it was, unless its copy was opened.

    Raises:
        ConflictError: it moved.
        InvalidError: the copy cannot be looked at: finish the move, which makes it anew.
    """
    async with Scoped.open(settings.db, settings=settings, clock=clock) as source:
        _, left_for = await source.spine.database.read(registry.standing)
        if left_for is None:
            return
        target = settings.model_copy(update={"db": opening(left_for, settings)})
        if await arrived(target, source, clock):
            raise registry.moved()
        await source.spine.run_as_house(registry.StayInDatabase(), FACE)


async def _carried(
    source: Scoped,
    target: Settings,
    url: str,
    announce: Callable[[], Awaitable[None]],
    *,
    began: bool,
) -> AsyncGenerator[Step]:
    """1 to 5, or on from where an earlier try ended; nobody else has the copy open meanwhile.

    What is done with a copy that is open may not be in it any more: nothing is put into it again.
    """
    database = source.spine.database
    async with Scoped.blank(target.db, alone=True) as copy:
        if not await _is_ours(copy, source, began=began):
            message = f"the database {quote(url)} is in use"
            raise InvalidError(message, hint="name one that does not exist yet")
        if (await copy.read(head_of)).seq > (await database.read(head_of)).seq:
            raise registry.moved()  # somebody else ended this move before the target was ours
        Scoped.carry_key(source.settings, target)
        yield Step.MADE  # 1
        await announce()
        yield Step.MOVING  # 2
        _, left_for = await database.read(registry.standing)
        if left_for != url:  # or the final entry would not be the last
            await source.spine.run_as_house(registry.LeaveDatabase(to=url), FACE)
        yield Step.CLOSED  # 3
        async for _ in copying.copy(database, copy):
            yield Step.COPIED  # 4
        await asyncio.to_thread(place_of(target.db).settle)
        await _require_whole(database, copy)
        yield Step.VERIFIED  # 5


async def _is_ours(copy: Database, source: Scoped, *, began: bool) -> bool:
    """Whether a database is there to be copied into: nothing is in it, or what this move began."""
    if await copying.vacant(copy):
        return True
    try:
        there = await copy.read(registry.house_of)
    except InvalidError:  # its organisation is not there yet
        return began
    return began and there.organisation == source.spine.house.organisation


def _require_moving(tenant: registry.Tenant, url: str, *, began: bool) -> None:
    """Refuse to go on with a move that is not this one.

    Raises:
        ConflictError: it goes elsewhere, or was given up.
    """
    if began and (tenant.state is not registry.TenantState.MOVING or tenant.target != url):
        message = f"{quote(tenant.name)} is {tenant.state}, and not on its way there"
        raise ConflictError(message, hint="`scoped-mcp org list` shows where it goes")


async def _require_whole(source: Database, copy: Database) -> None:
    """5: as many rows of each kind, the same end of the chain, and all of it recomputed.

    Raises:
        InternalError: something is missing or not what its digest says.
    """
    ends = await source.read(head_of), await copy.read(head_of)
    counted, finding = await copy.read(audit.recompute)
    same = ends[0] == ends[1] and await copying.sizes(source) == await copying.sizes(copy)
    if finding is not None or not same or counted.head != ends[0].hash:
        why = "it is not as long" if finding is None else f"{finding.problem}: {finding.detail}"
        message = f"the copy does not verify ({why}); the organisation stays where it was"
        hint = "`scoped-mcp org resume` opens it again; then move it to another database"
        raise InternalError(message, hint=hint)
