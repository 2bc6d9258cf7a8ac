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
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from scoped_mcp.storage import driver
from scoped_mcp.storage.postgres.address import Address
from tests import postgres

ENGINES = ("sqlite", "postgresql")
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


class _Marked:
    """psycopg's connection, with `?` for parameters."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def execute(self, sql: str, values: Any = ()) -> Any:
        return self._raw.execute(sql.replace("%", "%%").replace("?", "%s"), values)


GROUNDS: dict[str, Ground] = {"sqlite": SQLite(), "postgresql": PostgreSQL()}


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
    if "database_path" in metafunc.fixturenames or node.get_closest_marker("sqlite"):
        names: list[Any] = ["sqlite"]
    elif node.get_closest_marker("postgresql"):
        names = ["postgresql"]
    else:
        later = [] if node.get_closest_marker("both") else [pytest.mark.slow]
        names = ["sqlite", pytest.param("postgresql", marks=later)]
    metafunc.parametrize("ground", names, indirect=True, scope="function")


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _key(url: str) -> Path:
    return Path(os.environ["SCOPED_MCP_DATA_FOLDER"]) / f"{Address.parse(url).identity}.key"
