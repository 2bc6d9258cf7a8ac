"""Follows of the trail that are open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Where each stands."""
    op.create_table(
        "follows",
        sa.Column("entry", Key, autoincrement=False, nullable=False),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        *(sa.Column(c, Key, nullable=False) for c in ("latest", "clear", "upto", "shown")),
        sa.Column("at", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("entry"),
        sqlite_strict=True,
    )
    op.create_index("ix_follows_at", "follows", ["at"])


def downgrade() -> None:
    """Whoever follows opens a follow anew: no state is lost."""
    op.drop_table("follows")
