"""Whether a file holds this code's schema, all of it and nothing else, with every guard up.

Verification recomputes the rows; this looks at what keeps them. A copy that comes from elsewhere
may lack a trigger, or bring one along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import driver, guards, schema
from scoped_mcp.storage.metadata import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

_PARTS = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index', 'trigger')"
_FOREIGN = driver.REPLICATION | {driver.REVISION_TABLE}


def require(path: Path) -> None:
    """Refuse a file that is damaged or whose schema is not exactly the declared one.

    Raises:
        InvalidError: the message names the first thing that is wrong.
    """
    try:
        with schema.unconfined(path) as connection:
            trouble = next(_troubles(connection), None)
    except DBAPIError as error:
        trouble = f"it cannot be read: {error.orig}"
    if trouble is not None:
        message = f"the database is not whole: {trouble}"
        raise InvalidError(message, hint="restore from another backup")


def _troubles(connection: Connection) -> Iterator[str]:
    """Look at pages, keys, tables and guards, in this order: each relies on those before."""
    found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
    if found != "ok":
        yield f"its pages are damaged: {found}"
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        yield f"a row of {broken[0]} refers to what is not there"
    yield from _foreign(connection)
    present, declared = guards.present(connection), guards.declared(connection)
    for name in sorted(present.keys() | declared.keys()):
        if present.get(name) != declared.get(name):
            yield f"the trigger {name} is not as this program makes it"


def _foreign(connection: Connection) -> Iterator[str]:
    """What is there beyond the declared tables, columns, keys and indexes, or short of them."""
    for kind, name in connection.exec_driver_sql(_PARTS):
        yield f"there is a {kind} {name}"
    for row in connection.exec_driver_sql("PRAGMA table_list").mappings():
        ours = row["schema"] == "main" and not row["name"].startswith("sqlite_")
        plain = row["type"] == "table" and row["strict"] and not row["wr"]
        if ours and row["name"] not in _FOREIGN and not plain:
            yield f"the table {row['name']} is of another kind"
    context = MigrationContext.configure(connection, opts={"include_object": _declared})
    for change in cast("list[object]", compare_metadata(context, metadata)):
        yield f"its tables differ from the declared ones: {str(change)[:100]}"


def _declared(_thing: object, name: str | None, kind: str, *_more: object) -> bool:
    return not (kind == "table" and name in _FOREIGN)
