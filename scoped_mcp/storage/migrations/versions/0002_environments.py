"""Environments: what they are, refer to, are made from, and were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATE = ("environments", "imports", "snapshots", "templates")


def _known() -> tuple[sa.ForeignKeyConstraint, ...]:
    """Every row of state names its version, its entry and its place in the registry."""
    row = ("id", "version", "entry")
    named = tuple(f"versions.{column}" for column in row)
    return (
        sa.ForeignKeyConstraint(row, named, initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(("id",), ("registry.id",)),
    )


def upgrade() -> None:
    """Rooms of the first house know environments by a column; here they get their own."""
    op.create_table(
        "sizes",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("things", Key, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_table(
        "environments",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", Key, nullable=False),
        sa.Column("scope", Key, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("template", Key),
        *_known(),
        sa.ForeignKeyConstraint(["owner"], ["registry.id"]),
        sa.ForeignKeyConstraint(["scope"], ["registry.id"]),
        sa.ForeignKeyConstraint(["template"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_environments_owner", "environments", ["owner", "state", "name"])
    op.create_index("ix_environments_version", "environments", ["id", "version", "entry"])
    op.create_index("ux_environments_scope", "environments", ["scope"], unique=True)
    op.create_table(
        "imports",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("environment", Key, nullable=False),
        sa.Column("object", Key, nullable=False),
        sa.Column("pinned", Key, nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["environment"], ["registry.id"]),
        sa.ForeignKeyConstraint(["object"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_imports_version", "imports", ["id", "version", "entry"])
    op.create_index("ux_imports_reference", "imports", ["environment", "object"], unique=True)
    op.create_table(
        "snapshots",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("environment", Key, nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["environment"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_snapshots_environment", "snapshots", ["environment", "id"])
    op.create_index("ix_snapshots_version", "snapshots", ["id", "version", "entry"])
    op.create_table(
        "templates",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("entry", Key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", Key, nullable=False),
        sa.Column("scope", Key),
        sa.Column("state", sa.Text, nullable=False),
        *_known(),
        sa.ForeignKeyConstraint(["owner"], ["registry.id"]),
        sa.ForeignKeyConstraint(["scope"], ["registry.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("ix_templates_owner", "templates", ["owner", "name"])
    op.create_index("ix_templates_scope", "templates", ["scope", "state"])
    op.create_index("ix_templates_version", "templates", ["id", "version", "entry"])


def downgrade() -> None:
    """Only where there is nothing to lose: state is never dropped."""
    for table in STATE:
        if op.get_bind().exec_driver_sql(f"SELECT 1 FROM {table} LIMIT 1").first() is not None:  # noqa: S608 - names from here
            message = f"the table {table} holds state, which is never dropped"
            raise RuntimeError(message)
    for table in (*reversed(STATE), "sizes"):
        op.drop_table(table)
