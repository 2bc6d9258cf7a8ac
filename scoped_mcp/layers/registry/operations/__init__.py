"""What the registry does: with declarations, with the organisation, with the directory."""

from scoped_mcp.layers.registry.operations import declarations, directory, standing

__all__ = ["declarations", "directory", "standing"]
