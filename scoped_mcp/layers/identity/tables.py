"""Rows of identity."""

from __future__ import annotations

from sqlalchemy import Column, Index

from scoped_mcp.storage.metadata import ref, sparse, state_table
from scoped_mcp.storage.types import Flag, Key, Words

principals = state_table(
    "principals",
    Column("name", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("state", Words, nullable=False),
    ref("sponsor", nullable=True),
    Column("delegate", Flag, nullable=False),
    Column("expires_at", Words),
    Index("ix_principals_name", "name"),
    Index("ix_principals_sponsor", "sponsor", "delegate", "state", "expires_at"),
)

credentials = state_table(
    "credentials",
    ref("principal"),
    ref("parent", nullable=True),
    Column("state", Words, nullable=False),
    Column("expires_at", Words, nullable=False),
    Index("ix_credentials_principal", "principal"),
    Column("external", Words),
    ref("environment", nullable=True),
    Column("epoch", Key, nullable=False, server_default="0"),
    Index("ix_credentials_expires_at", "expires_at"),
    Index("ix_credentials_parent", "parent"),
    Index("ix_credentials_external", "external"),
    sparse("ix_credentials_environment", "environment", "state", "expires_at"),
)

sessions = state_table(
    "sessions",
    ref("credential"),
    ref("principal"),
    Index("ux_sessions_credential", "credential", unique=True),
    Index("ix_sessions_principal", "principal"),
)

relationships = state_table(
    "relationships",
    ref("source"),
    Column("label", Words, nullable=False),
    ref("target"),
    Column("active", Flag, nullable=False),
    Index("ux_relationships_edge", "source", "label", "target", unique=True),
    Index("ix_relationships_target", "target", "label"),
)
