"""`Place` for PostgreSQL: a schema of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from scoped_mcp.storage.postgres import schema
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.engine import PostgresDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from scoped_mcp.storage.database import Database


class PostgresSchema:
    """See `Place`."""

    key_file: Path | None = None

    def __init__(self, address: Address) -> None:
        self.address = address
        self.url = address.shown
        self.identity = address.identity

    @classmethod
    def parse(cls, url: str) -> Self:
        """The place that a URL names.

        Raises:
            InvalidError: it cannot be read.
        """
        return cls(Address.parse(url))

    def bare(self) -> bool:
        """Whether there is no table in the schema."""
        return schema.bare(self.address)

    def create(self) -> None:
        """Make the schema with its roles, tables and guards."""
        schema.create(self.address)

    def remove(self) -> None:
        """Take back a schema that was made and not founded."""
        schema.drop(self.address)

    async def open(self, *, alone: bool = False) -> Database:
        """Open the schema."""
        return await PostgresDatabase.open(self.address, alone=alone)

    def require_sound(self) -> None:
        """Refuse a schema that differs from one that is made anew."""
        schema.require_sound(self.address)

    def require_alone(self) -> None:
        """Refuse while another process has the schema open."""
        schema.Presence.enter(self.address, alone=True).leave()

    def current(self) -> str | None:
        """The revision of its schema, or None where there is none."""
        return schema.current(self.address)

    def settle(self) -> None:
        """Let the planner see how much there is."""
        schema.analyse(self.address)

    def upgrade(self, revision: str = "head") -> None:
        """Bring it to a later revision."""
        schema.upgrade(self.address, revision)

    def downgrade(self, revision: str) -> None:
        """Bring it back to an earlier revision."""
        schema.downgrade(self.address, revision)
