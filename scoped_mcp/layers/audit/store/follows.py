"""Where follows stand, and what they show: entries by their position in the chain.

Positions are given in the order of commits and numbers of entries are not, where works run side by
side: whoever follows by position misses nothing and sees nothing twice. No answer holds one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, exists, func, insert, select, update  # noqa: TID251 - own rows

from scoped_mcp.kernel.clock import moment, stamp
from scoped_mcp.layers import identity
from scoped_mcp.layers.audit.store.entries import matching, sees_all
from scoped_mcp.layers.audit.tables import follows
from scoped_mcp.spine.trace import CHAIN
from scoped_mcp.storage.path import chain_heads, entries
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.layers.audit.model import ListEntries
    from scoped_mcp.spine.tx import ReadTx

SEEN_EVERY = timedelta(minutes=1)
_OPEN = past_walls(
    select(
        follows, entries.c.public_id, entries.c.seq, entries.c.session, entries.c.principal
    ).join_from(follows, entries, entries.c.id == follows.c.entry)
)
_ONE = _OPEN.where(entries.c.public_id == bindparam("public_id"))
_HELD = _ONE.with_for_update(of=follows)
_MINE = past_walls(  # from the few that are open to their entries, never the other way
    select(func.count())
    .select_from(follows)
    .where(
        exists().where(entries.c.id == follows.c.entry, entries.c.session == bindparam("session"))
    )
)
_MAKE = insert(follows)
_SHOWN = (
    update(follows)
    .where(follows.c.entry == bindparam("of"))
    .where(follows.c.upto < bindparam("last"))
    .values(upto=bindparam("last"), shown=follows.c.shown + bindparam("count"), at=bindparam("now"))
)
_CLEAR = (
    update(follows)
    .where(follows.c.entry == bindparam("of"))
    .where(follows.c.clear <= bindparam("head"))
    .values(clear=bindparam("head"), at=bindparam("now"))
)
_END = delete(follows).where(follows.c.entry == bindparam("of"))
_HEAD = select(chain_heads.c.seq).where(chain_heads.c.chain == CHAIN)
_POSITION = past_walls(select(entries.c.seq).where(entries.c.public_id == bindparam("public_id")))


def open_follows(tx: ReadTx) -> int:
    """How many the caller's session has."""
    return int(tx.row(_MINE, {"session": tx.caller.session_key})[0])


def make(tx: ReadTx, asked: bytes, latest: int) -> None:
    """Open one, by the entry of the operation at hand."""
    row = {"entry": tx.record.key, "asked": asked, "latest": latest}
    tx.note(_MAKE, {**row, "clear": 0, "upto": 0, "shown": 0, "at": stamp(tx.now)})


def followed(tx: ReadTx, public_id: str, *, held: bool = False) -> Any:  # noqa: ANN401 - a row, or None
    """The open follow that an entry opened; held, nobody else ends it meanwhile."""
    return tx.row(_HELD if held else _ONE, {"public_id": public_id})


def idle(tx: ReadTx, one: Any) -> bool:  # noqa: ANN401 - a row of `followed`
    """Whether nobody has looked for so long that it has ended."""
    return moment(one.at) + timedelta(seconds=tx.limits.follow_seconds) <= tx.now


def over(tx: ReadTx) -> list[tuple[Any, str]]:
    """Follows that have ended and are not closed, and why."""
    found: list[tuple[Any, str]] = []
    for one in tx.rows(_OPEN.order_by(follows.c.entry)):
        session = tx.get_known(identity.Session, tx.public_id(one.session))
        if not identity.alive(tx, tx.get_known(identity.Credential, session.credential)):
            found.append((one, "revoked"))
        elif idle(tx, one):
            found.append((one, "idle"))
    return found


def end(tx: ReadTx, one: Any) -> None:  # noqa: ANN401 - a row of `followed`
    """Close one: what is left of it is its entries."""
    tx.note(_END, {"of": one.entry})


def after(
    tx: ReadTx,
    one: Any,  # noqa: ANN401 - a row of `followed`
    asked: ListEntries,
    last: str | None,
    limit: int,
) -> Sequence[Any]:
    """What comes behind the entry that was shown last, oldest first, and one more.

    What was found not to be there is not looked for again, unless an answer may have been lost.
    """
    start = (
        _first(tx, one, asked) if last is None else int(tx.row(_POSITION, {"public_id": last})[0])
    )
    if start >= one.upto:
        start = max(start, one.clear)
    if asked.about is not None and not (tx.sees(asked.about) or sees_all(tx)):
        return []
    query = matching(tx, asked).where(entries.c.chain == CHAIN, entries.c.seq > start)
    found = tx.rows(query.order_by(entries.c.seq).limit(limit + 1))
    _note(tx, one, found[:limit])
    return found


def _first(tx: ReadTx, one: Any, asked: ListEntries) -> int:  # noqa: ANN401 - a row of `followed`
    """Where a follow begins: behind the entry that opened it, or some before that."""
    if not one.latest:
        return int(one.seq)
    query = matching(tx, asked).where(entries.c.chain == CHAIN, entries.c.seq <= one.seq)
    before = tx.rows(query.order_by(entries.c.seq.desc()).limit(one.latest))
    return int(before[-1].seq) - 1 if before else int(one.seq)


def _note(tx: ReadTx, one: Any, shown: Sequence[Any]) -> None:  # noqa: ANN401 - a row of `followed`
    """Count what is shown for the first time; else note, once a minute, that somebody looked."""
    fresh = [row for row in shown if row.seq > one.upto]
    now = stamp(tx.now)
    if fresh:
        counted = {"of": one.entry, "last": fresh[-1].seq, "count": len(fresh), "now": now}
        tx.note(_SHOWN, counted)
    elif moment(one.at) + SEEN_EVERY <= tx.now:
        head = one.clear if shown else tx.row(_HEAD).seq
        tx.note(_CLEAR, {"of": one.entry, "head": head, "now": now})
