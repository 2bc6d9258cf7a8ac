"""The SQLite driver: which one, how a connection is opened and confined, and what its errors mean.

The standard library's SQLite may be older than 3.51.3 and can then corrupt a WAL that several
connections write and checkpoint; `pysqlite3` bundles a newer one and is used where its wheel is.
"""

from __future__ import annotations

import importlib
import math
import sqlite3
import time
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import DBAPIError

from scoped_mcp.kernel.errors import InternalError
from scoped_mcp.storage.path import DELETABLE

if TYPE_CHECKING:
    from pathlib import Path

Raw = sqlite3.Connection
SAFE_VERSION = (3, 51, 3)


def _newest() -> Any:  # noqa: ANN401 - two modules of one shape
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:  # no wheel for this platform
        return sqlite3


dbapi = _newest()
VERSION: tuple[int, int, int] = cast("tuple[int, int, int]", dbapi.sqlite_version_info)
SAFE = VERSION >= SAFE_VERSION
"""Whether several processes may share one file."""

PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 4000",  # pages: newer writes of a page spare the older, and few wait
    "foreign_keys = ON",
    "busy_timeout = 30000",
    "trusted_schema = OFF",
    "recursive_triggers = ON",
    "cell_size_check = ON",
)
_ALLOWED = frozenset(
    getattr(sqlite3, name)
    for name in (
        "SQLITE_SELECT",
        "SQLITE_READ",
        "SQLITE_FUNCTION",
        "SQLITE_RECURSIVE",
        "SQLITE_TRANSACTION",
        "SQLITE_SAVEPOINT",
        "SQLITE_INSERT",
        "SQLITE_UPDATE",
    )
)
_READING_PRAGMAS = frozenset({"data_version", "integrity_check", "page_count", "user_version"})
REVISION_TABLE = "alembic_version"
REPLICATION = frozenset({"_litestream_lock", "_litestream_seq"})
"""Tables that Litestream keeps in each database that it replicates."""
_REPLICATED = "SELECT 1 FROM sqlite_master WHERE name = '_litestream_seq'"


def connect(path: Path, *, reader: bool = False) -> Raw:
    """Open the file with every pragma set; readers cannot write."""
    raw = cast("Raw", dbapi.connect(str(path), isolation_level=None))
    try:
        for pragma in PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")
        if reader:
            raw.execute("PRAGMA query_only = ON")
    except BaseException:
        raw.close()
        raise
    return raw


STATEMENT_SECONDS = 60.0
_LOOK_EVERY = 200_000  # steps of SQLite's machine between two looks at the clock: some milliseconds


class Patience:
    """Ends a statement that runs for too long: others wait for its thread (ruling 17)."""

    def __init__(self) -> None:
        self._until = math.inf

    def begin(self) -> None:
        """A statement begins."""
        self._until = time.monotonic() + STATEMENT_SECONDS

    def guard(self, raw: Raw) -> None:
        """Look at the clock while statements of this connection run."""
        raw.set_progress_handler(lambda: time.monotonic() > self._until, _LOOK_EVERY)


def confine(raw: Raw) -> None:
    """Allow what operations need and nothing else (ruling 62): no DDL, no ATTACH, no pragmas."""
    raw.set_authorizer(_authorise)


def _authorise(
    action: int, first: str | None, second: str | None, database: str | None, _trigger: str | None
) -> int:
    if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE):
        return sqlite3.SQLITE_OK if _ours(first, database) else sqlite3.SQLITE_DENY
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _READING_PRAGMAS and second is None:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_DELETE and first in DELETABLE and database == "main":
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _ours(table: str | None, database: str | None) -> bool:
    """Whether operations write this table: not SQLite's own, and not the schema's revision."""
    named = table is not None and not table.startswith("sqlite_") and table != REVISION_TABLE
    return named and database == "main"


def is_replicated(raw: Raw) -> bool:
    """Whether a program beside us ships the file elsewhere, and checkpoints it."""
    return raw.execute(_REPLICATED).fetchone() is not None


def is_busy(error: BaseException) -> bool:
    """Whether another connection holds what this one wants."""
    text = str(error).lower()
    return "locked" in text or "busy" in text


def is_full(error: BaseException) -> bool:
    """Whether there is no room left."""
    return "full" in str(error).lower()


_TROUBLES = {
    ("full",): "the disk is full; nothing was stored",
    ("readonly", "read-only"): "the database file is read-only; nothing was stored",
    ("interrupted",): "the database took too long; nothing was stored",
    ("disk i/o",): "the disk did not take or give the data; nothing was stored",
    ("unable to open",): "the database file cannot be opened; nothing was stored",
    ("malformed", "not a database"): "the database file is damaged or was replaced",
}
"""What is in the driver's words, and what we say of it."""


def translate(error: BaseException) -> BaseException:
    """The driver's words in ours; every other error as it is."""
    cause = (error.orig or error) if isinstance(error, DBAPIError) else error
    if not isinstance(cause, dbapi.Error):
        if type(error).__name__ == "_LostError":
            return _internal("the database ended the transaction", error)
        return error
    if isinstance(cause, dbapi.IntegrityError):  # its text holds names of columns; again is no help
        return _internal("the database refused; nothing was stored", error, retry=False)
    text = str(cause).lower()
    if is_busy(cause):
        return _internal("another process kept the database busy; nothing was stored", error)
    found = (message for words, message in _TROUBLES.items() if any(w in text for w in words))
    return _internal(next(found, "the database refused; nothing was stored"), error)


def _internal(message: str, cause: BaseException, *, retry: bool = True) -> InternalError:
    hint = "tell the operator; the server's log says more"
    error = InternalError(message, hint=hint, retry=retry)
    error.__cause__ = cause
    return error
