"""The steps of the path that a follow takes: its opening and its end, traced; looks, which are not.

These run whole in a transaction, on the database's thread.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args

from sqlalchemy import func, select  # noqa: TID251 - that something moved, never what

from scoped_mcp.kernel.errors import InternalError, ScopedError, UnauthenticatedError, outline
from scoped_mcp.spine import trace
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.declare import View
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.steps import key_of, the_house
from scoped_mcp.storage.path import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scoped_mcp.spine.caller import Caller, Proof
    from scoped_mcp.spine.context import Context, Record
    from scoped_mcp.spine.declare import Operation
    from scoped_mcp.spine.follow.stream import End, Follow
    from scoped_mcp.spine.parse import Request
    from scoped_mcp.spine.run import Spine
    from scoped_mcp.spine.tx import ReadTx
    from scoped_mcp.storage.connection import Conn

Found = bytes | ScopedError
"""What a look finds: a digest of what would be read, or why nothing would."""
_MOVED = select(func.max(outbox.c.id))  # drawn while the head is held: in the order of commits
log = logging.getLogger("scoped_mcp")


def opening(operation: Operation, opened: Callable[[Record], None]) -> Operation:
    """The read as it is opened: the same in all that decides, with an entry of its own name."""

    def read(command: Any, tx: ReadTx) -> View:  # noqa: ANN401 - any read
        view = operation.handler(command, tx)
        tx.record.operation = _named(operation, "subscribe")
        opened(tx.record)
        return view

    return replace(operation, handler=read, pooled=False)


def trace_end(spine: Spine, conn: Conn, follow: Follow, why: End) -> None:
    """The closing entry: its principal's, or the house's where its credential works no more."""
    context, head = spine._begin(conn)  # noqa: SLF001 - a step of the path
    ending = replace(follow.request, arguments=b"{}")
    tx = spine._root(context, ending)  # noqa: SLF001 - a step of the path
    origin = ending.origin
    try:
        context.caller = _authenticated(tx, follow.stream.token)
    except UnauthenticatedError:
        key = key_of(context, spine.house.principal)
        context.caller, origin = the_house(spine.house, key), Origin(face=origin.face)
    record, opened = tx.record, follow.opened
    record.operation = _named(follow.operation, "unsubscribe")
    record.asked, record.parent = {"ended": why.value}, opened.public_id
    record.target, record.owner, record.scope = opened.target, opened.owner, opened.scope
    for public_id in (record.target, record.owner, record.scope):
        key_of(context, public_id)
    trace.write(context, head, origin, None)


def moved(conn: Conn) -> tuple[int, int]:
    """The newest event of any change, and the newest entry there is."""
    row = conn.row(_MOVED)
    return int(cast("Any", row)[0] or 0), trace.head_of(conn).seq


def look(spine: Spine, conn: Conn, follows: Sequence[Follow]) -> list[Found]:
    """What each would read now; those of one stream, which come together, as one caller."""
    found: list[Found] = []
    last: object = None
    asker: Context | UnauthenticatedError | None = None
    for follow in follows:
        if follow.stream is not last:
            last, asker = follow.stream, _asker(spine, conn, follow)
        if isinstance(asker, UnauthenticatedError):
            found.append(asker)
        else:
            found.append(_answer(spine, cast("Context", asker), follow.request))
    return found


def _asker(spine: Spine, conn: Conn, follow: Follow) -> Context | UnauthenticatedError:
    """The caller anew, with what its reads have in common."""
    context, _ = spine._begin(conn)  # noqa: SLF001 - a step of the path
    tx = spine._root(context, follow.request)  # noqa: SLF001 - a step of the path
    try:
        context.caller = _authenticated(tx, follow.stream.token)
    except UnauthenticatedError as refusal:
        return refusal
    return context


def _answer(spine: Spine, context: Context, request: Request) -> Found:
    tx = spine._root(context, request)  # noqa: SLF001 - a step of the path
    try:
        view = spine._first(tx, request)  # noqa: SLF001 - steps 2 to 6
        shown = ports.lens(view, context.caller)
    except ScopedError as refusal:
        return refusal
    except Exception as error:  # noqa: BLE001 - it is logged; what others follow goes on
        log.error("a look failed: %s", outline(error))  # noqa: TRY400 - see `outline`
        return InternalError("a look failed", retry=True)
    told = shown.model_dump_json(exclude=cast("Any", fleeting(type(shown))))
    return hashlib.sha256(told.encode()).digest()


def _authenticated(tx: ReadTx, token: Proof) -> Caller:
    return cast("Callable[[ReadTx, Proof], Caller]", ports.authenticate)(tx, token)


def _named(operation: Operation, verb: str) -> str:
    return f"{operation.name.partition('.')[0]}.{verb}"


@cache
def fleeting(kind: type[View]) -> Mapping[str, Any]:
    """What a digest of this view leaves out, in it and in the views that it holds."""
    found: dict[str, Any] = dict.fromkeys(kind.fleeting, True)
    for name, info in kind.model_fields.items():
        for inner in (info.annotation, *get_args(info.annotation)):
            if isinstance(inner, type) and issubclass(inner, View) and (left := fleeting(inner)):
                found.setdefault(name, left)
    return found
