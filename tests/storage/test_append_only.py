"""What slips past the path is refused by the database itself, on any connection to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scoped_mcp.storage.metadata import STATE_COLUMNS, metadata
from scoped_mcp.storage.path import APPEND_ONLY, MUTABLE
from tests.promises import promise

FIRST, SECOND = 9_000_001, 9_000_002
GUARDED = sorted(set(metadata.tables) - MUTABLE)
STATE = sorted(
    t for t in GUARDED if set(metadata.tables[t].columns.keys()).issuperset(STATE_COLUMNS)
)
STATE = [t for t in STATE if t not in APPEND_ONLY | {"version_contents", "chain_heads"}]
VALUES: dict[str, Any] = {"INTEGER": 0, "TEXT": "text", "BLOB": b"blob"}


@pytest.fixture
def raw(database_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection as any tool would open it: no pragmas, no authoriser. Two rows in each table."""
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        for table in GUARDED:
            for row in (FIRST, SECOND):
                insert(connection, table, made(connection, table, row))
        yield connection


def made(raw: sqlite3.Connection, table: str, number: int) -> dict[str, Any]:
    """A row whose every column differs from that of another number."""
    row: dict[str, Any] = {}
    for _, name, kind, *_ in raw.execute(f"PRAGMA table_info({table})"):
        value = VALUES[kind]
        row[name] = number if value == 0 else type(value)() + _tail(value, number)
    return row | ({"erasure": None} if table == "version_contents" else {})


def _tail(value: Any, number: int) -> Any:
    return str(number) if isinstance(value, str) else str(number).encode()


def insert(raw: sqlite3.Connection, table: str, row: dict[str, Any], how: str = "INSERT") -> None:
    marks = ", ".join(f":{name}" for name in row)
    raw.execute(f"{how} INTO {table} ({', '.join(row)}) VALUES ({marks})", row)


def key(table: str) -> list[str]:
    return [column.name for column in metadata.tables[table].primary_key]


def where(table: str, number: int = FIRST) -> str:
    return " AND ".join(f"{name} = {number}" for name in key(table))


def unique(raw: sqlite3.Connection, table: str) -> list[list[str]]:
    """Every key of a table beside the one that is its row."""
    found: list[list[str]] = []
    for _, index, is_unique, *_ in raw.execute(f"PRAGMA index_list({table})").fetchall():
        if is_unique:
            found.append([c[2] for c in raw.execute(f"PRAGMA index_info({index})")])
    return found


def count(raw: sqlite3.Connection, table: str) -> int:
    return int(raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def refused(raw: sqlite3.Connection, statement: str, values: Any = ()) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="guard: "):
        raw.execute(statement, values)


@promise("readme.registration")
def test_every_table_is_guarded_or_derived() -> None:
    special = {"version_contents", "chain_heads"}
    assert set(GUARDED) == set(STATE) | APPEND_ONLY | special


@promise("readme.kept", "database.state")
@pytest.mark.parametrize("table", GUARDED)
def test_no_row_goes(raw: sqlite3.Connection, table: str) -> None:
    before = count(raw, table)
    refused(raw, f"DELETE FROM {table} WHERE {where(table)}")
    refused(raw, f"DELETE FROM {table}")
    assert count(raw, table) == before


@promise("readme.kept", "database.written", "registry.never_again")
@pytest.mark.parametrize("how", ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"])
@pytest.mark.parametrize("table", GUARDED)
def test_no_row_is_replaced(raw: sqlite3.Connection, table: str, how: str) -> None:
    before = count(raw, table)
    row = made(raw, table, FIRST)
    with pytest.raises(sqlite3.IntegrityError, match="guard: "):
        insert(raw, table, row, how)
    for columns in unique(raw, table):
        other = made(raw, table, SECOND + 1) | {name: row[name] for name in columns}
        with pytest.raises(sqlite3.IntegrityError, match="guard: "):
            insert(raw, table, other, how)
    assert count(raw, table) == before


@pytest.mark.parametrize("table", GUARDED)
def test_no_row_is_upserted(raw: sqlite3.Connection, table: str) -> None:
    row = made(raw, table, FIRST)
    marks = ", ".join(f":{name}" for name in row)
    last = list(row)[-1]
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
    refused(raw, f"{statement} ON CONFLICT DO UPDATE SET {last} = excluded.{last}", row)


@promise("database.written")
@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
def test_what_is_written_once_never_changes(raw: sqlite3.Connection, table: str) -> None:
    for name in [column.name for column in metadata.tables[table].columns]:
        refused(raw, f"UPDATE {table} SET {name} = {name} WHERE {where(table)}")
        refused(raw, f"UPDATE OR REPLACE {table} SET {name} = {name} WHERE {where(table)}")


@promise("readme.versions", "database.state")
@pytest.mark.parametrize(
    "change",
    [
        "id = id",
        "version = version + 1",
        "entry = entry + 1",
        "version = version - 1, entry = entry + 1",
        "version = version, entry = entry + 1",
        "version = version + 1, entry = entry + 1, id = id + 50",
    ],
)
@pytest.mark.parametrize("table", STATE)
def test_state_changes_only_with_version_and_entry(
    raw: sqlite3.Connection, table: str, change: str
) -> None:
    refused(raw, f"UPDATE {table} SET {change} WHERE {where(table)}")
    refused(raw, f"UPDATE OR REPLACE {table} SET {change} WHERE {where(table)}")


@pytest.mark.parametrize("table", STATE)
def test_state_moves_on_with_version_and_entry(raw: sqlite3.Connection, table: str) -> None:
    move = "version = version + 1, entry = entry + 1"
    assert raw.execute(f"UPDATE {table} SET {move} WHERE {where(table)}").rowcount == 1


@promise("database.state")
@pytest.mark.parametrize("table", STATE)
def test_no_state_is_pushed_aside_by_another_s_change(raw: sqlite3.Connection, table: str) -> None:
    before = count(raw, table)
    aside = made(raw, table, SECOND)
    for columns in unique(raw, table):
        if columns == key(table) or "version" in columns:
            continue
        change = ", ".join(f"{name} = :{name}" for name in columns)
        move = "version = version + 1, entry = entry + 1"
        statement = f"UPDATE OR REPLACE {table} SET {move}, {change} WHERE {where(table)}"
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(statement, aside)
        assert count(raw, table) == before


@pytest.mark.parametrize("back", ["seq = seq", "seq = seq - 1", "chain = 5, seq = seq + 1"])
def test_the_head_of_the_chain_moves_forward_only(raw: sqlite3.Connection, back: str) -> None:
    refused(raw, f"UPDATE chain_heads SET {back} WHERE {where('chain_heads')}")


@pytest.mark.parametrize("back", ["authority = authority - 1", "at = '0'"])
def test_the_head_s_authority_and_time_go_forward_only(raw: sqlite3.Connection, back: str) -> None:
    move = f"UPDATE chain_heads SET seq = seq + 1, {back} WHERE {where('chain_heads')}"
    refused(raw, move)
    raw.execute(f"UPDATE chain_heads SET seq = seq + 1 WHERE {where('chain_heads')}")


@promise("content.salt")
@pytest.mark.parametrize(
    "change",
    [
        "content = x'00'",
        "content = NULL",
        "salt = NULL",
        "content = NULL, salt = NULL",
        "content = NULL, erasure = 1",
        "salt = NULL, erasure = 1",
        "content = x'00', salt = NULL, erasure = 1",
        "content = NULL, salt = NULL, erasure = 1, version = 2",
        "content = NULL, salt = NULL, erasure = 1, id = 2",
    ],
)
def test_content_goes_only_with_its_salt_and_an_erasure(
    raw: sqlite3.Connection, change: str
) -> None:
    refused(raw, f"UPDATE version_contents SET {change} WHERE {where('version_contents')}")


@promise("content.salt")
def test_content_is_erased_once(raw: sqlite3.Connection) -> None:
    here = where("version_contents")
    erase = f"UPDATE version_contents SET content = NULL, salt = NULL, erasure = 1 WHERE {here}"
    raw.execute(erase)
    refused(raw, erase)
    refused(raw, f"UPDATE version_contents SET content = x'00' WHERE {here}")


@pytest.mark.parametrize("table", sorted(MUTABLE))
def test_derived_rows_may_go(raw: sqlite3.Connection, table: str) -> None:
    insert(raw, table, made(raw, table, FIRST))
    raw.execute(f"DELETE FROM {table} WHERE {where(table)}")
