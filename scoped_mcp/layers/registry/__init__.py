"""Room 1. Nothing exists without registration.

Every kind, operation and thing has a row in the registry with an immutable URN. Kinds and
operations are registered at start-up from their declarations; a running server cannot grow one.
How the organisation itself stands is here too, and the directory of the others that the server of
this one serves.
"""

from scoped_mcp.layers.registry.logic import has_password
from scoped_mcp.layers.registry.model import (
    AddTenant,
    ArriveInDatabase,
    BeginEpoch,
    DeclaredOperation,
    GetRegistration,
    Kind,
    LeaveDatabase,
    Lifecycle,
    ListRegistrations,
    Organisation,
    OrganisationState,
    RegisterKinds,
    Registration,
    SetLifecycle,
    SetStanding,
    SetTenant,
    Standing,
    StayInDatabase,
    Tenant,
    TenantState,
    TenantView,
)
from scoped_mcp.layers.registry.operations.declarations import register
from scoped_mcp.layers.registry.store import (
    by_tag,
    house_of,
    moved,
    standing,
    tenants,
    unregistered,
)
from scoped_mcp.layers.registry.tables import organisations

__all__ = [
    "AddTenant",
    "ArriveInDatabase",
    "BeginEpoch",
    "DeclaredOperation",
    "GetRegistration",
    "Kind",
    "LeaveDatabase",
    "Lifecycle",
    "ListRegistrations",
    "Organisation",
    "OrganisationState",
    "RegisterKinds",
    "Registration",
    "SetLifecycle",
    "SetStanding",
    "SetTenant",
    "Standing",
    "StayInDatabase",
    "Tenant",
    "TenantState",
    "TenantView",
    "by_tag",
    "has_password",
    "house_of",
    "moved",
    "organisations",
    "register",
    "standing",
    "tenants",
    "unregistered",
]
