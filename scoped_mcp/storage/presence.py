"""Who has the file open: a shared lock beside it, held for as long as a process uses it."""

from __future__ import annotations

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
        return cls.claim(path, alone=alone or not driver.SAFE)

    @classmethod
    def claim(cls, path: Path, *, alone: bool) -> Self:
        """Take the lock whether or not the database exists yet."""
        lock = path.with_name(path.name + ".lock")
        try:
            handle = os.fdopen(os.open(lock, os.O_CREAT | os.O_RDWR, 0o600), "r+")
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

    def leave(self) -> None:
        """Let go of the lock."""
        if not self._handle.closed:
            portalocker.unlock(self._handle)
            self._handle.close()


def unreachable(path: Path, error: OSError) -> InvalidError:
    """What stands between this account and the file, in our words."""
    reason = (error.strerror or type(error).__name__).lower()
    message = f"the database at `{path}` cannot be opened and written: {reason}"
    return InvalidError(
        message, hint="serve as the account that owns the file, on a disk it can write"
    )
