"""No index that nothing reads: each new row wrote a page of it."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = (
    "channels",
    "credentials",
    "environments",
    "imports",
    "kinds",
    "memberships",
    "objects",
    "operations",
    "organisations",
    "pipelines",
    "placements",
    "principals",
    "projections",
    "promotions",
    "relationships",
    "scopes",
    "sessions",
    "snapshots",
    "stages",
    "templates",
    "tenants",
)


def upgrade() -> None:
    """A deferred key that begins with a table's own is looked for by that alone."""
    op.drop_index("ix_registry_kind", "registry")
    for name in TABLES:
        op.drop_index(f"ix_{name}_version", name)


def downgrade() -> None:
    """As it was."""
    for name in TABLES:
        op.create_index(f"ix_{name}_version", name, ["id", "version", "entry"])
    op.create_index("ix_registry_kind", "registry", ["kind", "id"])
