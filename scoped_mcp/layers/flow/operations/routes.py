"""Which way a thing can go: channels one after the other, of those that the caller sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.environments import Environment
from scoped_mcp.layers.flow import logic
from scoped_mcp.layers.flow.logic import Edge, Place
from scoped_mcp.layers.flow.model import (
    Channel,
    ChannelState,
    FindRoutes,
    HopView,
    RoutesView,
    RouteView,
    Stage,
)
from scoped_mcp.layers.flow.operations.channels import end, may
from scoped_mcp.layers.flow.operations.requesting import places
from scoped_mcp.layers.flow.tables import channels
from scoped_mcp.layers.objects import Object
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.spine.tx import ReadTx

CHANNELS = 500
"""The newest channels that are looked at."""


@handles(
    FindRoutes,
    name="flow.routes",
    title="Find ways out",
    effect=Effect.READ,
    needs={"start": Access.READ, "to": Access.READ},
    toolset="flow",
)
def routes(cmd: FindRoutes, tx: ReadTx) -> RoutesView:
    """A way is no permission: each hop says what the caller may do there."""
    thing = tx.get(Object, cmd.start) if cmd.start.startswith("obj_") else None
    start = places(tx, thing) if thing is not None else [_place(tx, cmd.start)]
    if cmd.to is not None:
        _place(tx, cmd.to)
    found = tx.select(Channel).where(channels.c.state == ChannelState.ACTIVE.value)
    known = tx.entities(Channel, found.newest(CHANNELS))
    by_id: dict[str, Channel] = {
        one.id: one
        for one in known
        if thing is None or not one.allowed_types or thing.type in one.allowed_types
    }
    edges = [Edge(one.id, one.source, _target(one)) for one in by_id.values()]
    ways = logic.routes(edges, start, cmd.to)
    return RoutesView(
        can_flow=bool(ways),
        routes=tuple(_way(tx, [by_id[edge.channel] for edge in way]) for way in ways),
    )


def _place(tx: ReadTx, public_id: str) -> Place:
    """Somewhere a thing can be."""
    kind = public_id[:3]
    if kind == "env":
        home = tx.get(Environment, public_id)
        return Place(home.id, template=home.template)
    if kind == "stg":
        stage = tx.get(Stage, public_id)
        return Place(stage.id, scope=stage.owner)
    if kind == "scp":
        return Place(public_id)
    message = f"nothing flows from or to {quote(public_id)}"
    raise InvalidError(message, hint="name an object, an environment, a scope or a stage")


def _target(one: Channel) -> Place:
    return Place(one.target, scope=one.owner if one.target.startswith("stg_") else None)


def _way(tx: ReadTx, way: Sequence[Channel]) -> RouteView:
    hops = tuple(
        HopView(
            channel=one.id,
            name=one.name,
            target=end(tx, one.target),
            approvals=one.approvals,
            may=may(tx, one),
        )
        for one in way
    )
    return RouteView(to=way[-1].target, hops=hops)
