"""The triggers that are present are exactly those declared, after every move of the schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoped_mcp.storage import guards, schema
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import MUTABLE
from tests.promises import promise

REVISIONS = [script.revision for script in schema._scripts().walk_revisions()]
STEPS = [*REVISIONS, *REVISIONS[::-1]]


def guarded(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    with schema.unconfined(path) as connection:
        return guards.present(connection), guards.declared(connection)


def test_a_new_database_has_the_declared_guards(database_path: Path) -> None:
    present, declared = guarded(database_path)
    assert present == declared


def test_every_table_but_the_derived_ones_has_three(database_path: Path) -> None:
    present, _ = guarded(database_path)
    verbs = ("update", "delete", "insert")
    tables = set(metadata.tables) - MUTABLE
    assert set(present) == {f"guard_{table}_{verb}" for table in tables for verb in verbs}


def test_guards_abort_and_never_roll_back(database_path: Path) -> None:
    present, _ = guarded(database_path)
    assert all("RAISE(ABORT" in sql and "ROLLBACK" not in sql for sql in present.values())


@promise("migrations.guards")
def test_guards_stand_after_every_step_down_and_up(database_path: Path) -> None:
    for revision in STEPS:
        below = REVISIONS.index(revision) > REVISIONS.index(schema.current(database_path) or "")
        move = schema.downgrade if below else schema.upgrade
        move(database_path, revision)
        present, declared = guarded(database_path)
        assert present == declared, revision


def test_a_guard_that_was_taken_away_comes_back(database_path: Path) -> None:
    with schema.unconfined(database_path) as connection:
        connection.exec_driver_sql("DROP TRIGGER guard_entries_update")
    schema.upgrade(database_path)
    present, declared = guarded(database_path)
    assert present == declared


def test_no_table_has_a_partial_unique_index() -> None:
    """REPLACE deletes the row in its way, and the guard would not know which that is."""
    partial = [
        index.name
        for table in metadata.tables.values()
        for index in table.indexes
        if index.unique and index.dialect_options["sqlite"].get("where") is not None
    ]
    assert partial == []


def test_guards_can_be_derived_where_there_is_a_partial_index(tmp_path: Path) -> None:
    """Not today's schema: the derivation must say something, not stumble."""
    path = tmp_path / "partial.db"
    path.touch(0o600)
    with schema.unconfined(path) as connection:
        connection.exec_driver_sql(
            "CREATE TABLE things (id INTEGER PRIMARY KEY, version INTEGER, entry INTEGER, x TEXT)"
        )
        connection.exec_driver_sql("CREATE UNIQUE INDEX ux ON things (x) WHERE x > ''")
        with pytest.raises(TypeError, match="ux"):
            guards.declared(connection)
