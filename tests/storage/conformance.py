"""What every engine promises; each engine's test module runs this class on itself.

The engine's module defines a class that inherits `Promises`, and the fixture `place`: a `Place`
whose database has the tables of `PROBE`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
    text,
    update,
)

from scoped_mcp.kernel.errors import InternalError, ScopedError
from scoped_mcp.storage.connection import Conn
from scoped_mcp.storage.database import Database
from tests.promises import promise

PROBE = MetaData()
parents = Table("parents", PROBE, Column("id", Integer, primary_key=True))
notes = Table(
    "notes",
    PROBE,
    Column("id", Integer, primary_key=True),
    Column("text", Text, nullable=False, unique=True),
    Column("parent", Integer, ForeignKey("parents.id", deferrable=True, initially="DEFERRED")),
)
ALL = select(notes.c.text).order_by(notes.c.id)
COUNT = select(func.count()).select_from(notes)
QUIET = 0.25  # seconds in which every commit that there was has been told
BOUND = 60.0  # seconds: a hang fails, it does not wait for ever


@dataclass
class Place:
    """Somewhere to open databases of one engine.

    Attributes:
        open: Opens the database at this place once more.
        script: Python source that opens it in a process and calls the `main(database)` behind it.
    """

    open: Callable[[], Coroutine[Any, Any, Database]]
    script: str


class Boom(Exception):  # noqa: N818 - it is what it is
    """What a handler raises in these tests."""


class Gate:
    """Work that waits inside its transaction until it is let go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _conn: Conn) -> None:
        self.entered.set()
        assert self.open.wait(BOUND)

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, BOUND)


def note(words: str, parent: int | None = None) -> Callable[[Conn], int]:
    return lambda conn: conn.insert(insert(notes), {"text": words, "parent": parent})


def texts(conn: Conn) -> list[str]:
    return [row.text for row in conn.rows(ALL)]


def raising(error: BaseException, before: str | None = None) -> Callable[[Conn], None]:
    def work(conn: Conn) -> None:
        if before is not None:
            note(before)(conn)
        raise error

    return work


async def settled(database: Database, seen: int = 0) -> int:
    """The number behind which nothing is heard: what was committed so far has been told.

    Whoever begins to listen says first that there may have been something, however long that takes.
    """
    ear: Any = database._ear  # type: ignore[attr-defined]
    while True:
        listens = bool(getattr(ear, "_raw", None) or getattr(ear, "_version", 0))
        try:
            async with asyncio.timeout(QUIET if listens or not seen else BOUND):
                seen = await database.changed(seen)
        except TimeoutError:
            return seen


async def outcomes(*works: Any) -> list[Any]:
    async with asyncio.timeout(BOUND):
        return await asyncio.gather(*works, return_exceptions=True)


class Promises:
    """The promises of `Database`."""

    @pytest_asyncio.fixture
    async def database(self, place: Place) -> AsyncIterator[Database]:
        database = await place.open()
        yield database
        await database.close()

    async def together(self, database: Database, *works: Callable[[Conn], Any]) -> list[Any]:
        """Hand works over so that they wait together, and are one batch where there are batches."""
        gate = Gate()
        first = asyncio.create_task(database.write(gate))
        await gate.until_entered()
        waiting = [asyncio.create_task(database.write(work)) for work in works]
        await asyncio.sleep(0)
        gate.open.set()
        await first
        return await outcomes(*waiting)

    # --- one transaction

    async def test_a_write_answers_what_its_work_returns(self, database: Database) -> None:
        assert await database.write(note("a")) == 1
        assert await database.read(texts) == ["a"]

    @promise("faults.killed")
    async def test_what_was_written_outlives_a_killed_process(self, place: Place) -> None:
        body = """
async def main(database):
    for i in range(20):
        await database.write(note(f"n{i}"))
        print(i, flush=True)
    os._exit(9)
"""
        done = await asyncio.to_thread(_run, place.script + body)
        assert done.returncode == 9, done.stderr
        database = await place.open()
        try:
            assert await database.read(texts) == [f"n{i}" for i in range(20)]
        finally:
            await database.close()

    async def test_a_killed_transaction_leaves_nothing(self, place: Place) -> None:
        body = """
async def main(database):
    await database.write(note("kept"))
    def work(conn):
        for i in range(50):
            note(f"lost{i}")(conn)
        os._exit(9)
    await database.write(work)
"""
        done = await asyncio.to_thread(_run, place.script + body)
        assert done.returncode == 9, done.stderr
        database = await place.open()
        try:
            assert await database.read(texts) == ["kept"]
        finally:
            await database.close()

    @promise("path.whole")
    @pytest.mark.parametrize(
        "error", [Boom(), ValueError("x"), KeyError(), InternalError("x"), asyncio.CancelledError()]
    )
    async def test_work_that_raises_leaves_nothing(
        self, database: Database, error: BaseException
    ) -> None:
        (result,) = await outcomes(database.write(raising(error, "lost")))
        assert type(result) is type(error)
        assert await database.read(texts) == []
        await database.write(note("next"))
        assert await database.read(texts) == ["next"]

    @promise("batch.exceptions")
    @pytest.mark.parametrize("error", [StopIteration(), GeneratorExit()])
    async def test_no_exception_hangs_the_caller_of_a_write(
        self, database: Database, error: BaseException
    ) -> None:
        with pytest.raises((RuntimeError, GeneratorExit)):
            async with asyncio.timeout(BOUND):
                await database.write(raising(error))
        assert await database.write(note("next")) == 1

    @promise("batch.exceptions")
    async def test_no_exception_hangs_the_caller_of_a_read(self, database: Database) -> None:
        with pytest.raises(RuntimeError):
            async with asyncio.timeout(BOUND):
                await database.read(raising(StopIteration()))
        assert await database.read(texts) == []

    async def test_a_savepoint_undoes_what_came_after_it(self, database: Database) -> None:
        def work(conn: Conn) -> None:
            note("a")(conn)
            conn.savepoint("step")
            note("b")(conn)
            conn.rollback("step")
            conn.savepoint("step")
            note("c")(conn)
            conn.release("step")

        await database.write(work)
        assert await database.read(texts) == ["a", "c"]

    async def test_the_database_s_refusals_are_ours(self, database: Database) -> None:
        await database.write(note("a"))
        (result,) = await outcomes(database.write(note("a")))
        assert isinstance(result, InternalError)
        (result,) = await outcomes(database.read(lambda c: c.rows(text("SELECT * FROM nowhere"))))
        assert isinstance(result, InternalError)

    async def test_changed_rows_are_counted(self, database: Database) -> None:
        await database.write(note("a"))
        change = update(notes).values(text="b")
        assert await database.write(lambda conn: conn.update(change, {})) == 1
        none = change.where(notes.c.id == 99)
        assert await database.write(lambda conn: conn.update(none, {})) == 0

    # --- order

    async def test_work_is_done_in_the_order_it_came(self, database: Database) -> None:
        names = [f"n{i:03}" for i in range(200)]
        await outcomes(*(database.write(note(name)) for name in names))
        assert await database.read(texts) == names

    async def test_later_work_sees_all_earlier_work(self, database: Database) -> None:
        def count_and_add(conn: Conn) -> int:
            seen = conn.rows(COUNT)[0][0]
            note(f"n{seen}")(conn)
            return int(seen)

        seen = await outcomes(*(database.write(count_and_add) for _ in range(150)))
        assert seen == list(range(150))

    async def test_a_read_sees_every_write_that_was_answered_before(
        self, database: Database
    ) -> None:
        for i in range(30):
            await database.write(note(f"n{i}"))
            assert len(await database.read(texts)) == i + 1

    # --- reads

    async def test_a_read_cannot_write(self, database: Database) -> None:
        for work in (note("x"), lambda c: c.update(update(notes).values(text="y"), {})):
            (result,) = await outcomes(database.read(work))
            assert isinstance(result, ScopedError)
        assert await database.write(texts) == []

    async def test_a_read_is_one_snapshot(self, database: Database) -> None:
        await database.write(note("before"))
        half, gate = threading.Event(), threading.Event()

        def twice(conn: Conn) -> tuple[list[str], list[str]]:
            first = texts(conn)
            half.set()
            assert gate.wait(BOUND)
            return first, texts(conn)

        reading = asyncio.create_task(database.read(twice))
        assert await asyncio.to_thread(half.wait, BOUND)
        await database.write(note("meanwhile"))
        gate.set()
        assert await reading == (["before"], ["before"])
        assert await database.read(texts) == ["before", "meanwhile"]

    async def test_a_cancelled_read_gives_its_place_back(self, database: Database) -> None:
        for _ in range(5):
            gate = Gate()
            reading = asyncio.create_task(database.read(gate))
            await gate.until_entered()
            reading.cancel()
            gate.open.set()
            await outcomes(reading)
        async with asyncio.timeout(BOUND):
            assert await database.read(texts) == []

    # --- batches

    async def test_an_error_does_not_touch_its_neighbours(self, database: Database) -> None:
        results = await self.together(
            database, note("a"), raising(Boom(), "lost"), note("b"), note("a"), note("c")
        )
        assert [type(r) for r in results] == [int, Boom, int, InternalError, int]
        assert await database.read(texts) == ["a", "b", "c"]

    @promise("batch.replay")
    async def test_a_key_that_fails_at_commit_takes_only_its_own_work(
        self, database: Database
    ) -> None:
        results = await self.together(database, note("a"), note("orphan", 99), note("b"), note("c"))
        assert [type(r) for r in results] == [int, InternalError, int, int]
        assert await database.read(texts) == ["a", "b", "c"]

    async def test_a_key_that_is_there_at_commit_is_enough(self, database: Database) -> None:
        def late(conn: Conn) -> None:
            note("child", 7)(conn)
            conn.insert(insert(parents), {"id": 7})

        assert await self.together(database, late) == [None]

    @promise("batch.replay")
    async def test_work_runs_again_whole_when_the_batch_is_lost(self, database: Database) -> None:
        runs: list[str] = []

        def counted(conn: Conn) -> int:
            runs.append("run")
            return note(f"n{len(runs)}")(conn)

        results = await self.together(database, counted, note("orphan", 99), counted)
        assert [type(r) for r in results] == [int, InternalError, int]
        assert len(await database.read(texts)) == 2
        assert len(runs) >= 2

    # --- callers that leave

    @promise("batch.cancelled")
    async def test_who_leaves_the_queue_is_skipped(self, database: Database) -> None:
        gate = Gate()
        first = asyncio.create_task(database.write(gate))
        await gate.until_entered()
        leaving = asyncio.create_task(database.write(note("lost")))
        staying = asyncio.create_task(database.write(note("kept")))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        await first
        await outcomes(leaving, staying)
        assert leaving.cancelled()
        assert await database.read(texts) == ["kept"]

    @promise("batch.cancelled")
    async def test_what_has_begun_commits_whatever_becomes_of_its_caller(
        self, database: Database
    ) -> None:
        gate = Gate()

        def work(conn: Conn) -> None:
            note("kept")(conn)
            gate(conn)

        leaving = asyncio.create_task(database.write(work))
        await gate.until_entered()
        leaving.cancel()
        await outcomes(leaving)
        gate.open.set()
        assert await database.write(texts) == ["kept"]

    # --- the signal

    @promise("storage.changed")
    async def test_who_waits_is_told_of_a_commit_and_not_before(self, database: Database) -> None:
        seen = await settled(database)
        waiting = asyncio.create_task(database.changed(seen))
        await database.read(texts)
        assert not waiting.done()
        await database.write(note("a"))
        (told,) = await outcomes(waiting)
        assert told > seen
        assert await database.read(texts) == ["a"]

    async def test_what_was_committed_before_one_waits_is_told_at_once(
        self, database: Database
    ) -> None:
        seen = await settled(database)
        await database.write(note("a"))
        (told,) = await outcomes(database.changed(seen))
        assert told > seen
        again = await outcomes(database.changed(), database.changed(seen))
        assert min(again) >= told  # its own word and the server's may be two

    async def test_many_commits_are_one_answer(self, database: Database) -> None:
        seen = await settled(database)
        waiting = [asyncio.create_task(database.changed(seen)) for _ in range(200)]
        await outcomes(*(database.write(note(f"n{i}")) for i in range(200)))
        told = await outcomes(*waiting)
        assert all(isinstance(number, int) and number > seen for number in told)
        await settled(database, max(told))

    @pytest.mark.slow
    @promise("storage.changed")
    async def test_who_waits_is_told_of_the_commits_of_other_processes(self, place: Place) -> None:
        database = await place.open()
        try:
            seen = await settled(database)
            body = 'async def main(database):\n    await database.write(note("theirs"))\n'
            other = asyncio.create_task(asyncio.to_thread(_run, place.script + body))
            while await database.read(texts) == []:
                (seen,) = await outcomes(database.changed(seen))
            assert (await other).returncode == 0
        finally:
            await database.close()

    @pytest.mark.slow
    async def test_what_other_processes_commit_while_nobody_waits_is_told_later(
        self, place: Place
    ) -> None:
        database = await place.open()
        try:
            seen = await settled(database)
            body = 'async def main(database):\n    await database.write(note("theirs"))\n'
            assert (await asyncio.to_thread(_run, place.script + body)).returncode == 0
            (told,) = await outcomes(database.changed(seen))
            assert told > seen
        finally:
            await database.close()

    async def test_a_work_that_failed_loses_no_waiter(self, database: Database) -> None:
        seen = await settled(database)
        waiting = asyncio.create_task(database.changed(seen))
        await outcomes(database.write(raising(Boom())), database.write(note("a")))
        (told,) = await outcomes(waiting)
        assert told > seen

    async def test_closing_ends_the_waiting(self, place: Place) -> None:
        database = await place.open()
        waiting = asyncio.create_task(database.changed(await settled(database)))
        await asyncio.sleep(0)
        results = await outcomes(database.close(), waiting, database.changed())
        assert [type(r) for r in results[1:]] == [InternalError, InternalError]

    # --- closing

    async def test_closing_finishes_what_waits_and_refuses_what_is_new(self, place: Place) -> None:
        database = await place.open()
        gate = Gate()
        first = asyncio.create_task(database.write(gate))
        await gate.until_entered()
        waiting = [asyncio.create_task(database.write(note(f"n{i}"))) for i in range(100)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        (late,) = await outcomes(database.write(note("late")))
        gate.open.set()
        results = await outcomes(first, *waiting, closing)
        assert isinstance(late, InternalError)
        assert not [r for r in results if isinstance(r, BaseException)]
        database = await place.open()
        try:
            assert await database.read(texts) == [f"n{i}" for i in range(100)]
        finally:
            await database.close()

    async def test_a_closed_database_refuses_reads_and_writes_alike(self, place: Place) -> None:
        database = await place.open()
        await database.close()
        results = await outcomes(database.read(texts), database.write(note("x")))
        assert [type(r) for r in results] == [InternalError, InternalError]

    async def test_closing_finishes_a_read_that_runs(self, place: Place) -> None:
        database = await place.open()
        gate = Gate()
        reading = asyncio.create_task(database.read(gate))
        await gate.until_entered()
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        gate.open.set()
        assert await outcomes(reading, closing) == [None, None]

    async def test_closing_twice_is_closing_once(self, place: Place) -> None:
        database = await place.open()
        await database.close()
        await database.close()

    # --- company

    @promise("audit.processes")
    async def test_two_processes_share_one_database(self, place: Place) -> None:
        body = """
async def main(database):
    def count_and_add(conn):
        seen = conn.rows(COUNT)[0][0]
        note(f"n{seen}")(conn)
    for _ in range(60):
        await asyncio.gather(*(database.write(count_and_add) for _ in range(3)))
"""
        runs = [asyncio.to_thread(_run, place.script + body) for _ in range(2)]
        for done in await asyncio.gather(*runs):
            assert done.returncode == 0, done.stderr
        database = await place.open()
        try:
            assert await database.read(texts) == [f"n{i}" for i in range(360)]
        finally:
            await database.close()


def _run(source: str) -> subprocess.CompletedProcess[str]:
    tail = "\nasyncio.run(run(main))\n"
    return subprocess.run(
        [sys.executable, "-c", source + tail],
        capture_output=True,
        text=True,
        timeout=2 * BOUND,
        check=False,
    )
