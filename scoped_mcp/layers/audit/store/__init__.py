"""Queries of the trail: what a caller sees, where follows stand, verification."""

from scoped_mcp.layers.audit.store.entries import (
    conceals,
    find,
    gather_entries,
    position,
    sees_all,
    sponsors_of,
    visible,
)
from scoped_mcp.layers.audit.store.follows import (
    after,
    end,
    followed,
    idle,
    make,
    open_follows,
    over,
)
from scoped_mcp.layers.audit.store.newest import newest
from scoped_mcp.layers.audit.store.verify import Finding, require, verify

__all__ = [
    "Finding",
    "after",
    "conceals",
    "end",
    "find",
    "followed",
    "gather_entries",
    "idle",
    "make",
    "newest",
    "open_follows",
    "over",
    "position",
    "require",
    "sees_all",
    "sponsors_of",
    "verify",
    "visible",
]
