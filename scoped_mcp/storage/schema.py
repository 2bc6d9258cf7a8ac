"""The schema: which revision a file has, and how it gets to another one (Alembic)."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from scoped_mcp.kernel.errors import InternalError, InvalidError
from scoped_mcp.storage import driver, guards, revisions
from scoped_mcp.storage.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = revisions.HEAD
_REVISION = "SELECT version_num FROM alembic_version"
_HAS_REVISION = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"


def require_current(raw: driver.Raw) -> None:
    """Refuse to work on another schema than this code's: read in every transaction (ruling 56).

    Raises:
        InternalError: the schema is older or newer; the hint says what to run.
    """
    try:
        (revision,) = raw.execute(_REVISION).fetchone() or (None,)
    except driver.dbapi.Error as error:
        raise driver.translate(error) from error
    if revision != revisions.HEAD:
        (number,) = raw.execute("PRAGMA user_version").fetchone() or (0,)
        raise revisions.another(revision, number)


def current(path: Path) -> str | None:
    """The revision of the file, or None where there is no schema."""
    with unconfined(path) as connection:
        found = connection.exec_driver_sql(_HAS_REVISION).first()
        return None if found is None else str(connection.exec_driver_sql(_REVISION).scalar())


def bare(path: Path) -> bool:
    """Whether the file is no database yet, or one without any table.

    Raises:
        InvalidError: it is a file of another kind.
    """
    if not path.exists() or not path.stat().st_size:
        return True
    try:
        with unconfined(path) as connection:
            return connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None
    except DBAPIError as error:
        message = f"`{path}` is no database, or a damaged one"
        raise InvalidError(message, hint="name another file") from error


def create(path: Path) -> None:
    """Make a new database file (mode 0600) with the newest schema.

    Raises:
        InvalidError: the file is there and in use as something.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not bare(path):
        message = f"the database `{path}` is in use"
        raise InvalidError(message, hint="name another file with --db, or use this one as it is")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)  # an empty file may have been there
    upgrade(path)


def upgrade(path: Path, revision: str = "head") -> None:
    """Bring the file to a later revision; nothing happens when it is there.

    Raises:
        InvalidError: the revision is not known, or not a later one; or the file's own is newer than
            this code: the hint says what to install. Or the file is another program's.
    """
    if revision != "head":
        revisions.require_known(revision)
    _migrate(path, revisions.up, revision)


def bring_up(path: Path) -> None:
    """Bring a copy from elsewhere to this code's schema; one that has it is left as it is.

    Raises:
        InvalidError: it is no database of ours, damaged, or newer than this code.
    """
    try:
        revision = current(path)
        if revision not in {None, HEAD}:
            upgrade(path)
    except (DBAPIError, driver.dbapi.Error) as error:
        message = f"the backup is damaged: {getattr(error, 'orig', error)}"
        raise InvalidError(message, hint="restore from another backup") from error
    if revision is None:
        message = "the backup is no database of scoped-mcp"
        raise InvalidError(message, hint="name a file that `scoped-mcp backup` made")


def downgrade(path: Path, revision: str) -> None:
    """Bring the file back to an earlier revision; the trail is never dropped.

    Raises:
        ConflictError: the revision lies below the first one.
        InvalidError: it is not known, or not an earlier one; or the file's own is newer than this
            code: the hint says what to install.
    """
    revisions.require_above_base(revision)
    revisions.require_known(revision)
    _migrate(path, revisions.down, revision)


def _migrate(path: Path, move: Callable[[Config, str], None], revision: str) -> None:
    """Alone on the file: keys off, guards down, move, guards up, keys checked, commit."""
    presence = Presence.enter(path, alone=True)
    try:
        with unconfined(path) as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _require_readable(connection)
            guards.drop(connection)
            config = revisions.config()
            config.attributes["connection"] = connection
            try:
                move(config, revision)
            except CommandError as error:  # Alembic's words are about scripts and heads
                raise revisions.no_way(revision) from error
            connection.exec_driver_sql(f"PRAGMA user_version = {revisions.number()}")
            guards.make(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                connection.exec_driver_sql("ROLLBACK")
                message = "the migration would break references; nothing was changed"
                raise InternalError(message, hint="tell the maintainers")
            connection.exec_driver_sql("COMMIT")
    finally:
        presence.leave()


@contextlib.contextmanager
def unconfined(path: Path) -> Generator[Connection]:
    """A connection that may change the schema: no authoriser."""
    engine = create_engine(
        "sqlite://",
        module=driver.dbapi,
        creator=lambda: driver.connect(path),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        yield connection


def _require_readable(connection: Connection) -> None:
    """Refuse to move a file that newer code has moved on, or that is another program's."""
    found = connection.exec_driver_sql(_HAS_REVISION).first()
    if found is None and connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first():
        raise revisions.not_ours()
    revision = None if found is None else connection.exec_driver_sql(_REVISION).scalar()
    number = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    revisions.require_readable(revision, number)
