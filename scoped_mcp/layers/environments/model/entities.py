"""Environments, what they refer to, what they are made from, and what they were."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from scoped_mcp.kernel.ids import (
    ChannelId,
    EnvironmentId,
    ImportId,
    ObjectId,
    PrincipalId,
    ScopeId,
    SnapshotId,
    TemplateId,
)
from scoped_mcp.layers.objects import JsonObject
from scoped_mcp.spine.entity import Entity


class EnvironmentState(StrEnum):
    """What its owner made of an environment. That it expired is computed (ruling 67)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    DISCARDED = "discarded"


class Environment(Entity):
    """A throwaway place to work in: what is made inside is seen by its members alone.

    Attributes:
        scope: Its isolation scope, in which its members stand.
        ttl_seconds: How long it stays unused before it expires.
        renewed_at: When its longest life began: at its spawn, or when it was last extended.
    """

    KIND: ClassVar[str] = "environment"
    AUTHORITY: ClassVar[bool] = True

    id: EnvironmentId
    name: str
    owner: PrincipalId
    scope: ScopeId
    state: EnvironmentState = EnvironmentState.ACTIVE
    ttl_seconds: int
    renewed_at: datetime
    purpose: str | None = None
    template: TemplateId | None = None


class Import(Entity):
    """A read-only reference to one version of an object outside. It gives nobody access.

    Attributes:
        pinned: The version.
    """

    KIND: ClassVar[str] = "import"

    id: ImportId
    environment: EnvironmentId
    object: ObjectId
    pinned: int
    active: bool = True


Guest = Literal["viewer", "editor"]


class Seat(BaseModel):
    """A member that comes with a template or stands in a snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: PrincipalId
    role: Guest


class Kept(BaseModel):
    """An object in a snapshot: which version it was at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: ObjectId
    version: int


class Snapshot(Entity):
    """An environment as it was: names, members, objects at versions; no secrets.

    Attributes:
        digest: SHA-256 over the canonical bytes of all it would bring back.
    """

    KIND: ClassVar[str] = "snapshot"

    id: SnapshotId
    environment: EnvironmentId
    name: str
    title: str
    purpose: str | None
    members: tuple[Seat, ...]
    objects: tuple[Kept, ...]
    digest: str


class TemplateState(StrEnum):
    """Whether environments may be made from a template."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class Seed(BaseModel):
    """An object with which an environment begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    data: JsonObject
    name: str | None = None


class Template(Entity):
    """What an environment begins with.

    Attributes:
        scope: The scope whose members may use it beside its owner.
    """

    KIND: ClassVar[str] = "template"

    id: TemplateId
    name: str
    owner: PrincipalId
    scope: ScopeId | None = None
    state: TemplateState = TemplateState.ACTIVE
    purpose: str | None = None
    ttl_seconds: int | None = None
    objects: tuple[Seed, ...] = ()
    members: tuple[Seat, ...] = ()
    channels: tuple[ChannelId, ...] = ()
