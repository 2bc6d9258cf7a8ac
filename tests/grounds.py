"""Where the houses of tests stand: on SQLite or on PostgreSQL.

A ground makes new places, copies a house that nobody has open, and reaches below the application,
where nothing guards.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import ForeignKeyConstraint

from scoped_mcp.storage import driver
from scoped_mcp.storage.connection import Conn, SQLiteConn
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.connection import PostgresConn, settle
from tests import postgres

ENGINES = ("sqlite", "postgresql")
FACES = ("faces", "examples", "bench")
"""Folders of tests that see no engine: what they call is played on both where it is done."""
_places = itertools.count(1)


class Below(Protocol):
    """A connection beside the application, past every guard; parameters are `?`."""

    def execute(self, sql: str, values: Any = ()) -> Any: ...


class Ground(Protocol):
    """One engine's places."""

    name: str

    def place(self, folder: Path) -> str:
        """The URL of a place where no database is yet."""

    def copy(self, url: str, folder: Path) -> str:
        """The URL of a copy of a house that nobody has open, key included."""

    def forget(self, url: str) -> None:
        """Nobody needs that house any more."""

    def below(self, url: str) -> contextlib.AbstractContextManager[Below]:
        """A connection past the application's guards, which commits what it did."""

    def looking(self, url: str) -> contextlib.AbstractContextManager[Below]:
        """A connection that sees everything and changes nothing, beside whoever has it open."""

    def sound(self, url: str) -> None:
        """The engine itself finds nothing broken in what it stored."""

    def unique(self, raw: Below) -> list[str]:
        """Statements that take away what makes rows unique, their own keys aside."""

    def conn(self, raw: Below) -> contextlib.AbstractContextManager[Conn]:
        """What reads through such a connection as the application does."""


class SQLite:
    name = "sqlite"

    def place(self, folder: Path) -> str:
        return f"sqlite:///{folder / f'house{next(_places)}.db'}"

    def copy(self, url: str, folder: Path) -> str:
        made = self.place(folder)
        for suffix in ("", ".key"):
            shutil.copy2(f"{_file(url)}{suffix}", f"{_file(made)}{suffix}")
        return made

    def forget(self, url: str) -> None:
        """It goes with its folder."""

    @contextlib.contextmanager
    def below(self, url: str) -> Iterator[Below]:
        with closing(driver.connect(_file(url))) as raw:
            raw.execute("PRAGMA foreign_keys = OFF")
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                raw.execute(f"DROP TRIGGER {name}")
            yield raw

    @contextlib.contextmanager
    def looking(self, url: str) -> Iterator[Below]:
        with closing(driver.connect(_file(url), reader=True)) as raw:
            yield raw

    def sound(self, url: str) -> None:
        with self.looking(url) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == []

    def unique(self, raw: Below) -> list[str]:
        query = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE UNIQUE%'"
        return [f"DROP INDEX {name}" for (name,) in raw.execute(query).fetchall()]

    @contextlib.contextmanager
    def conn(self, raw: Any) -> Iterator[Conn]:
        yield SQLiteConn(raw)


class PostgreSQL:
    name = "postgresql"

    def place(self, folder: Path) -> str:
        name = f"h{os.getpid()}_{next(_places)}"
        postgres.admin().execute(f"CREATE DATABASE {name}")
        return str(postgres.server().get_uri(name))

    def copy(self, url: str, folder: Path) -> str:
        name, source = f"h{os.getpid()}_{next(_places)}", Address.parse(url).database
        postgres.admin().execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY")
        made = str(postgres.server().get_uri(name))
        shutil.copy2(_key(url), _key(made))
        return made

    def forget(self, url: str) -> None:
        postgres.admin().execute(f"DROP DATABASE {Address.parse(url).database} WITH (FORCE)")

    @contextlib.contextmanager
    def below(self, url: str) -> Iterator[Below]:
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("SET session_replication_role = replica")  # no trigger, no foreign key
            raw.execute("SET search_path = scoped")
            yield _Marked(raw)

    @contextlib.contextmanager
    def looking(self, url: str) -> Iterator[Below]:
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("SET default_transaction_read_only = on")
            raw.execute("SET search_path = scoped")
            yield _Marked(raw)

    def sound(self, url: str) -> None:
        with self.looking(url) as raw:
            for table in metadata.sorted_tables:
                for key in table.foreign_key_constraints:
                    assert raw.execute(_orphans(key)).fetchone() == (0,), key

    def unique(self, raw: Below) -> list[str]:
        keys = """
            SELECT conrelid::regclass, conname FROM pg_constraint
            WHERE contype = 'u' AND connamespace = 'scoped'::regnamespace
        """
        rows = raw.execute(keys).fetchall()
        found = [f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE" for table, name in rows]
        indexes = """
            SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid
            WHERE indisunique AND NOT indisprimary AND c.relnamespace = 'scoped'::regnamespace
            AND indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE contype = 'u')
        """
        return found + [f"DROP INDEX {name} CASCADE" for (name,) in raw.execute(indexes).fetchall()]

    @contextlib.contextmanager
    def conn(self, raw: Any) -> Iterator[Conn]:
        settle(raw.raw)
        raw.execute("SELECT set_config('scoped.caller', '0', false)")  # as the path begins
        nothing_is_sent: Any = None
        yield PostgresConn(raw.raw, nothing_is_sent, now=datetime.now(UTC))


class _Marked:
    """psycopg's connection, with `?` for parameters."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def execute(self, sql: str, values: Any = ()) -> Any:
        return self.raw.execute(sql.replace("%", "%%").replace("?", "%s"), values)


def with_settings(address: Address, **settings: str) -> Address:
    """The same place, where every connection has these."""
    options = conninfo_to_dict(address.conninfo)["options"]
    more = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return replace(address, conninfo=make_conninfo(address.conninfo, options=f"{options} {more}"))


SQLITE, POSTGRESQL = SQLite(), PostgreSQL()
GROUNDS: dict[str, Ground] = {one.name: one for one in (SQLITE, POSTGRESQL)}


def of(url: str) -> Ground:
    """The ground on which a house stands."""
    return GROUNDS[url.partition(":")[0]]


def engines(metafunc: pytest.Metafunc) -> None:
    """Play what asks for a ground on both engines: on PostgreSQL in the slow profile.

    What is marked `both` is played on both in the default profile; `sqlite` or `postgresql`, on
    that alone.
    """
    if "ground" not in metafunc.fixturenames:
        return
    node = metafunc.definition
    faced = any(folder in node.path.parts for folder in FACES)
    if "database_path" in metafunc.fixturenames or node.get_closest_marker("sqlite") or faced:
        names: list[Any] = ["sqlite"]
    else:
        later = [] if node.get_closest_marker("both") else [pytest.mark.slow]
        names = ["sqlite", pytest.param("postgresql", marks=later)]
        names = names[1:] if node.get_closest_marker("postgresql") else names
    metafunc.parametrize("ground", names, indirect=True, scope="function")


def _orphans(key: ForeignKeyConstraint) -> str:
    """How many rows name something that is not there."""
    pairs = [(one.parent.name, one.column.name) for one in key.elements]
    same = " AND ".join(f"parent.{there} = child.{here}" for here, there in pairs)
    named = " AND ".join(f"child.{here} IS NOT NULL" for here, _ in pairs)
    child, parent = key.table.name, key.referred_table.name
    nobody = f"NOT EXISTS (SELECT 1 FROM {parent} AS parent WHERE {same})"
    return f"SELECT count(*) FROM {child} AS child WHERE {named} AND {nobody}"


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _key(url: str) -> Path:
    return Path(os.environ["SCOPED_MCP_DATA_FOLDER"]) / f"{Address.parse(url).identity}.key"
