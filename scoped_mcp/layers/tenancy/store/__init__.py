"""Queries of tenancy: facts in `facts.py`, the decisions over them in `access.py`."""

from scoped_mcp.layers.tenancy.store.access import (
    administered,
    audited,
    audits_everything,
    offer_stands,
    reasons,
)
from scoped_mcp.layers.tenancy.store.facts import (
    below,
    gather_members,
    gather_seats,
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
from scoped_mcp.layers.tenancy.store.standing import (
    gather_places,
    gather_scopes,
    held_until,
    role_in,
    standing_of,
)

__all__ = [
    "administered",
    "audited",
    "audits_everything",
    "below",
    "fallen",
    "gather_members",
    "gather_places",
    "gather_scopes",
    "gather_seats",
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
