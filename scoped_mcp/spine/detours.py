"""Reads that keep off the writer: they look on a snapshot, and come back to the path for the trace.

pooled    a long read; its entry is written in order, if nobody's rights changed meanwhile
quietly   a look of an open stream, whose own entries are its trace (ruling 50)
foreseen  what a request would read, for what is prepared before its transaction (ruling 17)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from scoped_mcp.kernel.errors import ScopedError, UnauthenticatedError
from scoped_mcp.spine import trace
from scoped_mcp.spine.outcome import Glimpse, Outcome
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.steps import learn_key, note_use

if TYPE_CHECKING:
    from scoped_mcp.spine.caller import Caller
    from scoped_mcp.spine.parse import Request
    from scoped_mcp.spine.run import Spine
    from scoped_mcp.storage.connection import Conn


async def pooled(spine: Spine, request: Request) -> Outcome:
    """A long read: look on a snapshot, then trace it, if nobody's rights have changed."""
    for _ in range(3):
        glimpse = await foreseen(spine, request)
        if glimpse is None:
            break
        confirm = partial(_confirm, spine, request=request, glimpse=glimpse)
        outcome = await spine.database.write(confirm, beside=True)
        if outcome is not None:
            return outcome
    return await spine._ordered(request)


async def quietly(spine: Spine, request: Request) -> Outcome:
    """A look of an open stream: like any read, but the stream's entries are its trace."""
    glimpse = await foreseen(spine, request)
    if glimpse is None or glimpse.outcome.refusal is not None:  # traced like any other
        return await spine._ordered(request)
    if glimpse.record.notes:
        note = partial(_note, spine, request=request, glimpse=glimpse)
        await spine.database.write(note, beside=True)
    return glimpse.outcome


async def foreseen(spine: Spine, request: Request) -> Glimpse | None:
    """1 to 6 on a snapshot, untraced; None where only the ordered path can answer."""
    return await spine.database.read(partial(_glimpse, spine, request=request))


def _glimpse(spine: Spine, conn: Conn, request: Request) -> Glimpse | None:
    context, head = spine._begin(conn)
    tx = spine._outermost(context, request)
    try:
        if request.token is None or ports.authenticate is None:
            return None
        context.caller = ports.authenticate(tx, request.token)
        view = spine._requested(tx, request)
    except UnauthenticatedError:
        return None
    except ScopedError as refusal:
        outcome = Outcome(context.caller, refusal=refusal)
    else:
        outcome = Outcome(context.caller, view=view)
    return Glimpse(outcome, tx.record, head.authority, context.now)


def _confirm(spine: Spine, conn: Conn, request: Request, glimpse: Glimpse) -> Outcome | None:
    """7 of a pooled read, in order; None where it must be read again."""
    context, head = spine._begin(conn)
    tx = spine._outermost(context, request)
    ran_out = any(expired(tx, glimpse.now, context.now) for expired in ports.expired)
    if head.authority != glimpse.authority or ran_out:
        return None  # somebody's rights changed in between: what was seen is not to be believed
    # INVARIANT: only now, for it may open a session, and nothing is written without an entry.
    anew = spine._authenticate(tx, request, head)
    record = tx.record
    record.asked, record.rules = glimpse.record.asked, glimpse.record.rules
    record.target, record.owner = glimpse.record.target, glimpse.record.owner
    record.scope = glimpse.record.scope
    for public_id in (record.target, record.owner, record.scope):  # the entry's columns
        learn_key(context, public_id)
    trace.write(context, head, request.origin, glimpse.outcome.refusal)
    if glimpse.outcome.refusal is not None:
        glimpse.outcome.refusal.entry = record.public_id
    else:
        note_use(tx)
    glimpse.outcome.caller, glimpse.outcome.anew = context.caller, anew
    return glimpse.outcome


def _note(spine: Spine, conn: Conn, request: Request, glimpse: Glimpse) -> None:
    context, _ = spine._begin(conn)
    context.caller = cast("Caller", glimpse.outcome.caller)
    tx = spine._outermost(context, request)
    spine._seen.note(tx)
    for statement, values in glimpse.record.notes:
        tx.derive(statement, values)
