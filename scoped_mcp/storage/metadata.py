"""The one MetaData, and the shape that every table of state has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, MetaData, Table, text

from scoped_mcp.storage.types import Key

if TYPE_CHECKING:
    from sqlalchemy.schema import SchemaItem

metadata = MetaData()

STATE_COLUMNS = ("id", "version", "entry")


def state_table(name: str, *items: SchemaItem) -> Table:
    """A table of state: one row a thing, naming its version and audit entry.

    INVARIANT: `(id, version, entry)` is a deferred foreign key to `versions`, and `versions.entry`
    one to `entries`: a row without a version, or a version without a trace, cannot be committed
    (ruling 61). Columns are for finding; the content is read from `version_contents`.
    """
    return Table(
        name,
        metadata,
        Column("id", Key, ForeignKey("registry.id"), primary_key=True, autoincrement=False),
        Column("version", Key, nullable=False),
        Column("entry", Key, nullable=False),
        *items,
        ForeignKeyConstraint(
            STATE_COLUMNS,
            ("versions.id", "versions.version", "versions.entry"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sqlite_strict=True,
    )


def ref(name: str, *, nullable: bool = False) -> Column[Any]:
    """A column that holds the registry key of another thing."""
    return Column(name, Key, ForeignKey("registry.id"), nullable=nullable)


def sparse(name: str, *columns: str) -> Index:
    """An index of rows in which the first column holds something: of most, it does not.

    Every index of a table is one more page that each new row writes.
    """
    there = text(f"{columns[0]} IS NOT NULL")
    return Index(name, *columns, sqlite_where=there, postgresql_where=there)
