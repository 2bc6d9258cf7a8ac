"""The promise that both engines keep, and how one is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import unquote

from scoped_mcp.kernel.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoped_mcp.storage.connection import Conn

T = TypeVar("T")


class Database(Protocol):
    """A place where work runs in transactions.

    `write` runs work in one durable transaction: when it returns, the work is on disk; when it
    raises, nothing of it is. Work is serial: what runs later sees all that ran earlier. Work may be
    run again from the start, so it touches nothing but its connection. A caller cancelled while its
    work waits is skipped; once work has begun, it commits whatever becomes of the caller.
    """

    async def write(self, work: Callable[[Conn], T], *, beside: bool = False) -> T:
        """Run `work` in a transaction of its own and make it durable.

        Args:
            work: What to do.
            beside: Whether other works that may, too, run at the same time, where the engine can.
                One that finds that it may not raises `AgainError`, and starts again alone.
        """
        ...

    async def read(self, work: Callable[[Conn], T]) -> T:
        """Run `work` on a snapshot that cannot write."""
        ...

    async def changed(self, since: int = 0) -> int:
        """Return once something was committed behind `since`, by this process or another.

        Several commits are one answer, and nothing is said of what they were: that, a transaction
        tells. It may answer where there was none; it never misses one.

        Args:
            since: What it answered the last time; 0, which it never answers, to be told at once.

        Returns:
            What to pass the next time.

        Raises:
            InternalError: the database is closing.
        """
        ...

    async def close(self) -> None:
        """Finish what runs, refuse what is new, let go of the file."""
        ...


def sqlite_path(url: str) -> Path:
    """The file behind `sqlite:///relative.db`, `sqlite:////absolute.db` or a plain path.

    Raises:
        InvalidError: the URL is of another engine, or has no file.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        rest = "/" + url
    elif scheme != "sqlite":
        message = f"no engine for `{scheme}`"
        raise InvalidError(message, hint="use sqlite:///path/to/scoped.db")
    name = unquote(rest.removeprefix("/"))
    if not name or name == ":memory:" or "\0" in name:
        message = "the database needs a file: several connections share it"
        raise InvalidError(message, hint="use sqlite:///path/to/scoped.db")
    path = Path(name).expanduser().absolute()
    if os.path.isdir(path):  # noqa: PTH112 - what cannot be looked at, whoever opens it tells
        message = f"`{path}` is a folder"
        raise InvalidError(message, hint="use sqlite:///path/to/scoped.db")
    return path
