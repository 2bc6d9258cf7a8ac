"""What can be done with environments."""

from scoped_mcp.layers.environments.operations import (
    closing,
    heirs,
    homes,
    imports,
    life,
    members,
    snapshots,
    spawning,
    templates,
)

__all__ = [
    "closing",
    "heirs",
    "homes",
    "imports",
    "life",
    "members",
    "snapshots",
    "spawning",
    "templates",
]
