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
    InheritScope,
    ListScopes,
    Membership,
    MemberView,
    Place,
    Projection,
    RemoveMember,
    Role,
    Scope,
    ScopeKind,
    ScopeState,
    SetScopeState,
    ShareObject,
    UnshareObject,
)
from scoped_mcp.layers.tenancy.operations.founding import who_recovers
from scoped_mcp.layers.tenancy.operations.heirs import passed_on
from scoped_mcp.layers.tenancy.operations.scopes import member_views, require_open, require_own
from scoped_mcp.layers.tenancy.operations.sharing import contributes
from scoped_mcp.layers.tenancy.store import (
    administered,
    audited,
    audits_everything,
    gather_members,
    gather_seats,
    members,
    membership,
    places_inside,
    role_in,
    seats_inside,
    standing_of,
)
from scoped_mcp.layers.tenancy.store.ways import FEW, Told, ways
from scoped_mcp.layers.tenancy.tables import memberships, scopes

__all__ = [
    "FEW",
    "AddMember",
    "CreateScope",
    "FirstView",
    "FoundHouse",
    "GetScope",
    "InheritScope",
    "ListScopes",
    "MemberView",
    "Membership",
    "Place",
    "Projection",
    "RemoveMember",
    "Role",
    "Scope",
    "ScopeKind",
    "ScopeState",
    "SetScopeState",
    "ShareObject",
    "Told",
    "UnshareObject",
    "administered",
    "audited",
    "audits_everything",
    "contributes",
    "gather_members",
    "gather_seats",
    "member_views",
    "members",
    "membership",
    "memberships",
    "passed_on",
    "places_inside",
    "require_open",
    "require_own",
    "role_in",
    "scopes",
    "seats_inside",
    "standing_of",
    "ways",
    "who_recovers",
]
