"""What can be done with channels, promotions and pipelines."""

from scoped_mcp.layers.flow.operations import (
    applying,
    channels,
    pipelines,
    promotions,
    requesting,
    reviewing,
    routes,
)

__all__ = [
    "applying",
    "channels",
    "pipelines",
    "promotions",
    "requesting",
    "reviewing",
    "routes",
]
