"""What can be done with objects. `one.py` shows the pattern of the whole house."""

from scoped_mcp.layers.objects.operations import many, one, ownership

__all__ = ["many", "one", "ownership"]
