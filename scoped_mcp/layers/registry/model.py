"""The organisation, its kinds and its operations."""

from __future__ import annotations

import operator
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from scoped_mcp.kernel.ids import (
    AnyId,
    KindId,
    OperationId,
    OrganisationId,
    PrincipalId,
    ScopeId,
    TenantId,
)
from scoped_mcp.kernel.text import Name
from scoped_mcp.spine.declare import Command, View
from scoped_mcp.spine.entity import Entity


class Lifecycle(StrEnum):
    """Where a kind or an operation stands."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class Head(BaseModel):
    """Where a chain ended: the position and hash of its last entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int
    hash: str


class OrganisationState(StrEnum):
    """Whether an organisation's credentials work."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Organisation(Entity):
    """One organisation is one database; this names its own principal and its root scope.

    Attributes:
        epoch: How often it was restored from a copy: credentials of another epoch are dead
            (ruling 24). A database that never was says nothing of it, as older code expects.
        continues: The head of the chain from which this epoch goes on.
        state: Suspended, no credential of it works; the house itself goes on.
        moved_to: Where it went: this database is closed, for its house too.
    """

    KIND: ClassVar[str] = "organisation"
    AUTHORITY: ClassVar[bool] = True

    id: OrganisationId
    house: PrincipalId
    root: ScopeId
    epoch: int = Field(default=0, exclude_if=operator.not_)
    continues: Head | None = Field(default=None, exclude_if=operator.not_)
    state: OrganisationState = OrganisationState.ACTIVE
    moved_to: str | None = None


class TenantState(StrEnum):
    """What the directory knows of an organisation; whether it may act, its own database says."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    MOVING = "moving"


class Tenant(Entity):
    """An organisation that the server of this one serves too: where it is, and what leads to it.

    Attributes:
        organisation: Its id, which is none of this database.
        tag: What its tokens carry.
        url: Its database; never with a password.
        target: Where it is being moved.
        issuer: The issuer of external identities that leads to it.
    """

    KIND: ClassVar[str] = "tenant"

    id: TenantId
    name: str
    organisation: str
    tag: str
    url: str
    state: TenantState = TenantState.ACTIVE
    target: str | None = None
    issuer: str | None = None


class Kind(Entity):
    """A kind of thing that the house knows."""

    KIND: ClassVar[str] = "kind"

    id: KindId
    name: str
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    tags: tuple[str, ...] = ()


class DeclaredOperation(Entity):
    """An operation that the house knows."""

    KIND: ClassVar[str] = "operation"

    id: OperationId
    name: str
    effect: str
    toolset: str
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    tags: tuple[str, ...] = ()


class EpochView(View):
    """A new epoch, and the head of the chain from which it goes on."""

    epoch: int
    seq: int
    head: str


class BeginEpoch(Command[EpochView]):
    """Say that this database is a restored copy: every credential in it is dead from now on.

    `seq` and `head` name the end of its chain, as it was verified. Enrolment is open again for
    everybody (ruling 24).
    """

    seq: int = Field(ge=1)
    head: str = Field(pattern=r"^[0-9a-f]{64}$")

    example: ClassVar[dict[str, Any]] = {"seq": 1, "head": "0" * 64}
    traced: ClassVar[frozenset[str]] = frozenset({"seq", "head"})


class Registered(View):
    """How many declarations were new."""

    registered: int


class RegisterKinds(Command[Registered]):
    """Register every kind and operation that this code declares and the registry lacks."""

    example: ClassVar[dict[str, Any]] = {}


class Registration(View):
    """One row of the registry."""

    id: str
    urn: str
    kind: str
    registered_at: datetime
    registered_by: str | None = None
    name: str | None = None
    lifecycle: Lifecycle | None = None
    tags: tuple[str, ...] = ()


class Registrations(View):
    """A page of the registry."""

    items: tuple[Registration, ...]
    next_cursor: str | None = None


class GetRegistration(Command[Registration]):
    """Look up what an id or URN names: its kind, its URN, who registered it and when."""

    id: AnyId

    example: ClassVar[dict[str, Any]] = {"id": "obj_aaaaaaaaaaaaaaaa"}


class FindRegistration(Command[Registration]):
    """Look up what a URN names; absent and invisible answer the same."""

    urn: str = Field(max_length=200)

    example: ClassVar[dict[str, Any]] = {
        "urn": "scoped:object:org_aaaaaaaaaaaaaaaa:obj_aaaaaaaaaaaaaaaa"
    }


class ListRegistrations(Command[Registrations]):
    """List what is registered of one `kind`, newest first, of what you can see.

    `kind` is `operation`, `kind`, or any kind that a listing of kinds names. `lifecycle` is for
    those two.
    """

    kind: str = Field(default="operation", max_length=64)
    lifecycle: Lifecycle | None = None
    tag: Name | None = None
    registered_by: PrincipalId | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200)

    example: ClassVar[dict[str, Any]] = {"kind": "operation", "limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"lifecycle", "limit"})


class SetLifecycle(Command[Registration]):
    """Move a kind or operation along `draft → active → deprecated → archived`.

    A deprecated or archived thing can be made active again. This says what its users should expect;
    it takes nobody's access away.
    """

    id: AnyId
    lifecycle: Lifecycle

    example: ClassVar[dict[str, Any]] = {"id": "knd_aaaaaaaaaaaaaaaa", "lifecycle": "deprecated"}
    traced: ClassVar[frozenset[str]] = frozenset({"lifecycle"})


class Standing(View):
    """How an organisation stands."""

    id: OrganisationId
    state: OrganisationState
    moved_to: str | None = None


class SetStanding(Command[Standing]):
    """Suspend an organisation, or let it act again: the very next call of anybody in it."""

    state: OrganisationState

    example: ClassVar[dict[str, Any]] = {"state": "suspended"}
    traced: ClassVar[frozenset[str]] = frozenset({"state"})


class LeaveDatabase(Command[Standing]):
    """Close this database for good: the final entry says where the organisation went."""

    to: str = Field(max_length=1_000)

    example: ClassVar[dict[str, Any]] = {"to": "sqlite:////srv/acme.db"}
    traced: ClassVar[frozenset[str]] = frozenset({"to"})


class ArriveInDatabase(Command[Standing]):
    """Open the database to which an organisation went, once all of it is here."""

    at: str = Field(max_length=1_000)

    example: ClassVar[dict[str, Any]] = {"at": "sqlite:////srv/acme.db"}
    traced: ClassVar[frozenset[str]] = frozenset({"at"})


class StayInDatabase(Command[Standing]):
    """Open a database again whose organisation went nowhere: its move was abandoned."""

    example: ClassVar[dict[str, Any]] = {}


class TenantView(View):
    """An organisation of the directory."""

    id: TenantId
    name: str
    organisation: str
    url: str
    state: TenantState
    target: str | None = None
    issuer: str | None = None


class AddTenant(Command[TenantView]):
    """Enter an organisation into the directory."""

    id: TenantId
    name: Name
    organisation: OrganisationId
    tag: str = Field(max_length=64)
    url: str = Field(max_length=1_000)
    issuer: str | None = Field(default=None, max_length=1_000)

    example: ClassVar[dict[str, Any]] = {
        "id": "tnt_aaaaaaaaaaaaaaaa",
        "name": "acme",
        "organisation": "org_aaaaaaaaaaaaaaaa",
        "tag": "aaaaaaaaaa",
        "url": "sqlite:////srv/acme.db",
    }


class SetTenant(Command[TenantView]):
    """Say anew where an organisation of the directory is, what leads to it and how it stands."""

    id: TenantId
    expected_version: int
    url: str = Field(max_length=1_000)
    state: TenantState
    target: str | None = Field(default=None, max_length=1_000)
    issuer: str | None = Field(default=None, max_length=1_000)

    example: ClassVar[dict[str, Any]] = {
        "id": "tnt_aaaaaaaaaaaaaaaa",
        "expected_version": 1,
        "url": "sqlite:////srv/acme.db",
        "state": "active",
    }
    traced: ClassVar[frozenset[str]] = frozenset({"state"})
