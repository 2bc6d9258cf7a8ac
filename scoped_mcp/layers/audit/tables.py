"""Follows of the trail that are open: where each stands. Not state: its entries are its trace."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table

from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.types import Bytes, Key, Words

follows = Table(
    "follows",
    metadata,
    Column(
        "entry",
        Key,
        ForeignKey("entries.id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("asked", Bytes, nullable=False),
    Column("latest", Key, nullable=False),
    Column("clear", Key, nullable=False),
    Column("upto", Key, nullable=False),
    Column("shown", Key, nullable=False),
    Column("at", Words, nullable=False),
    Index("ix_follows_at", "at"),
    sqlite_strict=True,
)
"""One row a follow, by the entry that opened it, which says whose it is and in which session.

`upto` is the position of the last entry shown, `clear` that up to which there was nothing more,
`at` when it was last looked at, to the minute.
"""
