"""Room 2. Nothing happens without identity.

Principals, their credentials and sessions, who answers for whom. Step 1 of the path is here: a
token becomes a caller, read in the operation's own transaction, so that a revocation, a suspension
or an expiry bites the very next call.
"""

from scoped_mcp.layers.identity.logic import tag_in, tag_of
from scoped_mcp.layers.identity.model import (
    AddPrincipal,
    BreakGlass,
    Credential,
    Delegate,
    EnrolExternal,
    EnvironmentRef,
    IssueToken,
    LinkIdentity,
    Principal,
    PrincipalState,
    Relationship,
    RevokeToken,
    ScopeRole,
    Session,
    StopAgent,
    Suspend,
    WhoAmI,
)
from scoped_mcp.layers.identity.operations.credentials import end, issued, mint
from scoped_mcp.layers.identity.operations.whoami import catalogue_of, verify
from scoped_mcp.layers.identity.store import (
    acting,
    answered_for,
    current,
    delegators,
    ended,
    heirs_of,
    is_agent,
    pinned_to,
    ran_out,
    sponsors,
    teams,
)

__all__ = [
    "AddPrincipal",
    "BreakGlass",
    "Credential",
    "Delegate",
    "EnrolExternal",
    "EnvironmentRef",
    "IssueToken",
    "LinkIdentity",
    "Principal",
    "PrincipalState",
    "Relationship",
    "RevokeToken",
    "ScopeRole",
    "Session",
    "StopAgent",
    "Suspend",
    "WhoAmI",
    "acting",
    "answered_for",
    "catalogue_of",
    "current",
    "delegators",
    "end",
    "ended",
    "heirs_of",
    "is_agent",
    "issued",
    "mint",
    "pinned_to",
    "ran_out",
    "sponsors",
    "tag_in",
    "tag_of",
    "teams",
    "verify",
]
