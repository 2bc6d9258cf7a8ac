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
    members,
    membership,
    named,
    nodes_of,
    offered,
    owners,
    place,
    places_inside,
    projection,
    projections_of,
    seats_inside,
    standing_memberships,
)
from scoped_mcp.layers.tenancy.store.facts import (
    members as members_of,
)

__all__ = [
    "administered",
    "audited",
    "audits_everything",
    "below",
    "held_until",
    "members",
    "members_of",
    "membership",
    "named",
    "nodes_of",
    "offer_stands",
    "offered",
    "owners",
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
