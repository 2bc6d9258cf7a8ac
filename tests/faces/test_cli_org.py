"""`org`: organisations founded, suspended, moved and served from the command line."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scoped_mcp.storage import schema
from tests.faces.cli import Cli, new_house
from tests.promises import promise


@pytest.fixture
def root(tmp_path: Path) -> Cli:
    return new_house(tmp_path)


@promise("organisations.tokens", "organisations.suspended", "cli.json")
def test_an_organisation_lives_from_its_first_token_to_its_suspension(root: Cli) -> None:
    created = root("org", "create", "acme", "--owner", "anna")
    assert created.code == 0, created.err
    assert created.out.strip() not in created.err
    anna = root.bearer(created.out.strip())
    assert anna.token is not None
    assert anna.token.startswith("smcp_")
    made = anna("call", "object.create", '{"type": "note", "data": {}}').json
    assert root("call", "object.get", f'{{"id": "{made["id"]}"}}', "--json").error == "not_found"
    assert root("org", "create", "acme", "--json").error == "conflict"
    suspended = root("org", "suspend", "acme", "--json").json
    assert suspended["state"] == "suspended"
    assert anna("call", "whoami", "--json").error == "unauthenticated"
    assert root("org", "resume", "acme", "--json").json["state"] == "active"
    assert anna("call", "whoami").json["principal"]["name"] == "anna"
    (listed,) = root("org", "list", "--json").json["items"]
    assert (listed["name"], listed["state"]) == ("acme", "active")
    assert listed["organisation"] == made["urn"].split(":")[2]


@pytest.mark.slow
@promise("organisations.moved", "organisations.left")
def test_an_organisation_moves_with_its_tokens(root: Cli) -> None:
    to = root.folder / "elsewhere" / "acme.db"
    created = root("org", "create", "acme", "--owner", "root", "--json")
    anna = root.bearer(created.json["token"])
    made = anna("call", "object.create", '{"type": "note", "data": {"n": 1}}').json
    moved = root("org", "move", "acme", "--to", str(to), "--json").json
    assert moved["url"] == f"sqlite:///{to}"
    assert anna("call", "object.get", f'{{"id": "{made["id"]}"}}').json["data"] == {"n": 1}
    left = Cli(root.folder, anna.token, {"SCOPED_MCP_DB": str(root.folder / "scoped.acme.db")})
    assert left("call", "whoami", "--json").error == "conflict"
    assert root("org", "move", "acme", "--to", str(root.database), "--json").code == 1
    recovered = root("recover", "root", "--org", "acme", "--json").json["token"]
    assert anna("call", "whoami", "--json").error == "unauthenticated"
    anna = root.bearer(recovered)
    assert root("org", "resume", "acme").code == 0
    assert anna("audit", "verify").code == 0


@pytest.mark.slow
def test_every_organisation_is_brought_to_the_newest_schema(root: Cli) -> None:
    for name in ("acme", "umbra"):
        assert root("org", "create", name).code == 0
    schema.downgrade(root.folder / "scoped.acme.db", "0003")
    (root.folder / "scoped.umbra.db").unlink()
    told = root("org", "upgrade", "--json")
    assert told.code == 1
    first, second = told.json["items"]
    assert first == {"name": "acme", "current": schema.HEAD}
    assert "error" in second


@pytest.mark.slow
def test_an_issuer_leads_to_one_organisation(root: Cli) -> None:
    issuer = "https://login.example.com"
    assert root("org", "create", "acme", "--issuer", issuer).code == 0
    assert root("org", "create", "umbra").code == 0
    assert root("org", "issuer", "umbra", issuer, "--json").error == "conflict"
    assert "issuer" not in root("org", "issuer", "acme", "--json").json
    assert root("org", "issuer", "umbra", issuer, "--json").json["issuer"] == issuer


@promise("organisations.directory")
def test_a_password_is_refused_where_the_directory_could_not_keep_it(root: Cli) -> None:
    url = "postgresql://me:hunter2@db.example/acme"
    refused = root("org", "create", "acme", "--db", url, "--json")
    assert refused.error == "invalid"
    assert "hunter2" not in refused.out + refused.err
    with closing(sqlite3.connect(root.database)) as raw:
        assert not raw.execute("SELECT 1 FROM tenants").fetchall()


@promise("readme.secrets")
def test_settings_that_are_wrong_are_named_without_the_secrets_beside_them(root: Cli) -> None:
    secrets = {"SCOPED_MCP_DB": "postgresql://me:hunter2@db.example/app"}
    wrong = {"SCOPED_MCP_OIDC_ISSUER": "https://x"}, {"SCOPED_MCP_OPEN_ORGANISATIONS": "0"}
    for one in wrong:
        done = Cli(root.folder, root.token, secrets | one)("org", "list", "--json")
        assert (done.code, done.error) == (1, "invalid")
        said = done.out + done.err
        assert next(iter(one)) in said
        assert "hunter2" not in said
        assert (root.token or "")[:12] not in said


@promise("cli.json", "organisations.directory")
def test_what_names_no_database_or_nobody_is_wrong_in_words(root: Cli) -> None:
    nowhere = "postgresql://me:hunter2/x@127.0.0.1:1/db"
    for arguments in (
        ("org", "create", "ev\x1bil"),
        ("org", "create", "late", "--db", "sqlite:///a%00b"),
        ("org", "create", "late", "--db", nowhere),
        ("org", "move", "late", "--to", nowhere),
        ("org", "list", "--db", nowhere),
        ("init", "--db", nowhere),
        ("init", "--db", str(root.folder / "new.db"), "--name", ""),
        ("recover", "\x1b"),
        ("restore", "--in-place", "--db", nowhere),
        ("backup", str(root.folder / "b.db"), "--db", nowhere),
        ("db", "current", "--db", str(root.folder)),
    ):
        done = root(*arguments, "--json")
        assert (done.code, done.error) == (1, "invalid"), arguments
        assert "hunter2" not in done.out + done.err
    assert {one.suffix for one in root.folder.iterdir()} == {".db", ".key", ".lock"}
    assert len(list(root.folder.glob("*.db"))) == 1
