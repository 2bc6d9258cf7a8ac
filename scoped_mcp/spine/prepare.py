"""Ruling 17: what is slow is prepared before step 1, and the transaction finds it by its versions.

1. `prepare` of the operation is asked on a reader's snapshot what work there will be; its caller is
   authenticated and authorised there like that of any read, and what refuses it says nothing: the
   refusal is the transaction's to make, and to trace
2. more than 64 KiB of it is done in another process, within a budget
3. the transaction asks for what it needs; what it does not find there, because something moved or
   nobody could know, undoes it, is prepared, and the transaction runs again: three times, then
   it is a conflict
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.spine.declare import View
from scoped_mcp.spine.tx import ReadTx
from scoped_mcp.spine.work import UnpreparedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from scoped_mcp.spine.declare import Command, Operation, Prepare
    from scoped_mcp.spine.outcome import Outcome
    from scoped_mcp.spine.parse import Request
    from scoped_mcp.spine.tx import WriteTx
    from scoped_mcp.spine.work import About
    from scoped_mcp.spine.workshop import Workshop

TRIES = 3


async def through(
    request: Request,
    foresee: Callable[[Request], Awaitable[object]],
    go: Callable[[Request], Awaitable[Outcome]],
    workshop: Workshop,
) -> Outcome:
    """Bring a request through, with whatever it needs prepared.

    Raises:
        ConflictError: what it needs moved away again and again.
        LimitedError: preparing took longer than the budget.
    """
    operation, ready = request.operation, dict[Any, Any]()
    if operation is not None and operation.prepare is not None and request.command is not None:
        try:
            await foresee(replace(request, operation=_asking(operation, operation.prepare)))
        except UnpreparedError as wanted:
            ready |= await _worked(wanted, workshop)
    for _ in range(TRIES):
        try:
            return await go(replace(request, prepared=ready))
        except UnpreparedError as wanted:
            ready |= await _worked(wanted, workshop)
    try:
        return await go(replace(request, prepared=ready))
    except UnpreparedError:
        message = "what this needs changed each time that it was prepared"
        raise ConflictError(message, hint="call again", retry=True) from None


async def _worked(wanted: UnpreparedError, workshop: Workshop) -> Mapping[About, Any]:
    found = await workshop.work(list(wanted.tasks.values()))
    return dict(zip(wanted.tasks, found, strict=True))


def _asking(operation: Operation, prepare: Prepare) -> Operation:
    """An operation that only asks what work another will ask for."""

    def ask(command: Command[Any], tx: ReadTx | WriteTx) -> View:
        reading = ReadTx(tx._context, tx.operation, tx.record)  # noqa: SLF001 - without `put`
        reading.work_out(prepare(command, reading))
        return View()

    return replace(operation, handler=ask)
