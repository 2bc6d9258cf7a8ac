"""SQLite keeps the promises of `Database`, and some of its own."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select, text
from sqlalchemy.dialects.sqlite import dialect

from scoped_mcp.kernel.errors import InternalError, InvalidError, ScopedError
from scoped_mcp.layers.tenancy.tables import memberships
from scoped_mcp.storage import driver, schema, sqlite
from scoped_mcp.storage.among import among, one_of
from scoped_mcp.storage.connection import Conn
from scoped_mcp.storage.database import sqlite_path
from scoped_mcp.storage.presence import Presence
from scoped_mcp.storage.sqlite import SQLiteDatabase
from tests.conftest import Home
from tests.promises import promise
from tests.storage.conformance import BOUND, Promises, note, outcomes, raising, settled, texts


class TestSQLite(Promises):
    """The conformance suite."""

    @promise("batch.replay")
    @pytest.mark.parametrize("place_of_it", [0, 1, 2])
    async def test_a_lost_outer_transaction_takes_only_its_own_work(
        self, database: SQLiteDatabase, place_of_it: int
    ) -> None:
        works = [note("a"), note("b")]
        works.insert(place_of_it, note("lose"))
        results = await self.together(database, *works)
        assert isinstance(results.pop(place_of_it), InternalError)
        assert [type(r) for r in results] == [int, int]
        assert await database.read(texts) == ["a", "b"]

    async def test_a_loss_that_the_work_swallowed_is_a_loss_all_the_same(
        self, database: SQLiteDatabase
    ) -> None:
        def swallow(conn: Conn) -> str:
            try:
                note("lose")(conn)
            except Exception:  # noqa: BLE001 - a handler that does what it must not
                return "fine"
            return "finer"

        results = await self.together(database, note("a"), swallow, note("b"))
        assert [type(r) for r in results] == [int, InternalError, int]
        assert await database.read(texts) == ["a", "b"]


@pytest_asyncio.fixture
async def database(probe: Path) -> AsyncIterator[SQLiteDatabase]:
    database = await SQLiteDatabase.open(probe)
    yield database
    await database.close()


REFUSED = [
    "DROP TABLE notes",
    "DROP TRIGGER lose",
    "DROP INDEX ix",
    "ALTER TABLE notes ADD COLUMN x",
    "ALTER TABLE notes RENAME TO other",
    "CREATE TABLE other (id INTEGER)",
    "CREATE TEMP TABLE notes (id INTEGER)",
    "CREATE TEMP VIEW notes AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE INDEX ix2 ON notes (parent)",
    "CREATE TRIGGER t BEFORE INSERT ON notes BEGIN SELECT 1; END",
    "CREATE TEMP TRIGGER t BEFORE INSERT ON notes BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "ATTACH DATABASE ':memory:' AS other",
    "DETACH DATABASE main",
    "DELETE FROM notes",
    "DELETE FROM sqlite_master",
    "INSERT INTO sqlite_master (name) VALUES ('x')",
    "UPDATE sqlite_master SET sql = ''",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA foreign_keys",
    "PRAGMA writable_schema = ON",
    "PRAGMA recursive_triggers = OFF",
    "PRAGMA query_only = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA defer_foreign_keys = ON",
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA user_version = 7",
    "PRAGMA data_version = 7",
    "UPDATE alembic_version SET version_num = '9999'",
    "INSERT INTO alembic_version VALUES ('9999')",
    "DELETE FROM alembic_version",
]


@promise("authoriser.list")
@pytest.mark.parametrize("statement", REFUSED)
async def test_an_operation_s_connection_refuses(database: SQLiteDatabase, statement: str) -> None:
    for run in (database.write, database.read):
        (result,) = await outcomes(run(lambda conn: conn.row(text(statement))))
        assert isinstance(result, ScopedError), statement
    await database.write(note("still here"))


@pytest.mark.parametrize("statement", ["PRAGMA page_count", "PRAGMA data_version", "SELECT 1"])
async def test_an_operation_s_connection_allows(database: SQLiteDatabase, statement: str) -> None:
    assert await database.write(lambda conn: conn.row(text(statement))) is not None


async def test_every_connection_has_its_pragmas(database: SQLiteDatabase) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "recursive_triggers": 1,
        "cell_size_check": 1,
    }
    for link in (database._writer, *database._readers):
        raw = link.raw
        assert raw is not None

        waits = 0 if link is database._writer else 30_000  # the writer waits in its own way
        expected = wanted | {"busy_timeout": waits}

        def found(raw: driver.Raw = raw, names: frozenset[str] = frozenset(expected)) -> object:
            raw.set_authorizer(None)
            return {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

        assert await link.run(found) == expected


@promise("embedded.files")
async def test_files_are_their_owner_s_alone(database: SQLiteDatabase) -> None:
    await database.write(note("a"))
    folder = database.path.parent
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes


async def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path, content = tmp_path / "foreign.db", b"not a database, but long enough to look at" * 30
    path.write_bytes(content)
    with pytest.raises(ScopedError):
        await SQLiteDatabase.open(path)
    assert path.read_bytes() == content
    Presence.enter(path, alone=True).leave()


async def test_an_empty_file_is_refused_and_left_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(InvalidError):
        await SQLiteDatabase.open(path)
    assert path.stat().st_size == 0
    Presence.enter(path, alone=True).leave()


async def test_an_absent_file_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    with pytest.raises(InvalidError):
        await SQLiteDatabase.open(path)
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("revision", "word"), [("9999", "version"), ("0000", "version")])
async def test_another_schema_is_refused(probe: Path, revision: str, word: str) -> None:
    raw = driver.connect(probe)
    raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    raw.close()
    with pytest.raises(ScopedError) as refused:
        await SQLiteDatabase.open(probe)
    assert word in refused.value.hint


async def test_a_schema_that_moves_under_a_server_stops_it_and_lets_it_go_on(
    database: SQLiteDatabase,
) -> None:
    raw = driver.connect(database.path)
    for revision in ("9999", schema.HEAD):
        raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        works = [note(f"{revision} {i}") for i in range(3)]
        results = await outcomes(*(database.write(w) for w in works), database.read(texts))
        refused = [isinstance(result, InternalError) for result in results]
        assert set(refused) == {revision == "9999"}, results
    raw.close()


async def test_a_stopped_writer_holds_no_lock(database: SQLiteDatabase) -> None:
    raw = driver.connect(database.path)
    raw.execute("PRAGMA busy_timeout = 100")
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    await outcomes(database.write(note("a")))
    raw.execute("UPDATE alembic_version SET version_num = ?", (schema.HEAD,))
    raw.close()


async def test_presence_is_shared_by_servers_and_alone_for_migrations(probe: Path) -> None:
    one, other = Presence.enter(probe), Presence.enter(probe)
    with pytest.raises(InvalidError) as refused:
        Presence.enter(probe, alone=True)
    assert refused.value.retry
    one.leave()
    other.leave()
    alone = Presence.enter(probe, alone=True)
    for how in (True, False):
        with pytest.raises(InvalidError):
            Presence.enter(probe, alone=how)
    with pytest.raises(InvalidError):
        await SQLiteDatabase.open(probe)
    alone.leave()
    alone.leave()
    Presence.enter(probe).leave()


@promise("batch.company")
async def test_an_old_sqlite_keeps_a_second_process_out(
    probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SAFE", False)
    first = Presence.enter(probe)
    with pytest.raises(InvalidError) as refused:
        Presence.enter(probe)
    assert "pysqlite3" in refused.value.hint
    first.leave()


async def test_a_file_that_stays_locked_is_an_answer_and_not_a_hang(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    other = driver.connect(database.path)  # one SQLite in one process: locks are the process's
    other.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    began = loop.time()
    results = await outcomes(*(database.write(note(f"n{i}")) for i in range(30)))
    waited = loop.time() - began
    other.execute("ROLLBACK")
    other.close()
    assert [type(r) for r in results] == [InternalError] * 30
    assert waited < 30 * 0.2 / 2, "each of a batch waited anew"
    assert await database.write(note("after")) == 1


async def test_a_full_disk_takes_nothing_else_with_it(database: SQLiteDatabase) -> None:
    raw = database._writer.raw
    assert raw is not None

    def limit(pages: int) -> None:
        raw.set_authorizer(None)
        raw.execute(f"PRAGMA max_page_count = {pages}")
        driver.confine(raw)

    await database._writer.run(lambda: limit(12))
    results = await TestSQLite().together(database, note("a"), note("x" * 200_000), note("b"))
    assert [type(r) for r in results] == [int, InternalError, int]
    assert "disk is full" in results[1].message
    await database._writer.run(lambda: limit(10**6))
    assert await database.read(texts) == ["a", "b"]


async def test_a_constraint_that_sounds_like_trouble_is_not_that_trouble() -> None:
    for word in ("fullname", "locked_at", "busy"):
        error = driver.translate(driver.dbapi.IntegrityError(f"UNIQUE constraint failed: t.{word}"))
        assert isinstance(error, InternalError)
        assert "refused" in error.message
        assert not error.retry, "a constraint that failed fails again"


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("database or disk is full", "disk is full"),
        ("attempt to write a readonly database", "read-only"),
        ("database is locked", "busy"),
        ("database disk image is malformed", "damaged"),
        ("file is not a database", "damaged"),
        ("disk I/O error", "did not take"),
    ],
)
def test_trouble_is_told_in_our_words(words: str, meaning: str) -> None:
    error = driver.translate(driver.dbapi.OperationalError(words))
    assert isinstance(error, InternalError)
    assert error.retry
    assert meaning in error.message


async def test_reads_do_not_wait_for_each_other(database: SQLiteDatabase) -> None:
    both = asyncio.Barrier(2)
    loop = asyncio.get_running_loop()

    def meet(_conn: Conn) -> None:
        asyncio.run_coroutine_threadsafe(both.wait(), loop).result(BOUND)

    assert await outcomes(database.read(meet), database.read(meet)) == [None, None]


async def test_two_databases_of_one_process_are_two(probe: Path) -> None:
    one, other = await SQLiteDatabase.open(probe), await SQLiteDatabase.open(probe)
    await asyncio.gather(
        *(d.write(note(f"{d is one} {i}")) for d in (one, other) for i in range(50))
    )
    assert len(await one.read(texts)) == 100
    await outcomes(one.write(raising(ValueError())))
    await one.close()
    assert await other.write(note("last")) == 101
    await other.close()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////a/b.db", "/a/b.db"),
        ("/a/b.db", "/a/b.db"),
        ("sqlite:////a/b%20c.db", "/a/b c.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path)


def test_a_relative_url_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_path("sqlite:///b.db") == tmp_path / "b.db"
    assert sqlite_path("b.db") == tmp_path / "b.db"
    monkeypatch.setenv("HOME", "/home/x")
    assert sqlite_path("~/b.db") == Path("/home/x/b.db")


@pytest.mark.parametrize(
    "url", ["postgresql://x/y", "sqlite://", "sqlite:///", "sqlite:///:memory:", ""]
)
def test_what_is_no_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        sqlite_path(url)


# --- the signal


async def test_nobody_listens_for_other_processes_while_nobody_waits(
    database: SQLiteDatabase,
) -> None:
    await database.write(note("a"))
    await database.changed()
    assert database._ear._thread is None
    await settled(database)
    assert database._ear._thread is not None


async def test_who_waits_is_told_that_the_file_is_gone_and_makes_none(
    probe: Path, database: SQLiteDatabase
) -> None:
    seen = await database.changed()
    away = probe.with_name("away.db")
    probe.rename(away)
    (trouble,) = await outcomes(database.changed(seen))
    assert isinstance(trouble, InternalError)
    assert not probe.exists()
    away.rename(probe)
    await settled(database)


async def test_an_ear_that_cannot_open_its_connection_says_so(
    probe: Path, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = await database.changed()

    def refuse(*_anything: object, **_named: object) -> None:
        message = "unable to open database file"
        raise driver.dbapi.OperationalError(message)

    with monkeypatch.context() as patch:
        patch.setattr(driver, "connect", refuse)
        (trouble,) = await outcomes(database.changed(seen))
    assert isinstance(trouble, InternalError)
    assert probe.exists()
    await settled(database)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@promise("slow.statements")
@pytest.mark.parametrize("how", ["write", "read"])
async def test_a_statement_that_takes_too_long_is_ended_and_its_neighbours_go_on(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(driver, "STATEMENT_SECONDS", 0.05)

    def endless(conn: Conn) -> None:
        if how == "write":
            note("lost")(conn)
        conn.rows(text(ENDLESS))

    slow = database.write(endless) if how == "write" else database.read(endless)
    (ended, *_) = await outcomes(slow, database.write(note("a")), database.write(note("b")))
    assert isinstance(ended, InternalError)
    assert await database.read(texts) == ["a", "b"]


@pytest.mark.sqlite
async def test_a_list_that_is_one_parameter_is_looked_up_in_an_index(house: Home) -> None:
    """Written as `(…) = 1`, as SQLAlchemy writes conditions for SQLite, it was not."""
    wanted = (
        select(memberships.c.role)
        .where(among(memberships.c.principal), memberships.c.inside == 0)
        .where(one_of(memberships.c.scope, [1, 2]))
    )
    words = str(wanted.compile(dialect=dialect()))
    raw = driver.connect(Path(house.url.removeprefix("sqlite:///")))
    try:
        plan = raw.execute(f"EXPLAIN QUERY PLAN {words}", ["[1]", 0, "[1, 2]"]).fetchall()
    finally:
        raw.close()
    assert "SEARCH memberships USING COVERING INDEX ix_memberships_principal" in plan[0][3]
