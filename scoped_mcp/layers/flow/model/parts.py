"""What stands within a command: the ends of a channel, objects by version, chosen values."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from scoped_mcp.kernel.ids import AnyId, ObjectId
from scoped_mcp.kernel.text import Name
from scoped_mcp.layers.flow.model.entities import PREFIX, SourceKind, TargetKind

_AT = re.compile(r"(obj_[a-z2-7]{16})(?:@([1-9][0-9]{0,14}))?", re.ASCII)
_PATH = re.compile(r"(obj_[a-z2-7]{16})?(/.*)?", re.ASCII | re.DOTALL)


def _named(text: str) -> str:
    if _AT.fullmatch(text) is None:
        message = "expected the id of an object, or id@version"
        raise ValueError(message)
    return text


def _pathed(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        message = "expected a path such as /title, or the id of an object and a path"
        raise ValueError(message)
    return text


def parted(named: str) -> tuple[ObjectId, int | None]:
    """An object as it is named: `id` or `id@version`."""
    public_id, _, version = named.partition("@")
    return ObjectId(public_id), int(version) if version else None


Named = Annotated[str, AfterValidator(_named)]
Path = Annotated[str, AfterValidator(_pathed)]


class _Given(BaseModel):
    """A part of what is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absence(cls, given: object) -> object:
        """An optional part that is null is not there, as it is with what stands around it."""
        if not isinstance(given, dict):
            return given
        free = {name for name, one in cls.model_fields.items() if not one.is_required()}
        named = cast("dict[str, Any]", given).items()
        return {k: v for k, v in named if v is not None or k not in free}


class Source(_Given):
    """Where a channel leads from."""

    kind: SourceKind
    id: AnyId | None = None

    @model_validator(mode="after")
    def _fits(self) -> Source:
        _require_fits(self.kind, self.id)
        return self


class Target(_Given):
    """Where a channel leads to."""

    kind: TargetKind
    id: AnyId

    @model_validator(mode="after")
    def _fits(self) -> Target:
        _require_fits(self.kind, self.id)
        return self


def _require_fits(kind: SourceKind | TargetKind, public_id: str | None) -> None:
    prefix = PREFIX.get(kind)
    if (None if public_id is None else public_id[:3]) != prefix:
        wanted = "no id" if prefix is None else f"an id like {prefix}_…"
        message = f"`{kind}` takes {wanted}"
        raise ValueError(message)


class Chosen(_Given):
    """A value of one's own, where both sides differ."""

    value: JsonValue


Resolution = Literal["ours", "theirs"] | Chosen


class NewStage(_Given):
    """A stage of a new pipeline."""

    name: Name
    approvals: int = Field(default=0, ge=0, le=10)
