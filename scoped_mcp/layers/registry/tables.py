"""Rows of the registry's own kinds. The `registry` table itself is the path's."""

from __future__ import annotations

from sqlalchemy import Column, Index

from scoped_mcp.storage.metadata import ref, state_table
from scoped_mcp.storage.types import Key, Words

organisations = state_table(
    "organisations",
    ref("house"),
    ref("root"),
    Column("epoch", Key, nullable=False, server_default="0"),
    Column("state", Words, nullable=False, server_default="active"),
    Column("moved_to", Words),
)

tenants = state_table(
    "tenants",
    Column("name", Words, nullable=False),
    Column("tag", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("issuer", Words),
    Index("ux_tenants_name", "name", unique=True),
    Index("ux_tenants_tag", "tag", unique=True),
    Index("ux_tenants_issuer", "issuer", unique=True),
)

kinds = state_table(
    "kinds",
    Column("name", Words, nullable=False),
    Column("lifecycle", Words, nullable=False),
    Index("ux_kinds_name", "name", unique=True),
)

operations = state_table(
    "operations",
    Column("name", Words, nullable=False),
    Column("lifecycle", Words, nullable=False),
    Index("ux_operations_name", "name", unique=True),
)
