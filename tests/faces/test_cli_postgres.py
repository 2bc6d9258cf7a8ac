"""The program on PostgreSQL: as on SQLite, and what is only there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests import postgres
from tests.faces.cli import BOUND, Cli
from tests.grounds import POSTGRESQL
from tests.promises import promise

PASSWORD = "5esame"  # the server trusts every account: it stands for one that matters
pytestmark = pytest.mark.slow


def with_password(url: str) -> str:
    return url.replace("postgres:@", f"postgres:{PASSWORD}@")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    made = with_password(POSTGRESQL.place(tmp_path))
    yield made
    POSTGRESQL.forget(made)


@pytest.fixture
def cli(url: str, tmp_path: Path) -> Cli:
    keys = {"SCOPED_MCP_DATA_FOLDER": str(tmp_path / "keys")}
    return Cli(tmp_path, extra={"SCOPED_MCP_DB": url, **keys})


def bearer(cli: Cli, token: str) -> Cli:
    return Cli(cli.folder, token.strip(), cli.extra)


@promise("postgres.cli")
def test_the_program_serves_a_schema_with_several_workers_and_tells_no_password(cli: Cli) -> None:
    first = cli("init", "--name", "alice")
    told = [first, cli("init", "--name", "alice"), cli("db", "current")]
    assert [one.code for one in told] == [0, 1, 0]
    alice = bearer(cli, first.out)
    made = alice("call", "object.create", '{"type": "note", "data": {"n": 1}}')
    told += [made, alice("audit", "verify"), cli("backup", str(cli.folder / "never.db"))]
    assert [one.code for one in told[3:]] == [0, 0, 1]
    serve = ("serve", "--transport", "http", "--port", "0", "--workers", "2")
    with alice.running(*serve, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1].removesuffix("/mcp")
        assert httpx.get(f"{address}/healthz", timeout=BOUND).status_code == 200
        told += [cli("recover", "alice"), cli("db", "upgrade")]  # somebody serves
        assert [one.code for one in told[-2:]] == [1, 1]
        process.terminate()
        assert process.wait(BOUND) == 0
    beside = alice("org", "create", "beta", "--json")
    told += [beside, alice("org", "list", "--json"), cli("org", "create", "No Schema")]
    assert [one.code for one in told[-3:]] == [0, 0, 1]
    assert "schema=beta" in told[-2].out
    beta = bearer(cli, beside.json["token"])
    assert beta("call", "object.list", "{}").json["items"] == []
    assert not [one for one in told if PASSWORD in one.out + one.err]


@promise("postgres.restored")
def test_a_dump_that_is_brought_back_begins_an_epoch_and_one_that_lacks_a_guard_does_not(
    cli: Cli, tmp_path: Path
) -> None:
    alice = bearer(cli, cli("init", "--name", "alice").out)
    note = alice("call", "object.create", '{"type": "note", "data": {"n": 1}}').json
    server = postgres.server()
    url, dump = cli.extra["SCOPED_MCP_DB"], str(tmp_path / "monday.dump")
    server.tool("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={url}")
    copy = POSTGRESQL.place(tmp_path)
    try:
        server.tool("pg_restore", f"--dbname={copy}", "--exit-on-error", dump)
        there = Cli(tmp_path, extra={**cli.extra, "SCOPED_MCP_DB": with_password(copy)})
        with psycopg.connect(copy, autocommit=True) as raw:
            raw.execute("ALTER TABLE scoped.objects DISABLE TRIGGER guard_objects_update")
            refused = there("restore", "--in-place")
            assert refused.code == 1
            assert re.search("guard_objects_update", refused.err)
            raw.execute("ALTER TABLE scoped.objects ENABLE TRIGGER guard_objects_update")
            raw.execute("DROP POLICY shown ON scoped.objects")
            assert there("restore", "--in-place").code == 1
        POSTGRESQL.forget(copy)
        copy = POSTGRESQL.place(tmp_path)
        there.extra["SCOPED_MCP_DB"] = with_password(copy)
        server.tool("pg_restore", f"--dbname={copy}", "--exit-on-error", dump)
        restored = there("restore", "--in-place")
        assert restored.code == 0, restored.err
        assert PASSWORD not in restored.out + restored.err
        assert bearer(there, alice.token or "")("call", "whoami").code == 1
        anew = bearer(there, there("recover", "alice").out)
        assert anew("call", "object.get", f'{{"id": "{note["id"]}"}}').json["data"] == {"n": 1}
        assert anew("audit", "verify").code == 0
        assert alice("call", "whoami").code == 0, "the original lives on"
    finally:
        POSTGRESQL.forget(copy)
