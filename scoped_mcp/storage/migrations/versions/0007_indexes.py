"""Indexes: none of what most rows do not hold, and some of what ends by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

SPARSE = (
    ("ix_version_contents_erasure", "version_contents", ["erasure"]),
    ("ix_entries_scope", "entries", ["scope", "id"]),
    ("ix_objects_home", "objects", ["home", "state", "id"]),
    ("ix_objects_origin", "objects", ["origin", "home"]),
    ("ix_objects_original", "objects", ["original", "owner"]),
    ("ix_objects_transfer_to", "objects", ["transfer_to"]),
)

SEATS = ("principal", "inside", "state")


def upgrade() -> None:
    """Each new row writes a page of every index that holds it."""
    for name, table, columns in SPARSE:
        op.drop_index(name, table)
        _sparse(name, table, columns)
    op.drop_index("ix_objects_owner_name", "objects")
    _sparse("ix_objects_name", "objects", ["name", "owner"])
    _sparse("ix_memberships_expires_at", "memberships", ["expires_at"])
    op.create_index("ix_credentials_expires_at", "credentials", ["expires_at"])
    op.drop_index("ix_principals_sponsor", "principals")
    ended = ["sponsor", "delegate", "state", "expires_at"]
    op.create_index("ix_principals_sponsor", "principals", ended)
    op.drop_index("ix_credentials_environment", "credentials")
    pinned = ["environment", "state", "expires_at"]
    _sparse("ix_credentials_environment", "credentials", pinned)
    op.drop_index("ix_memberships_principal", "memberships")
    op.create_index("ix_memberships_principal", "memberships", [*SEATS, "role", "scope"])


def downgrade() -> None:
    """As it was: of all rows."""
    op.drop_index("ix_memberships_principal", "memberships")
    op.create_index("ix_memberships_principal", "memberships", [*SEATS, "scope"])
    op.drop_index("ix_credentials_environment", "credentials")
    op.create_index("ix_credentials_environment", "credentials", ["environment", "state"])
    op.drop_index("ix_principals_sponsor", "principals")
    op.create_index("ix_principals_sponsor", "principals", ["sponsor"])
    op.drop_index("ix_credentials_expires_at", "credentials")
    op.drop_index("ix_memberships_expires_at", "memberships")
    op.drop_index("ix_objects_name", "objects")
    op.create_index("ix_objects_owner_name", "objects", ["owner", "name"])
    for name, table, columns in SPARSE:
        op.drop_index(name, table)
        op.create_index(name, table, columns)


def _sparse(name: str, table: str, columns: list[str]) -> None:
    there = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=there, postgresql_where=there)
