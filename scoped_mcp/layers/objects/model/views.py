"""What is answered about objects."""

from __future__ import annotations

from datetime import datetime

from pydantic import (
    JsonValue,
)

from scoped_mcp.layers.objects.model.entities import (
    JsonObject,
    ObjectState,
)
from scoped_mcp.spine.declare import View


class Provenance(View):
    """Where stored content comes from."""

    author: str | None = None
    scope: str | None = None
    environment: str | None = None
    at: datetime | None = None


class ForkView(View):
    """What a fork was forked from."""

    object: str
    version: int


class PublishedView(View):
    """How a published copy came to be; the original only for who may see it (ruling 34)."""

    promotion: str | None = None
    object: str | None = None
    version: int | None = None


class ObjectView(View):
    """An object as the caller may see it. `untrusted` content was written by somebody else."""

    id: str
    urn: str
    type: str
    name: str | None = None
    owner: str | None = None
    environment: str | None = None
    version: int
    state: ObjectState
    data: JsonObject | None = None
    tags: tuple[str, ...] | None = None
    created_at: datetime
    updated_at: datetime
    access: str
    scopes: tuple[str, ...] = ()
    transfer_to: str | None = None
    published_from: PublishedView | None = None
    forked_from: ForkView | None = None
    provenance: Provenance
    untrusted: bool | None = None


class ObjectPage(View):
    """A page of objects."""

    items: tuple[ObjectView, ...]
    next_cursor: str | None = None


class ObjectList(View):
    """The objects of a bulk operation, in the order in which they were named."""

    items: tuple[ObjectView, ...]


class VersionView(View):
    """One version of an object."""

    version: int
    at: datetime
    author: str | None = None
    reason: str | None = None
    state: ObjectState


class HistoryView(View):
    """Versions, newest first; `diff` leads from the first named version to the second."""

    items: tuple[VersionView, ...]
    next_cursor: str | None = None
    diff: tuple[dict[str, JsonValue], ...] | None = None
