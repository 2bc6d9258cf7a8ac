"""The schema: which revision a file has, and how it gets to another one (Alembic)."""

from __future__ import annotations

import contextlib
import importlib.resources
import os
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from scoped_mcp.kernel.errors import ConflictError, InternalError, InvalidError
from scoped_mcp.storage import driver, guards
from scoped_mcp.storage.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sqlalchemy import Connection

HEAD = "0003"
"""The revision that this code reads and writes."""
_REVISION = "SELECT version_num FROM alembic_version"


def require_current(raw: driver.Raw) -> None:
    """Refuse to work on another schema than this code's: read in every transaction (ruling 56).

    Raises:
        InternalError: the schema is older or newer; the hint says what to run.
    """
    try:
        (revision,) = raw.execute(_REVISION).fetchone() or (None,)
    except driver.dbapi.Error as error:
        raise driver.translate(error) from error
    if revision != HEAD:
        known = revision in {script.revision for script in _scripts().walk_revisions()}
        hint = "run `scoped-mcp db upgrade`" if known else "install the version that made it"
        message = f"the database has schema `{revision}`, this code needs `{HEAD}`"
        raise InternalError(message, hint=hint)


def current(path: Path) -> str | None:
    """The revision of the file, or None where there is no schema."""
    with _connection(path) as connection:
        found = connection.exec_driver_sql(
            "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        ).first()
        return None if found is None else str(connection.exec_driver_sql(_REVISION).scalar())


def create(path: Path) -> None:
    """Make a new database file (mode 0600) with the newest schema.

    Raises:
        InvalidError: the file is there and in use as something.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        message = f"the database `{path}` is in use"
        raise InvalidError(message, hint="name another file with --db, or use this one as it is")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)  # an empty file may have been there
    upgrade(path)


def upgrade(path: Path, revision: str = "head") -> None:
    """Bring the file to a later revision; nothing happens when it is there."""
    _migrate(path, command.upgrade, revision)


def downgrade(path: Path, revision: str) -> None:
    """Bring the file back to an earlier revision; the trail is never dropped.

    Raises:
        ConflictError: the revision lies below the first one, or is not known.
    """
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision not in known:
        message = "there is nothing below the first revision: the trail is never dropped"
        raise ConflictError(message, hint=f"name one of {', '.join(sorted(known))}")
    _migrate(path, command.downgrade, revision)


def _migrate(path: Path, move: object, revision: str) -> None:
    """Alone on the file: keys off, guards down, move, guards up, keys checked, commit."""
    presence = Presence.enter(path, alone=True)
    try:
        with _connection(path) as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            guards.drop(connection)
            config = _config()
            config.attributes["connection"] = connection
            move(config, revision)  # type: ignore[operator] # pyright: ignore[reportCallIssue]
            guards.make(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                connection.exec_driver_sql("ROLLBACK")
                message = "the migration would break references; nothing was changed"
                raise InternalError(message, hint="tell the maintainers")
            connection.exec_driver_sql("COMMIT")
    finally:
        presence.leave()


@contextlib.contextmanager
def _connection(path: Path) -> Generator[Connection]:
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


def _config() -> Config:
    config = Config()
    folder = importlib.resources.files("scoped_mcp.storage") / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
