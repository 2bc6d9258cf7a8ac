"""Room 1. Nothing exists without registration.

Every kind, operation and thing has a row in the registry with an immutable URN. Kinds and
operations are registered at start-up from their declarations; a running server cannot grow one.
"""

from scoped_mcp.layers.registry.model import (
    BeginEpoch,
    DeclaredOperation,
    GetRegistration,
    Kind,
    Lifecycle,
    ListRegistrations,
    Organisation,
    RegisterKinds,
    Registration,
    SetLifecycle,
)
from scoped_mcp.layers.registry.operations import register
from scoped_mcp.layers.registry.store import house_of, unregistered
from scoped_mcp.layers.registry.tables import organisations

__all__ = [
    "BeginEpoch",
    "DeclaredOperation",
    "GetRegistration",
    "Kind",
    "Lifecycle",
    "ListRegistrations",
    "Organisation",
    "RegisterKinds",
    "Registration",
    "SetLifecycle",
    "house_of",
    "organisations",
    "register",
    "unregistered",
]
