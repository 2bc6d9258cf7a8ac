"""Organisations: how this one stands, and the directory of the others that its server serves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNIQUE = ("issuer", "name", "tag")


def upgrade() -> None:
    """What older versions of an organisation do not say of it is that it is active, and here."""
    op.add_column(
        "organisations", sa.Column("state", sa.Text, nullable=False, server_default="active")
    )
    op.add_column("organisations", sa.Column("moved_to", sa.Text))
    op.create_table(
        "tenants",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text),
        sa.ForeignKeyConstraint(
            ("id", "version", "entry"),
            ("versions.id", "versions.version", "versions.entry"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(("id",), ("registry.id",)),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_tenants_version", "tenants", ["id", "version", "entry"])
    for column in UNIQUE:
        op.create_index(f"ux_tenants_{column}", "tenants", [column], unique=True)


def downgrade() -> None:
    """Only where there is nothing to lose: state is never dropped."""
    held = (
        "SELECT 1 FROM tenants",
        "SELECT 1 FROM organisations WHERE state <> 'active' OR moved_to IS NOT NULL",
    )
    for query in held:
        if op.get_bind().exec_driver_sql(query).first() is not None:
            message = "the directory or the organisation holds state, which is never dropped"
            raise RuntimeError(message)
    op.drop_table("tenants")
    op.drop_column("organisations", "moved_to")
    op.drop_column("organisations", "state")
