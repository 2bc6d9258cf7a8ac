"""The newest entries that a caller sees, way by way: a page costs a page, however long its trail.

As one condition — mine, or of whom I answer for, or about my things, or of my scopes — the database
reads all of that and sorts it. Each way has an index that begins with its newest; of thousands of
actors or scopes, those count that did something last, of as many as there are entries on a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select  # noqa: TID251 - filtered by `visible`

from scoped_mcp.layers import identity
from scoped_mcp.layers.audit.store.entries import (
    asked,
    changed_by,
    seen_by,
    sees_all,
    visible,
)
from scoped_mcp.spine.query import newest_ids
from scoped_mcp.storage.among import one_of
from scoped_mcp.storage.path import entries, registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scoped_mcp.layers.audit.model import ListEntries
    from scoped_mcp.spine.tx import ReadTx

FEW = 20
"""So many are asked for one by one without asking first which of them did something last."""
Conditions = list[ColumnElement[bool]]


def newest(tx: ReadTx, cmd: ListEntries, before: int | None, limit: int) -> Sequence[Any]:
    """The newest of the entries that the caller asks for, of those that it sees."""
    where = asked(tx, cmd) + ([] if before is None else [entries.c.id < before])
    ways = _asked_for(tx, cmd)
    if ways or sees_all(tx):
        where.append(visible(tx))
    else:
        ways = _seen(tx, where, limit)
    query = past_walls(select(entries), but=[entries.name])
    if len(ways) > 1:
        query = query.where(entries.c.id.in_(newest_ids(entries.c.id, ways, where, limit)))
    else:
        query = query.where(*ways, *where)
    return tx.rows(query.order_by(entries.c.id.desc()).limit(limit))


def _asked_for(tx: ReadTx, cmd: ListEntries) -> Conditions:
    """The ways to what is asked for by name: to fewer entries than what the caller sees.

    Pinned to an environment, it sees those of its own session, whatever it asks for.
    """
    if cmd.about is not None:
        key = tx.key(cmd.about)
        if key is None:
            return [entries.c.public_id == cmd.about]
        return [entries.c.target == key, entries.c.scope == key, changed_by(key)]
    whose = cmd.principal if tx.caller.environment is None else tx.caller.principal
    if whose is None and cmd.session is not None:
        session = tx.peek(identity.Session, cmd.session)
        whose = None if session is None else session.principal
    return [] if whose is None else [entries.c.principal == (tx.key(whose) or 0)]


def _seen(tx: ReadTx, where: Conditions, limit: int) -> Conditions:
    """The ways to what the caller sees: see `visible`."""
    me, keys = tx.caller.key, seen_by(tx)
    if max(map(len, keys)) > FEW:
        where += _behind(tx, entries.c.principal == me, where, limit)
    return [
        entries.c.principal == me,
        entries.c.owner == me,
        *_latest(tx, entries.c.principal, keys.actors - {me}, where, limit),
        *_latest(tx, entries.c.owner, keys.owners - {me}, where, limit),
        *_latest(tx, entries.c.scope, keys.scopes, where, limit),
    ]


def _behind(tx: ReadTx, way: ColumnElement[bool], where: Conditions, limit: int) -> Conditions:
    """What is older than a page of one way alone is on no page of all: mostly all of the others."""
    last = select(entries.c.id).where(way, *where).order_by(entries.c.id.desc())
    row = tx.row(past_walls(last.offset(limit - 1).limit(1)))
    return [] if row is None else [entries.c.id >= row.id]


def _latest(
    tx: ReadTx, column: ColumnElement[Any], keys: Iterable[int], where: Conditions, limit: int
) -> Conditions:
    """A way for each key; of many, for those with the newest entries: a page holds no others."""
    several = sorted(keys)
    if len(several) > FEW:
        found = select(func.max(entries.c.id)).where(column == registry.c.id, *where)
        last = found.correlate(registry).scalar_subquery().label("last")
        each = select(registry.c.id, last).where(one_of(registry.c.id, several)).subquery()
        query = select(each.c.id).where(each.c.last.is_not(None)).order_by(each.c.last.desc())
        rows = tx.rows(past_walls(query.limit(limit)))
        several = [row.id for row in rows]
    return [column == key for key in several]
