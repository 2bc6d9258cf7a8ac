"""The first schema: the path, registry, identity, objects, tenancy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _known() -> tuple[sa.ForeignKeyConstraint, ...]:
    """Every row of state names its version, its entry and its place in the registry."""
    row = ("id", "version", "entry")
    named = tuple(f"versions.{column}" for column in row)
    return (
        sa.ForeignKeyConstraint(row, named, initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(("id",), ("registry.id",)),
    )


def upgrade() -> None:
    """From nothing to the first house."""
    op.create_table(
        "chain_heads",
        sa.Column("chain", Key, autoincrement=False, nullable=False),
        sa.Column("seq", Key, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("authority", Key, nullable=False),
        sa.PrimaryKeyConstraint("chain"),
        sqlite_strict=True,
    )
    op.create_table(
        "entries",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("chain", Key, nullable=False),
        sa.Column("seq", Key, nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("principal", Key, nullable=False),
        sa.Column("session", Key),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("target", Key),
        sa.Column("owner", Key),
        sa.Column("scope", Key),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chain", "seq"),
        sa.UniqueConstraint("public_id"),
        sqlite_strict=True,
    )
    op.create_index("ix_entries_owner", "entries", ["owner", "id"])
    op.create_index("ix_entries_principal", "entries", ["principal", "id"])
    op.create_index("ix_entries_scope", "entries", ["scope", "id"])
    op.create_index("ix_entries_target", "entries", ["target", "id"])
    op.create_table(
        "last_seen",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("until", sa.Text),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_last_seen_until", "last_seen", ["until"])
    op.create_table(
        "repetitions",
        sa.Column("credential", Key, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("arguments", sa.LargeBinary, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("credential", "key"),
        sqlite_strict=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("subject", Key, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_outbox_entry", "outbox", ["entry"])
    op.create_table(
        "registry",
        sa.Column("id", Key, nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("urn", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
        sa.UniqueConstraint("urn"),
        sqlite_strict=True,
    )
    op.create_index("ix_registry_entry", "registry", ["entry"])
    op.create_index("ix_registry_kind", "registry", ["kind", "id"])
    op.create_table(
        "version_contents",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("erasure", Key),
        sa.ForeignKeyConstraint(["erasure"], ["entries.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id", "version"),
        sqlite_strict=True,
    )
    op.create_index("ix_version_contents_erasure", "version_contents", ["erasure"])
    op.create_table(
        "versions",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, autoincrement=False, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.id"], initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["id"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id", "version"),
        sa.UniqueConstraint("id", "version", "entry"),
        sqlite_strict=True,
    )
    op.create_index("ix_versions_entry", "versions", ["entry"])
    op.create_table(
        "credentials",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("principal", Key, nullable=False),
        sa.Column("parent", Key),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Text, nullable=False),
        sa.Column("external", sa.Text),
        sa.Column("environment", Key),
        *_known(),
        sa.ForeignKeyConstraint(["environment"], ["registry.id"]),
        sa.ForeignKeyConstraint(["parent"], ["registry.id"]),
        sa.ForeignKeyConstraint(["principal"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_credentials_environment", "credentials", ["environment", "state"])
    op.create_index("ix_credentials_external", "credentials", ["external"])
    op.create_index("ix_credentials_parent", "credentials", ["parent"])
    op.create_index("ix_credentials_principal", "credentials", ["principal"])
    op.create_index("ix_credentials_version", "credentials", ["id", "version", "entry"])
    op.create_table(
        "kinds",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("lifecycle", sa.Text, nullable=False),
        *_known(),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_kinds_version", "kinds", ["id", "version", "entry"])
    op.create_index("ux_kinds_name", "kinds", ["name"], unique=True)
    op.create_table(
        "memberships",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("scope", Key, nullable=False),
        sa.Column("principal", Key, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Text),
        sa.Column("inside", sa.Integer(), nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["principal"], ["registry.id"]),
        sa.ForeignKeyConstraint(["scope"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_memberships_principal", "memberships", ["principal", "inside", "state", "scope"]
    )
    op.create_index("ix_memberships_version", "memberships", ["id", "version", "entry"])
    op.create_index("ux_memberships_place", "memberships", ["scope", "principal"], unique=True)
    op.create_table(
        "objects",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("owner", Key, nullable=False),
        sa.Column("home", Key),
        sa.Column("origin", Key),
        sa.Column("original", Key),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("transfer_to", Key),
        *_known(),
        sa.ForeignKeyConstraint(["home"], ["registry.id"]),
        sa.ForeignKeyConstraint(["origin"], ["registry.id"]),
        sa.ForeignKeyConstraint(["original"], ["registry.id"]),
        sa.ForeignKeyConstraint(["owner"], ["registry.id"]),
        sa.ForeignKeyConstraint(["transfer_to"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_objects_home", "objects", ["home", "state", "id"])
    op.create_index("ix_objects_origin", "objects", ["origin", "home"])
    op.create_index("ix_objects_original", "objects", ["original", "owner"])
    op.create_index("ix_objects_owner", "objects", ["owner", "home", "state", "id"])
    op.create_index("ix_objects_owner_name", "objects", ["owner", "name"])
    op.create_index("ix_objects_transfer_to", "objects", ["transfer_to"])
    op.create_index("ix_objects_version", "objects", ["id", "version", "entry"])
    op.create_table(
        "operations",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("lifecycle", sa.Text, nullable=False),
        *_known(),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_operations_version", "operations", ["id", "version", "entry"])
    op.create_index("ux_operations_name", "operations", ["name"], unique=True)
    op.create_table(
        "organisations",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("house", Key, nullable=False),
        sa.Column("root", Key, nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["house"], ["registry.id"]),
        sa.ForeignKeyConstraint(["root"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_organisations_version", "organisations", ["id", "version", "entry"])
    op.create_table(
        "principals",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("sponsor", Key),
        sa.Column("delegate", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Text),
        *_known(),
        sa.ForeignKeyConstraint(["sponsor"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_principals_name", "principals", ["name"])
    op.create_index("ix_principals_sponsor", "principals", ["sponsor"])
    op.create_index("ix_principals_version", "principals", ["id", "version", "entry"])
    op.create_table(
        "projections",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("object", Key, nullable=False),
        sa.Column("scope", Key, nullable=False),
        sa.Column("access", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", Key),
        sa.Column("pinned", Key),
        *_known(),
        sa.ForeignKeyConstraint(["object"], ["registry.id"]),
        sa.ForeignKeyConstraint(["scope"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_projections_scope", "projections", ["scope", "state", "object"])
    op.create_index("ix_projections_version", "projections", ["id", "version", "entry"])
    op.create_index("ux_projections_place", "projections", ["object", "scope"], unique=True)
    op.create_table(
        "relationships",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("source", Key, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("target", Key, nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["source"], ["registry.id"]),
        sa.ForeignKeyConstraint(["target"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_relationships_target", "relationships", ["target", "label"])
    op.create_index("ix_relationships_version", "relationships", ["id", "version", "entry"])
    op.create_index(
        "ux_relationships_edge", "relationships", ["source", "label", "target"], unique=True
    )
    op.create_table(
        "scopes",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", Key, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parent", Key),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("root", sa.Integer(), nullable=False),
        sa.Column("transfer_to", Key),
        *_known(),
        sa.ForeignKeyConstraint(["owner"], ["registry.id"]),
        sa.ForeignKeyConstraint(["parent"], ["registry.id"]),
        sa.ForeignKeyConstraint(["transfer_to"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_scopes_owner_name", "scopes", ["owner", "kind", "name"])
    op.create_index("ix_scopes_parent", "scopes", ["parent"])
    op.create_index("ix_scopes_transfer_to", "scopes", ["transfer_to"])
    op.create_index("ix_scopes_version", "scopes", ["id", "version", "entry"])
    op.create_table(
        "sessions",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("credential", Key, nullable=False),
        sa.Column("principal", Key, nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["credential"], ["registry.id"]),
        sa.ForeignKeyConstraint(["principal"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_sessions_principal", "sessions", ["principal"])
    op.create_index("ix_sessions_version", "sessions", ["id", "version", "entry"])
    op.create_index("ux_sessions_credential", "sessions", ["credential"], unique=True)


def downgrade() -> None:
    """There is nothing below the first revision: the trail is never dropped."""
    message = "there is nothing below the first revision"
    raise RuntimeError(message)
