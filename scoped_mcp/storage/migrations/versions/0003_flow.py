"""Flow: channels, promotions, and the places of objects in pipelines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATE = ("channels", "promotions", "pipelines", "stages", "placements")


def _known() -> tuple[sa.ForeignKeyConstraint, ...]:
    """Every row of state names its version, its entry and its place in the registry."""
    row = ("id", "version", "entry")
    named = tuple(f"versions.{column}" for column in row)
    return (
        sa.ForeignKeyConstraint(row, named, initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(("id",), ("registry.id",)),
    )


def _table(
    name: str,
    words: tuple[str, ...],
    refs: tuple[str, ...],
    maybe: tuple[str, ...],
    *more: sa.Column[int],
) -> None:
    """One table of state: text, references, references that may be missing, and more."""
    op.create_table(
        name,
        *(
            sa.Column(c, Key, autoincrement=False, nullable=False)
            for c in ("id", "version", "entry")
        ),
        *(sa.Column(word, sa.Text, nullable=False) for word in words),
        *(sa.Column(ref, Key, nullable=False) for ref in refs),
        *(sa.Column(ref, Key) for ref in maybe),
        *more,
        *_known(),
        *(sa.ForeignKeyConstraint([ref], ["registry.id"]) for ref in (*refs, *maybe)),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index(f"ix_{name}_version", name, ["id", "version", "entry"])


def upgrade() -> None:
    """What leaves an environment, and how."""
    _table("channels", ("name", "state"), ("owner", "target"), ("source",))
    op.create_index("ix_channels_owner", "channels", ["owner", "state", "id"])
    op.create_index("ix_channels_target", "channels", ["target", "state"])
    _table(
        "promotions", ("state", "expires_at"), ("channel", "scope", "requester"), ("environment",)
    )
    op.create_index("ix_promotions_channel", "promotions", ["channel", "state", "id"])
    op.create_index("ix_promotions_environment", "promotions", ["environment", "id"])
    op.create_index("ix_promotions_requester", "promotions", ["requester", "id"])
    op.create_index("ix_promotions_scope", "promotions", ["scope", "state", "id"])
    op.create_index("ix_promotions_state", "promotions", ["state", "expires_at"])
    _table("pipelines", ("name",), ("owner",), ())
    op.create_index("ix_pipelines_owner", "pipelines", ["owner", "name"])
    _table("stages", (), ("owner", "pipeline"), (), sa.Column("position", Key, nullable=False))
    op.create_index("ix_stages_owner", "stages", ["owner"])
    op.create_index("ux_stages_position", "stages", ["pipeline", "position"], unique=True)
    _table("placements", (), ("owner", "object", "pipeline"), ("stage",))
    op.create_index("ix_placements_owner", "placements", ["owner"])
    op.create_index("ix_placements_stage", "placements", ["stage"])
    op.create_index("ux_placements_place", "placements", ["object", "pipeline"], unique=True)


def downgrade() -> None:
    """Only where there is nothing to lose: state is never dropped."""
    for table in STATE:
        if op.get_bind().exec_driver_sql(f"SELECT 1 FROM {table} LIMIT 1").first() is not None:  # noqa: S608 - names from here
            message = f"the table {table} holds state, which is never dropped"
            raise RuntimeError(message)
    for table in reversed(STATE):
        op.drop_table(table)
