"""Copies of a database file: taken while others write, put in place whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from scoped_mcp.kernel.errors import InternalError, InvalidError
from scoped_mcp.storage import driver
from scoped_mcp.storage.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Progress = Callable[[int, int], None]

PAGES = 1_024
"""How many are copied between two looks at the clock: 4 MiB."""
BESIDE = ("", "-wal", "-shm", "-journal")
_HEAD = "SELECT seq, hash FROM chain_heads"
_IS_OURS = "SELECT 1 FROM sqlite_master WHERE name = 'chain_heads'"
_REVISION = "SELECT version_num FROM alembic_version"
_MAKE = os.O_CREAT | os.O_EXCL | os.O_RDWR


@dataclass(frozen=True)
class Copied:
    """What a copy holds.

    Attributes:
        size: Its length in bytes.
        revision: Its schema.
        seq: The position of its newest entry.
        head: The hash of that entry: kept elsewhere, it tells an edited copy from this one.
    """

    size: int
    revision: str
    seq: int
    head: str


def back_up(source: Path, target: Path, progress: Progress | None = None) -> Copied:
    """Copy an open database to a new file, as it is at one moment; nobody waits for it.

    The copy is readable by its owner alone, complete by itself, and at its place only when it is.

    Args:
        source: The database; servers may have it open and write to it.
        target: Where the copy shall be; nothing is there.
        progress: Told how many pages are done, of how many.

    Raises:
        InvalidError: something is at the target, or there is no database at the source.
        InternalError: it could not be read or written; nothing is left at the target.
    """
    require_nothing(target)
    presence = Presence.enter(source)
    try:
        with place_beside(target) as place:
            made = place / target.name
            with contextlib.closing(driver.connect(source, reader=True)) as raw:
                copy(raw, made, progress)
            copied = _look(made)
            land(made, target)
            return copied
    except driver.dbapi.Error as error:
        raise driver.translate(error) from error
    finally:
        presence.leave()


def bring_in(file: Path, target: Path, progress: Progress | None = None) -> None:
    """Copy a backup, which stays as it is, to where it can be worked on.

    Raises:
        InvalidError: it is no database, or a damaged one.
    """
    if not file.is_file():
        message = f"there is no backup at `{file}`"
        raise InvalidError(message, hint="name a file that `scoped-mcp backup` made")
    try:
        with contextlib.closing(_untouched(file)) as raw:
            copy(raw, target, progress)
        short = target.stat().st_size - file.stat().st_size
    except driver.dbapi.DatabaseError as error:
        if driver.is_full(error):
            raise driver.translate(error) from error
        message = f"`{file}` is no whole database: {error}"
        raise InvalidError(message, hint="restore from another backup") from error
    if short > 0 and not _has_wal(file):  # SQLite reads what is not there of a page as zeros
        message = f"`{file}` is {short} bytes short"
        raise InvalidError(message, hint="restore from another backup")


def copy(raw: driver.Raw, target: Path, progress: Progress | None) -> None:
    """Copy what a connection sees at this moment to a new file.

    INVARIANT: the read transaction holds the moment, so a writer neither waits nor is waited for.
    """
    os.close(os.open(target, _MAKE, 0o600))
    raw.execute("BEGIN")
    raw.execute("SELECT 1 FROM sqlite_master").fetchone()
    with contextlib.closing(_bare(target)) as into:
        raw.backup(into, pages=PAGES, progress=_told(progress))
    raw.execute("ROLLBACK")
    fold(target)


def fold(file: Path) -> None:
    """Make one file of a database: nothing of it stands beside, and it can be read as it is.

    Raises:
        InternalError: somebody has it open.
    """
    with contextlib.closing(_bare(file)) as raw:
        (mode,) = raw.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        message = "the copy could not be made one file"
        raise InternalError(message, hint="close what has it open, and try again", retry=True)


def land(made: Path, target: Path) -> None:
    """Put a finished file at its place, durably and at once; what is there stays.

    Raises:
        InvalidError: somebody put something there meanwhile.
    """
    _sync(made)
    try:
        os.link(made, target)
    except FileExistsError:
        require_nothing(target)
        raise
    except OSError:  # a file system without links
        require_nothing(target)
        made.rename(target)
    if os.name == "posix":
        _sync(target.parent)


@contextlib.contextmanager
def place_beside(target: Path) -> Generator[Path]:
    """A folder for one's own account alone, on the same disk; gone with all in it afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".scoped-mcp-", dir=target.parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def keep_to_oneself(path: Path) -> None:
    """Take a file away from other accounts: what made the copy may have left it readable."""
    with contextlib.suppress(OSError):  # whoever opens it says what is wrong with it
        path.chmod(0o600)


def require_nothing(target: Path) -> None:
    """Refuse a place where something is: no copy overwrites anything.

    Raises:
        InvalidError: a file is there, or a journal of an old one, which would be played into it.
    """
    for suffix in BESIDE:
        there = target.with_name(target.name + suffix)
        if there.exists() or there.is_symlink():
            message = f"`{there}` exists, and nothing is overwritten"
            raise InvalidError(message, hint="name another file, or move that one away first")


def _look(file: Path) -> Copied:
    """What a fresh copy holds; one that cannot be read is no backup."""
    with contextlib.closing(_bare(file)) as raw:
        if raw.execute(_IS_OURS).fetchone() is None:
            message = "the file is no database of scoped-mcp"
            raise InvalidError(message, hint="name the database with --db")
        (found,) = raw.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            message = f"the database file is damaged: {found}"
            raise InternalError(message, hint="restore the newest backup that is whole")
        head = raw.execute(_HEAD).fetchone() or (0, b"")
        (revision,) = raw.execute(_REVISION).fetchone() or ("",)
    return Copied(file.stat().st_size, str(revision), int(head[0]), bytes(head[1]).hex())


def _bare(file: Path) -> driver.Raw:
    """A connection that leaves the file's mode of journalling alone."""
    raw = cast("driver.Raw", driver.dbapi.connect(str(file), isolation_level=None))
    raw.execute("PRAGMA trusted_schema = OFF")
    return raw


def _untouched(file: Path) -> driver.Raw:
    """A connection that changes nothing at or beside the file, which may be on a medium to read."""
    alone = "" if _has_wal(file) else "&immutable=1"
    name = f"file:{quote(str(file))}?mode=ro{alone}"
    raw = cast("driver.Raw", driver.dbapi.connect(name, uri=True, isolation_level=None))
    raw.execute("PRAGMA trusted_schema = OFF")
    raw.execute("PRAGMA cell_size_check = ON")
    return raw


def _has_wal(file: Path) -> bool:
    """Whether newer writes stand beside the file."""
    wal = file.with_name(file.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _told(progress: Progress | None) -> Callable[[int, int, int], None] | None:
    if progress is None:
        return None
    return lambda _status, remaining, total: progress(total - remaining, total)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
