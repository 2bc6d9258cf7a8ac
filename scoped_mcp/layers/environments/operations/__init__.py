"""What can be done with environments."""

from scoped_mcp.layers.environments.operations import (
    closing,
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
    "homes",
    "imports",
    "life",
    "members",
    "snapshots",
    "spawning",
    "templates",
]
