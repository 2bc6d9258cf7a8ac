"""What can be done with scopes, members and shares."""

from scoped_mcp.layers.tenancy.operations import (
    explain,
    founding,
    heirs,
    members,
    scopes,
    sharing,
    transfers,
)

__all__ = ["explain", "founding", "heirs", "members", "scopes", "sharing", "transfers"]
