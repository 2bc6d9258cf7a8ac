"""What the driver's errors mean: run again, connect again, or say it in our words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from scoped_mcp.kernel.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

# They tell of errors in the server's words, which hold values that people stored.
for _name in ("psycopg", "psycopg.pool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

RACES = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,  # somebody beside us was first: look again
)
"""What running the work again may mend."""

LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
"""What a new connection may mend, where `is_lost` says so."""

_MESSAGES: Mapping[type[psycopg.Error], str] = {
    errors.DiskFull: "the disk is full; nothing was stored",
    errors.LockNotAvailable: "another process kept the database busy; nothing was stored",
    errors.QueryCanceled: "the database took too long; nothing was stored",
    errors.ReadOnlySqlTransaction: "the database is read-only; nothing was stored",
    errors.InsufficientPrivilege: "the database refused; nothing was stored",
    errors.DataCorrupted: "the database is damaged",
    errors.IndexCorrupted: "the database is damaged",
}


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or the server is going or coming."""
    if isinstance(error, PoolTimeout | PoolClosed):
        return False
    if isinstance(error, errors.AdminShutdown | errors.CrashShutdown | errors.CannotConnectNow):
        return True
    return isinstance(error, LOST) and getattr(error, "sqlstate", None) is None


def is_away(error: BaseException) -> bool:
    """The same, or there is no connection yet."""
    return isinstance(error, PoolTimeout) or is_lost(error)


def translate(error: BaseException) -> BaseException:
    """The driver's words in ours; every other error as it is."""
    if isinstance(error, PoolTimeout | PoolClosed) or is_lost(error):
        return _internal("the database cannot be reached; nothing was stored", error)
    if not isinstance(error, psycopg.Error):
        return error
    for kind, message in _MESSAGES.items():
        if isinstance(error, kind):
            return _internal(message, error)
    if isinstance(error, psycopg.IntegrityError):
        return _internal("the database refused; nothing was stored", error, retry=False)
    return _internal("the database refused; nothing was stored", error)


def unknown_outcome(error: BaseException) -> InternalError:
    """The connection was lost in the middle of a commit, and nobody can say what came of it."""
    message = "the connection to the database was lost; it is not known whether this was stored"
    hint = "look before you repeat it, or repeat it with the same idempotency key"
    failure = InternalError(message, hint=hint, retry=False)
    failure.__cause__ = error
    return failure


def _internal(message: str, cause: BaseException, *, retry: bool = True) -> InternalError:
    hint = "tell the operator; the server's log says more"
    error = InternalError(message, hint=hint, retry=retry)
    error.__cause__ = cause
    return error
