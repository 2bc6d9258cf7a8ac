"""What identity does."""

from scoped_mcp.layers.identity.operations import (
    credentials,
    delegation,
    principals,
    relationships,
    whoami,
)

__all__ = ["credentials", "delegation", "principals", "relationships", "whoami"]
