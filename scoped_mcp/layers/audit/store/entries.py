"""Which entries a caller sees (rulings 46 and 47).

Its own, those of whom it answers for, those about its things, those of scopes that it administers
or audits; root auditors see all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, bindparam, or_, select, true  # noqa: TID251 - filtered by `visible`

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.kernel.ids import EntryId
from scoped_mcp.layers import identity, tenancy
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.parse import named
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage.among import one_of
from scoped_mcp.storage.path import entries, versions
from scoped_mcp.storage.walls import anything, past_walls, told, wall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Select

    from scoped_mcp.layers.audit.model import ListEntries
    from scoped_mcp.spine.tx import ReadTx

_FOLLOWING = ("follow", "look", "unfollow", "sweep", "end", "subscribe", "unsubscribe")
READING = tuple(f"audit.{name}" for name in ("list", "get", *_FOLLOWING))
"""What is about reading the trail: left out unless it is asked for (ruling 50)."""
_ONE = select(entries).where(entries.c.public_id == bindparam("public_id"))
_POSITION = past_walls(select(entries.c.id).where(entries.c.public_id == bindparam("public_id")))


def sees_all(tx: ReadTx) -> bool:
    """Whether the caller reads every trail."""
    return tenancy.audits_everything(tx)


def sponsors_of(tx: ReadTx, principal: str) -> bool:
    """Whether the caller is a principal, or answers for it."""
    me = tx.caller.principal
    return principal == me or identity.answers_for(tx, me, principal)


def conceals(tx: ReadTx, public_id: str) -> bool:
    """Whether an id names something inside an environment (ruling 47)."""
    return ports.conceals is not None and ports.conceals(tx, public_id)


def visible(tx: ReadTx) -> ColumnElement[bool]:
    """The filter of every query over entries."""
    if sees_all(tx) and tx.caller.environment is None:
        return true()
    actors = (tx.caller.key, *identity.answered_for(tx, tx.caller.principal))
    owners = (tx.caller.key, *identity.heirs_of(tx, tx.caller.principal))
    audited = sorted(tenancy.audited(tx))
    if tx.caller.environment is not None:
        return entries.c.session == tx.caller.session_key
    return or_(
        one_of(entries.c.principal, actors),
        one_of(entries.c.owner, owners),
        one_of(entries.c.scope, audited),
        entries.c.scope.in_(cast("Any", ports.owned)(tx)),
    )


def find(tx: ReadTx, public_id: str) -> Any:  # noqa: ANN401 - a row, or None
    """One entry that the caller sees."""
    return tx.row(_ONE.where(visible(tx)), {"public_id": public_id})


def page(tx: ReadTx, cmd: ListEntries, before: str | None) -> Sequence[Any]:
    """One entry more than a page, newest first."""
    found = matching(tx, cmd)
    if before is not None:
        position = tx.row(_POSITION, {"public_id": before})
        found = found.where(entries.c.id < (position.id if position is not None else 0))
    return tx.rows(found.order_by(entries.c.id.desc()).limit(cmd.limit + 1))


def matching(tx: ReadTx, cmd: ListEntries) -> Select[Any]:
    """The entries that the caller sees, of those that it asks for."""
    found = past_walls(select(entries).where(visible(tx)), but=[entries.name])
    if cmd.about is not None:
        found = found.where(_about(tx, cmd.about))
    if cmd.principal is not None:
        found = found.where(entries.c.principal == (tx.key(cmd.principal) or 0))
    if cmd.session is not None:
        found = found.where(entries.c.session == (tx.key(cmd.session) or 0))
    if cmd.operation is None:
        found = found.where(entries.c.operation.not_in(READING))
    else:
        known = named(cmd.operation)  # who sees tools alone asks by the tool's name
        name = cmd.operation if known is None else known.name
        found = found.where(entries.c.operation == name)
    if cmd.outcome is not None:
        found = found.where(entries.c.outcome == cmd.outcome)
    if cmd.since is not None:
        found = found.where(entries.c.at >= stamp(cmd.since))
    if cmd.until is not None:
        found = found.where(entries.c.at <= stamp(cmd.until))
    return found


def _about(tx: ReadTx, public_id: str) -> ColumnElement[bool]:
    """Entries about a thing; entries are no things, so one of them is about itself."""
    key = tx.key(public_id)
    if key is None:
        return entries.c.public_id == public_id
    changed = select(versions.c.entry).where(versions.c.id == key)
    return or_(entries.c.target == key, entries.c.scope == key, entries.c.id.in_(changed))


def _decide(tx: ReadTx, public_id: str) -> Access:
    return Access.NONE if find(tx, public_id) is None else Access.READ


wall(
    entries,
    or_(
        anything("everything"),
        told(entries.c.session, "session"),
        told(entries.c.principal, "answers"),
        told(entries.c.owner, "owners"),
        told(entries.c.scope, "audited"),
    ),
)


def _unless_pinned(keys: Callable[[ReadTx], Iterable[int]]) -> Callable[[ReadTx], Iterable[int]]:
    return lambda tx: () if tx.caller.environment is not None else keys(tx)


def _audited(tx: ReadTx) -> set[int]:
    return {*tenancy.audited(tx), *(row.scope for row in tx.rows(cast("Any", ports.owned)(tx)))}


def _session(tx: ReadTx) -> tuple[int, ...]:
    key = tx.caller.session_key
    return () if key is None or tx.caller.environment is None else (key,)


ports.keys["everything"] = _unless_pinned(lambda tx: (1,) if sees_all(tx) else ())
ports.keys["session"] = _session
ports.keys["answers"] = _unless_pinned(
    lambda tx: (tx.caller.key, *identity.answered_for(tx, tx.caller.principal))
)
ports.keys["owners"] = _unless_pinned(ports.keys["mine"])
ports.keys["audited"] = _unless_pinned(_audited)
ports.decide_id[EntryId] = _decide
