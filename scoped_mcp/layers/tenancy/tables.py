"""Rows of tenancy."""

from __future__ import annotations

from sqlalchemy import Column, Index

from scoped_mcp.storage.metadata import ref, sparse, state_table
from scoped_mcp.storage.types import Flag, Key, Words

scopes = state_table(
    "scopes",
    Column("name", Words, nullable=False),
    ref("owner"),
    Column("kind", Words, nullable=False),
    ref("parent", nullable=True),
    Column("state", Words, nullable=False),
    Column("root", Flag, nullable=False),
    ref("transfer_to", nullable=True),
    Index("ix_scopes_parent", "parent"),
    Index("ix_scopes_owner_name", "owner", "kind", "name"),
    Index("ix_scopes_transfer_to", "transfer_to"),
)

memberships = state_table(
    "memberships",
    ref("scope"),
    ref("principal"),
    Column("role", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("expires_at", Words),
    Column("inside", Flag, nullable=False),
    Index("ux_memberships_place", "scope", "principal", unique=True),
    Index("ix_memberships_principal", "principal", "inside", "state", "role", "scope"),
    sparse("ix_memberships_expires_at", "expires_at"),
)

projections = state_table(
    "projections",
    ref("object"),
    ref("scope"),
    Column("access", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("since", Key),
    Column("pinned", Key),
    Index("ux_projections_place", "object", "scope", unique=True),
    Index("ix_projections_scope", "scope", "state", "object"),
)
