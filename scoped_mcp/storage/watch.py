"""Whether what stands at the path is still what is open.

SQLite holds open files, not names. A file moved away, replaced or deleted under it is written on
as if nothing had happened, and what was acknowledged is found nowhere after a restart; a file that
shrank is filled up again with holes. So the three files — database, `-wal`, `-shm` — are looked at
before a transaction begins and again before its callers are told that it is done.

Nothing of ours makes any of the three smaller: `VACUUM` and truncating checkpoints are not allowed
to operations, and a program beside us that runs one has changed the files under us all the same.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from scoped_mcp.kernel.errors import InternalError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("scoped_mcp")
SUFFIXES = ("", "-wal", "-shm")
_HINT = (
    "the operator stops the server, puts the files back as they were — or a whole copy in their "
    "place, without the old -wal and -shm — and starts it again"
)


class _File(NamedTuple):
    """A file as it was seen: which one, how long, when written."""

    which: tuple[int, int]
    size: int
    written: int


class Watch:
    """Remembers the three files of an open database; INVARIANT: never opens one of them.

    Closing any descriptor of a file drops this process's POSIX locks on it, SQLite's among them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = [f"{path}{suffix}" for suffix in SUFFIXES]
        self._before = _look(self._names[0])  # made before the file is opened
        self._files: list[_File] = []
        self._settled = False
        self._trouble = ""

    def begin(self) -> None:
        """Remember the files: they are open, and nothing has been acknowledged yet."""
        found = [_look(name) for name in self._names]
        self._files = [file or _File((0, 0), 0, 0) for file in found]
        if self._before is not None and self._before.which != self._files[0].which:
            self._refuse("the database file was replaced while it was being opened", "")

    def check(self, *, alone: bool = False) -> None:
        """Refuse to go on when a file is another one, shorter, or gone.

        Args:
            alone: No other process has written since this one opened the file: then between two
                of our transactions nobody may even touch it. (Of the files that were put back
                after trouble this is asked in any case.)

        Raises:
            InternalError: the message says which file and what became of it.
        """
        unwritten = {""} if alone and self._settled else set[str]()
        known = self._files  # before we look: another thread may settle what it wrote meanwhile
        found = [_look(name) for name in self._names]
        trouble = self._compare(known, found, {"", "-wal"} if self._trouble else unwritten)
        if trouble:
            self._refuse(trouble, "nothing more is stored")
        if self._trouble:
            log.warning("%s: the files are as they were again; going on", self._path)
            self._trouble = ""

    def settle(self) -> None:
        """After a commit: remember how the files are now, if they are still the same ones.

        Raises:
            InternalError: they are not: what was committed may be lost.
        """
        known = self._files
        found = [_look(name) for name in self._names]
        trouble = self._compare(known, found, set())
        if trouble:
            self._refuse(trouble, "what was being stored may be lost")
        self._files = [file for file in found if file is not None]
        self._settled = True

    @staticmethod
    def _compare(known: list[_File], found: list[_File | None], unwritten: set[str]) -> str:
        """What is wrong, in words for callers: no paths."""
        for suffix, was, now in zip(SUFFIXES, known, found, strict=True):
            name = f"the database's {suffix} file" if suffix else "the database file"
            if now is None:
                return f"{name} was moved away or deleted under the server"
            if now.which != was.which:
                return f"{name} was replaced by another one under the server"
            if now.size < was.size:
                return f"{name} was truncated under the server"
            if suffix in unwritten and now.written != was.written:
                return f"{name} was written by another program under the server"
        return ""

    def _refuse(self, trouble: str, so: str) -> NoReturn:
        """Once in the log, which may name the path.

        Raises:
            InternalError: in any case.
        """
        if trouble != self._trouble:
            log.critical("%s: %s; %s", self._path, trouble, _HINT)
        self._trouble = trouble
        raise InternalError(f"{trouble}; {so}" if so else trouble, hint=_HINT)


def _look(name: str) -> _File | None:
    try:
        seen = os.stat(name)  # noqa: PTH116 - three a batch
    except OSError:
        return None
    return _File((seen.st_dev, seen.st_ino), seen.st_size, seen.st_mtime_ns)
