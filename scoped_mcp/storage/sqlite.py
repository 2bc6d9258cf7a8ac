"""SQLite: one writer with group commit, a few readers, several processes on one file.

Operations waiting together run in one `BEGIN IMMEDIATE`, each in its savepoint, and are
acknowledged after the one fsync. If the outer transaction is lost — a deferred key that fails at
COMMIT, a full disk — nothing of it stands, and its operations run again one by one, so that only
the culprit fails (ruling 58).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aiosqlite

from scoped_mcp.kernel.errors import InternalError, ScopedError
from scoped_mcp.storage import driver
from scoped_mcp.storage.commits import Commits
from scoped_mcp.storage.connection import SQLiteConn
from scoped_mcp.storage.ear import EVERY, Ear
from scoped_mcp.storage.presence import Presence, require_usable
from scoped_mcp.storage.schema import require_current
from scoped_mcp.storage.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from scoped_mcp.storage.connection import Conn

T = TypeVar("T")
BATCH = 64
READERS = 2
STOP_SECONDS = 5.0  # for a thread that could not open its connection
COMPANY_SECONDS = 2.0  # how long after another process wrote we leave it room
_STOPPED = "an operation raised StopIteration"
COMPANY_PAUSE = 0.0005  # ruling 58: p99.9 of the other process fell from 4.6 s to 0.4 s
BUSY_SECONDS = 30.0
BUSY_PAUSE = 0.0005  # as long as the pause that the other process makes, or we would miss it


@dataclass(slots=True)
class _Work:
    run: Callable[[Conn], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Result:
    value: Any = None
    error: BaseException | None = None
    skipped: bool = False


class _LostError(Exception):
    """The outer transaction is gone: what ran in it must run again."""


class _NotBegunError(Exception):
    """No transaction could begin; the cause says why."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


_TROUBLE = (_LostError, driver.dbapi.Error)


class _Thread(aiosqlite.Connection):
    """aiosqlite's connection and thread, handed whole functions."""

    async def run(self, work: Callable[[], T]) -> T:
        execute = cast("Callable[[Callable[[], T]], Awaitable[T]]", self._execute)  # pyright: ignore[reportUnknownMemberType]
        return await execute(lambda: work())  # noqa: PLW0108 - aiosqlite logs what it is handed


class _Link:
    """One connection on its thread."""

    def __init__(self, path: Path, *, reader: bool) -> None:
        self._thread = _Thread(lambda: driver.connect(path, reader=reader), 64)
        self._thread._thread.daemon = True  # noqa: SLF001 - a forgotten close must not hang exit
        self._reader = reader
        self.patience = driver.Patience()
        self.raw: driver.Raw | None = None

    async def open(self) -> None:
        try:
            await self._thread
        except BaseException:  # aiosqlite stops the thread, which still speaks to this loop once
            self._thread._thread.join(STOP_SECONDS)  # noqa: SLF001 - aiosqlite has no public name
            raise
        await self.run(self._attach)

    def _attach(self) -> None:
        raw = self._thread._conn  # noqa: SLF001 - aiosqlite has no public name
        self.raw = raw
        if not self._reader:
            raw.execute("PRAGMA busy_timeout = 0")  # see `_take_turn`
        self.patience.guard(raw)
        driver.confine(raw)

    async def run(self, work: Callable[[], T]) -> T:
        return await self._thread.run(work)

    async def close(self) -> None:
        await self._thread.close()


class SQLiteDatabase:
    """The embedded engine; see `Database` for what it promises."""

    def __init__(self, path: Path, presence: Presence) -> None:
        self.path = path
        self._presence = presence
        self._watch = Watch(path)
        self._alone = True
        self._writer = _Link(path, reader=False)
        self._readers = [_Link(path, reader=True) for _ in range(READERS)]
        self._idle: asyncio.Queue[_Link] = asyncio.Queue()
        self._queue: deque[_Work] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._data_version = 0
        self._company_until = 0.0
        self._commits = Commits()
        self._ear = Ear(path)

    @classmethod
    async def open(cls, path: Path, *, alone: bool = False) -> SQLiteDatabase:
        """Open an existing database whose schema is this code's.

        Args:
            path: Its file.
            alone: Whether no other process may have it open meanwhile.

        Raises:
            InvalidError: there is no such file, its schema is another one, or a second process may
                not open it with this version of SQLite.
        """
        require_usable(path)
        presence = Presence.enter(path, alone=alone)
        self = cls(path, presence)
        try:
            for link in (self._writer, *self._readers):
                await link.open()
            await self._writer.run(self._settle_in)
        except BaseException as error:  # noqa: BLE001 - raised again, in our words
            await self._shut()
            raise driver.translate(error) from None
        for link in self._readers:
            self._idle.put_nowait(link)
        self._task = asyncio.create_task(self._serve(), name="scoped-mcp writer")
        return self

    def _settle_in(self) -> None:
        raw = _raw(self._writer)
        require_current(raw)
        self._look_for_company(raw)
        self._alone = not driver.is_replicated(raw)
        self._watch.begin()  # behind the first read, which made -wal and -shm

    async def write(self, work: Callable[[Conn], T], *, beside: bool = False) -> T:  # noqa: ARG002 - one writer
        """Run `work` in a transaction of its own and make it durable."""
        if self._closing:
            raise _closing()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Work(work, future))
        self._wake.set()
        return await future

    async def read(self, work: Callable[[Conn], T]) -> T:
        """Run `work` on a snapshot that cannot write."""
        link = await self._idle.get()
        try:
            if self._closing:
                raise _closing()
            return await link.run(lambda: self._snapshot(link, work))
        finally:
            self._idle.put_nowait(link)

    async def changed(self, since: int = 0) -> int:
        """Return once something was committed behind `since`; other processes' within 0.2 s."""
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    number = await self._commits.after(since)
                if number is None:
                    break
                return number
            self._watch.check()  # or the ear would make a file where there is none any more
            if not self._closing and await self._ear.heard():
                self._commits.tell()
        raise _closing()

    async def close(self) -> None:
        """Finish what waits, then let go of the file."""
        self._closing = True
        self._commits.close()
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._shut()

    async def _shut(self) -> None:
        await self._ear.close()
        for link in (self._writer, *self._readers):
            with contextlib.suppress(ValueError):  # never opened
                await link.close()
        self._presence.leave()

    async def _serve(self) -> None:
        """Take what waits, run it as one batch, tell each caller what became of it."""
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            try:
                results = await self._writer.run(partial(self._batch, batch))
            except Exception as error:  # noqa: BLE001 - the writer outlives any batch
                results = [_Result(error=driver.translate(error))] * len(batch)
            for work, result in zip(batch, results, strict=True):
                _settle(work.future, result)
            self._commits.tell()

    def _batch(self, batch: list[_Work]) -> list[_Result]:
        """On the database's thread: all in one transaction, or each in its own."""
        try:
            return self._together(batch)
        except _NotBegunError as error:  # nobody's fault: each of them would only wait anew
            return [_Result(error=driver.translate(error.cause))] * len(batch)
        except _TROUBLE as error:
            self._abandon()
            if len(batch) == 1:
                return [_Result(error=driver.translate(error))]
        results: list[_Result] = []
        for work in batch:
            try:
                results += self._together([work])
            except _NotBegunError as error:
                results.append(_Result(error=driver.translate(error.cause)))
            except _TROUBLE as error:
                self._abandon()
                results.append(_Result(error=driver.translate(error)))
        return results

    def _together(self, batch: list[_Work]) -> list[_Result]:
        raw = _raw(self._writer)
        try:
            self._take_turn()
            self._look_for_company(raw)
            self._watch.check(alone=self._alone)
            require_current(raw)
        except (ScopedError, *_TROUBLE) as error:  # busy, another schema or file
            self._abandon()
            raise _NotBegunError(error) from error
        conn = SQLiteConn(raw, self._writer.patience)
        results = [self._one(conn, work) for work in batch]
        raw.execute("COMMIT")
        self._watch.settle()
        if time.monotonic() < self._company_until:
            time.sleep(COMPANY_PAUSE)
        return results

    def _one(self, conn: Conn, work: _Work) -> _Result:
        if work.future.cancelled():
            return _Result(skipped=True)
        conn.savepoint("operation")
        try:
            value = work.run(conn)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this caller's
            self._still_inside(error)
            conn.rollback("operation")
            return _Result(error=driver.translate(error))
        self._still_inside(None)
        conn.release("operation")
        return _Result(value=value)

    def _still_inside(self, cause: BaseException | None) -> None:
        """A full disk or RAISE(ROLLBACK) ends the outer transaction behind our back."""
        if not _raw(self._writer).in_transaction:
            raise _LostError from cause

    def _abandon(self) -> None:
        raw = _raw(self._writer)
        if raw.in_transaction:
            raw.execute("ROLLBACK")

    def _take_turn(self) -> None:
        """Begin, when no other process writes.

        SQLite's own wait sleeps up to 0.1 s between two tries: beside a process that writes without
        pause it waited 9 s for what ours has in milliseconds.
        """
        raw = _raw(self._writer)
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except driver.dbapi.OperationalError as error:
                if not driver.is_busy(error) or time.monotonic() > until:
                    raise
                time.sleep(BUSY_PAUSE)
            else:
                return

    def _look_for_company(self, raw: driver.Raw) -> None:
        version = int(raw.execute("PRAGMA data_version").fetchone()[0])
        if self._data_version not in (0, version):
            self._company_until = time.monotonic() + COMPANY_SECONDS
            self._alone = False  # from now on, others write to the file too
        self._data_version = version

    def _snapshot(self, link: _Link, work: Callable[[Conn], T]) -> T:
        raw = _raw(link)
        self._watch.check()
        raw.execute("BEGIN")
        try:
            require_current(raw)
            return work(SQLiteConn(raw, link.patience))
        except driver.dbapi.Error as error:
            raise driver.translate(error) from error
        except StopIteration as error:  # a future refuses it, and its caller would hang
            raise RuntimeError(_STOPPED) from error
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")


def _raw(link: _Link) -> driver.Raw:
    return cast("driver.Raw", link.raw)


def _closing() -> InternalError:
    message = "the database is closing"
    return InternalError(message, hint="call again when the server is back", retry=True)


def _settle(future: asyncio.Future[Any], result: _Result) -> None:
    if future.done():
        return
    if result.skipped:
        future.cancel()
    elif isinstance(result.error, StopIteration):  # a future refuses it, and its caller would hang
        future.set_exception(RuntimeError(_STOPPED))
    elif result.error is not None:
        future.set_exception(result.error)
    else:
        future.set_result(result.value)
