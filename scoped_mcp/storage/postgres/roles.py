"""Two roles (ruling 63): one owns the schema and migrates, the other serves and can do no more.

    scoped_owner   owns every table; nobody logs in as it
    scoped_app     select, insert, update; delete on derived tables alone; no DDL, no TRUNCATE

The server connects as whoever the URL says and becomes `scoped_app`; it refuses to serve as a role
that could get past row security, triggers or grants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg import errors, sql

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage.path import APPEND_ONLY, DELETABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import Connection

OWNER, APP = "scoped_owner", "scoped_app"
_IS_THERE = "SELECT 1 FROM pg_roles WHERE rolname = %s"
_MIGHT_BYPASS = """
SELECT bool_or(rolsuper OR rolbypassrls OR rolcreaterole OR rolname = %s)
  OR has_schema_privilege(current_schema(), 'CREATE')
  OR has_parameter_privilege(current_user, 'session_replication_role', 'SET')
  OR current_setting('session_replication_role') <> 'origin'
FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')
"""  # whatever it is a member of it may become; triggers are silent where rows are a replica's
_NEEDED = (
    f"as an administrator of the server run: CREATE ROLE {OWNER} NOLOGIN; CREATE ROLE {APP}"
    f" NOLOGIN; GRANT {OWNER}, {APP} TO the role in the database's URL"
)


def provide(raw: Connection[Any]) -> None:
    """Make the two roles where the server lacks them, and let this connection's role be them.

    Raises:
        InvalidError: this connection's role may not; the hint says what an administrator runs.
    """
    for role in (OWNER, APP):
        name = sql.Identifier(role)
        try:
            if raw.execute(_IS_THERE, [role]).fetchone() is None:
                _create(raw, name)
            if not _may_become(raw, name):
                raw.execute(sql.SQL("GRANT {} TO session_user").format(name))
        except errors.InsufficientPrivilege as error:
            message = f"this role cannot become `{role}`"
            raise InvalidError(message, hint=_NEEDED) from error


def _may_become(raw: Connection[Any], name: sql.Identifier) -> bool:
    """Tried, not looked up: since PostgreSQL 16 a member need not be one who may."""
    try:
        raw.execute(sql.SQL("SET ROLE {}").format(name))
    except errors.InsufficientPrivilege:
        return False
    raw.execute("RESET ROLE")
    return True


def _create(raw: Connection[Any], name: sql.Identifier) -> None:
    try:
        raw.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
    except (errors.DuplicateObject, errors.UniqueViolation, errors.InternalError_) as error:
        if raw.execute(_IS_THERE, [name.as_string().strip('"')]).fetchone() is None:
            raise
        del error  # somebody else made it meanwhile


def act_as_owner(raw: Connection[Any]) -> None:
    """Own what this connection makes from now on."""
    raw.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))


def act_as_app(raw: Connection[Any]) -> None:
    """Serve from now on.

    Raises:
        InvalidError: this connection's role may not, or the role it becomes could do too much.
    """
    try:
        raw.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APP)))
    except (errors.InsufficientPrivilege, errors.InvalidParameterValue) as error:
        message = f"this role cannot become `{APP}`"
        raise InvalidError(message, hint=_NEEDED) from error
    (bypasses,) = cast("Any", raw.execute(_MIGHT_BYPASS, [OWNER]).fetchone())
    if bypasses:
        message = f"`{APP}` could get past what guards the database"
        hint = (
            f"take SUPERUSER, BYPASSRLS, CREATEROLE, CREATE, session_replication_role and {OWNER}"
            " from it, and from the roles that it is a member of"
        )
        raise InvalidError(message, hint=hint)


def grant(raw: psycopg.Connection[Any], schema: str, tables: Iterable[str]) -> None:
    """Give `scoped_app` what operations need of each table, and nothing else."""
    app, place = sql.Identifier(APP), sql.Identifier(schema)
    raw.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(place, app))
    words = sql.SQL("GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {} TO {}")
    raw.execute(words.format(place, app))
    for table in tables:
        rights = "SELECT"
        if table != "alembic_version":
            rights += ", INSERT" + ("" if table in APPEND_ONLY else ", UPDATE")
        if table in DELETABLE:
            rights += ", DELETE"
        name = sql.Identifier(schema, table)
        raw.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(name, app))
        raw.execute(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), name, app))
