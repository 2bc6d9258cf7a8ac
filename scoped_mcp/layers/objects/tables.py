"""Rows of objects: for finding; their data is in `version_contents`."""

from __future__ import annotations

from sqlalchemy import Column, Index

from scoped_mcp.storage.metadata import ref, sparse, state_table
from scoped_mcp.storage.types import Words

objects = state_table(
    "objects",
    Column("type", Words, nullable=False),
    Column("name", Words),
    ref("owner"),
    ref("home", nullable=True),
    ref("origin", nullable=True),
    ref("original", nullable=True),
    Column("state", Words, nullable=False),
    ref("transfer_to", nullable=True),
    Index("ix_objects_owner", "owner", "home", "state", "id"),
    sparse("ix_objects_name", "name", "owner"),
    sparse("ix_objects_home", "home", "state", "id"),
    sparse("ix_objects_origin", "origin", "home"),
    sparse("ix_objects_original", "original", "owner"),
    sparse("ix_objects_transfer_to", "transfer_to"),
)
