"""Which entries a caller sees (rulings 46 and 47).

Its own, those of whom it answers for, those about its things, those of scopes that it administers
or audits; root auditors see all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import ColumnElement, bindparam, or_, select, true  # noqa: TID251 - filtered by `visible`

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.kernel.ids import EntryId
from scoped_mcp.layers import identity, tenancy
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.parse import named
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage.among import among_names, names, one_of
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
_SEVERAL = past_walls(
    select(
        entries.c.public_id,
        entries.c.session,
        entries.c.principal,
        entries.c.owner,
        entries.c.scope,
    ).where(among_names(entries.c.public_id))
)
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
    if tx.caller.environment is not None:
        return entries.c.session == tx.caller.session_key
    if sees_all(tx):
        return true()
    keys = seen_by(tx)
    return or_(
        one_of(entries.c.principal, keys.actors),
        one_of(entries.c.owner, keys.owners),
        one_of(entries.c.scope, keys.scopes),
    )


class Keys(NamedTuple):
    """Whose entries a caller sees, about whose things, and in what scopes."""

    actors: frozenset[int]
    owners: frozenset[int]
    scopes: frozenset[int]


def seen_by(tx: ReadTx) -> Keys:
    """What decides which entries the caller sees, where it does not see all."""

    def find_out() -> Keys:
        me, key = tx.caller.principal, tx.caller.key
        return Keys(
            frozenset((key, *identity.answered_for(tx, me))),
            frozenset((key, *identity.heirs_of(tx, me))),
            frozenset(_audited(tx)),
        )

    return tx.memo("trails", find_out)


def find(tx: ReadTx, public_id: str) -> Any:  # noqa: ANN401 - a row, or None
    """One entry that the caller sees."""
    row = tx.row(_ONE, {"public_id": public_id})
    return row if row is not None and _sees(tx, row) else None


def gather_entries(tx: ReadTx, ids: Sequence[str]) -> None:
    """Decide at once which of some entries the caller sees."""
    wanted = {each for each in ids if not tx.recalls(("access", each))}
    if not wanted:
        return
    rows = tx.rows(_SEVERAL, {"names": names(sorted(wanted))})
    seen = {row.public_id for row in rows if _sees(tx, row)}
    for each in wanted:
        tx.learn(("access", each), Access.READ if each in seen else Access.NONE)


def _sees(tx: ReadTx, row: Any) -> bool:  # noqa: ANN401 - a row of entries
    """`visible` for one: where there are many of either, it is not worked out again for each."""
    if tx.caller.environment is not None:
        return bool(row.session == tx.caller.session_key)
    if sees_all(tx):
        return True
    keys = seen_by(tx)
    by = row.principal in keys.actors or row.owner in keys.owners
    return by or row.scope in keys.scopes


def position(tx: ReadTx, public_id: str) -> int:
    """The number of an entry, visible or not; before the first where there is none."""
    found = tx.row(_POSITION, {"public_id": public_id})
    return 0 if found is None else int(found.id)


def matching(tx: ReadTx, cmd: ListEntries) -> Select[Any]:
    """The entries that the caller sees, of those that it asks for."""
    found = past_walls(select(entries).where(visible(tx)), but=[entries.name])
    if cmd.about is not None:
        found = found.where(_about(tx, cmd.about))
    return found.where(*asked(tx, cmd))


def asked(tx: ReadTx, cmd: ListEntries) -> list[ColumnElement[bool]]:
    """What is asked of entries, but for what they are to be about."""
    found: list[ColumnElement[bool]] = []
    if cmd.principal is not None:
        found.append(entries.c.principal == (tx.key(cmd.principal) or 0))
    if cmd.session is not None:
        found.append(entries.c.session == (tx.key(cmd.session) or 0))
    if cmd.operation is None:
        found.append(entries.c.operation.not_in(READING))
    else:
        known = named(cmd.operation)  # who sees tools alone asks by the tool's name
        name = cmd.operation if known is None else known.name
        found.append(entries.c.operation == name)
    if cmd.outcome is not None:
        found.append(entries.c.outcome == cmd.outcome)
    if cmd.since is not None:
        found.append(entries.c.at >= stamp(cmd.since))
    if cmd.until is not None:
        found.append(entries.c.at <= stamp(cmd.until))
    return found


def changed_by(key: int) -> ColumnElement[bool]:
    """The entries that changed a thing."""
    return entries.c.id.in_(select(versions.c.entry).where(versions.c.id == key))


def _about(tx: ReadTx, public_id: str) -> ColumnElement[bool]:
    """Entries about a thing; entries are no things, so one of them is about itself."""
    key = tx.key(public_id)
    if key is None:
        return entries.c.public_id == public_id
    return or_(entries.c.target == key, entries.c.scope == key, changed_by(key))


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
    return {*tenancy.audited(tx), *cast("Any", ports.owned)(tx)}


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
