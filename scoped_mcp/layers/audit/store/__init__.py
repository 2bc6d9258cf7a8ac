"""Queries of the trail: what a caller sees in `entries.py`, verification in `verify.py`."""

from scoped_mcp.layers.audit.store.entries import (
    conceals,
    find,
    page,
    sees_all,
    sponsors_of,
    visible,
)
from scoped_mcp.layers.audit.store.verify import Finding, require, verify

__all__ = [
    "Finding",
    "conceals",
    "find",
    "page",
    "require",
    "sees_all",
    "sponsors_of",
    "verify",
    "visible",
]
