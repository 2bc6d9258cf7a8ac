"""Room 4. Nothing is shared by default.

Scopes, who is a member of them in what role, and which objects are shown in them. What anybody may
do with anything is answered here, from facts read in the transaction that acts on the answer.
"""

from scoped_mcp.layers.tenancy.model import (
    AddMember,
    CreateScope,
    FirstView,
    FoundHouse,
    GetScope,
    ListScopes,
    Membership,
    Projection,
    RemoveMember,
    Role,
    Scope,
    ScopeState,
    SetScopeState,
    ShareObject,
    UnshareObject,
)
from scoped_mcp.layers.tenancy.operations import members
from scoped_mcp.layers.tenancy.store import audited, audits_everything

__all__ = [
    "AddMember",
    "CreateScope",
    "FirstView",
    "FoundHouse",
    "GetScope",
    "ListScopes",
    "Membership",
    "Projection",
    "RemoveMember",
    "Role",
    "Scope",
    "ScopeState",
    "SetScopeState",
    "ShareObject",
    "UnshareObject",
    "audited",
    "audits_everything",
    "members",
]
