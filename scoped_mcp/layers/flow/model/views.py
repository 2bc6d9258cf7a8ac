"""What flow answers: only what its caller may see."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from scoped_mcp.layers.flow.model.entities import (
    ChannelState,
    Decision,
    Outcome,
    PromotionState,
)
from scoped_mcp.spine.declare import View

May = Literal["request", "review", "admin"]


class EndView(View):
    """One end of a channel; its id only for who may see what it names."""

    kind: str
    id: str | None = None
    name: str | None = None


class ChannelView(View):
    """A channel, and what the caller may do with it."""

    id: str
    urn: str
    name: str
    source: EndView
    target: EndView
    allowed_types: tuple[str, ...]
    approvals: int
    reviewers: tuple[str, ...]
    requesters: tuple[str, ...]
    agents_may_review: bool
    independent: bool
    decide: str
    max_bytes: int | None = None
    confirm: bool
    state: ChannelState
    may: tuple[May, ...]
    version: int
    created_at: datetime


class ChannelPage(View):
    """A page of channels."""

    items: tuple[ChannelView, ...]
    next_cursor: str | None = None


class WritersView(View):
    """Who wrote the two sides of a conflict last."""

    ours: str | None = None
    theirs: str | None = None


class ConflictView(View):
    """What both sides changed; a side without a value there has none."""

    path: str
    base: JsonValue = None
    ours: JsonValue = None
    theirs: JsonValue = None
    by: WritersView


class OriginView(View):
    """What an object was forked from."""

    object: str | None = None
    version: int | None = None


class ItemView(View):
    """One object of a promotion.

    `published` is what it became or would change; `diff` leads from there to what would be seen.
    """

    object: str | None = None
    version: int
    type: str | None = None
    name: str | None = None
    size: int | None = None
    published: str | None = None
    becomes: Literal["new", "update", "merge", "stage"]
    diff: tuple[dict[str, JsonValue], ...] | None = None
    conflicts: tuple[ConflictView, ...] | None = None
    lineage: tuple[OriginView, ...] | None = None
    authors: tuple[str, ...] | None = None


class CheckView(View):
    """What a check found."""

    name: str
    outcome: Outcome
    detail: str | None = None


class ReviewView(View):
    """A decision about a promotion."""

    reviewer: str
    decision: Decision
    comment: str | None = None
    at: datetime


class AskerView(View):
    """Who asked, who answers for it, nearest first, and in which session."""

    name: str | None = None
    kind: str | None = None
    sponsors: tuple[str, ...] = ()
    session: str | None = None
    client: str | None = None


class PromotionView(View):
    """A promotion as the caller may see it: contents while it reviews, or sees what they became."""

    id: str
    urn: str
    state: PromotionState
    picture: str
    channel: str | None = None
    audience: EndView
    environment: str | None = None
    requester: str
    asker: AskerView
    objects: tuple[ItemView, ...]
    depends_on: tuple[str, ...] | None = None
    checks: tuple[CheckView, ...]
    reviews: tuple[ReviewView, ...]
    needed: int
    confirmed: bool | None = None
    reason: str | None = None
    version: int
    created_at: datetime
    expires_at: datetime
    untrusted: bool | None = None


class PromotionPage(View):
    """A page of promotions, without their contents."""

    items: tuple[PromotionView, ...]
    next_cursor: str | None = None


class StageView(View):
    """A stage of a pipeline."""

    id: str
    name: str
    approvals: int


class PlacementView(View):
    """Where an object stands in a pipeline, and which stage was asked for."""

    id: str
    object: str
    pipeline: str
    stage: str | None = None
    wanted: str | None = None
    requester: str | None = None
    approved_by: tuple[str, ...] | None = None
    needed: int | None = None
    version: int


class PipelineView(View):
    """A pipeline with its stages, in order."""

    id: str
    urn: str
    name: str
    scope: str
    stages: tuple[StageView, ...]
    placement: PlacementView | None = None
    version: int
    created_at: datetime


class PipelinePage(View):
    """A page of pipelines."""

    items: tuple[PipelineView, ...]
    next_cursor: str | None = None


class HopView(View):
    """One channel of a route."""

    channel: str
    name: str
    target: EndView
    approvals: int
    may: tuple[May, ...]


class RouteView(View):
    """Channels one after the other."""

    to: str
    hops: tuple[HopView, ...]


class RoutesView(View):
    """Whether a thing can get there, and how; the shortest ways first."""

    can_flow: bool
    routes: tuple[RouteView, ...]


class SweptView(View):
    """How many promotions were written down as expired."""

    things: int
