"""Queries of tenancy: facts in `facts.py`, the decisions over them in `access.py`."""

from scoped_mcp.layers.tenancy.store.access import (
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
    projection,
    projections_of,
    standing_memberships,
)

__all__ = [
    "audited",
    "audits_everything",
    "below",
    "held_until",
    "members",
    "membership",
    "named",
    "nodes_of",
    "offer_stands",
    "offered",
    "owners",
    "place",
    "projection",
    "projections_of",
    "reasons",
    "role_in",
    "standing_memberships",
    "standing_of",
]
