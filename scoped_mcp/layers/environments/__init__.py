"""Room 8. Throwaway until kept.

An environment is a closed place to work in: what is made inside is seen by its members alone, and
by nobody once it is discarded or has expired. What shall stay leaves through a channel.
"""

from scoped_mcp.layers.environments import worker
from scoped_mcp.layers.environments.model import (
    DiscardEnvironment,
    Environment,
    EnvironmentState,
    FinishEnvironment,
    GetEnvironment,
    ImportObjects,
    Invite,
    ListEnvironments,
    SpawnEnvironment,
    SweepEnvironments,
    Template,
    UseEnvironment,
)
from scoped_mcp.layers.environments.operations.views import require_active
from scoped_mcp.layers.environments.store import (
    hold,
    is_open,
    of_scope,
    place,
    place_of,
    restart,
    shown,
)
from scoped_mcp.layers.environments.tables import environments

__all__ = [
    "DiscardEnvironment",
    "Environment",
    "EnvironmentState",
    "FinishEnvironment",
    "GetEnvironment",
    "ImportObjects",
    "Invite",
    "ListEnvironments",
    "SpawnEnvironment",
    "SweepEnvironments",
    "Template",
    "UseEnvironment",
    "environments",
    "hold",
    "is_open",
    "of_scope",
    "place",
    "place_of",
    "require_active",
    "restart",
    "shown",
    "worker",
]
