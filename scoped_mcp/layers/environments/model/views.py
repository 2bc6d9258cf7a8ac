"""What environments answer."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from scoped_mcp.layers.tenancy import MemberView
from scoped_mcp.spine.declare import View


class ImportView(View):
    """What an environment imports, for who may read it; `fork` is what became of it inside."""

    object: str
    version: int
    fork: str | None = None


class EnvironmentView(View):
    """An environment: `objects` counts what is inside; `current` says that you work in it."""

    fleeting: ClassVar[frozenset[str]] = frozenset({"expires_at"})

    id: str
    urn: str
    name: str
    state: str
    owner: str | None = None
    scope: str
    expires_at: datetime
    ttl_seconds: int
    purpose: str | None = None
    template: str | None = None
    objects: int
    members: tuple[MemberView, ...]
    imports: tuple[ImportView, ...] | None = None
    access: str
    current: bool
    version: int
    created_at: datetime


class EnvironmentPage(View):
    """A page of environments."""

    items: tuple[EnvironmentView, ...]
    next_cursor: str | None = None


class SnapshotView(View):
    """A snapshot; equal digests mean equal contents."""

    id: str
    environment: str
    name: str
    digest: str
    objects: int
    members: int
    created_at: datetime


class SnapshotPage(View):
    """A page of snapshots."""

    items: tuple[SnapshotView, ...]
    next_cursor: str | None = None


class SeatView(View):
    """A member that an environment begins with."""

    principal: str
    role: str


class SeedView(View):
    """An object that an environment begins with."""

    type: str
    name: str | None = None


class TemplateView(View):
    """What environments can be made from."""

    id: str
    urn: str
    name: str
    state: str
    owner: str | None = None
    scope: str | None = None
    purpose: str | None = None
    ttl_seconds: int | None = None
    objects: tuple[SeedView, ...] = ()
    members: tuple[SeatView, ...] = ()
    channels: tuple[str, ...] = ()
    access: str
    version: int
    created_at: datetime


class TemplatePage(View):
    """A page of templates."""

    items: tuple[TemplateView, ...]
    next_cursor: str | None = None


class Counted(View):
    """How many things an operation within another one dealt with."""

    things: int
