"""Schemas go up and down with their data, alone, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from scoped_mcp import Scoped
from scoped_mcp.kernel.errors import ConflictError, InternalError, InvalidError, ScopedError
from scoped_mcp.storage import driver, guards, revisions, schema
from scoped_mcp.storage.metadata import STATE_COLUMNS, metadata
from scoped_mcp.storage.presence import Presence
from tests.conftest import FixedClock
from tests.promises import promise

SPARSE = "sqlite_where"
REVISIONS = [script.revision for script in revisions.scripts().walk_revisions()][::-1]


def everything(path: Path) -> dict[str, list[Any]]:
    """Every row of every table, and the whole schema."""
    with closing(sqlite3.connect(path)) as raw:
        names = [n for (n,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {n: sorted(raw.execute(f"SELECT * FROM {n}").fetchall(), key=repr) for n in names}
        parts = raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        return rows | {"sqlite_master": sorted(parts, key=repr)}


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_the_code_s_schema_is_the_newest_revision() -> None:
    assert REVISIONS[-1] == schema.HEAD
    assert sorted(REVISIONS) == REVISIONS


def test_the_revisions_make_exactly_the_tables_of_the_code(database_path: Path) -> None:
    with schema.unconfined(database_path) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_table_is_strict_and_has_its_keys_indexed(database_path: Path) -> None:
    with schema.unconfined(database_path) as connection:
        listed = connection.exec_driver_sql("PRAGMA table_list").fetchall()
        loose = {r.name for r in listed if r.schema == "main" and not r.strict}
        assert {n for n in loose if not n.startswith("sqlite_")} == {"alembic_version"}
        assert not [r.name for r in listed if r.schema == "main" and r.wr]
        inspector = inspect(connection)
        for table in metadata.tables:
            indexes = [tuple(i["column_names"]) for i in inspector.get_indexes(table)]
            indexes += [tuple(u["column_names"]) for u in inspector.get_unique_constraints(table)]
            indexes.append(tuple(inspector.get_pk_constraint(table)["constrained_columns"]))
            for foreign in inspector.get_foreign_keys(table):
                columns = tuple(foreign["constrained_columns"])
                if foreign["options"].get("initially") == "DEFERRED":
                    by_key = columns[0] == "id"  # its own: no more than one row is found
                    assert by_key or any(i[: len(columns)] == columns for i in indexes)


def test_a_new_version_or_entry_reads_no_table_through(database_path: Path) -> None:
    """With a deferred key outstanding, a parent's row is looked for in every table of children."""
    with schema.unconfined(database_path) as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        for name in ("versions", "entries"):
            blank = ", ".join("0" for _ in metadata.tables[name].columns)
            explained = f"EXPLAIN INSERT INTO {name} VALUES ({blank})"
            steps = {row.opcode for row in connection.exec_driver_sql(explained)}
            assert {"OpenRead", "FkIfZero"} <= steps
            assert not steps & {"Rewind", "Last"}, name


def test_an_index_of_few_rows_is_used_for_what_it_holds(database_path: Path) -> None:
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    sparse = [one for one in indexes if one.dialect_kwargs.get(SPARSE) is not None]
    assert sparse
    with schema.unconfined(database_path) as connection:
        for index in sparse:
            column, table = next(iter(index.columns)).name, index.table
            asked = f"EXPLAIN QUERY PLAN SELECT id FROM {table} WHERE {column} = 1"
            plan = connection.exec_driver_sql(asked).fetchall()
            assert any(f" {index.name} " in row.detail for row in plan), index.name
        roots = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_version_contents_erasure'"
        root = connection.exec_driver_sql(roots).scalar_one()
        blank = ", ".join("0" for _ in metadata.tables["entries"].columns)
        traced = connection.exec_driver_sql(f"EXPLAIN INSERT INTO entries VALUES ({blank})")
        assert ("OpenRead", root) in {(row.opcode, row.p2) for row in traced}, "a key is searched"


@promise("readme.registration", "readme.trace")
def test_state_tables_name_version_and_entry(database_path: Path) -> None:
    with schema.unconfined(database_path) as connection:
        inspector = inspect(connection)
        for name, table in metadata.tables.items():
            if not set(table.columns.keys()).issuperset((*STATE_COLUMNS, "state")):
                continue
            keys = inspector.get_foreign_keys(name)
            assert any(tuple(k["constrained_columns"]) == STATE_COLUMNS for k in keys), name


@pytest.mark.parametrize("revision", REVISIONS)
def test_down_and_up_again_loses_nothing_that_the_revision_knows(
    database_path: Path, revision: str
) -> None:
    before = everything(database_path)
    schema.downgrade(database_path, revision)
    assert schema.current(database_path) == revision
    schema.upgrade(database_path)
    after = everything(database_path)
    assert schema.current(database_path) == schema.HEAD
    for table in ("entries", "versions", "version_contents", "registry", "chain_heads"):
        assert after[table] == before[table], table
    assert set(after) == set(before)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_any_revision_comes_to_the_newest(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "old.db"
    path.touch(0o600)
    schema.upgrade(path, revision)
    assert schema.current(path) == revision
    schema.upgrade(path)
    assert schema.current(path) == schema.HEAD
    with schema.unconfined(path) as connection:
        assert guards.present(connection) == guards.declared(connection)


async def test_a_house_from_before_epochs_comes_up_with_its_credentials_at_work(
    template: tuple[Path, str], database_path: Path
) -> None:
    """Versions that say nothing of an epoch are of the first one, and their rows say so."""
    schema.downgrade(database_path, "0003")
    before = everything(database_path)
    assert not [sql for _, _, _, sql in before["sqlite_master"] if sql and "epoch" in sql]
    contents = [bytes(row[2]) for row in before["version_contents"]]
    assert not [content for content in contents if b'"epoch"' in content]
    schema.upgrade(database_path)
    with closing(sqlite3.connect(database_path)) as raw:
        for table in ("organisations", "credentials"):
            assert raw.execute(f"SELECT DISTINCT epoch FROM {table}").fetchall() == [(0,)]
    async with Scoped.open(f"sqlite:///{database_path}", clock=FixedClock()) as scoped:
        root = await scoped.session(template[1])
        assert (await root.call("audit.verify"))["ok"]


async def test_a_restored_house_does_not_go_below_its_epochs(database_path: Path) -> None:
    """Older code knows none, and would let the dead credentials in again."""
    await Scoped.begin_epoch(f"sqlite:///{database_path}")
    before = everything(database_path)
    with pytest.raises(ConflictError):
        schema.downgrade(database_path, "0003")
    assert everything(database_path) == before


def test_coming_to_where_one_is_changes_nothing(database_path: Path) -> None:
    before = everything(database_path)
    schema.upgrade(database_path)
    assert everything(database_path) == before


def test_there_is_nothing_below_the_first_revision(database_path: Path) -> None:
    before = everything(database_path)
    with pytest.raises(ConflictError) as refused:
        schema.downgrade(database_path, "base")
    assert REVISIONS[0] in refused.value.hint
    assert everything(database_path) == before


@pytest.mark.parametrize("revision", ["0000", "-1", "head-1", "", "nonsense", "x" * 500])
@pytest.mark.parametrize("move", [schema.upgrade, schema.downgrade])
def test_an_unknown_revision_is_invalid_and_the_known_ones_are_named(
    database_path: Path, move: Any, revision: str
) -> None:
    before = everything(database_path)
    with pytest.raises(InvalidError) as refused:
        move(database_path, revision)
    assert REVISIONS[0] in refused.value.hint
    assert len(refused.value.message) < 150
    assert everything(database_path) == before
    Presence.enter(database_path, alone=True).leave()


@pytest.mark.parametrize("move", [schema.upgrade, schema.downgrade])
def test_a_file_of_newer_code_is_moved_neither_up_nor_down(database_path: Path, move: Any) -> None:
    set_revision(database_path, "9999")
    before = everything(database_path)
    with pytest.raises(InvalidError) as refused:
        move(database_path, schema.HEAD)
    assert "install" in refused.value.hint
    assert everything(database_path) == before


async def test_a_newer_schema_names_the_version_to_install(database_path: Path) -> None:
    with closing(sqlite3.connect(database_path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (revisions.number(),)
        raw.execute("PRAGMA user_version = 3004005")
    set_revision(database_path, "9999")
    with pytest.raises(InternalError) as refused:
        async with Scoped.open(f"sqlite:///{database_path}"):
            pass
    assert "scoped-mcp 3.4.5" in refused.value.hint
    assert not refused.value.retry


async def test_a_newer_schema_is_refused_with_what_to_do(database_path: Path) -> None:
    set_revision(database_path, "9999")
    with pytest.raises(ScopedError) as refused:
        async with Scoped.open(f"sqlite:///{database_path}"):
            pass
    assert "install" in refused.value.hint


async def test_an_older_schema_is_refused_with_the_command_to_run(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "HEAD", "0999")
    with pytest.raises(ScopedError) as refused:
        async with Scoped.open(f"sqlite:///{database_path}"):
            pass
    assert "scoped-mcp db upgrade" in refused.value.hint


@promise("schema.alone")
def test_a_file_that_somebody_serves_is_not_migrated(database_path: Path) -> None:
    server = Presence.enter(database_path)
    with pytest.raises(InvalidError):
        schema.upgrade(database_path)
    with pytest.raises(InvalidError):
        schema.downgrade(database_path, REVISIONS[0])
    server.leave()
    schema.upgrade(database_path)


def test_a_database_in_use_is_not_created_over(database_path: Path) -> None:
    before = everything(database_path)
    with pytest.raises(InvalidError):
        schema.create(database_path)
    assert everything(database_path) == before


@pytest.mark.parametrize("move", [schema.upgrade, lambda path: schema.downgrade(path, "0003")])
def test_the_database_of_another_program_is_left_alone(tmp_path: Path, move: Any) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE bookmarks (address TEXT)")
    before = everything(path)
    with pytest.raises(InvalidError):
        move(path)
    assert everything(path) == before


@promise("embedded.files")
def test_an_empty_file_becomes_a_database_of_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "new.db"
    path.parent.mkdir()
    path.touch(0o644)
    path.chmod(0o644)
    schema.create(path)
    assert schema.current(path) == schema.HEAD
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_without_a_schema_has_no_revision(tmp_path: Path) -> None:
    path = tmp_path / "bare.db"
    path.touch()
    assert schema.current(path) is None


def test_a_migration_that_fails_changes_nothing(database_path: Path) -> None:
    before = everything(database_path)

    def fail(config: Any, _revision: str) -> None:
        connection = config.attributes["connection"]
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        connection.exec_driver_sql("DELETE FROM entries")
        raise LookupError

    with pytest.raises(LookupError):
        schema._migrate(database_path, fail, "head")
    assert everything(database_path) == before
    Presence.enter(database_path, alone=True).leave()


def test_a_migration_that_breaks_references_changes_nothing(database_path: Path) -> None:
    before = everything(database_path)

    def orphan(config: Any, _revision: str) -> None:
        config.attributes["connection"].exec_driver_sql("DELETE FROM entries")

    with pytest.raises(InternalError):
        schema._migrate(database_path, orphan, "head")
    assert everything(database_path) == before


def test_a_migration_s_connection_has_the_pragmas_too(database_path: Path) -> None:
    raw = driver.connect(database_path)
    assert raw.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    raw.close()
