"""What identity does."""

from scoped_mcp.layers.identity.operations import (
    credentials,
    delegation,
    external,
    principals,
    relationships,
    whoami,
)

__all__ = ["credentials", "delegation", "external", "principals", "relationships", "whoami"]
