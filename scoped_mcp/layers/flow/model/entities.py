"""Channels, promotions, pipelines, their stages, and where objects stand in them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from scoped_mcp.kernel.ids import (
    AnyId,
    ChannelId,
    EnvironmentId,
    ObjectId,
    PipelineId,
    PlacementId,
    PrincipalId,
    PromotionId,
    ScopeId,
    SessionId,
    StageId,
)
from scoped_mcp.spine.entity import Entity


class SourceKind(StrEnum):
    """Where a channel leads from."""

    ENVIRONMENT = "environment"
    ANY_ENVIRONMENT = "any_environment"
    TEMPLATE = "template"
    SCOPE = "scope"
    STAGE = "stage"


class TargetKind(StrEnum):
    """Where a channel leads to."""

    SCOPE = "scope"
    STAGE = "stage"


PREFIX = {
    SourceKind.ENVIRONMENT: "env",
    SourceKind.TEMPLATE: "tpl",
    SourceKind.SCOPE: "scp",
    SourceKind.STAGE: "stg",
    TargetKind.SCOPE: "scp",
    TargetKind.STAGE: "stg",
}
"""An end of a channel is told by its id; `any_environment` has none."""


class ChannelState(StrEnum):
    """Whether a channel may be used. Closing one voids what is pending in it."""

    ACTIVE = "active"
    CLOSED = "closed"


class Decider(StrEnum):
    """Through which face a review may come: any, or a person's (CLI, console)."""

    ANYONE = "anyone"
    PERSON = "person"


class PromotionState(StrEnum):
    """How far a promotion has come."""

    PENDING = "pending"
    APPROVED = "approved"
    APPLIED = "applied"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    STALE = "stale"
    CONFLICTED = "conflicted"
    FAILED = "failed"
    REVERTED = "reverted"


Decision = Literal["approve", "reject"]
Outcome = Literal["passed", "failed"]


class Part(BaseModel):
    """A part of an entity."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Channel(Entity):
    """A way for objects into a scope or stage; it belongs to that scope.

    Attributes:
        owner: The scope that it leads into, or that the stage's pipeline is of.
        source: Where it leads from; None for any environment.
        allowed_types: Types of objects that may pass; empty for all.
        reviewers: Who reviews; empty for the admins and owners of the scope itself.
        requesters: Who of the scope's contributors may request; empty for all of them.
        independent: Whether nobody may review what an agent that answers to the same user wrote.
        max_bytes: How much one promotion may hold, in bytes of JSON.
        confirm: Whether a client that can is to ask its operator before it requests.
    """

    KIND: ClassVar[str] = "channel"
    AUTHORITY: ClassVar[bool] = True

    id: ChannelId
    name: str
    owner: ScopeId
    source: AnyId | None = None
    target: AnyId
    state: ChannelState = ChannelState.ACTIVE
    allowed_types: tuple[str, ...] = ()
    approvals: int = 1
    reviewers: tuple[PrincipalId, ...] = ()
    requesters: tuple[PrincipalId, ...] = ()
    agents_may_review: bool = False
    independent: bool = False
    decide: Decider = Decider.ANYONE
    max_bytes: int | None = None
    confirm: bool = False


class Item(Part):
    """One object of a promotion and what it would become, pinned when it was requested.

    Attributes:
        digest: Of that version, as the trail names it.
        target: The object that it would change; None where it is new in the scope.
        target_version: The version of that object that it is merged with.
        base: What both came from: an object at a version.
        moves: Whether it is in the scope already and only changes its stage.
    """

    object: ObjectId
    version: int
    digest: str
    target: ObjectId | None = None
    target_version: int | None = None
    base: tuple[ObjectId, int] | None = None
    moves: bool = False


class Dependency(Part):
    """What was read while working: the promotion is stale once it has moved."""

    object: ObjectId
    version: int


class Check(Part):
    """What a check found."""

    name: str
    outcome: Outcome
    detail: str | None = None


class Review(Part):
    """A decision about one picture.

    Attributes:
        via: The face it came through.
    """

    reviewer: PrincipalId
    decision: Decision
    comment: str | None = None
    at: datetime
    picture: str
    via: str


class Landed(Part):
    """What a promotion did to one object of its scope.

    Attributes:
        before: The version that held what was there; None where it was made.
        after: The version that held what was published.
        now: The version that the promotion or its revert left it at.
    """

    object: ObjectId
    before: int | None = None
    after: int
    now: int


class Step(Part):
    """What a promotion did to the place of one object, in versions of that place."""

    placement: PlacementId
    before: int | None = None
    after: int
    now: int


class Promotion(Entity):
    """Objects at versions, asked to pass a channel.

    Attributes:
        scope: What would be published, and into which scope.
        channel_version: The channel as it was asked; a changed one voids the promotion.
        needed: How many approvals it takes.
        picture: Digest over all that would land, for whom, through which channel version.
        resolutions: How conflicts are decided, by path or by object id and path.
        session: The session that asked.
        confirmed: Whether the requester's operator agreed; None where the channel does not ask.
        landed: What applying it did, in the order of the items.
    """

    KIND: ClassVar[str] = "promotion"

    id: PromotionId
    channel: ChannelId
    channel_version: int
    scope: ScopeId
    target: AnyId
    environment: EnvironmentId | None = None
    requester: PrincipalId
    session: SessionId | None = None
    state: PromotionState
    items: tuple[Item, ...]
    depends_on: tuple[Dependency, ...] = ()
    resolutions: dict[str, JsonValue] = {}
    note: str | None = None
    checks: tuple[Check, ...] = ()
    reviews: tuple[Review, ...] = ()
    needed: int
    picture: str
    confirmed: bool | None = None
    expires_at: datetime
    landed: tuple[Landed, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def owner(self) -> PrincipalId:
        """Whose the entries about it are."""
        return self.requester


class Pipeline(Entity):
    """Named, ordered stages of a scope."""

    KIND: ClassVar[str] = "pipeline"

    id: PipelineId
    name: str
    owner: ScopeId
    stages: tuple[StageId, ...]


class Stage(Entity):
    """One stage: an object enters it from the one before.

    Attributes:
        approvals: How many of the scope's admins must agree before an object enters.
    """

    KIND: ClassVar[str] = "stage"

    id: StageId
    name: str
    owner: ScopeId
    pipeline: PipelineId
    position: int
    approvals: int = 0


class Agreement(Part):
    """One approval of an object's way into a stage."""

    principal: PrincipalId
    at: datetime


class Wanted(Part):
    """A stage that was asked for, for one version of the object."""

    stage: StageId
    version: int
    requester: PrincipalId
    approvals: tuple[Agreement, ...] = ()


class Placement(Entity):
    """Where an object stands in a pipeline: one row each, its versions are the history.

    Attributes:
        stage: None before it entered the first one.
    """

    KIND: ClassVar[str] = "placement"

    id: PlacementId
    owner: ScopeId
    object: ObjectId
    pipeline: PipelineId
    stage: StageId | None = None
    wanted: Wanted | None = None
