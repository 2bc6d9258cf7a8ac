"""Queries of tenancy: facts in `facts.py`, the decisions over them in `access.py`."""

from scoped_mcp.layers.tenancy.store.access import (
    administered,
    audited,
    audits_everything,
    held_until,
    offer_stands,
    reasons,
    role_in,
    standing_of,
)
from scoped_mcp.layers.tenancy.store.facts import (
    below,
    membership,
    nodes_of,
    offered,
    owners,
    place,
    places_inside,
    projection,
    projections_of,
    seats_inside,
)
from scoped_mcp.layers.tenancy.store.heirs import (
    fallen,
    left,
    members,
    named,
    passing,
    standing_memberships,
)

__all__ = [
    "administered",
    "audited",
    "audits_everything",
    "below",
    "fallen",
    "held_until",
    "left",
    "members",
    "membership",
    "named",
    "nodes_of",
    "offer_stands",
    "offered",
    "owners",
    "passing",
    "place",
    "places_inside",
    "projection",
    "projections_of",
    "reasons",
    "role_in",
    "seats_inside",
    "standing_memberships",
    "standing_of",
]
