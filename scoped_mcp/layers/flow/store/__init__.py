"""Queries of flow: facts in `facts.py`, who may see what in `access.py`, what would land."""

from scoped_mcp.layers.flow.store.access import (
    administers,
    agents_own,
    party,
    requests,
    reviewable,
    reviews,
)
from scoped_mcp.layers.flow.store.facts import (
    awaiting,
    channel_named,
    due,
    lies_in,
    moved,
    pending_from,
    pipeline_named,
    placement,
    placement_at,
    placements_of,
    seen_picture,
    state,
    tell,
)
from scoped_mcp.layers.flow.store.landing import Landing, authors, item_of, land, lineage

__all__ = [
    "Landing",
    "administers",
    "agents_own",
    "authors",
    "awaiting",
    "channel_named",
    "due",
    "item_of",
    "land",
    "lies_in",
    "lineage",
    "moved",
    "party",
    "pending_from",
    "pipeline_named",
    "placement",
    "placement_at",
    "placements_of",
    "requests",
    "reviewable",
    "reviews",
    "seen_picture",
    "state",
    "tell",
]
