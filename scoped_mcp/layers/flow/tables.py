"""Rows of flow: for finding; contents are in `version_contents`."""

from __future__ import annotations

from sqlalchemy import Column, Index

from scoped_mcp.storage.metadata import ref, state_table
from scoped_mcp.storage.types import Key, Words

channels = state_table(
    "channels",
    Column("name", Words, nullable=False),
    ref("owner"),
    ref("source", nullable=True),
    ref("target"),
    Column("state", Words, nullable=False),
    Index("ix_channels_owner", "owner", "state", "id"),
    Index("ix_channels_target", "target", "state"),
)

promotions = state_table(
    "promotions",
    ref("channel"),
    ref("scope"),
    ref("environment", nullable=True),
    ref("requester"),
    Column("state", Words, nullable=False),
    Column("expires_at", Words, nullable=False),
    Index("ix_promotions_channel", "channel", "state", "id"),
    Index("ix_promotions_scope", "scope", "state", "id"),
    Index("ix_promotions_environment", "environment", "id"),
    Index("ix_promotions_requester", "requester", "id"),
    Index("ix_promotions_state", "state", "expires_at"),
)

pipelines = state_table(
    "pipelines",
    Column("name", Words, nullable=False),
    ref("owner"),
    Index("ix_pipelines_owner", "owner", "name"),
)

stages = state_table(
    "stages",
    ref("owner"),
    ref("pipeline"),
    Column("position", Key, nullable=False),
    Index("ux_stages_position", "pipeline", "position", unique=True),
    Index("ix_stages_owner", "owner"),
)

placements = state_table(
    "placements",
    ref("owner"),
    ref("object"),
    ref("pipeline"),
    ref("stage", nullable=True),
    Index("ux_placements_place", "object", "pipeline", unique=True),
    Index("ix_placements_stage", "stage"),
    Index("ix_placements_owner", "owner"),
)
