"""The schema of an organisation in a PostgreSQL database: made, moved, and who has it open."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import psycopg
from alembic.util import CommandError
from psycopg import errors, sql
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import revisions
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.postgres import guards, roles, soundness, trouble, walls

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from alembic.config import Config
    from psycopg import Connection
    from sqlalchemy import Connection as Inspected

    from scoped_mcp.storage.postgres.address import Address

LEAVING_SECONDS = 1.0  # for who has just closed the database
_HAS_SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
_HAS_TABLES = "SELECT 1 FROM pg_tables WHERE schemaname = %s LIMIT 1"
_HAS_REVISION = "SELECT to_regclass(%s)"
_REVISION = "SELECT version_num FROM alembic_version"
_NUMBER = "SELECT obj_description('alembic_version'::regclass)"


class _Ours(psycopg.Connection[Any]):
    """A connection whose transactions SQLAlchemy and Alembic cannot end: migrations are whole."""

    def commit(self) -> None:
        """Said by them at the end of each step: `_transaction` says it once."""

    def rollback(self) -> None:
        """The same."""


class Presence:
    """A session's advisory lock: shared by those who serve, exclusive for who must be alone."""

    def __init__(self, raw: Connection[Any]) -> None:
        self._raw = raw

    @classmethod
    def enter(cls, address: Address, *, alone: bool = False) -> Self:
        """Take the lock, or say who must go first.

        Raises:
            InvalidError: there is no such schema, or another process has it open and may not.
            InternalError: the server cannot be reached.
        """
        raw = _connect(address)
        try:
            _require(raw, address)
            cls.claim(raw, address, alone=alone)
        except BaseException as error:
            raw.close()
            raise trouble.translate(error) from error
        return cls(raw)

    @staticmethod
    def claim(raw: Connection[Any], address: Address, *, alone: bool = False) -> None:
        """Take the lock for as long as this connection lives.

        The server learns a moment later that a process is gone, or a pool of its connections.

        Raises:
            InvalidError: another process has the database open, and may not.
        """
        how = "" if alone else "_shared"
        asked = f"SELECT pg_try_advisory_lock{how}({address.lock('presence')})"
        until = time.monotonic() + LEAVING_SECONDS
        while not cast("Any", raw.execute(asked.encode()).fetchone())[0]:
            if time.monotonic() < until:
                time.sleep(0.02)
                continue
            message = "another process has the database open"
            raise InvalidError(message, hint="stop the other process first", retry=True)

    def serve(self) -> None:
        """Become who serves.

        Raises:
            InvalidError: this connection's role may not, or could get past what guards the schema.
        """
        roles.act_as_app(self._raw)

    def leave(self) -> None:
        """Let go of the lock."""
        self._raw.close()


def require_current(revision: str | None) -> None:
    """Refuse to work on another schema than this code's: read in every transaction (ruling 56).

    Raises:
        InternalError: the schema is older or newer; the hint says what to run.
    """
    if revision != revisions.HEAD:
        raise revisions.another(revision, None)


def current(address: Address) -> str | None:
    """The revision of the schema, or None where there is none."""
    with _owner(address) as raw:
        return _revision(raw, address)


def bare(address: Address) -> bool:
    """Whether there is no table in the schema."""
    with _owner(address, own=False) as raw:
        return raw.execute(_HAS_TABLES, [address.schema]).fetchone() is None


def analyse(address: Address) -> None:
    """Count what is in the tables: without, a page of a full one is looked for in all of it."""
    with _owner(address) as raw:
        tables = [sql.Identifier(name) for name in metadata.tables]
        raw.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(tables)))


def create(address: Address) -> None:
    """Make the schema, its roles and its tables, with everything that guards them.

    Raises:
        InvalidError: the schema is in use, or this role may not make one.
    """
    with _owner(address, own=False) as raw:
        roles.provide(raw)
        with _inspected(raw) as connection, _transaction(raw):
            making = f"SELECT pg_advisory_xact_lock({address.lock('making')})"
            raw.execute(making.encode())  # who comes second finds what the first made
            if raw.execute(_HAS_TABLES, [address.schema]).fetchone() is not None:
                message = f"the schema `{address.schema}` is in use"
                hint = "name another with ?schema=NAME in the URL, or use this one as it is"
                raise InvalidError(message, hint=hint)
            try:
                _found(raw, connection, address)
            except errors.InsufficientPrivilege as error:
                message = "this role may not make a schema in the database"
                hint = f"GRANT CREATE ON DATABASE … TO it, or create the schema as {roles.OWNER}'s"
                raise InvalidError(message, hint=hint) from error


def drop(address: Address) -> None:
    """Take back a schema that was not founded: never one in use."""
    with _owner(address) as raw:
        raw.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(address.schema))
        )


def upgrade(address: Address, revision: str = "head") -> None:
    """Bring the schema to a later revision; nothing happens when it is there.

    Raises:
        InvalidError: the revision is not known, or not a later one; or the schema's own is newer
            than this code: the hint says what to install.
    """
    if revision != "head":
        revisions.require_known(revision)
    _migrate(address, revisions.up, revision)


def downgrade(address: Address, revision: str) -> None:
    """Bring the schema back to an earlier revision; the trail is never dropped.

    Raises:
        ConflictError: the revision lies below the first one.
        InvalidError: as for `upgrade`.
    """
    revisions.require_above_base(revision)
    revisions.require_known(revision)
    _migrate(address, revisions.down, revision)


def require_sound(address: Address) -> None:
    """Refuse a schema that is not exactly what this code makes, in any of its parts.

    Raises:
        InvalidError: the message names the first thing that is wrong.
    """
    measure = replace(address, schema=soundness.MEASURE)
    with _owner(address, own=False) as raw, _inspected(raw) as connection:
        raw.execute("BEGIN")
        try:
            soundness.absent(raw)
            _found(raw, connection, measure)
            soundness.require_same(raw, address.schema)
        finally:
            raw.execute("ROLLBACK")


def _found(raw: Connection[Any], connection: Inspected, address: Address) -> None:
    """Make the schema and everything in it, whose owner serves nobody."""
    name = sql.Identifier(address.schema)
    if raw.execute(_HAS_SCHEMA, [address.schema]).fetchone() is None:
        raw.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    words = sql.SQL("ALTER SCHEMA {} OWNER TO {}")
    raw.execute(words.format(name, sql.Identifier(roles.OWNER)))
    roles.act_as_owner(raw)
    raw.execute(sql.SQL("SET search_path = {}, pg_catalog").format(name))
    _move(raw, connection, address, revisions.up, "head")


def _migrate(address: Address, move: Callable[[Config, str], None], revision: str) -> None:
    """Alone on the schema, in one transaction: guards down, move, guards up."""
    presence = Presence.enter(address, alone=True)
    try:
        with _owner(address) as raw, _inspected(raw) as connection, _transaction(raw):
            _move(raw, connection, address, move, revision)
    finally:
        presence.leave()


def _move(
    raw: Connection[Any],
    connection: Inspected,
    address: Address,
    move: Callable[[Config, str], None],
    revision: str,
) -> None:
    now = _revision(raw, address)
    if now is not None:
        revisions.require_readable(now, _number(raw))
    elif raw.execute(_HAS_TABLES, [address.schema]).fetchone() is not None:
        raise revisions.not_ours()
    walls.drop(raw, address.schema)
    guards.drop(raw, address.schema)
    config = revisions.config()
    config.attributes["connection"] = connection
    try:
        move(config, revision)
    except CommandError as error:  # Alembic's words are about scripts and heads
        raise revisions.no_way(revision) from error
    number = sql.Literal(str(revisions.number()))
    raw.execute(sql.SQL("COMMENT ON TABLE alembic_version IS {}").format(number))
    guards.make(connection, raw)
    tables = inspect(connection).get_table_names()
    roles.grant(raw, address.schema, tables)
    walls.make(raw, tables)


@contextlib.contextmanager
def _inspected(raw: Connection[Any]) -> Generator[Inspected]:
    """The same connection as SQLAlchemy and Alembic see it; transactions are ours."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: raw,
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
    )
    connection = engine.connect()
    try:
        yield connection
    except DBAPIError as error:
        raise (error.orig or error) from error  # the driver's, which is ours to put into words
    finally:
        if not connection.invalidated:  # as it is where the server went
            connection.detach()  # or SQLAlchemy would end our transaction for us


@contextlib.contextmanager
def _transaction(raw: Connection[Any]) -> Generator[None]:
    raw.execute("BEGIN")
    try:
        yield
    except BaseException:
        raw.execute("ROLLBACK")
        raise
    raw.execute("COMMIT")


@contextlib.contextmanager
def _owner(address: Address, *, own: bool = True) -> Generator[Connection[Any]]:
    """A connection that may change the schema."""
    raw = _connect(address)
    try:
        raw.execute("SET statement_timeout = 0")  # an index of everything takes what it takes
        if own:
            try:
                roles.act_as_owner(raw)
            except (errors.InsufficientPrivilege, errors.InvalidParameterValue) as error:
                raise _absent(address) from error
        yield raw
    except psycopg.Error as error:
        raise trouble.translate(error) from error
    finally:
        raw.close()


def _connect(address: Address) -> Connection[Any]:
    try:
        raw = _Ours.connect(address.conninfo, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        message = f"the database `{address.shown}` cannot be reached"
        hint = "is the server running, and are address, user and password right?"
        raise InvalidError(message, hint=hint, retry=True) from error
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raw.close()
        message = (
            f"the database `{address.shown}` keeps text as {encoding}: not all can stand in it"
        )
        raise InvalidError(message, hint="use one that was created with ENCODING 'UTF8'")
    return raw


def _revision(raw: Connection[Any], address: Address) -> str | None:
    named = raw.execute(_HAS_REVISION, [f"{address.schema}.alembic_version"]).fetchone()
    if named is None or named[0] is None:
        return None
    found = raw.execute(_REVISION).fetchone()
    return None if found is None else str(found[0])


def _require(raw: Connection[Any], address: Address) -> None:
    if _revision(raw, address) is None:
        raise _absent(address)


def _number(raw: Connection[Any]) -> int:
    return int(cast("Any", raw.execute(_NUMBER).fetchone())[0] or 0)


def _absent(address: Address) -> InvalidError:
    message = f"there is no database in the schema `{address.schema}` of `{address.shown}`"
    return InvalidError(message, hint="create one with `scoped-mcp init`")
