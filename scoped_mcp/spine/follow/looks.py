"""The steps of the path that a follow takes: its opening and its end, traced; looks, which are not.

These run whole in a transaction, on the database's thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args

from sqlalchemy import bindparam, exists, select  # noqa: TID251 - that something moved, never what

from scoped_mcp.kernel.errors import ScopedError, UnauthenticatedError
from scoped_mcp.spine import trace
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.declare import View
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.steps import learn_key, the_house
from scoped_mcp.storage.path import entries, versions
from scoped_mcp.storage.walls import past_walls

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
_CHANGED = past_walls(
    select(entries.c.seq)
    .where(entries.c.chain == bindparam("chain"))
    .where(entries.c.seq > bindparam("since"))
    .where(exists(select(versions.c.id).where(versions.c.entry == entries.c.id)))
    .limit(1)
)


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
    context, head = spine._begin(conn)
    ending = replace(follow.request, arguments=b"{}")
    tx = spine._outermost(context, ending)
    origin = ending.origin
    try:
        context.caller = _authenticated(tx, follow.stream.token)
    except UnauthenticatedError:
        key = learn_key(context, spine.house.principal)
        context.caller, origin = the_house(spine.house, key), Origin(face=origin.face)
    record, opened = tx.record, follow.opened
    record.operation = _named(follow.operation, "unsubscribe")
    record.asked, record.parent = {"ended": why.value}, opened.public_id
    record.target, record.owner, record.scope = opened.target, opened.owner, opened.scope
    for public_id in (record.target, record.owner, record.scope):
        learn_key(context, public_id)
    trace.write(context, head, origin, None)


def moved(conn: Conn, since: int) -> tuple[int, bool]:
    """The end of the chain, and whether an entry behind a position changed anything.

    By position, which is in the order of commits on every engine; the numbers of entries need not.
    """
    end = trace.head_of(conn).seq
    return end, conn.row(_CHANGED, {"chain": trace.CHAIN, "since": since}) is not None


def look(spine: Spine, conn: Conn, follows: Sequence[Follow]) -> list[Found]:
    """What each would read now; those of one credential are asked as one caller, and once."""
    askers: dict[Proof, Context | UnauthenticatedError] = {}
    known: dict[tuple[Proof, str, bytes], Found] = {}
    found: list[Found] = []
    for follow in follows:
        token, request = follow.stream.token, follow.request
        if token not in askers:
            askers[token] = _asker(spine, conn, follow)
        asker, same = askers[token], (token, follow.operation.name, request.arguments)
        if isinstance(asker, UnauthenticatedError):
            found.append(asker)
            continue
        if same not in known:
            known[same] = _answer(spine, asker, request)
        found.append(known[same])
    return found


def _asker(spine: Spine, conn: Conn, follow: Follow) -> Context | UnauthenticatedError:
    """The caller anew, with what its reads have in common."""
    context, _ = spine._begin(conn)
    tx = spine._outermost(context, follow.request)
    try:
        context.caller = _authenticated(tx, follow.stream.token)
    except UnauthenticatedError as refusal:
        return refusal
    return context


def _answer(spine: Spine, context: Context, request: Request) -> Found:
    tx = spine._outermost(context, request)
    try:
        view = spine._requested(tx, request)
        shown = ports.lens(view, context.caller)
    except ScopedError as refusal:
        return refusal
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
