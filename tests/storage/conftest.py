"""A database file with the probe tables of the conformance suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scoped_mcp.storage import driver
from scoped_mcp.storage.schema import HEAD
from scoped_mcp.storage.sqlite import SQLiteDatabase
from tests.storage.conformance import Place

TABLES = f"""
CREATE TABLE alembic_version (version_num TEXT NOT NULL);
INSERT INTO alembic_version VALUES ('{HEAD}');
CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TRIGGER lose BEFORE INSERT ON notes WHEN new.text = 'lose'
BEGIN SELECT RAISE(ROLLBACK, 'lost'); END;
"""

SCRIPT = """
import asyncio, os
from pathlib import Path
from scoped_mcp.storage.sqlite import SQLiteDatabase
from tests.storage.conformance import COUNT, note, texts

async def run(main):
    database = await SQLiteDatabase.open(Path({path!r}))
    await main(database)
    await database.close()
"""


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """The path of a database with the probe tables."""
    path = tmp_path / "probe.db"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    raw = driver.connect(path)
    raw.executescript(TABLES)
    raw.close()
    return path


@pytest.fixture
def place(probe: Path) -> Place:
    """Where the conformance suite opens SQLite databases."""
    return Place(lambda: SQLiteDatabase.open(probe), SCRIPT.format(path=str(probe)))
