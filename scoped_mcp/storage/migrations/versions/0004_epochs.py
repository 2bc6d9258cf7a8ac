"""Epochs: how often the database was restored, and in which a credential was issued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scoped_mcp.kernel.errors import ConflictError

revision = "0004"
down_revision = "0003"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("organisations", "credentials")


def upgrade() -> None:
    """What was there is of the first epoch, as its versions say by saying nothing."""
    for table in TABLES:
        op.add_column(table, sa.Column("epoch", Key, nullable=False, server_default="0"))


def downgrade() -> None:
    """Only where it was never restored: older code would let dead credentials in again."""
    restored = "SELECT 1 FROM organisations WHERE epoch > 0 LIMIT 1"
    if op.get_bind().exec_driver_sql(restored).first() is not None:
        message = "the database was restored, and older code would revive its dead credentials"
        raise ConflictError(message, hint="go back with a backup of before, and the older program")
    for table in TABLES:
        op.drop_column(table, "epoch")
