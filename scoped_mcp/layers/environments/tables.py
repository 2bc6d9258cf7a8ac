"""Rows of environments."""

from __future__ import annotations

from sqlalchemy import Column, Index

from scoped_mcp.storage.metadata import ref, state_table
from scoped_mcp.storage.types import Flag, Key, Words

environments = state_table(
    "environments",
    Column("name", Words, nullable=False),
    ref("owner"),
    ref("scope"),
    Column("state", Words, nullable=False),
    ref("template", nullable=True),
    Index("ux_environments_scope", "scope", unique=True),
    Index("ix_environments_owner", "owner", "state", "name"),
)

imports = state_table(
    "imports",
    ref("environment"),
    ref("object"),
    Column("pinned", Key, nullable=False),
    Column("active", Flag, nullable=False),
    Index("ux_imports_reference", "environment", "object", unique=True),
)

snapshots = state_table(
    "snapshots",
    ref("environment"),
    Index("ix_snapshots_environment", "environment", "id"),
)

templates = state_table(
    "templates",
    Column("name", Words, nullable=False),
    ref("owner"),
    ref("scope", nullable=True),
    Column("state", Words, nullable=False),
    Index("ix_templates_owner", "owner", "name"),
    Index("ix_templates_scope", "scope", "state"),
)
