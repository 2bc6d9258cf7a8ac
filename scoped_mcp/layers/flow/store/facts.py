"""Facts of flow, read in the transaction that decides by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import bindparam, select  # noqa: TID251 - facts are what visibility is made of

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.clock import stamp
from scoped_mcp.layers.environments import Environment, EnvironmentState
from scoped_mcp.layers.flow import logic
from scoped_mcp.layers.flow.model import (
    Channel,
    ChannelState,
    Dependency,
    Pipeline,
    Placement,
    Promotion,
    PromotionState,
    Stage,
)
from scoped_mcp.layers.flow.tables import channels, pipelines, placements, promotions, stages
from scoped_mcp.layers.objects import Object, ObjectState, objects, written
from scoped_mcp.spine import entity
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among
from scoped_mcp.storage.among import keys as numbered
from scoped_mcp.storage.path import entries, version_contents
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.spine.tx import ReadTx

for _kind, _table in (
    (Channel, channels),
    (Promotion, promotions),
    (Pipeline, pipelines),
    (Stage, stages),
    (Placement, placements),
):
    entity.bind(_kind, _table)

_PENDING = promotions.c.state == PromotionState.PENDING.value
_CHANNEL_NAMED = (
    everything(Channel)
    .where(channels.c.owner == bindparam("owner"))
    .where(channels.c.name == bindparam("name"))
    .where(channels.c.state == ChannelState.ACTIVE.value)
)
_PIPELINE_NAMED = (
    everything(Pipeline)
    .where(pipelines.c.owner == bindparam("owner"))
    .where(pipelines.c.name == bindparam("name"))
)
_PLACEMENT = (
    everything(Placement)
    .where(placements.c.object == bindparam("object"))
    .where(placements.c.pipeline == bindparam("pipeline"))
)
_PLACEMENTS = everything(Placement).where(placements.c.object == bindparam("object"))
_CONTENT = past_walls(
    select(version_contents.c.content)
    .where(version_contents.c.id == bindparam("id"))
    .where(version_contents.c.version == bindparam("version"))
)
_DUE = past_walls(
    everything(Promotion)
    .where(_PENDING)
    .where(promotions.c.expires_at <= bindparam("now"))
    .order_by(promotions.c.expires_at)
    .limit(bindparam("limit"))
)
_FROM = past_walls(
    select(promotions.c.id)
    .where(promotions.c.environment == bindparam("environment"))
    .where(promotions.c.expires_at > bindparam("now"))
    .where(_PENDING)
)
_AWAITING = past_walls(
    everything(Promotion)
    .where(among(promotions.c.channel))
    .where(promotions.c.expires_at > bindparam("now"))
    .where(_PENDING)
    .order_by(promotions.c.id)
    .limit(bindparam("limit"))
)
_THINGS = past_walls(
    select(objects.c.id, objects.c.version, objects.c.state).where(among(objects.c.id))
)
_COPIES = past_walls(
    select(objects.c.original)
    .where(among(objects.c.original))
    .where(objects.c.owner == bindparam("scope"))
    .where(objects.c.state == ObjectState.ACTIVE.value)
)
_LAST_READ = past_walls(
    select(entries.c.body)
    .where(entries.c.principal == bindparam("principal"))
    .where(entries.c.target == bindparam("target"))
    .where(entries.c.operation == "promotion.get")
    .where(entries.c.outcome == "done")
    .order_by(entries.c.id.desc())
    .limit(1)
)


def channel_named(tx: ReadTx, scope: str, name: str) -> Channel | None:
    """The active channel of a scope with that name."""
    found = tx.entities(Channel, _CHANNEL_NAMED, {"owner": tx.key(scope), "name": name})
    return found[0] if found else None


def pipeline_named(tx: ReadTx, scope: str, name: str) -> Pipeline | None:
    """The pipeline of a scope with that name."""
    found = tx.entities(Pipeline, _PIPELINE_NAMED, {"owner": tx.key(scope), "name": name})
    return found[0] if found else None


def placement(tx: ReadTx, thing: str, pipeline: str) -> Placement | None:
    """The one place of an object in a pipeline."""
    values = {"object": tx.key(thing), "pipeline": tx.key(pipeline)}
    found = tx.entities(Placement, _PLACEMENT, values)
    return found[0] if found else None


def placements_of(tx: ReadTx, thing: str) -> list[Placement]:
    """Where an object stands in every pipeline."""
    return tx.entities(Placement, _PLACEMENTS, {"object": tx.key(thing)})


def lies_in(tx: ReadTx, thing: Object, scope: str) -> bool:
    """Whether an object is a scope's own or shown in it, as far as the caller sees."""
    return thing.owner == scope or scope in cast("Any", ports.shown_in)(tx, [thing])[0]


def due(tx: ReadTx, limit: int) -> list[Promotion]:
    """Pending promotions that have expired."""
    return tx.entities(Promotion, _DUE, {"now": stamp(tx.now), "limit": limit})


def pending_from(tx: ReadTx, environment: str) -> bool:
    """Whether anything out of an environment is pending, and so stops its clock."""
    values = {"environment": tx.key(environment), "now": stamp(tx.now)}
    return tx.row(_FROM, values) is not None


def awaiting(tx: ReadTx, reviewed: Sequence[int], limit: int) -> list[Promotion]:
    """Pending promotions of some channels, oldest first."""
    if not reviewed:
        return []
    values = {"keys": numbered(reviewed), "now": stamp(tx.now), "limit": limit}
    return tx.entities(Promotion, _AWAITING, values)


def state(tx: ReadTx, one: Promotion) -> PromotionState:
    """The state in force: expired and stale are computed while nobody wrote them down."""
    moves = one.state is PromotionState.PENDING and moved(tx, one)
    return logic.state_now(one.state, one.expires_at, tx.now, moved=moves)


def moved(tx: ReadTx, one: Promotion) -> bool:
    """Whether what was asked for is no longer what would land.

    The channel, a target or a dependency has another version, a named object is gone, or its
    environment was discarded.
    """
    channel = tx.get_known(Channel, one.channel)
    if channel.version != one.channel_version or channel.state is not ChannelState.ACTIVE:
        return True
    home = None if one.environment is None else tx.get_known(Environment, one.environment)
    if home is not None and home.state is EnvironmentState.DISCARDED:
        return True
    wanted: dict[int, int | None] = {
        tx.known_key(i.object): i.version if i.moves else None for i in one.items
    }
    targets = [i for i in one.items if i.target is not None]
    wanted |= {tx.known_key(str(i.target)): i.target_version for i in targets}
    wanted |= {tx.known_key(d.object): d.version for d in one.depends_on}
    rows = tx.rows(_THINGS, {"keys": numbered(wanted)})
    live = {row.id: row.version for row in rows if row.state == ObjectState.ACTIVE.value}
    for each in one.depends_on:
        key = tx.known_key(each.object)
        if live.get(key) not in {None, each.version} and _as_written(tx, each):
            wanted[key] = live[key]
    if any(key not in live or version not in {None, live[key]} for key, version in wanted.items()):
        return True
    fresh = [tx.known_key(i.object) for i in one.items if i.target is None and not i.moves]
    values = {"keys": numbered(fresh), "scope": tx.key(one.scope)}
    return bool(fresh) and tx.row(_COPIES, values) is not None


def _as_written(tx: ReadTx, each: Dependency) -> bool:
    """Whether nothing of an object was written since a version but whose it is."""
    return written(tx, tx.get_known(Object, each.object)).version <= each.version


def seen_picture(tx: ReadTx, one: Promotion) -> str | None:
    """The picture that the caller read last, as the trail says (ruling 40)."""
    row = tx.row(_LAST_READ, {"principal": tx.caller.key, "target": tx.key(one.id)})
    if row is None:
        return None
    asked = cast("dict[str, Any]", canonical.decode(row.body))["asked"]
    return cast("str | None", asked.get("picture"))


def placement_at(tx: ReadTx, one: Placement, version: int) -> Placement | None:
    """A place as it was at a version."""
    row = tx.row(_CONTENT, {"id": tx.key(one.id), "version": version})
    if row is None or row.content is None:
        return None
    return cast("Placement", entity.open_envelope(Placement, row.content))


def tell(tx: ReadTx, one: Promotion) -> None:
    """What is done about a promotion stands in the trail of its target's scope."""
    tx.record.scope = one.scope
    tx.key(one.scope)  # the entry's column needs it, whatever becomes of the operation
