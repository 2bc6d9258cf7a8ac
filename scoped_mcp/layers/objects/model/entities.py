"""Objects: versioned JSON, private to their creator until shared."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
)

from scoped_mcp.kernel.ids import AnyId, ObjectId, PrincipalId, ScopeId
from scoped_mcp.spine.entity import Entity

_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
JsonObject = dict[str, JsonValue]
Version = Annotated[int, Field(ge=1)]


def _type(text: str) -> str:
    if _TYPE.fullmatch(text) is None:
        message = "expected a lower-case word of at most 64 characters (a-z 0-9 _ . -)"
        raise ValueError(message)
    return text


ObjectType = Annotated[str, AfterValidator(_type)]


class ObjectState(StrEnum):
    """Whether an object is there. What is deleted leaves a tombstone."""

    ACTIVE = "active"
    DELETED = "deleted"


class Fork(BaseModel):
    """The version of another object that an object was forked from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: ObjectId
    version: int


class Published(BaseModel):
    """The promotion by which an object was published, and the version that it is a copy of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promotion: AnyId
    object: ObjectId
    version: int


class Object(Entity):
    """A JSON document with an owner.

    Attributes:
        owner: Who made it; a published copy belongs to the scope it was published in (ruling 32).
        home: The isolation scope of the environment it lives in; None outside of environments.
        forked_from: What it was forked from, if it is a fork.
        published_from: What it is a copy of, if it was published.
        original: Of a copy, the object that it was made from at first.
        transfer_to: Who was offered its ownership and has not answered.
    """

    KIND: ClassVar[str] = "object"

    id: ObjectId
    type: str
    name: str | None = None
    owner: PrincipalId | ScopeId
    home: ScopeId | None = None
    state: ObjectState = ObjectState.ACTIVE
    data: JsonObject
    tags: tuple[str, ...] = ()
    transfer_to: PrincipalId | None = None
    forked_from: Fork | None = None
    published_from: Published | None = None
    original: ObjectId | None = None

    @property
    def origin(self) -> ObjectId | None:
        """The object it was forked from: a column, to be found by."""
        return None if self.forked_from is None else self.forked_from.object


class _Stood(BaseModel):
    state: ObjectState


class Heading(BaseModel):
    """What is said about a version of an object: all of it but its content."""

    version: int
    at: datetime
    author: PrincipalId | None
    reason: str | None
    stood: _Stood = Field(alias="state")

    @property
    def state(self) -> ObjectState:
        """Whether the object was there or deleted."""
        return self.stood.state
