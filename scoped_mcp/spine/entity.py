"""Entities: what has versions. How one becomes a row, a content, and itself again.

The content of a version is an envelope: what the thing is, who wrote it when and why, and its
state. Columns of state tables are for finding and are computed from the state, so that verification
can compute them again (ruling 52).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.clock import stamp
from scoped_mcp.kernel.ids import Id, PrincipalId
from scoped_mcp.storage.metadata import STATE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Table


class Entity(BaseModel):
    """A thing with versions. Fields up to `reason` belong to the spine.

    Attributes:
        id: The public id.
        version: 0 before it is first put.
        author: Who wrote this version.
        created_at: When the first version was put.
        updated_at: When this version was put.
        reason: Why, in the author's words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    KIND: ClassVar[str]
    AUTHORITY: ClassVar[bool] = False
    """Whether a change of it changes what somebody may do."""

    id: Id
    version: int = Field(default=0, exclude=True)
    author: PrincipalId | None = Field(default=None, exclude=True)
    created_at: datetime | None = Field(default=None, exclude=True)
    updated_at: datetime | None = Field(default=None, exclude=True)
    reason: str | None = Field(default=None, exclude=True)

    def but(self, **changes: object) -> Self:
        """The same thing with other values; put it to make them a new version."""
        return self.model_copy(update=changes)


@dataclass(frozen=True)
class Bound:
    """A kind of entity and the table in which its rows stand."""

    kind: type[Entity]
    id_type: type[Id]
    table: Table
    columns: tuple[str, ...]


_by_name: dict[str, Bound] = {}
_by_id: dict[type[Id], Bound] = {}


def bind(kind: type[Entity], table: Table) -> None:
    """Say in which table the rows of `kind` stand."""
    id_type = cast("type[Id]", kind.model_fields["id"].annotation)
    columns = tuple(c.name for c in table.columns if c.name not in STATE_COLUMNS)
    bound = Bound(kind, id_type, table, columns)
    _by_name[kind.KIND] = bound
    _by_id[id_type] = bound


def bound(kind: type[Entity]) -> Bound:
    """The table of a kind."""
    return _by_name[kind.KIND]


def kinds() -> tuple[Bound, ...]:
    """Every kind of the house."""
    return tuple(_by_name.values())


def kind_named(name: str) -> Bound | None:
    """The kind with this name, if the house has one."""
    return _by_name.get(name)


def kind_of(public_id: str) -> Bound | None:
    """The kind of thing that an id names, by its prefix."""
    id_type = Id.by_prefix.get(public_id.partition("_")[0])
    return None if id_type is None else _by_id.get(id_type)


def envelope(entity: Entity) -> bytes:
    """The canonical content of a version."""
    return canonical.encode(
        {
            "author": entity.author,
            "at": _time(entity.updated_at),
            "created_at": _time(entity.created_at),
            "kind": entity.KIND,
            "reason": entity.reason,
            "state": entity.model_dump(mode="json"),
            "version": entity.version,
        }
    )


def open_envelope(kind: type[Entity], content: bytes) -> Any:  # noqa: ANN401 - an instance of kind
    """The entity in a version's content."""
    return _opened(kind, content) if kind.AUTHORITY else _open(kind, content)


def _open(kind: type[Entity], content: bytes) -> Any:  # noqa: ANN401 - an instance of kind
    outer = cast("dict[str, Any]", canonical.decode(content))
    return kind.model_validate(
        {
            **outer["state"],
            "version": outer["version"],
            "author": outer["author"],
            "created_at": outer["created_at"],
            "updated_at": outer["at"],
            "reason": outer["reason"],
        }
    )


# The same bytes are the same frozen thing. Which bytes are current is read in each transaction:
# what is remembered is only what they mean, for the few kinds of which every decision is made.
_opened = lru_cache(maxsize=1_024)(_open)


def row_of(entity: Entity, key_of: Callable[[str], int | None]) -> dict[str, Any]:
    """The columns of an entity's state row, beside those that the spine owns."""
    return {name: _column(getattr(entity, name), key_of) for name in _by_name[entity.KIND].columns}


def _column(value: object, key_of: Callable[[str], int | None]) -> object:
    if isinstance(value, Id):
        return key_of(value)
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool):
        return int(value)
    return value


def _time(value: datetime | None) -> str | None:
    return None if value is None else stamp(value)
