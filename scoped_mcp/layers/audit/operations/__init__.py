"""What audit does: entries are read and verified, and followed as they come."""

from scoped_mcp.layers.audit.operations import follows
from scoped_mcp.layers.audit.operations.entries import get, list_, verify

__all__ = ["follows", "get", "list_", "verify"]
