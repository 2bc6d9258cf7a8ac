"""PostgreSQL refuses by itself what slips past the path, whoever asks: test_append_only's promises.

One house for all; what is tried is undone. Tried as the superuser, for whom every guard stands too,
and then as the role that serves, which may do less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from scoped_mcp import Scoped
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import APPEND_ONLY, DELETABLE, MUTABLE
from scoped_mcp.storage.postgres.address import Address
from tests.grounds import POSTGRESQL, Ground
from tests.promises import promise
from tests.storage.test_append_only import FIRST, GUARDED, SECOND, STATE, where

VALUES = {"bigint": int, "integer": int, "text": str, "bytea": lambda n: str(n).encode()}
MOVE = "version = version + 1, entry = entry + 1"


class Raw:
    """A connection below the application, in a transaction that is never committed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def does(self, statement: str, values: Any = None) -> int:
        """Do it; how many rows it touched."""
        with self._connection.transaction():
            return self._connection.execute(statement.encode(), values).rowcount

    def refused(self, statement: str, values: Any = None) -> None:
        with pytest.raises(errors.IntegrityConstraintViolation, match="guard: "):
            self.does(statement, values)

    def forbidden(self, statement: str) -> None:
        with pytest.raises(errors.InsufficientPrivilege):
            self.does(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement.encode()).fetchall()

    def insert(self, table: str, number: int) -> None:
        """A row whose every column differs from that of another number."""
        columns = self.rows(
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = 'scoped' AND table_name = '{table}'"
        )
        row = {name: VALUES[kind](number) for name, kind in columns}
        row |= {"erasure": None} if table == "version_contents" else {}
        marks = ", ".join(f"%({name})s" for name in row)
        self.does(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)


@pytest.fixture(scope="module")
def url(
    templates: Callable[[Ground], tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    made = POSTGRESQL.copy(templates(POSTGRESQL)[0], tmp_path_factory.mktemp("guarded"))
    yield made
    POSTGRESQL.forget(made)


@pytest.fixture
def raw(url: str) -> Iterator[Raw]:
    """As a superuser. Two rows in each table, which no key holds."""
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL search_path = scoped")
        connection.execute("SET LOCAL session_replication_role = replica")
        one = Raw(connection)
        for table in metadata.tables:
            for number in (FIRST, SECOND):
                one.insert(table, number)
        connection.execute("SET LOCAL session_replication_role = origin")
        yield one
        connection.rollback()


@pytest.fixture
def app(url: str) -> Iterator[Raw]:
    """As the role that serves."""
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL search_path = scoped")
        connection.execute("SET LOCAL ROLE scoped_app")
        yield Raw(connection)
        connection.rollback()


@promise("readme.kept", "database.state")
def test_no_row_goes_one_by_one_or_all_at_once(raw: Raw) -> None:
    for table in GUARDED:
        raw.refused(f"DELETE FROM {table} WHERE {where(table)}")
        raw.refused(f"DELETE FROM {table}")
        raw.refused(f"TRUNCATE {table} CASCADE")
    for table in sorted(MUTABLE):
        assert raw.does(f"DELETE FROM {table}") >= 2


@promise("database.written", "registry.never_again")
def test_what_is_written_once_never_changes(raw: Raw) -> None:
    for table in sorted(APPEND_ONLY):
        for column in metadata.tables[table].columns:
            raw.refused(f"UPDATE {table} SET {column.name} = {column.name} WHERE {where(table)}")
        key = ", ".join(column.name for column in metadata.tables[table].primary_key)
        same = f"INSERT INTO {table} SELECT * FROM {table} WHERE {where(table)}"
        raw.refused(f"{same} ON CONFLICT ({key}) DO UPDATE SET {key.split(', ')[0]} = 1")
        with pytest.raises(errors.UniqueViolation):
            raw.does(same)


@promise("readme.versions", "database.state")
@pytest.mark.parametrize(
    "change",
    [
        "id = id",
        "version = version + 1",
        "entry = entry + 1",
        "version = version - 1, entry = entry + 1",
        "version = version, entry = entry + 1",
        f"{MOVE}, id = id + 50",
    ],
)
def test_state_changes_only_with_version_and_entry(raw: Raw, change: str) -> None:
    for table in STATE:
        raw.refused(f"UPDATE {table} SET {change} WHERE {where(table)}")
        assert raw.does(f"UPDATE {table} SET {MOVE} WHERE {where(table)}") == 1


def test_the_head_of_the_chain_moves_forward_only(raw: Raw) -> None:
    head = f"WHERE {where('chain_heads')}"
    for back in ("seq = seq", "seq = seq - 1", "chain = 5, seq = seq + 1"):
        raw.refused(f"UPDATE chain_heads SET {back} {head}")
    for back in ("authority = authority - 1", "at = '0'"):
        raw.refused(f"UPDATE chain_heads SET seq = seq + 1, {back} {head}")
    assert raw.does(f"UPDATE chain_heads SET seq = seq + 1 {head}") == 1


@promise("content.salt")
def test_content_goes_only_with_its_salt_and_an_erasure_and_once(raw: Raw) -> None:
    here = f"WHERE {where('version_contents')}"
    erase = "content = NULL, salt = NULL, erasure = 1"
    for change in (
        "content = '\\x00'",
        "content = NULL",
        "salt = NULL",
        "content = NULL, salt = NULL",
        "content = NULL, erasure = 1",
        "salt = NULL, erasure = 1",
        "content = '\\x00', salt = NULL, erasure = 1",
        f"{erase}, version = 2",
        f"{erase}, id = 2",
    ):
        raw.refused(f"UPDATE version_contents SET {change} {here}")
    assert raw.does(f"UPDATE version_contents SET {erase} {here}") == 1
    raw.refused(f"UPDATE version_contents SET {erase} {here}")


@promise("postgres.roles")
def test_who_serves_may_neither_delete_nor_change_the_schema(app: Raw) -> None:
    for table in metadata.tables:
        app.forbidden(f"TRUNCATE {table} CASCADE")
        app.forbidden(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        app.forbidden(f"DROP TABLE {table} CASCADE")
        if table not in DELETABLE:
            app.forbidden(f"DELETE FROM {table}")
        if table in APPEND_ONLY:
            app.forbidden(f"UPDATE {table} SET id = id")
    app.forbidden("CREATE TABLE scoped.more (id int)")
    app.forbidden("CREATE TABLE public.more (id int)")
    app.forbidden("DROP SCHEMA scoped CASCADE")
    app.forbidden("CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger AS '' LANGUAGE sql")
    app.forbidden("SET session_replication_role = replica")
    app.forbidden("UPDATE alembic_version SET version_num = '9999'")
    assert app.rows("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user") == [
        (False, False)
    ]


@promise("postgres.roles")
@pytest.mark.parametrize("power", ["SUPERUSER", "BYPASSRLS", "CREATEROLE"])
async def test_nobody_serves_as_a_role_that_could_get_past_the_guards(url: str, power: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE scoped_app {power}".encode())
        try:
            with pytest.raises(InvalidError) as refused:
                async with Scoped.open(url):
                    pass
        finally:
            admin.execute(f"ALTER ROLE scoped_app NO{power}".encode())
    assert power in refused.value.hint
    async with Scoped.open(url):
        pass


@promise("postgres.roles")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("give", "take"),
    [
        ("GRANT strong TO scoped_app", "REVOKE strong FROM scoped_app"),
        (
            "GRANT SET ON PARAMETER session_replication_role TO scoped_app",
            "REVOKE SET ON PARAMETER session_replication_role FROM scoped_app",
        ),
        (
            "ALTER ROLE postgres SET session_replication_role = replica",
            "ALTER ROLE postgres RESET session_replication_role",
        ),
    ],
)
async def test_nor_as_one_that_could_become_such_a_role_or_silence_triggers(
    url: str, give: str, take: str
) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE ROLE strong BYPASSRLS")
        admin.execute(give.encode())
        try:
            with pytest.raises(InvalidError):
                async with Scoped.open(url):
                    pass
        finally:
            admin.execute(take.encode())
            admin.execute("DROP ROLE strong")
    async with Scoped.open(url):
        pass


@promise("postgres.roles")
def test_a_temporary_table_of_who_serves_stands_before_no_table(url: str) -> None:
    with psycopg.connect(Address.parse(url).conninfo) as raw:
        raw.execute("SET ROLE scoped_app")
        raw.execute("CREATE TEMPORARY TABLE entries (id int)")
        asked = "SELECT 'entries'::regclass = 'scoped.entries'::regclass"
        assert raw.execute(asked).fetchone() == (True,)
        raw.rollback()
