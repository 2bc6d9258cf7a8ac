"""Queries of environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, exists, select  # noqa: TID251 - facts are what visibility is made of

from scoped_mcp.kernel.clock import moment, stamp
from scoped_mcp.layers import identity
from scoped_mcp.layers.environments import logic
from scoped_mcp.layers.environments.model import (
    Environment,
    EnvironmentState,
    Import,
    Snapshot,
    Template,
)
from scoped_mcp.layers.environments.tables import environments, imports, snapshots, templates
from scoped_mcp.layers.objects import Object, ObjectState, objects
from scoped_mcp.spine import entity
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among, keys, one_of
from scoped_mcp.storage.path import last_seen, sizes
from scoped_mcp.storage.types import upsert
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scoped_mcp.spine.query import Query
    from scoped_mcp.spine.tx import ReadTx, WriteTx

for _kind, _table in (
    (Environment, environments),
    (Import, imports),
    (Snapshot, snapshots),
    (Template, templates),
):
    entity.bind(_kind, _table)

THERE = environments.c.state.in_(
    [one.value for one in EnvironmentState if one is not EnvironmentState.DISCARDED]
)
"""Those that nobody discarded, said so that an index finds them among thousands that are."""
_OF_SCOPE = everything(Environment).where(environments.c.scope == bindparam("scope"))
_OF_SCOPES = everything(Environment).where(among(environments.c.scope))
_UNTIL = select(last_seen.c.until).where(last_seen.c.id == bindparam("id"))
_CLOCKS = (
    select(last_seen.c.id, last_seen.c.until, sizes.c.things)
    .join_from(last_seen, sizes, sizes.c.id == last_seen.c.id, isouter=True)
    .where(among(last_seen.c.id))
)
_SEEN = select(last_seen.c.at).where(last_seen.c.id == bindparam("id"))
_SIZE = select(sizes.c.things).where(sizes.c.id == bindparam("id"))
_NAMED = (
    everything(Environment)
    .where(among(environments.c.owner))
    .where(environments.c.name == bindparam("name"))
    .where(THERE)
    .order_by(environments.c.id)
)
_IMPORT = past_walls(
    everything(Import)
    .where(imports.c.environment == bindparam("environment"))
    .where(imports.c.object == bindparam("object"))
)
_IMPORTS = past_walls(
    everything(Import)
    .where(imports.c.environment == bindparam("environment"))
    .where(imports.c.active == 1)
    .order_by(imports.c.id)
)
_INSIDE = past_walls(
    everything(Object).where(objects.c.home == bindparam("home")).order_by(objects.c.id)
)
_LIVE_INSIDE = _INSIDE.where(objects.c.state == ObjectState.ACTIVE.value)
_ENDS = select(last_seen.c.until).where(last_seen.c.id == environments.c.id).scalar_subquery()
_OVERDUE = (  # from those that are there to their clocks: those of the others stand for good
    everything(Environment)
    .where(THERE)
    .where(bindparam("until") >= _ENDS)
    .order_by(environments.c.id)
    .limit(bindparam("limit"))
)
_RAN_OUT = (
    select(last_seen.c.id)
    .where(last_seen.c.until > bindparam("since"))
    .where(last_seen.c.until <= bindparam("now"))
)
_TEMPLATE_NAMED = past_walls(
    everything(Template)
    .where(among(templates.c.owner))
    .where(templates.c.name == bindparam("name"))
    .where(templates.c.state == "active")
    .order_by(templates.c.id)
)
_NEW = upsert(last_seen)
_LATER = case(
    (last_seen.c.until > _NEW.excluded.until, last_seen.c.until), else_=_NEW.excluded.until
)
_KEEP = _NEW.on_conflict_do_update(
    index_elements=["id"], set_={"at": _NEW.excluded.at, "until": _LATER}
)
_SET = _NEW.on_conflict_do_update(
    index_elements=["id"], set_={"at": _NEW.excluded.at, "until": _NEW.excluded.until}
)
_GROWN = upsert(sizes)
_GROW = _GROWN.on_conflict_do_update(
    index_elements=["id"], set_={"things": sizes.c.things + _GROWN.excluded.things}
)


def of_scope(tx: ReadTx, scope: str) -> Environment | None:
    """The environment whose isolation scope that is."""

    def find() -> Environment | None:
        found = tx.entities(Environment, _OF_SCOPE, {"scope": tx.key(scope)})
        return found[0] if found else None

    return tx.memo(("environment of", scope), find)


def gather_scopes(tx: ReadTx, scopes: Sequence[str]) -> list[Environment]:
    """Read at once what `of_scope` says of some scopes."""
    asked = {"keys": keys(tx.known_key(scope) for scope in scopes)}
    found = tx.entities(Environment, _OF_SCOPES, asked)
    for one in found:
        tx.learn(("environment of", one.scope), one)
    return found


def until(tx: ReadTx, one: Environment) -> datetime:
    """When an environment expires, or did."""
    if tx.recalls(("until", one.id)):
        return tx.memo(("until", one.id), lambda: one.renewed_at)
    row = tx.row(_UNTIL, {"id": tx.key(one.id)})
    return one.renewed_at if row is None else moment(row.until)


def gather_clocks(tx: ReadTx, page: Sequence[Environment]) -> None:
    """Read at once when environments expire, and how much there is inside."""
    names = {tx.known_key(one.id): one for one in page}
    for row in tx.rows(_CLOCKS, {"keys": keys(names)}) if names else ():
        ends, things = moment(row.until), row.things or 0
        tx.learn(("until", names[row.id].id), ends)
        tx.learn(("size", names[row.id].id), things)


def until_used(tx: ReadTx, one: Environment) -> datetime:
    """The same once this use of it is noted."""
    row = tx.row(_SEEN, {"id": tx.key(one.id)})
    ends = until(tx, one)
    if row is not None and tx.now - moment(row.at) < logic.noted_every(one.ttl_seconds):
        return ends
    longest = tx.limits.environment_seconds
    return max(ends, logic.until(tx.now, one.ttl_seconds, one.renewed_at, longest))


def state(tx: ReadTx, one: Environment) -> str:
    """The state in force: expired counts (ruling 67)."""
    return logic.in_force(one.state, until(tx, one), tx.now)


def is_open(tx: ReadTx, one: Environment) -> bool:
    """Whether what is inside is there for its members."""
    return state(tx, one) not in {EnvironmentState.DISCARDED, logic.EXPIRED}


def use(tx: WriteTx, one: Environment) -> None:
    """It was used now: it expires later, never earlier; noted now and then (ruling 18)."""
    row = tx.row(_SEEN, {"id": tx.key(one.id)})
    if row is None or tx.now - moment(row.at) >= logic.noted_every(one.ttl_seconds):
        _note(tx, one, tx.now, keep=True)


def renew(tx: WriteTx, one: Environment) -> None:
    """Its life was extended: noted now."""
    _note(tx, one, tx.now, keep=True)


def hold(tx: WriteTx, one: Environment, ends: datetime) -> None:
    """Stop its clock: it does not expire before then (ruling 38)."""
    row = {"id": tx.key(one.id), "at": stamp(tx.now), "until": stamp(ends)}
    tx.derive(_KEEP, row)
    _learn(tx, one, ends, keep=True)


def restart(tx: WriteTx, one: Environment) -> None:
    """Its clock goes on from now."""
    _note(tx, one, tx.now, keep=False)


def _note(tx: WriteTx, one: Environment, at: datetime, *, keep: bool) -> None:
    ends = logic.until(at, one.ttl_seconds, one.renewed_at, tx.limits.environment_seconds)
    row = {"id": tx.key(one.id), "at": stamp(at), "until": stamp(ends)}
    tx.derive(_KEEP if keep else _SET, row)
    _learn(tx, one, ends, keep=keep)


def _learn(tx: WriteTx, one: Environment, ends: datetime, *, keep: bool) -> None:
    """What was gathered before is so no more."""
    if tx.recalls(("until", one.id)):
        tx.learn(("until", one.id), max(until(tx, one), ends) if keep else ends)


def size(tx: ReadTx, one: Environment) -> int:
    """How many objects there are inside."""
    if tx.recalls(("size", one.id)):
        return tx.memo(("size", one.id), int)
    row = tx.row(_SIZE, {"id": tx.key(one.id)})
    return 0 if row is None else row.things


def count(tx: WriteTx, home: str, change: int) -> None:
    """There are so many more objects inside."""
    one = of_scope(tx, home)
    if one is not None:
        if tx.recalls(("size", one.id)):
            tx.learn(("size", one.id), size(tx, one) + change)
        tx.derive(_GROW, {"id": tx.key(one.id), "things": change})


def named(tx: ReadTx, owner: str, name: str) -> Environment | None:
    """The oldest environment of that name that its heir owns, discarded ones aside."""
    owners = keys(identity.estate(tx, owner))
    found = tx.entities(Environment, _NAMED, {"keys": owners, "name": name})
    return found[0] if found else None


def template_named(tx: ReadTx, owner: str, name: str) -> Template | None:
    """The oldest active template of that name that its heir owns."""
    owners = keys(identity.estate(tx, owner))
    found = tx.entities(Template, _TEMPLATE_NAMED, {"keys": owners, "name": name})
    return found[0] if found else None


def in_state(tx: ReadTx, query: Query, state: str | None) -> Query:
    """Those in a state in force; those that are open where none is named."""
    if state == EnvironmentState.DISCARDED.value:
        return query.where(environments.c.state == state)
    alive = exists().where(last_seen.c.id == environments.c.id, last_seen.c.until > stamp(tx.now))
    if state == logic.EXPIRED:
        return query.where(THERE, ~alive)
    found = query.where(THERE, alive)
    return found if state is None else found.where(environments.c.state == state)


def imported(tx: ReadTx, environment: str, thing: str) -> Import | None:
    """How an environment refers to an object, ended or not."""
    values = {"environment": tx.key(environment), "object": tx.key(thing)}
    found = tx.entities(Import, _IMPORT, values)
    return found[0] if found else None


def imports_of(tx: ReadTx, environment: str) -> list[Import]:
    """What an environment refers to."""
    return tx.entities(Import, _IMPORTS, {"environment": tx.key(environment)})


def inside(tx: ReadTx, one: Environment, *, live: bool) -> list[Object]:
    """The objects that live there, in the order they were made; deleted ones unless `live`."""
    return tx.entities(Object, _LIVE_INSIDE if live else _INSIDE, {"home": tx.key(one.scope)})


def overdue(tx: ReadTx, before: datetime, limit: int) -> list[Environment]:
    """Environments that expired before then and were not discarded."""
    return tx.entities(Environment, _OVERDUE, {"until": stamp(before), "limit": limit})


def left(tx: ReadTx, kind: type[Environment | Template], limit: int) -> list[Any]:
    """What of a kind still stands under ended delegates, oldest first."""
    table = entity.bound(kind).table
    owners = identity.left_by(tx, table.c.owner)
    if not owners:
        return []
    query = past_walls(everything(kind).where(one_of(table.c.owner, owners)))
    return tx.entities(kind, query.order_by(table.c.id).limit(limit))


def ran_out(tx: ReadTx, since: datetime, now: datetime) -> bool:
    """Whether an environment expired between two moments."""
    return tx.row(_RAN_OUT, {"since": stamp(since), "now": stamp(now)}) is not None
