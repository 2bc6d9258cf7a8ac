"""Scopes, memberships and projections."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from scoped_mcp.kernel.ids import (
    AnyId,
    MembershipId,
    ObjectId,
    OrganisationId,
    PrincipalId,
    ProjectionId,
    ScopeId,
)
from scoped_mcp.kernel.text import Name, Note
from scoped_mcp.layers.objects import Inherited
from scoped_mcp.spine.declare import Command, View
from scoped_mcp.spine.entity import Entity

_SCP = "scp_aaaaaaaaaaaaaaaa"
_PRN = "prn_aaaaaaaaaaaaaaae"
_OBJ = "obj_aaaaaaaaaaaaaaaa"
Limit = Field(default=20, ge=1, le=100)
Cursor = Field(default=None, max_length=200)


class Role(StrEnum):
    """What a member may do in a scope. An auditor reads its trail, not its data."""

    AUDITOR = "auditor"
    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"


class ScopeState(StrEnum):
    """Frozen: nothing is added or widened. Archived: invisible to members."""

    ACTIVE = "active"
    FROZEN = "frozen"
    ARCHIVED = "archived"


class ScopeKind(StrEnum):
    """A scope of its own, or the closed one of an environment (rulings 37 and 64)."""

    SCOPE = "scope"
    ENVIRONMENT = "environment"


class Place(StrEnum):
    """Whether a membership or a projection stands."""

    ACTIVE = "active"
    ENDED = "ended"


class Scope(Entity):
    """Who shares with whom. The root scope holds instance roles only (ruling 31)."""

    KIND: ClassVar[str] = "scope"
    AUTHORITY: ClassVar[bool] = True

    id: ScopeId
    name: str
    owner: PrincipalId
    kind: ScopeKind = ScopeKind.SCOPE
    parent: ScopeId | None = None
    description: str | None = None
    state: ScopeState = ScopeState.ACTIVE
    root: bool = False
    transfer_to: PrincipalId | None = None
    offered_by: PrincipalId | None = None


class Membership(Entity):
    """A principal's place in a scope: one row each, with history.

    Attributes:
        inside: Whether the scope is an environment's: such places are looked up one by one.
    """

    KIND: ClassVar[str] = "membership"
    AUTHORITY: ClassVar[bool] = True

    id: MembershipId
    scope: ScopeId
    principal: PrincipalId
    role: Role
    state: Place = Place.ACTIVE
    expires_at: datetime | None = None
    added_by: PrincipalId
    inside: bool = False


Level = Literal["read", "write", "admin"]


class Projection(Entity):
    """An object shown in a scope.

    Attributes:
        since: The first version shown, up to the current one; None where one version is pinned.
        pinned: The one version shown.
    """

    KIND: ClassVar[str] = "projection"
    AUTHORITY: ClassVar[bool] = True

    id: ProjectionId
    object: ObjectId
    scope: ScopeId
    access: Level
    state: Place = Place.ACTIVE
    since: int | None = None
    pinned: int | None = None
    shared_by: PrincipalId


class MemberView(View):
    """A member of a scope."""

    principal: str
    name: str | None = None
    role: str
    expires_at: datetime | None = None
    added_by: str | None = None


class ScopeView(View):
    """A scope as the caller may see it."""

    id: str
    urn: str
    name: str
    state: str
    effective_state: str
    parent: str | None = None
    role: str | None = None
    owner: str | None = None
    description: str | None = None
    members: tuple[MemberView, ...] | None = None
    transfer_to: str | None = None
    version: int
    created_at: datetime


class ScopePage(View):
    """A page of scopes."""

    items: tuple[ScopeView, ...]
    next_cursor: str | None = None


class ShareView(View):
    """How an object is shown in a scope."""

    object: str
    scope: str
    access: str
    state: str
    since: int | None = None
    pinned: int | None = None
    version: int


class ReachView(View):
    """Why a principal has access: through what, at what level, since when."""

    through: str
    access: str
    since: datetime | None = None
    until: datetime | None = None


class AccessView(View):
    """What a principal may do with a thing, and why."""

    principal: str
    target: str
    access: str
    reasons: tuple[ReachView, ...] = ()


class FirstView(View):
    """The first principal of a new house and its token, shown this once."""

    principal: str
    root: str
    token: str


class FoundHouse(Command[FirstView]):
    """Found an organisation: its own principal, its root scope, its first principal and token."""

    organisation: OrganisationId
    house: PrincipalId
    root: ScopeId
    name: Name

    example: ClassVar[dict[str, Any]] = {
        "organisation": "org_aaaaaaaaaaaaaaaa",
        "house": _PRN,
        "root": _SCP,
        "name": "alice",
    }


class ListScopes(Command[ScopePage]):
    """List the scopes you can see, newest first; archived ones only with `state: archived`."""

    state: ScopeState | None = None
    parent: ScopeId | None = None
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"state", "limit"})


class GetScope(Command[ScopeView]):
    """Read a scope: its state, your role in it, and its members."""

    id: ScopeId

    example: ClassVar[dict[str, Any]] = {"id": _SCP}


class CreateScope(Command[ScopeView]):
    """Create a scope, of which you are the owner; below `parent` you need admin there.

    Then add members with scope_add_member and show objects in it with object_share.
    """

    name: Name
    parent: ScopeId | None = None
    description: Note | None = None

    example: ClassVar[dict[str, Any]] = {"name": "research"}


class UpdateScope(Command[ScopeView]):
    """Rename or describe a scope."""

    id: ScopeId
    name: Name | None = None
    description: Note | None = None
    expected_version: int | None = Field(default=None, ge=1)

    example: ClassVar[dict[str, Any]] = {"id": _SCP, "description": "what we share"}
    traced: ClassVar[frozenset[str]] = frozenset({"expected_version"})


class SetScopeState(Command[ScopeView]):
    """Freeze a scope (nothing is added or widened), archive it with all below, or make it active.

    Only its owner brings an archived scope back, and only its own admins unfreeze it.
    """

    id: ScopeId
    state: ScopeState
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": "scp_aaaaaaaaaaaaaaac", "state": "frozen"}
    traced: ClassVar[frozenset[str]] = frozenset({"state"})


class TransferScope(Command[ScopeView]):
    """Offer the ownership of a scope to a member; it changes hands when that one accepts.

    Without `to` a standing offer is taken back.
    """

    id: ScopeId
    to: PrincipalId | None = None

    example: ClassVar[dict[str, Any]] = {"id": _SCP, "to": _PRN}


class SweepScopes(Command[Inherited]):
    """Write down whose are the scopes that ended delegates left; only the house does."""

    example: ClassVar[dict[str, Any]] = {}


class InheritScope(Command[Inherited]):
    """Within a sweep: a scope of an ended delegate, with its place there, becomes its heir's."""

    id: ScopeId

    example: ClassVar[dict[str, Any]] = {"id": _SCP}


class AcceptScope(Command[ScopeView]):
    """Accept the ownership of a scope that was offered to you; its owner so far stays as admin."""

    id: ScopeId

    example: ClassVar[dict[str, Any]] = {"id": "scp_aaaaaaaaaaaaaaad"}


class AdoptionView(View):
    """Who owns a scope now; whoever arranged it sees no more of it than before."""

    scope: ScopeId
    owner: PrincipalId


class AdoptScope(Command[AdoptionView]):
    """Make a member of a scope its owner, where every owner is suspended or archived.

    For admins of the organisation, who name the scope that one of its members told them; they see
    nothing of it. Its members see who was made owner and by whom.
    """

    id: ScopeId
    owner: PrincipalId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {
        "id": "scp_aaaaaaaaaaaaaaag",
        "owner": "prn_aaaaaaaaaaaaaaaa",
    }


class AddMember(Command[ScopeView]):
    """Give a principal a role in a scope, change it, or set when it ends.

    Roles: viewer < contributor < editor < admin < owner, and auditor (reads the trail, not the
    data). You cannot grant more than you hold.
    """

    scope: ScopeId
    principal: PrincipalId
    role: Role
    expires_at: AwareDatetime | None = None

    example: ClassVar[dict[str, Any]] = {"scope": _SCP, "principal": _PRN, "role": "viewer"}
    traced: ClassVar[frozenset[str]] = frozenset({"role", "expires_at"})


class RemoveMember(Command[ScopeView]):
    """Take a principal's place in a scope away: its very next call no longer sees it."""

    scope: ScopeId
    principal: PrincipalId

    example: ClassVar[dict[str, Any]] = {"scope": _SCP, "principal": "prn_aaaaaaaaaaaaaaag"}


class LeaveScope(Command[ScopeView]):
    """Leave a scope. Its last owner cannot: transfer it first."""

    id: ScopeId

    example: ClassVar[dict[str, Any]] = {"id": "scp_aaaaaaaaaaaaaaae"}


class ShareObject(Command[ShareView]):
    """Show an object of yours in a scope where you contribute; sharing again changes how.

    Members get `access` (read, write or admin) to it from its current version on, to `history`
    too if you say so, or to one `pin_version` alone.
    """

    object: ObjectId
    scope: ScopeId
    access: Level = "read"
    pin_version: int | None = Field(default=None, ge=1)
    history: bool = False

    example: ClassVar[dict[str, Any]] = {"object": _OBJ, "scope": _SCP}
    traced: ClassVar[frozenset[str]] = frozenset({"access", "pin_version", "history"})


class UnshareObject(Command[ShareView]):
    """Stop showing an object in a scope: the very next call of its members no longer sees it."""

    object: ObjectId
    scope: ScopeId

    example: ClassVar[dict[str, Any]] = {"object": "obj_aaaaaaaaaaaaaaac", "scope": _SCP}


class ExplainAccess(Command[AccessView]):
    """Say what a principal may do with an object or scope of yours, through what, since when."""

    principal: PrincipalId
    target: AnyId

    example: ClassVar[dict[str, Any]] = {"principal": _PRN, "target": _OBJ}
