"""The statements of the path, made once for every kind."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, insert, select, update

from scoped_mcp.spine.entity import Bound, Entity, bound
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.path import registry, version_contents, versions
from scoped_mcp.storage.walls import past_walls

KEY = select(registry.c.id).where(registry.c.public_id == bindparam("public_id"))
PUBLIC = select(registry.c.public_id).where(registry.c.id == bindparam("key"))
INTACT = past_walls(
    select(versions.c.digest, version_contents.c.content, version_contents.c.salt)
    .join_from(
        versions,
        version_contents,
        (version_contents.c.id == versions.c.id)
        & (version_contents.c.version == versions.c.version),
    )
    .where(versions.c.id == bindparam("id"))
    .where(versions.c.version == bindparam("version"))
)
REGISTER = insert(registry)
VERSION = insert(versions)
CONTENT = insert(version_contents)
_PEEK: dict[type[Entity], Select[Any, Any]] = {}
_INSERT: dict[type[Entity], Any] = {}
_UPDATE: dict[type[Entity], Any] = {}


def peek_at(kind: type[Entity]) -> Select[Any, Any]:
    """The row and content of one thing of a kind, by its public id."""
    if kind not in _PEEK:
        table = bound(kind).table
        found = everything(kind).join(registry, registry.c.id == table.c.id)
        _PEEK[kind] = past_walls(found.where(registry.c.public_id == bindparam("public_id")))
    return _PEEK[kind]


def insert_of(kind: Bound) -> Any:  # noqa: ANN401 - an Insert
    """A new row of a kind."""
    if kind.kind not in _INSERT:
        _INSERT[kind.kind] = insert(kind.table)
    return _INSERT[kind.kind]


def update_of(kind: Bound) -> Any:  # noqa: ANN401 - an Update
    """Another version of a row of a kind."""
    if kind.kind not in _UPDATE:
        names = ("version", "entry", *kind.columns)
        values: dict[str, Any] = {c: bindparam(f"new_{c}") for c in names}
        change = update(kind.table).where(kind.table.c.id == bindparam("new_id"))
        _UPDATE[kind.kind] = change.values(values)
    return _UPDATE[kind.kind]
