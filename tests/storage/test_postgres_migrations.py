"""Schemas on PostgreSQL go up and down with their data, alone, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from scoped_mcp import Scoped
from scoped_mcp.kernel.errors import ConflictError, InternalError, InvalidError
from scoped_mcp.storage import revisions
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.postgres import guards, schema
from scoped_mcp.storage.postgres.address import Address
from tests import postgres
from tests.grounds import POSTGRESQL, Below, with_settings
from tests.promises import promise
from tests.storage.test_migrations import REVISIONS

pytestmark = pytest.mark.postgresql


@pytest.fixture
def place(database_url: str) -> Address:
    """A founded house that nobody has open."""
    return Address.parse(database_url)


@pytest.fixture
def below(database_url: str) -> Iterator[Below]:
    with POSTGRESQL.below(database_url) as raw:
        yield raw


def everything(raw: Any) -> dict[str, list[Any]]:
    """Every row of every table, and the whole schema."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'scoped'"
    rows: dict[str, list[Any]] = {}
    for (name,) in raw.execute(tables).fetchall():
        rows[name] = sorted(raw.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
    parts = """
        SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = 'scoped'
        UNION ALL SELECT tablename, indexname, indexdef, '' FROM pg_indexes
        WHERE schemaname = 'scoped'
        UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), ''
        FROM pg_constraint WHERE connamespace = 'scoped'::regnamespace
        UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), ''
        FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT table_name, grantee, privilege_type, '' FROM
        information_schema.role_table_grants WHERE table_schema = 'scoped'
    """
    return rows | {"the schema": sorted(raw.execute(parts).fetchall(), key=repr)}


def test_a_schema_of_another_program_is_left_alone(place: Address, below: Below) -> None:
    below.execute("CREATE SCHEMA theirs CREATE TABLE bookmarks (address text)")
    try:
        below.execute("GRANT ALL ON SCHEMA theirs TO scoped_owner")
        with pytest.raises(InvalidError):
            schema.upgrade(replace(place, schema="theirs"))
        found = below.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'theirs'")
        assert found.fetchall() == [("bookmarks",)]
    finally:
        below.execute("DROP SCHEMA theirs CASCADE")


def test_the_revisions_make_exactly_the_tables_of_the_code(place: Address) -> None:
    with schema._owner(place) as raw, schema._inspected(raw) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


@promise("migrations.guards")
def test_down_and_up_again_step_by_step_loses_nothing_and_guards_everything(
    place: Address, below: Below
) -> None:
    before = everything(below)
    for revision in REVISIONS[::-1]:
        schema.downgrade(place, revision)
        assert schema.current(place) == revision
        guarded(place)
    for revision in REVISIONS:
        schema.upgrade(place, revision)
        assert schema.current(place) == revision
        guarded(place)
    after = everything(below)
    for table in ("entries", "versions", "version_contents", "registry", "chain_heads"):
        assert after[table] == before[table], table
    assert after["the schema"] == before["the schema"]


def guarded(place: Address) -> None:
    with schema._owner(place) as raw, schema._inspected(raw) as connection:
        assert guards.present(raw, place.schema).keys() == guards.declared(connection).keys()


def test_a_step_takes_as_long_as_it_takes(place: Address, below: Below) -> None:
    """What is served has to be quick; the index of a great table is not."""
    below.execute(
        "CREATE FUNCTION public.dawdle() RETURNS event_trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_sleep(0.5); END'"
    )
    below.execute(
        "CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE INDEX')"
        " EXECUTE FUNCTION public.dawdle()"
    )
    hurried = with_settings(place, statement_timeout="400ms")
    schema.downgrade(hurried, REVISIONS[-2])
    schema.upgrade(hurried)
    assert schema.current(place) == REVISIONS[-1]


@pytest.mark.parametrize("revision", ["9999", "nonsense", "'; DROP TABLE entries; --"])
def test_an_unknown_revision_changes_nothing(place: Address, below: Below, revision: str) -> None:
    before = everything(below)
    for move in (schema.upgrade, schema.downgrade):
        with pytest.raises(InvalidError):
            move(place, revision)
    assert everything(below) == before


def test_the_trail_is_never_dropped(place: Address, below: Below) -> None:
    before = everything(below)
    with pytest.raises(ConflictError):
        schema.downgrade(place, "base")
    assert everything(below) == before


@promise("schema.revision")
async def test_a_schema_of_newer_code_is_neither_moved_nor_served(
    place: Address, below: Below, database_url: str
) -> None:
    below.execute("COMMENT ON TABLE alembic_version IS '3004005'")
    below.execute("UPDATE alembic_version SET version_num = '9999'")
    before = everything(below)
    for move in (schema.upgrade, schema.downgrade):
        with pytest.raises(InvalidError) as refused:
            move(place, revisions.HEAD)
        assert "install" in refused.value.hint
    with pytest.raises(InternalError) as stopped:
        async with Scoped.open(database_url):
            pass
    assert "install" in stopped.value.hint
    assert not stopped.value.retry
    assert everything(below) == before


@promise("schema.revision")
async def test_a_revision_that_appears_under_a_server_stops_it_until_it_is_gone(
    template: tuple[str, str], below: Below, database_url: str
) -> None:
    note = {"type": "note", "data": {}}
    async with Scoped.open(database_url) as scoped:
        root = await scoped.session(template[1])
        await root.call("object.create", note)
        below.execute("UPDATE alembic_version SET version_num = '9999'")
        for operation, given in (("object.create", note), ("object.list", {}), ("whoami", {})):
            with pytest.raises(InternalError) as stopped:
                await root.call(operation, given)
            assert not stopped.value.retry
        below.execute(f"UPDATE alembic_version SET version_num = '{revisions.HEAD}'")
        await root.call("object.create", note)


@promise("schema.alone")
async def test_a_schema_that_somebody_serves_is_not_migrated(
    place: Address, database_url: str
) -> None:
    async with Scoped.open(database_url):
        for move, revision in ((schema.upgrade, "head"), (schema.downgrade, REVISIONS[0])):
            with pytest.raises(InvalidError) as refused:
                move(place, revision)
            assert refused.value.retry
    schema.upgrade(place)


def test_a_schema_is_measured_against_one_of_which_nothing_is_left(
    place: Address, below: Below
) -> None:
    before = everything(below)
    schema.require_sound(place)
    left = below.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'scoped_%'").fetchall()
    assert (left, everything(below)) == ([], before)
    below.execute("CREATE RULE quiet AS ON DELETE TO objects DO INSTEAD NOTHING")
    with pytest.raises(InvalidError):
        schema.require_sound(place)


def test_a_schema_in_use_is_not_created_over(place: Address, below: Below) -> None:
    before = everything(below)
    with pytest.raises(InvalidError):
        schema.create(place)
    assert everything(below) == before


def test_of_those_who_make_one_schema_at_once_all_but_one_find_it_in_use() -> None:
    place = Address.parse(postgres.url())

    def made(_turn: int) -> str:
        try:
            schema.create(place)
        except InvalidError as refused:
            return refused.code
        return "made"

    with ThreadPoolExecutor(3) as together:
        assert sorted(together.map(made, range(3))) == ["invalid", "invalid", "made"]
    schema.drop(place)


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_a_migration_that_fails_changes_nothing(
    place: Address, below: Below, error: type[BaseException]
) -> None:
    before = everything(below)

    def fail(config: Any, _revision: str) -> None:
        connection = config.attributes["connection"]
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        connection.exec_driver_sql("DELETE FROM outbox")
        revisions.down(config, REVISIONS[-2])  # and whatever Alembic says of its end
        raise error

    with pytest.raises(error):
        schema._migrate(place, fail, "head")
    assert everything(below) == before
    schema.Presence.enter(place, alone=True).leave()


def test_a_migration_whose_connection_is_cut_says_so_and_changes_nothing(
    place: Address, below: Below
) -> None:
    before = everything(below)

    def cut(config: Any, _revision: str) -> None:
        connection = config.attributes["connection"]
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(InternalError) as caught:
        schema._migrate(place, cut, "head")
    assert caught.value.retry
    assert everything(below) == before


def test_a_migration_that_is_refused_in_the_middle_says_so_in_our_words(place: Address) -> None:
    def refused(config: Any, _revision: str) -> None:
        connection = config.attributes["connection"]
        connection.exec_driver_sql("SET LOCAL statement_timeout = 1")
        connection.exec_driver_sql("SELECT pg_sleep(60)")

    with pytest.raises(InternalError):
        schema._migrate(place, refused, "head")


def test_a_migration_that_breaks_references_changes_nothing(place: Address, below: Below) -> None:
    before = everything(below)

    def orphan(config: Any, _revision: str) -> None:
        config.attributes["connection"].exec_driver_sql("DELETE FROM versions")

    with pytest.raises((InternalError, psycopg.Error)):
        schema._migrate(place, orphan, "head")
    assert everything(below) == before
