"""Who has the file open: a shared lock beside it, held for as long as a process uses it.

The lock's file names the database file that was open last, so that a `-wal` which a killed server
left behind is not played into another file put in its place.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Self

import portalocker

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import driver

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO


class Presence:
    """A lock on `<file>.lock`: shared by those who serve, exclusive for who must be alone."""

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle

    @classmethod
    def enter(cls, path: Path, *, alone: bool = False) -> Self:
        """Take the lock, or say who must go first.

        Raises:
            InvalidError: there is no database, it is not this account's, or another process has it
                open and may not.
        """
        try:
            there = path.exists()
        except OSError as error:
            raise unreachable(path, error) from error
        if not there:
            message = f"there is no database at `{path}`"
            raise InvalidError(message, hint="create one with `scoped-mcp init`")
        self = cls.claim(path, alone=alone or not driver.SAFE)
        try:
            self._require_own_wal(path)
        except BaseException:
            self.leave()
            raise
        return self

    @classmethod
    def claim(cls, path: Path, *, alone: bool) -> Self:
        """Take the lock whether or not the database exists yet."""
        lock = path.with_name(path.name + ".lock")
        try:
            handle = open(lock, "r+", opener=_owned)  # noqa: SIM115 - held until we leave
        except OSError as error:
            raise unreachable(path, error) from error
        kind = portalocker.LockFlags.EXCLUSIVE if alone else portalocker.LockFlags.SHARED
        try:
            portalocker.lock(handle, kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            handle.close()
            message = "another process has the database open"
            hint = "stop the other process first"
            if not driver.SAFE:
                hint += ", or install pysqlite3: SQLite before 3.51.3 cannot share a file safely"
            raise InvalidError(message, hint=hint, retry=True) from None
        return cls(handle)

    def _require_own_wal(self, path: Path) -> None:
        """Refuse a `-wal` of another file; remember this one.

        Raises:
            InvalidError: the database file was replaced and its `-wal` was not.
        """
        ours = str(path.stat().st_ino)
        self._handle.seek(0)
        last = self._handle.read().strip()
        wal = path.with_name(path.name + "-wal")
        if last not in {"", ours} and wal.exists() and wal.stat().st_size:
            message = f"`{wal}` belongs to another file than the one now at `{path}`"
            hint = (
                "it holds the newest writes of the file that was there: move it and -shm back to "
                f"that file; if they do belong together, delete `{self._handle.name}`"
            )
            raise InvalidError(message, hint=hint)
        if last != ours:
            self._handle.seek(0)
            self._handle.truncate()
            self._handle.write(ours)
            self._handle.flush()

    def leave(self) -> None:
        """Let go of the lock."""
        if not self._handle.closed:
            portalocker.unlock(self._handle)
            self._handle.close()


def _owned(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CREAT, 0o600)


def unreachable(path: Path, error: OSError) -> InvalidError:
    """What stands between this account and the file, in our words."""
    reason = (error.strerror or type(error).__name__).lower()
    message = f"the database at `{path}` cannot be opened and written: {reason}"
    return InvalidError(
        message, hint="serve as the account that owns the file, on a disk it can write"
    )


def require_usable(path: Path) -> None:
    """Opening an empty file would make it a database; one that only reads would fail at a call."""
    try:
        there = path.exists()
        empty = there and not path.stat().st_size
        if there and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only for this account")
    except OSError as error:
        raise unreachable(path, error) from error
    if empty:
        message = f"`{path}` is empty"
        raise InvalidError(message, hint="create a database with `scoped-mcp init`")
