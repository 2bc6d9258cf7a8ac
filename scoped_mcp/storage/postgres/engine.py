"""The second engine: a pool of connections on threads, and one order among all processes.

A work takes its place here first, in the order in which it came: those that may run beside others
run beside each other, one that may not runs alone. Then, on its connection:

    1  BEGIN, the advisory lock (shared or exclusive), the clock, a number: one round trip
    2  the work, whose statements are waited for only where it needs an answer
    3  COMMIT, in the same round trip as the last of them

What two works did to one row at once, a deadlock, a lost connection: the work runs again from its
start. A connection lost during COMMIT is asked for by the transaction's own id, so that nothing is
done twice and nothing acknowledged is lost. After a crash of the server it cannot be asked: the id
may have been given away again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

import psycopg
from psycopg_pool import ConnectionPool

from scoped_mcp.kernel.errors import InternalError
from scoped_mcp.storage.commits import Commits
from scoped_mcp.storage.connection import AgainError
from scoped_mcp.storage.postgres import trouble
from scoped_mcp.storage.postgres.connection import PostgresConn, settle
from scoped_mcp.storage.postgres.ear import Ear
from scoped_mcp.storage.postgres.roles import act_as_app
from scoped_mcp.storage.postgres.schema import Presence, require_current
from scoped_mcp.storage.postgres.walls import ENTER

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from psycopg import Connection, Cursor

    from scoped_mcp.storage.connection import Conn
    from scoped_mcp.storage.postgres.address import Address

T = TypeVar("T")
WRITERS = 8
READERS = 2
TRIES = 6
BESIDE = 4  # of these beside others; then it takes its turn alone, and nobody is first again
WAIT_SECONDS = 10.0  # for a connection, while the server is away: from when the call came
LEAST_SECONDS = 0.2  # for one whose turn comes when as much has passed already
LOOK_SECONDS = 1.0  # of a wait, until the next look whether the database is closing
RECONNECT_SECONDS = 5.0  # the pool waits ever longer between tries: it begins anew instead
RESOLVE_SECONDS = 30.0  # for what became of a commit
_STOPPED = "an operation raised StopIteration"
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LOOK = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ORDER = (
    "SELECT clock_timestamp(), nextval('entry_numbers'), pg_current_xact_id()::text,"  # noqa: S608 - all ours
    " (SELECT version_num FROM alembic_version), " + ENTER
)
_NOW = "SELECT clock_timestamp(), (SELECT version_num FROM alembic_version), " + ENTER  # noqa: S608 - all ours
_STATUS = "SELECT pg_xact_status(%s::xid8)"
_LIFE = "SELECT stats_reset::text FROM pg_stat_wal"  # kept through a restart, not through a crash
_TIMES = "SET timezone = 'UTC'; SET datestyle = 'ISO'"  # PGTZ and PGDATESTYLE outdo a URL's options


@dataclass(slots=True)
class _Work:
    run: Callable[[Conn], Any]
    future: asyncio.Future[Any]
    beside: bool
    came: float


class _CommitLostError(Exception):
    """The connection went while a commit was under way."""

    def __init__(
        self, transaction: str, life: str | None, value: object, cause: BaseException
    ) -> None:
        super().__init__()
        self.transaction, self.life, self.value, self.cause = transaction, life, value, cause


class PostgresDatabase:
    """The engine for many processes; see `Database` for what it promises."""

    def __init__(self, address: Address, presence: Presence, *, alone: bool) -> None:
        self.address = address
        self._presence = presence
        self._present = not alone
        self._lives: WeakKeyDictionary[Connection[Any], str | None] = WeakKeyDictionary()
        self._pool = ConnectionPool[Any](
            address.conninfo,
            min_size=1,
            max_size=WRITERS + READERS,
            kwargs={"autocommit": True},
            configure=self._configure,
            timeout=WAIT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            name="scoped-mcp",
        )
        self._writers = ThreadPoolExecutor(WRITERS, "scoped-mcp-write")
        self._readers = ThreadPoolExecutor(READERS, "scoped-mcp-read")
        self._queue: deque[_Work] = deque()
        self._running = 0
        self._alone = False
        self._closing = False
        self._commits = Commits()
        self._ear = Ear(address, self._commits)
        self._tell = f"NOTIFY {address.channel}".encode()
        self._idle = asyncio.Event()
        self._idle.set()
        self._reading = 0

    @classmethod
    async def open(cls, address: Address, *, alone: bool = False) -> PostgresDatabase:
        """Open an existing database whose schema is this code's.

        Args:
            address: Where it is.
            alone: Whether no other process may have it open meanwhile.

        Raises:
            InvalidError: there is no such schema, or the role could get past what guards it.
            InternalError: its schema is another revision, or it cannot be reached.
        """
        presence = await asyncio.to_thread(Presence.enter, address, alone=alone)
        self = cls(address, presence, alone=alone)
        try:
            await asyncio.to_thread(presence.serve)
            await asyncio.to_thread(self._pool.open, wait=True, timeout=WAIT_SECONDS)
            if not alone:
                await asyncio.to_thread(presence.leave)
        except BaseException as error:  # noqa: BLE001 - raised again, in our words
            await self._shut()
            raise trouble.translate(error) from None
        return self

    async def write(self, work: Callable[[Conn], T], *, beside: bool = False) -> T:
        """Run `work` in a transaction of its own and make it durable."""
        if self._closing:
            raise _closing()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Work(work, future, beside, time.monotonic()))
        self._pump()
        return await future

    async def read(self, work: Callable[[Conn], T]) -> T:
        """Run `work` on a snapshot that cannot write."""
        if self._closing:
            raise _closing()
        loop = asyncio.get_running_loop()
        self._reading += 1
        self._idle.clear()
        running = loop.run_in_executor(self._readers, self._look, work, time.monotonic())
        running.add_done_callback(self._looked)
        return await asyncio.shield(running)

    async def changed(self, since: int = 0) -> int:
        """Return once something was committed behind `since`, by this process or another."""
        if not self._closing:
            async with self._ear.open():
                number = await self._commits.after(since)
            if number is not None:
                return number
        raise _closing()

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        self._closing = True
        self._commits.close()
        await self._idle.wait()
        await self._shut()

    async def _shut(self) -> None:
        await self._ear.close()
        await asyncio.to_thread(self._pool.close)
        self._writers.shutdown(wait=False)
        self._readers.shutdown(wait=False)
        await asyncio.to_thread(self._presence.leave)

    def _looked(self, done: asyncio.Future[Any]) -> None:
        done.exception()  # taken, or asyncio tells of it in the server's words where nobody waits
        self._reading -= 1
        self._rest()

    def _rest(self) -> None:
        if not (self._queue or self._running or self._reading):
            self._idle.set()

    def _pump(self) -> None:
        """Begin what may begin, in order: a work that must be alone lets nobody pass."""
        self._idle.clear()
        loop = asyncio.get_running_loop()
        while self._queue and not self._alone and self._running < WRITERS:
            if not self._queue[0].beside and self._running:
                break
            work = self._queue.popleft()
            if work.future.cancelled():
                continue
            self._running += 1
            self._alone = not work.beside
            done = loop.run_in_executor(self._writers, self._transact, work)
            done.add_done_callback(partial(self._settle, work))
        self._rest()

    def _settle(self, work: _Work, done: asyncio.Future[Any]) -> None:
        self._running -= 1
        self._alone = False
        error = done.exception()
        if isinstance(error, AgainError):
            work.beside = False
            self._queue.appendleft(work)
        elif work.future.done():
            pass
        elif isinstance(error, StopIteration):  # a future refuses it, and its caller would hang
            work.future.set_exception(RuntimeError(_STOPPED))
        elif error is not None:
            work.future.set_exception(error)
        else:
            work.future.set_result(done.result())
            self._commits.tell()
        self._pump()

    # --- on a thread

    def _transact(self, work: _Work) -> Any:  # noqa: ANN401 - what the work returns
        """Run a work until it is done, or is refused for a reason of its own."""
        until, races = _until(work.came), 0
        while True:
            try:
                return self._once(work, until, beside=work.beside and races < BESIDE)
            except _CommitLostError as lost:
                if self._committed(lost):
                    return lost.value
                if not self._waits(until):
                    raise trouble.translate(lost.cause) from lost
            except psycopg.Error as error:
                if isinstance(error, trouble.RACES):
                    races += 1
                    again = races < TRIES
                else:  # however many of the pool's connections were lost together
                    again = trouble.is_away(error) and self._waits(until)
                if not again:
                    raise trouble.translate(error) from error
            except StopIteration as error:
                raise RuntimeError(_STOPPED) from error
            time.sleep(random.uniform(0, 0.002 * 2**races))  # noqa: S311 - to part who met

    def _waits(self, until: float) -> bool:
        """Whether to go on waiting for a server that is away."""
        return time.monotonic() < until and not self._closing

    def _connection(self, until: float) -> AbstractContextManager[Connection[Any]]:
        left = LEAST_SECONDS if self._closing else until - time.monotonic()
        return self._pool.connection(min(max(left, LEAST_SECONDS), LOOK_SECONDS))

    def _once(self, work: _Work, until: float, *, beside: bool) -> Any:  # noqa: ANN401 - what the work returns
        with self._connection(until) as raw:
            transaction, value, committing = "", None, False
            try:
                with raw.pipeline() as pipeline:
                    order = self._order(raw, beside=beside)
                    now, number, transaction, revision, _ = cast("Any", order.fetchone())
                    require_current(revision)
                    conn = PostgresConn(raw, pipeline, now=now, alone=not beside, number=number)
                    value = work.run(conn)
                    raw.execute(self._tell)
                    committing = True
                    ended = raw.execute("COMMIT")
                    conn.sync()
            except BaseException as error:
                _abandon(raw, error)
                if committing and trouble.is_lost(error):
                    life = self._lives.get(raw)
                    raise _CommitLostError(transaction, life, value, error) from error
                raise
            if ended.statusmessage != "COMMIT":
                message = "the database ended the transaction"
                raise InternalError(message, hint="call again", retry=True)
            return value

    def _order(self, raw: Connection[Any], *, beside: bool) -> Cursor[Any]:
        """1: take the order, then read the clock (rulings 53 and 55)."""
        how = "_shared" if beside else ""
        raw.execute(_BEGIN)
        raw.execute(f"SELECT pg_advisory_xact_lock{how}({self.address.lock('order')})".encode())
        return raw.execute(_ORDER)

    def _committed(self, lost: _CommitLostError) -> bool:
        """Ask a new connection what became of a transaction.

        Raises:
            InternalError: nobody can say: the server crashed, or stays away.
        """
        until = time.monotonic() + RESOLVE_SECONDS
        while time.monotonic() < until:
            try:
                with self._pool.connection() as raw:
                    if self._lives.get(raw) != lost.life:
                        break
                    (status,) = raw.execute(_STATUS, [lost.transaction]).fetchone()
            except psycopg.Error:
                status = "unknown"
            if status in {"committed", "aborted"}:
                return bool(status == "committed")
            time.sleep(0.1)
        raise trouble.unknown_outcome(lost.cause)

    def _look(self, work: Callable[[Conn], T], came: float) -> T:
        until = _until(came)
        while True:
            try:
                return self._snapshot(work, until)
            except psycopg.Error as error:
                if not (trouble.is_away(error) and self._waits(until)):
                    raise trouble.translate(error) from error
            except StopIteration as error:  # a future refuses it, and its caller would hang
                raise RuntimeError(_STOPPED) from error
            time.sleep(0.05)

    def _snapshot(self, work: Callable[[Conn], T], until: float) -> T:
        with self._connection(until) as raw:
            try:
                with raw.pipeline() as pipeline:
                    raw.execute(_LOOK)
                    now, revision, _ = cast("Any", raw.execute(_NOW).fetchone())
                    require_current(revision)
                    conn = PostgresConn(raw, pipeline, now=now)
                    value = work(conn)
                    raw.execute("COMMIT")  # at a ROLLBACK psycopg forgets what is prepared
                    conn.sync()
                    return value
            except BaseException as error:
                _abandon(raw, error)
                raise

    def _configure(self, raw: Connection[Any]) -> None:
        """Each says for as long as it lives that somebody has the schema open."""
        try:
            settle(raw)
            if self._present:
                Presence.claim(raw, self.address)
            act_as_app(raw)
            raw.execute(_TIMES)
            self._lives[raw] = cast("Any", raw.execute(_LIFE).fetchone())[0]
        except BaseException:
            raw.close()
            raise


def _until(came: float) -> float:
    """How long a call waits for a server; in a row of many, not each for all of it again."""
    return max(came + WAIT_SECONDS, time.monotonic() + LEAST_SECONDS)


def _abandon(raw: Connection[Any], error: BaseException | None = None) -> None:
    """End what is not committed; a broken connection ended it by itself.

    Where a statement failed, those sent behind it were never looked at, and psycopg supposes that
    some of them are prepared: it would call a connection's statements by names that are nobody's.
    """
    if isinstance(error, psycopg.Error):
        raw.close()
    elif not raw.closed:
        try:
            raw.execute("ROLLBACK")
        except psycopg.Error:
            raw.close()


def _closing() -> InternalError:
    message = "the database is closing"
    return InternalError(message, hint="call again when the server is back", retry=True)
