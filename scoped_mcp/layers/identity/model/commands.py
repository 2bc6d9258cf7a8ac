"""What can be asked of identity."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, JsonValue, model_validator

from scoped_mcp.kernel.ids import CredentialId, EnvironmentId, PrincipalId, SessionId
from scoped_mcp.kernel.text import Name, Note
from scoped_mcp.layers.identity.model.entities import (
    Label,
    PrincipalKind,
    PrincipalState,
    Toolsets,
)
from scoped_mcp.layers.identity.model.views import (
    DelegationView,
    IssuedToken,
    LineageView,
    PrincipalPage,
    PrincipalView,
    RelationshipView,
    SessionPage,
    SessionView,
    TokenPage,
    TokenView,
    WhoAmIView,
)
from scoped_mcp.spine.declare import Command

Limit = Field(default=20, ge=1, le=100)
Cursor = Field(default=None, max_length=200)
_PRN = "prn_aaaaaaaaaaaaaaaa"


class WhoAmI(Command[WhoAmIView]):
    """Say who you are here: principal, sponsor, session, scopes with roles, toolsets, limits.

    Start here. It also lists your live delegates and what waits for your decision.
    """

    example: ClassVar[dict[str, Any]] = {}


class AddPrincipal(Command[PrincipalView]):
    """Create a principal. It can act once a token was issued for it.

    Its name is unique in the organisation. Users and teams stand for themselves; any other kind is
    sponsored by you: you answer for what it does.
    """

    name: Name
    kind: PrincipalKind = "user"
    metadata: dict[str, JsonValue] = {}

    example: ClassVar[dict[str, Any]] = {"name": "carol", "kind": "user"}
    traced: ClassVar[frozenset[str]] = frozenset({"kind"})


class GetPrincipal(Command[PrincipalView]):
    """Read a principal: id, name and kind; more for itself, its sponsors and instance admins."""

    id: PrincipalId

    example: ClassVar[dict[str, Any]] = {"id": _PRN}


class ListPrincipals(Command[PrincipalPage]):
    """List the principals of the organisation, newest first; for instance admins."""

    state: PrincipalState | None = None
    kind: PrincipalKind | None = None
    name: Name | None = None
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"state", "limit"})


class UpdatePrincipal(Command[PrincipalView]):
    """Rename a principal (instance admins) or replace its metadata (itself too)."""

    id: PrincipalId
    name: Name | None = None
    metadata: dict[str, JsonValue] | None = None
    expected_version: int | None = Field(default=None, ge=1)

    example: ClassVar[dict[str, Any]] = {"id": _PRN, "metadata": {"team": "research"}}
    traced: ClassVar[frozenset[str]] = frozenset({"expected_version"})


class Suspend(Command[PrincipalView]):
    """Suspend a principal: it and its agents can do nothing from the next call on."""

    id: PrincipalId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": _PRN}


class Resume(Command[PrincipalView]):
    """Let a suspended principal act again: exactly what suspension took comes back."""

    id: PrincipalId

    example: ClassVar[dict[str, Any]] = {"id": "prn_aaaaaaaaaaaaaaac"}


class ArchivePrincipal(Command[PrincipalView]):
    """End a principal for good; what it made and did stays in the trail."""

    id: PrincipalId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": _PRN}


class Recover(Command[PrincipalView]):
    """End every credential of a principal that lost them, so that one may be issued anew.

    It is shown to the principal at its next `whoami` and stands in the root trail.
    """

    id: PrincipalId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": _PRN}


class BreakGlass(Command[IssuedToken]):
    """The operator's recovery of a principal, with the database at hand and the server stopped."""

    name: Name

    example: ClassVar[dict[str, Any]] = {"name": "alice"}


class IssueToken(Command[IssuedToken]):
    """Issue a token, shown this once, for `principal`, or for `name` of `kind`, created if absent.

    For others only until they first used one: afterwards they issue their own, which lives no
    longer and may no more than the one it is issued with. A lost token is recovered by
    principal_recover.
    """

    principal: PrincipalId | None = None
    name: Name | None = None
    kind: PrincipalKind | None = None
    ttl_seconds: int = Field(default=8 * 3600, ge=1)
    toolsets: Toolsets = ("core",)
    read_only: bool = False
    environment: EnvironmentId | None = None

    example: ClassVar[dict[str, Any]] = {"principal": "prn_aaaaaaaaaaaaaaae", "ttl_seconds": 3600}
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds", "read_only"})

    @model_validator(mode="after")
    def _one_of(self) -> IssueToken:
        if (self.principal is None) == (self.name is None):
            message = "expected either principal or name"
            raise ValueError(message)
        return self


class LinkIdentity(Command[TokenView]):
    """Let an external identity (OIDC issuer and subject) act as a principal.

    The link is a credential like any other: it has toolsets and an expiry and can be revoked. For
    instance admins: they vouch for whose identity it is. For others only until they first used a
    credential, as with token_issue; after that, principal_recover comes first.
    """

    principal: PrincipalId
    issuer: str = Field(min_length=1, max_length=500)
    subject: str = Field(min_length=1, max_length=255)
    ttl_seconds: int = Field(default=365 * 86_400, ge=1)
    toolsets: Toolsets = ("core",)
    read_only: bool = False

    example: ClassVar[dict[str, Any]] = {
        "principal": "prn_aaaaaaaaaaaaaaae",
        "issuer": "https://login.example.com",
        "subject": "248289761001",
    }
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds", "read_only"})


class EnrolExternal(Command[TokenView]):
    """Create a user for an external identity that signs in for the first time, and link it."""

    name: Name
    issuer: str = Field(min_length=1, max_length=500)
    subject: str = Field(min_length=1, max_length=255)

    example: ClassVar[dict[str, Any]] = {
        "name": "dave",
        "issuer": "https://login.example.com",
        "subject": "1",
    }


class ListTokens(Command[TokenPage]):
    """List credentials, newest first: your own and your agents'; all for instance admins."""

    principal: PrincipalId | None = None
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"limit"})


class RevokeToken(Command[TokenView]):
    """Revoke a credential and all that was delegated from it: the very next call is refused."""

    id: CredentialId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": "crd_aaaaaaaaaaaaaaaa"}


class ListSessions(Command[SessionPage]):
    """List sessions, newest first: your own, your agents', and all of them for instance admins."""

    principal: PrincipalId | None = None
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"limit"})


class RevokeSession(Command[SessionView]):
    """End a session: revokes its credential and all that was delegated from it."""

    id: SessionId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": "ses_aaaaaaaaaaaaaaaa"}


class Delegate(Command[DelegationView]):
    """Make a sub-agent with its own principal and a token that can never exceed yours.

    Hand it one task and this token. It works in your current environment as editor, or only in the
    `environment` you pin it to. It ends at `ttl_seconds`, with your credential, or by agent_stop;
    what it made is then yours. Only toolsets you hold; at most 30 days, 5 deep, 50 alive.
    """

    name: Name
    ttl_seconds: int = Field(ge=1)
    environment: EnvironmentId | None = None
    toolsets: Toolsets | None = None
    read_only: bool = False

    example: ClassVar[dict[str, Any]] = {"name": "summariser", "ttl_seconds": 600}
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds", "read_only"})


class StopAgent(Command[PrincipalView]):
    """End one of your own delegates (`whoami` lists them); what it made is then yours."""

    id: PrincipalId

    example: ClassVar[dict[str, Any]] = {"id": "prn_aaaaaaaaaaaaaaad"}


class Relate(Command[RelationshipView]):
    """Relate two principals: `source` is `label` of `target` (member_of a team, supervises, …).

    A member_of a team has the access of the scopes that the team is a member of.
    """

    source: PrincipalId
    label: Label
    target: PrincipalId

    example: ClassVar[dict[str, Any]] = {
        "source": _PRN,
        "label": "supervises",
        "target": "prn_aaaaaaaaaaaaaaae",
    }
    traced: ClassVar[frozenset[str]] = frozenset({"label"})


class Unrelate(Command[RelationshipView]):
    """End a relationship; what it gave is gone with it."""

    source: PrincipalId
    label: Label
    target: PrincipalId

    example: ClassVar[dict[str, Any]] = {
        "source": _PRN,
        "label": "member_of",
        "target": "prn_aaaaaaaaaaaaaaaf",
    }
    traced: ClassVar[frozenset[str]] = frozenset({"label"})


class Ancestors(Command[LineageView]):
    """List whom a principal leads to along `label`, nearest first (teams it is in, …)."""

    id: PrincipalId
    label: Label
    depth: int = Field(default=5, ge=1, le=20)

    example: ClassVar[dict[str, Any]] = {"id": _PRN, "label": "member_of"}
    traced: ClassVar[frozenset[str]] = frozenset({"label", "depth"})


class Descendants(Command[LineageView]):
    """List who leads to a principal along `label`, nearest first (members of a team, …)."""

    id: PrincipalId
    label: Label
    depth: int = Field(default=5, ge=1, le=20)

    example: ClassVar[dict[str, Any]] = {"id": _PRN, "label": "member_of"}
    traced: ClassVar[frozenset[str]] = frozenset({"label", "depth"})
