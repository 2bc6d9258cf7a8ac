"""PostgreSQL goes, hangs or turns away: what is acknowledged is stored, and stored once."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from httpx2 import AsyncClient
from psycopg import sql
from sqlalchemy import text

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.kernel.errors import InternalError, InvalidError, UnauthenticatedError
from scoped_mcp.storage.postgres import engine as engines
from scoped_mcp.storage.postgres import schema
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.engine import PostgresDatabase
from tests import postgres
from tests.faults.between import When, between
from tests.faults.processes import BOUND
from tests.faults.trail import contents, entries
from tests.grounds import POSTGRESQL, with_settings
from tests.promises import promise

pytestmark = pytest.mark.slow
NOTE = {"type": "note"}
KEYS = "SCOPED_MCP_KEY_FILE"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A place on the server that all tests of this process share."""
    made = POSTGRESQL.place(tmp_path)
    yield made
    POSTGRESQL.forget(made)


@pytest.fixture
def apart() -> Iterator[postgres.Server]:
    """A server of this test's own."""
    server = postgres.start()
    yield server
    server.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a socket may have a hundred letters."""
    made = Path(tempfile.mkdtemp(prefix="between-"))
    yield made
    shutil.rmtree(made)


@asynccontextmanager
async def opened(url: str, token: str) -> AsyncIterator[Session]:
    async with Scoped.open(url) as scoped:
        yield await scoped.session(token)


async def create(session: Session, marker: str) -> dict[str, Any]:
    return await session.call("object.create", NOTE | {"data": {"marker": marker}}, key=marker)


def stored(url: str) -> Counter[str]:
    return Counter(c["state"]["data"]["marker"] for _, _, c in contents(url, "object"))


def traced(url: str) -> int:
    """How many entries of creations changed something."""
    made = [e for e in entries(url) if e["operation"] == "object.create"]
    return sum(len(e["changes"]) for e in made)


@promise("postgres.commit")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_is_done_once_and_answered(
    url: str, folder: Path, when: When, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS, str(folder / "key"))
    token = await Scoped.create(url, name="root")
    async with between(url, folder) as (line, through), opened(through, token) as root:
        for number in range(3):
            line.arm(when)
            made = await create(root, str(number))
            assert made["version"] == 1
            assert line.cuts == number + 1
        assert (await root.call("audit.verify"))["ok"]
    assert stored(url) == Counter(dict.fromkeys("012", 1))
    assert traced(url) == 3


async def test_a_server_whose_database_does_not_answer_ends_in_time_all_the_same(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS, str(folder / "key"))
    token = await Scoped.create(url, name="root")
    command = (sys.executable, "-m", "scoped_mcp.faces.cli", "serve", "--transport", "http")
    async with between(url, folder) as (line, through), AsyncClient(timeout=BOUND) as http:
        process = await asyncio.create_subprocess_exec(
            *command, "--port", "0", "--json", "--db", through, stdout=PIPE, stderr=PIPE
        )
        assert process.stdout is not None
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), BOUND))
        hung = asyncio.Event()

        async def hang() -> None:
            hung.set()
            await asyncio.Event().wait()

        line.arm("before", hang)
        params = {"name": "object_create", "arguments": NOTE | {"data": {}}}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        calling = asyncio.create_task(http.post(said["url"], json=asked, headers=headers))
        await asyncio.wait_for(hung.wait(), BOUND)
        process.terminate()
        await asyncio.wait_for(process.communicate(), BOUND)  # but for its own nine seconds, never
        assert process.returncode == 1
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)


async def test_a_failed_authentication_whose_connection_is_cut_is_counted_and_told_once(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS, str(folder / "key"))
    token = await Scoped.create(url, name="root")
    async with between(url, folder) as (line, through), Scoped.open(through) as scoped:
        root = await scoped.session(token)
        line.arm("before")
        with pytest.raises(UnauthenticatedError):
            await scoped.spine.call("whoami", {}, f"smcp_{'a' * 16}_{'b' * 52}")
        assert line.cuts == 1
        page = await root.call("audit.list", {"operation": "authenticate"})
        assert len(page["items"]) == 1


@promise("postgres.crash")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_a_crash_of_the_server_leaves_unknown_is_said_to_be_unknown(
    apart: postgres.Server, folder: Path, when: When, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash the id of a transaction may be another's: it must not be asked for."""
    monkeypatch.setenv(KEYS, str(folder / "key"))
    url = apart.get_uri()
    token = await Scoped.create(url, name="root")

    async def crash() -> None:
        await asyncio.to_thread(apart.restart, "immediate")

    async with between(url, folder) as (line, through), opened(through, token) as root:
        line.arm(when, crash)
        with pytest.raises(ScopedError) as unknown:
            await create(root, "cut")
        assert (unknown.value.code, unknown.value.retry) == ("internal", False)
        assert stored(url)["cut"] == (when == "after")
        await create(root, "cut")  # with its key: the first answer, or done now
        assert (await root.call("audit.verify"))["ok"]
    assert stored(url) == Counter({"cut": 1})
    assert traced(url) == 1


@promise("postgres.lost")
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_callers_do_not_notice_a_server_that_is_restarted_between_their_calls(
    apart: postgres.Server, folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS, str(folder / "key"))
    url = apart.get_uri()
    token = await Scoped.create(url, name="root")
    async with opened(url, token) as root:
        await asyncio.gather(*(create(root, f"before {n}") for n in range(20)))
        await asyncio.to_thread(apart.restart, mode)
        await asyncio.gather(*(create(root, f"after {n}") for n in range(20)))
        assert (await root.call("audit.verify"))["ok"]
        with pytest.raises(ScopedError):  # who serves is known as before
            await asyncio.to_thread(schema.Presence.enter, Address.parse(url), alone=True)
    assert set(stored(url).values()) == {1}
    assert len(stored(url)) == 40


@promise("postgres.lost")
async def test_who_waits_behind_others_for_a_server_that_stays_away_is_told_as_soon_as_they(
    apart: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a process that is told to stop meanwhile does not wait for it."""
    await Scoped.create(apart.get_uri(), name="root")
    async with engine(Address.parse(apart.get_uri())) as database:
        await asyncio.to_thread(apart.halt)
        for seconds, bound in ((2.0, 12.0), (60.0, 30.0)):  # one by one it were 16 s
            monkeypatch.setattr(engines, "WAIT_SECONDS", seconds)
            calls = [
                asyncio.create_task(way(lambda conn: conn.rows(text("SELECT 1"))))
                for way in (database.write, database.read)
                for _ in range(8)
            ]
            async with asyncio.timeout(bound):
                if seconds > bound:
                    await asyncio.sleep(0)
                    await database.close()
                told = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(one, InternalError) and one.retry for one in told)


@promise("postgres.lost")
async def test_connections_that_are_cut_at_any_moment_cost_no_caller_its_call(url: str) -> None:
    token = await Scoped.create(url, name="root")
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND application_name = 'scoped-mcp' AND random() < 0.5"
    )

    async def work(root: Session, number: int) -> None:
        for turn in range(5):
            await create(root, f"{turn}/{number}")
            address = Address.parse(url)
            await asyncio.to_thread(postgres.admin().execute, query, [address.database])

    async with opened(url, token) as root:
        await asyncio.gather(*(work(root, number) for number in range(8)))
        assert (await root.call("audit.verify"))["ok"]
    assert stored(url) == Counter({f"{turn}/{n}": 1 for turn in range(5) for n in range(8)})
    assert traced(url) == 40


@asynccontextmanager
async def engine(address: Address) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(address)
    try:
        yield database
    finally:
        await database.close()


@promise("postgres.timeouts")
async def test_a_statement_that_takes_too_long_is_ended_and_nothing_of_it_stored(url: str) -> None:
    await Scoped.create(url, name="root")
    before = len(entries(url))

    def dawdle(conn: Any) -> None:
        conn.numbers(0)
        conn.rows(text("SELECT pg_sleep(30)"))

    async with engine(with_settings(Address.parse(url), statement_timeout="500ms")) as database:
        for way in (database.write, database.read):
            with pytest.raises(InternalError) as refused:
                await way(dawdle)
            assert refused.value.retry
        await database.write(lambda conn: conn.rows(text("SELECT 1")))
    assert len(entries(url)) == before


@promise("postgres.timeouts")
async def test_who_waits_too_long_for_the_order_is_told_and_may_call_again(url: str) -> None:
    await Scoped.create(url, name="root")
    address = Address.parse(url)

    def one(conn: Any) -> int:
        return int(conn.row(text("SELECT 1"))[0])

    async with engine(with_settings(address, lock_timeout="500ms")) as database:
        with psycopg.connect(url, autocommit=True) as other:
            for lock in ("", "_shared"):
                other.execute(f"SELECT pg_advisory_lock{lock}({address.lock('order')})".encode())
                with pytest.raises(InternalError) as refused:
                    await database.write(one, beside=not lock)
                assert refused.value.retry
                if lock:
                    assert await database.write(one, beside=True) == 1
                other.execute("SELECT pg_advisory_unlock_all()")
        assert await database.write(one) == 1


async def test_who_may_create_roles_founds_a_house_without_being_a_superuser(
    apart: postgres.Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since PostgreSQL 16 who creates a role is a member of it that may not become it."""
    monkeypatch.setenv(KEYS, str(folder / "key"))
    with psycopg.connect(apart.get_uri(), autocommit=True) as admin:
        admin.execute("CREATE ROLE maker LOGIN CREATEROLE")
        admin.execute("GRANT CREATE ON DATABASE postgres TO maker")
    url = apart.get_uri().replace("postgres:@", "maker@")
    async with opened(url, await Scoped.create(url, name="root")) as root:
        assert (await root.call("audit.verify"))["ok"]


async def test_a_database_in_which_not_all_text_can_stand_is_refused_at_once() -> None:
    for encoding in ("SQL_ASCII", "LATIN1"):
        made = f"as_{encoding.lower()}"
        words = f"CREATE DATABASE {made} TEMPLATE template0 LOCALE 'C' ENCODING '{encoding}'"
        postgres.admin().execute(words.encode())
        url = postgres.server().get_uri(made)
        try:
            with pytest.raises(InvalidError) as refused:
                await Scoped.create(url, name="root")
            assert "UTF8" in refused.value.hint
        finally:
            POSTGRESQL.forget(url)


async def test_a_server_s_habits_of_showing_times_change_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await Scoped.create(url, name="root")
    habits = (("timezone", "Asia/Tokyo"), ("datestyle", "German"), ("row_security", "off"))
    for name, value in habits:
        words = f"ALTER DATABASE {Address.parse(url).database} SET {name} = '{value}'"
        postgres.admin().execute(words.encode())
    for name, value in (*habits, ("clientencoding", "LATIN1")):
        async with opened(url, token) as root:
            assert (await create(root, f"☃ {name}"))["created_at"].endswith("Z")
            await root.call("scope.create", {"name": f"☃ {name}"})
        monkeypatch.setenv("PGTZ" if name == "timezone" else f"PG{name.upper()}", value)
    async with opened(url, token) as root:
        await root.call("scope.create", {"name": "☃"})


@promise("postgres.pool")
async def test_a_server_that_grants_few_connections_is_shared_among_many_callers(url: str) -> None:
    name = sql.Identifier("few")
    raw = postgres.admin()
    raw.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(name))
    raw.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 2").format(name))
    token = await Scoped.create(url, name="root")
    raw.execute(sql.SQL("GRANT scoped_owner, scoped_app TO {}").format(name))
    async with opened(url.replace("postgres:@", "few@"), token) as root:
        await asyncio.gather(*(create(root, str(n)) for n in range(60)))
        assert (await root.call("audit.verify"))["ok"]
    assert stored(url) == Counter({str(n): 1 for n in range(60)})
    raw.execute(sql.SQL("DROP ROLE {}").format(name))
