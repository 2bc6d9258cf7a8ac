"""Queries of the trail: what a caller sees in `entries.py`, verification in `verify.py`."""

from scoped_mcp.layers.audit.store.entries import find, page, sees_all, sponsors_of, visible
from scoped_mcp.layers.audit.store.verify import Finding, verify

__all__ = ["Finding", "find", "page", "sees_all", "sponsors_of", "verify", "visible"]
