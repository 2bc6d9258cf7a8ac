"""Idempotency keys: a repetition answers the first call's result, read again now (ruling 19)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.text import TOKEN
from scoped_mcp.spine.declare import Earlier, Effect
from scoped_mcp.storage.path import entries, registry, repetitions
from scoped_mcp.storage.types import Key
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from scoped_mcp.spine.declare import View
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.parse import Request
    from scoped_mcp.spine.tx import ReadTx, WriteTx

KEPT = timedelta(hours=24)
LONGEST = 200
_FIND = past_walls(
    select(repetitions.c.arguments, repetitions.c.entry, registry.c.public_id)
    .join_from(repetitions, entries, entries.c.id == repetitions.c.entry)
    .join(registry, registry.c.id == entries.c.target, isouter=True)
    .where(repetitions.c.credential == bindparam("credential"))
    .where(repetitions.c.key == bindparam("key"))
    .where(repetitions.c.at > bindparam("since"))
)
_REMEMBER = insert(repetitions)
_FORGET = delete(repetitions).where(repetitions.c.at <= bindparam("since"))
_first = entries.alias()
_MADE = past_walls(
    select(registry.c.public_id)
    .join_from(_first, entries, entries.c.chain == _first.c.chain)
    .join(registry, registry.c.entry == entries.c.id)
    .where(_first.c.id == bindparam("first"))
    .where(entries.c.seq.between(_first.c.seq, _first.c.seq + bindparam("within", type_=Key)))
    .where(registry.c.kind == bindparam("kind"))
    .order_by(registry.c.id)
)


def find(tx: WriteTx, request: Request) -> View | None:
    """The answer to a repetition, or None for a first call.

    Raises:
        ConflictError: the key was used for something else, or for what cannot be shown twice.
    """
    key, operation = request.origin.key, request.operation
    if key is None or operation is None or operation.effect is Effect.READ:
        return None
    if (
        not 0 < len(key) <= LONGEST
        or not key.isprintable()
        or TOKEN.search(key.encode()) is not None
    ):
        message = f"an idempotency key is 1 to {LONGEST} printable characters, and no token"
        raise InvalidError(message, hint="a random UUID will do")
    since = stamp(tx.now - KEPT)
    credential = tx.caller.credential_key
    found = tx.row(_FIND, {"credential": credential, "key": key, "since": since})
    if found is None:
        return None
    if found.arguments != _digest(request):
        message = "this idempotency key was used for another call"
        raise ConflictError(message, hint="use a new key for every new call")
    if operation.again is None:
        message = "this call was done before and its answer cannot be shown again"
        raise ConflictError(message, hint="look at its effect instead, or call with a new key")
    tx.record.repeated = True
    tx.record.target = found.public_id
    return operation.again(tx, request.command, Earlier(found.entry, found.public_id or ""))


def made(tx: ReadTx, kind: type[Entity], earlier: Earlier, within: int = 0) -> list[str]:
    """What of a kind the earlier call made, and as many operations within it, in that order.

    The entries of operations within an operation follow its own, one after the other.
    """
    found = {"kind": kind.KIND, "first": earlier.entry, "within": within}
    return [str(row.public_id) for row in tx.rows(_MADE, found)]


def remember(tx: WriteTx, request: Request, at: str) -> None:
    """Keep the key of what was just done, and forget those older than a day."""
    key, operation = request.origin.key, request.operation
    if key is None or operation is None or operation.effect is Effect.READ:
        return
    if tx.record.repeated:
        return
    conn = tx._context.conn  # noqa: SLF001 - not state: no version, no trace
    conn.send(_FORGET, {"since": stamp(tx.now - KEPT)})
    row = {"credential": tx.caller.credential_key, "key": key, "at": at}
    conn.send(_REMEMBER, {**row, "arguments": _digest(request), "entry": tx.record.key})


def _digest(request: Request) -> bytes:
    name = request.operation.name if request.operation else ""
    return hashlib.sha256(name.encode() + b"\x00" + request.arguments).digest()
