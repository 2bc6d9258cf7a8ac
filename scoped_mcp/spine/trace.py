"""Step 7: the entry. One for every operation and every refusal, chained to the entry before.

The hash is SHA-256 over the RFC 8785 bytes of the whole entry, which names the digest of every
changed version and the hash of the entry before; exactly those bytes are stored.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, select, update

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.clock import moment, stamp
from scoped_mcp.kernel.errors import Outcome, outcome_of
from scoped_mcp.storage.path import chain_heads, entries, outbox
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from scoped_mcp.kernel.errors import ScopedError
    from scoped_mcp.spine.caller import Origin
    from scoped_mcp.spine.context import Context, Record
    from scoped_mcp.storage.connection import Conn

CHAIN = 0
GENESIS = bytes(32)
_NUMBER = select(func.max(entries.c.id)).scalar_subquery().label("number")
_HEAD = past_walls(select(chain_heads, _NUMBER).where(chain_heads.c.chain == CHAIN))
_HELD = past_walls(
    select(chain_heads, _NUMBER).where(chain_heads.c.chain == CHAIN).with_for_update()
)
_ENTRY = insert(entries)
_EVENT = insert(outbox)
_FIRST = insert(chain_heads)
_MOVE = (
    update(chain_heads)
    .where(chain_heads.c.chain == CHAIN)
    .values({c: bindparam(f"new_{c}") for c in ("seq", "hash", "at", "authority")})
)


@dataclass(frozen=True)
class Head:
    """The end of the chain.

    Attributes:
        seq: The position of its last entry.
        authority: The position of the last that changed anybody's rights.
        number: The highest number of any entry: where works run side by side, numbers are drawn
            when they begin and positions when they end.
    """

    seq: int = 0
    hash: bytes = GENESIS
    at: datetime | None = None
    authority: int = 0
    number: int = 0


def head_of(conn: Conn, *, held: bool = False) -> Head:
    """Read the end of the chain; held, it stays where it is until this transaction ends."""
    row = conn.row(_HELD if held else _HEAD)
    if row is None:
        return Head()
    return Head(row.seq, row.hash, moment(row.at), row.authority, row.number)


def write(context: Context, head: Head, origin: Origin, refusal: ScopedError | None) -> None:
    """Append an entry for each record, in order, and move the head behind the last.

    Where others work beside, the head has moved since: it is taken last, and held the shortest.
    """
    conn = context.conn
    if not conn.alone:
        head = head_of(conn, held=True)
    seq, previous, authority = head.seq, head.hash, head.authority
    for record in context.records:
        seq += 1
        context.name(record)
        body = canonical.encode(_body(context, record, origin, refusal, seq, previous))
        previous = hashlib.sha256(body).digest()
        if record.authority:
            authority = seq
        row = _columns(context, record, refusal)
        conn.send(_ENTRY, {**row, "seq": seq, "body": body, "hash": previous})
        for event, subject, version in record.events:
            key = context.keys[subject]
            told = {"entry": record.key, "event": event, "subject": key, "version": version}
            conn.send(_EVENT, told)
    at = stamp(context.now if head.at is None else max(context.now, head.at))
    if head.seq == 0:
        first = {"chain": CHAIN, "seq": seq, "hash": previous, "at": at, "authority": authority}
        conn.send(_FIRST, first)
    else:
        new = {"seq": seq, "hash": previous, "at": at, "authority": authority}
        conn.send(_MOVE, {f"new_{name}": value for name, value in new.items()})


def columns_of(body: dict[str, Any], key_of: Callable[[str], int | None]) -> dict[str, Any]:
    """The columns that an entry with this body must have: what verification compares."""

    def key(name: str) -> int | None:
        return None if body[name] is None else key_of(body[name])

    return {
        "id": body["number"],
        "chain": body["chain"],
        "seq": body["seq"],
        "public_id": body["id"],
        "at": body["at"],
        "principal": key("principal"),
        "session": key("session"),
        "operation": body["operation"],
        "target": key("target"),
        "owner": key("owner"),
        "scope": key("scope"),
        "outcome": body["outcome"],
    }


def _body(  # noqa: PLR0913 - an entry names everything
    context: Context,
    record: Record,
    origin: Origin,
    refusal: ScopedError | None,
    seq: int,
    previous: bytes,
) -> dict[str, Any]:
    caller = context.caller
    key = hmac.new(context.secret, record.public_id.encode(), hashlib.sha256).digest()
    return {
        "id": record.public_id,
        "number": record.key,
        "chain": CHAIN,
        "seq": seq,
        "at": stamp(context.now),
        "principal": caller.principal,
        "session": caller.session,
        "sponsors": list(caller.sponsors),
        "client": origin.declared,
        "face": origin.face,
        "trace": origin.trace,
        "operation": record.operation,
        "outcome": _outcome(refusal),
        "code": None if refusal is None else refusal.code,
        "asked": record.asked,
        "arguments": hmac.new(key, record.arguments, hashlib.sha256).hexdigest(),
        "target": record.target,
        "owner": record.owner,
        "scope": record.scope,
        "rules": list(record.rules),
        "changes": record.changes,
        "authority": record.authority,
        "under": record.under,
        "parent": record.parent,
        "prev": previous.hex(),
    }


def _columns(context: Context, record: Record, refusal: ScopedError | None) -> dict[str, Any]:
    caller = context.caller
    keys = context.keys
    return {
        "id": record.key,
        "chain": CHAIN,
        "public_id": record.public_id,
        "at": stamp(context.now),
        "principal": keys.get(caller.principal, caller.key),
        "session": caller.session_key,
        "operation": record.operation,
        "target": keys.get(record.target or ""),
        "owner": keys.get(record.owner or ""),
        "scope": keys.get(record.scope or ""),
        "outcome": _outcome(refusal),
    }


def _outcome(refusal: ScopedError | None) -> str:
    return Outcome.DONE if refusal is None else outcome_of(refusal.code)
