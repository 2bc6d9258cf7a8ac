"""Where a database is: a file of SQLite's or a schema of PostgreSQL's, chosen here alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from sqlalchemy.exc import DBAPIError

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import copies, copying, driver, revisions, schema, soundness
from scoped_mcp.storage.database import sqlite_path
from scoped_mcp.storage.presence import Presence
from scoped_mcp.storage.sqlite import SQLiteDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from scoped_mcp.storage.database import Database

_SQLITE, _POSTGRESQL = frozenset({"", "sqlite"}), frozenset({"postgresql", "postgres"})
_MISTYPED = ("sqlite:", "postgresql:", "postgres:")
"""What is no name of a file: a password would stand in it."""


class Place(Protocol):
    """A place where one organisation's database is, or will be."""

    @property
    def url(self) -> str:
        """Its URL, without a password: it names this place again."""
        ...

    @property
    def key_file(self) -> Path | None:
        """Where its key is, beside the database; None where nothing is beside it."""
        ...

    @property
    def identity(self) -> str:
        """A short name of this place, the same in every process."""
        ...

    def bare(self) -> bool:
        """Whether there is nothing yet, not even a schema."""
        ...

    def create(self) -> None:
        """Make the database with the newest schema.

        Raises:
            InvalidError: it is there and in use.
        """
        ...

    def remove(self) -> None:
        """Take back a database that was made and not founded."""
        ...

    async def open(self, *, alone: bool = False) -> Database:
        """Open the database; alone, while no other process has it open.

        Raises:
            InvalidError: there is none, or this process may not have it open.
            InternalError: its schema is another one.
        """
        ...

    def require_sound(self) -> None:
        """Refuse a database whose schema or guards are not exactly the declared ones.

        Raises:
            InvalidError: the message names the first thing that is wrong.
        """
        ...

    def require_alone(self) -> None:
        """Refuse while another process has the database open.

        Raises:
            InvalidError: one has, or there is no database.
        """
        ...

    def current(self) -> str | None:
        """The revision of its schema, or None where there is none."""
        ...

    def settle(self) -> None:
        """Let the engine see how much was put in at once: its plans are for what was there before.

        INVARIANT: only where the tables' owner may be acted as, as who makes a database can.
        """
        ...

    def upgrade(self, revision: str = "head") -> None:
        """Bring it to a later revision."""
        ...

    def downgrade(self, revision: str) -> None:
        """Bring it back to an earlier revision; the trail is never dropped."""
        ...


def place_of(url: str) -> Place:
    """The place that a URL names; a plain path is a file of SQLite's.

    Raises:
        InvalidError: there is no engine for its scheme, or it cannot be read.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    mistyped = not scheme and url.startswith(_MISTYPED)
    if scheme in _SQLITE and not mistyped:
        return SQLiteFile(sqlite_path(url))
    if scheme in _POSTGRESQL:
        return _postgresql(url)
    message = "the database's URL lacks its //" if mistyped else f"no engine for `{scheme}`"
    raise InvalidError(
        message, hint="use sqlite:///path/to/scoped.db or postgresql://host/database"
    )


async def unfounded(place: Place) -> Database:
    """A database to found a house in: made here, or left by who was killed before it founded one.

    INVARIANT: nobody else has it open until it is closed, so what is taken back is nobody's.

    Raises:
        InvalidError: it is in use.
    """
    if place.bare() or place.current() != revisions.HEAD or await _in_use(place):
        place.create()
    database = await place.open(alone=True)
    if await _empty(database):
        return database
    await database.close()
    message = f"the database `{place.url}` is in use"
    raise InvalidError(message, hint="somebody founded a house in it just now; name another")


async def _in_use(place: Place) -> bool:
    database = await place.open()
    try:
        return not await _empty(database)
    finally:
        await database.close()


async def _empty(database: Database) -> bool:
    """Whether nothing happened there, and nobody is copying into it."""
    return await copying.vacant(database) and not any((await copying.sizes(database)).values())


class SQLiteFile:
    """See `Place`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{quote(str(path))}"
        self.key_file: Path | None = path.with_name(path.name + ".key")
        self.identity = path.name

    def bare(self) -> bool:
        """Whether there is no file, or one without any table."""
        return schema.bare(self.path)

    def create(self) -> None:
        """Make the file with the newest schema."""
        schema.create(self.path)

    def remove(self) -> None:
        """Take back a file that was made and not founded."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    async def open(self, *, alone: bool = False) -> Database:
        """Open the file."""
        return await SQLiteDatabase.open(self.path, alone=alone)

    def require_sound(self) -> None:
        """Refuse a file whose schema or guards are not exactly the declared ones."""
        copies.keep_to_oneself(self.path)
        soundness.require(self.path)

    def require_alone(self) -> None:
        """Refuse while another process has the file open."""
        Presence.enter(self.path, alone=True).leave()

    def current(self) -> str | None:
        """The revision of its schema, or None where there is none."""
        if not self.path.is_file():
            message = f"there is no database at `{self.path}`"
            raise InvalidError(message, hint="create one with `scoped-mcp init`")
        try:
            return schema.current(self.path)
        except DBAPIError as error:
            raise driver.translate(error) from error

    def settle(self) -> None:
        """There is one way to each row, whatever their number."""

    def upgrade(self, revision: str = "head") -> None:
        """Bring it to a later revision."""
        schema.upgrade(self.path, revision)

    def downgrade(self, revision: str) -> None:
        """Bring it back to an earlier revision."""
        schema.downgrade(self.path, revision)


def _postgresql(url: str) -> Place:
    from scoped_mcp.storage.postgres.place import PostgresSchema  # noqa: PLC0415 - slow to import

    return PostgresSchema.parse(url)
