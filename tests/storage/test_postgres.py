"""PostgreSQL keeps the promises of `Database`, and some of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import bindparam, create_engine, func, insert, text, update

from scoped_mcp.kernel.errors import InternalError
from scoped_mcp.storage.connection import Conn
from scoped_mcp.storage.postgres import ear, roles, schema
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.engine import TRIES, PostgresDatabase
from scoped_mcp.storage.postgres.schema import Presence
from scoped_mcp.storage.revisions import HEAD
from tests import postgres
from tests.promises import promise
from tests.storage.conformance import ALL, BOUND, PROBE, Gate, Place, Promises, notes

SCRIPT = """
import asyncio, os
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.engine import PostgresDatabase
from tests.storage.conformance import COUNT, note, texts

async def run(main):
    database = await PostgresDatabase.open(Address.parse({url!r}))
    await main(database)
    await database.close()
"""


@pytest.fixture
def probe() -> str:
    """The URL of a schema with the probe tables, which belong to another role than serves."""
    url = postgres.url()
    address = Address.parse(url)
    raw = postgres.admin()
    roles.provide(raw)
    raw.execute(f"CREATE SCHEMA {address.schema} AUTHORIZATION scoped_owner")
    raw.execute(f"SET search_path = {address.schema}")
    raw.execute("CREATE TABLE alembic_version (version_num text NOT NULL)")
    raw.execute(f"INSERT INTO alembic_version VALUES ('{HEAD}')")
    raw.execute("CREATE SEQUENCE entry_numbers")
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw)
    PROBE.create_all(engine, checkfirst=False)
    roles.grant(raw, address.schema, ["alembic_version", "notes", "parents"])
    return url


@pytest.fixture
def place(probe: str) -> Place:
    """Where the conformance suite opens PostgreSQL databases."""
    address = Address.parse(probe)
    return Place(lambda: PostgresDatabase.open(address), SCRIPT.format(url=probe))


class TestPostgres(Promises):
    """The conformance suite."""


ADD = insert(notes)
CHANGE = update(notes).where(notes.c.id == bindparam("which")).values(text=bindparam("new"))
SHORTEN = CHANGE.values(text=func.left(bindparam("new"), 3))
LARGE = 8 * 1_048_576


@promise("postgres.again")
async def test_works_that_deadlock_are_both_done(place: Place) -> None:
    """Each takes what the other has first taken; the server ends one, which runs again."""
    database = await place.open()
    meet = threading.Barrier(2)
    runs: list[str] = []

    def crossing(name: str, order: tuple[int, int]) -> Callable[[Conn], None]:
        def work(conn: Conn) -> None:
            runs.append(name)
            conn.update(CHANGE, {"which": order[0], "new": f"{name} {order[0]}"})
            if len(runs) <= 2:
                meet.wait(BOUND)
            conn.update(CHANGE, {"which": order[1], "new": f"{name} {order[1]}"})

        return work

    for number in (1, 2):
        values = {"id": number, "text": str(number)}
        await database.write(lambda conn, v=values: conn.insert(ADD, v))
    ways = [crossing("one", (1, 2)), crossing("two", (2, 1))]
    await asyncio.gather(*(database.write(way, beside=True) for way in ways))
    assert len(runs) == 3
    last = runs[-1]
    found = await database.read(lambda conn: conn.rows(ALL))
    assert [row.text for row in found] == [f"{last} 1", f"{last} 2"]
    await database.close()


async def test_what_is_more_than_a_socket_holds_is_sent_whole(place: Place) -> None:
    """The driver's own pipelines wait for the answer to what they sent but a part of."""
    database = await place.open()
    words = [f"{number:05} {'x' * 500}" for number in range(10_000)]

    def work(conn: Conn) -> None:
        conn.insert_all(ADD, [{"id": n, "text": each} for n, each in enumerate(words)])
        conn.update(SHORTEN, {"which": 0, "new": "x" * LARGE})
        conn.send(SHORTEN, {"which": 1, "new": "y" * LARGE})

    async with asyncio.timeout(BOUND):
        await database.write(work)
        found = await database.read(lambda conn: conn.rows(ALL))
    assert [row.text for row in found] == ["xxx", "yyy", *words[2:]]
    await database.close()


@promise("postgres.again")
@pytest.mark.parametrize("state", ["40001", "40P01", "23505"])
async def test_what_two_did_at_once_is_done_again_from_its_start(place: Place, state: str) -> None:
    database = await place.open()
    runs: list[int] = []

    def work(conn: Conn) -> None:
        runs.append(1)
        conn.insert(ADD, {"id": 1, "text": f"run {len(runs)}"})
        if len(runs) < 3:
            words = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"
            conn.send(text(words), {})

    await database.write(work, beside=True)
    found = await database.read(lambda conn: conn.rows(ALL))
    assert [row.text for row in found] == ["run 3"]
    await database.close()


@promise("postgres.again")
async def test_what_is_never_done_alone_is_told_and_leaves_nothing(place: Place) -> None:
    database = await place.open()
    runs: list[int] = []

    def work(conn: Conn) -> None:
        runs.append(1)
        conn.insert(ADD, {"id": 1, "text": "x"})
        conn.send(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"), {})

    with pytest.raises(InternalError) as refused:
        await database.write(work, beside=True)
    assert refused.value.retry
    assert len(runs) == TRIES
    assert await database.read(lambda conn: conn.rows(ALL)) == []
    await database.close()


@promise("storage.changed")
async def test_who_comes_while_the_last_listener_hangs_up_is_told_all_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "LINGER", 0.0)
    monkeypatch.setattr(ear, "WAIT", 0.1)
    database, other, late = await place.open(), await place.open(), threading.Event()
    await database.changed()
    database._ear._thread.submit(late.wait, BOUND)  # it hangs up behind this
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(database.changed(database._commits._number + 1), 0.5)
    waiting = asyncio.create_task(database.changed(database._commits._number + 1))
    await asyncio.sleep(0)
    late.set()
    async with asyncio.timeout(BOUND):
        while not waiting.done():
            await other.write(lambda conn: conn.rows(ALL))
            await asyncio.wait([waiting], timeout=0.05)
    await waiting
    await database.close()
    await other.close()


async def test_a_read_that_fails_when_nobody_waits_any_more_is_nobody_s_to_tell(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """The server's words hold what people stored."""
    database, gate = await place.open(), Gate()

    def fail(conn: Conn) -> None:
        gate(conn)
        conn.rows(text("SELECT 'a secret'::int"))

    reading = asyncio.create_task(database.read(fail))
    await asyncio.to_thread(gate.entered.wait, BOUND)
    reading.cancel()
    await asyncio.wait([reading])
    gate.open.set()
    await database.close()
    await asyncio.to_thread(database._readers.shutdown)  # its thread has let go of it
    del reading
    gc.collect()
    assert "secret" not in caplog.text


@promise("postgres.again")
@pytest.mark.parametrize("before", range(4, 8))
async def test_a_statement_that_fails_spoils_no_connection_for_those_after_it(
    place: Place, before: int
) -> None:
    """What is sent behind it is not looked at by the server, nor prepared there."""
    database = await place.open()

    def fail(conn: Conn) -> None:
        for number in range(before):
            conn.insert(ADD, {"id": number, "text": str(number)})
        conn.send(text("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$"), {})
        conn.send(ADD, {"id": 100, "text": "behind"})

    for _ in range(3):  # psycopg forgets what is prepared at some rollbacks, not at each
        await database.read(lambda conn: conn.rows(ALL))
    with pytest.raises(InternalError):
        await database.write(fail)
    for number in range(20):
        values = {"id": number, "text": str(number)}
        await database.write(lambda conn, v=values: conn.insert(ADD, v))
    await database.close()


def test_who_must_be_alone_waits_for_whom_the_server_still_thinks_there(
    probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was closed a moment ago: its backend is on its way out."""
    monkeypatch.setattr(schema, "LEAVING_SECONDS", BOUND)
    address, asked = Address.parse(probe), Presence.enter(Address.parse(probe))
    key = address.lock("presence")
    tried = f"SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_try_advisory_lock({key})'"
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(Presence.enter, address, alone=True)
        while postgres.admin().execute(tried).fetchone() is None:
            assert not waiting.done()
        asked.leave()
        waiting.result(BOUND).leave()
