"""`backup` and `restore` as an operator uses them, and what is left of the old credentials."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import pytest

from tests.faces.cli import BOUND, Cli, new_house
from tests.promises import promise

NOTE = json.dumps({"type": "note", "data": {"title": "hello"}})


@pytest.fixture
def root(tmp_path: Path) -> Cli:
    folder = tmp_path / "original"
    folder.mkdir()
    return new_house(folder)


def backed_up(root: Cli, file: Path) -> str:
    """A backup, and the head that it printed."""
    done = root("backup", str(file), "--json")
    assert (done.code, done.err) == (0, "")
    return str(done.json["head"])


def recover(copy: Cli) -> Cli:
    return copy.bearer(copy("recover", "root").out.strip())


@promise("backup.online", "restore.open")
def test_a_house_in_use_is_backed_up_and_restored_and_people_come_back(
    root: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "b.db"
    with root.running("serve", "--transport", "http", "--port", "0", "--json") as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        alice = root.issue("alice", "--kind", "user", "--toolsets", "all")
        note = alice("call", "object.create", NOTE).json
        head = backed_up(root, file)
        later = alice("call", "object.create", NOTE).json
        server.send_signal(signal.SIGINT)
        assert server.wait(BOUND) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = Cli(folder)
    done = copy("restore", str(file), "--head", head)
    assert (done.code, done.out.startswith("epoch 1: ")) == (0, True)
    assert head in done.out
    assert "scoped-mcp recover root" in done.err
    assert copy.bearer(alice.token or "")("call", "whoami", "--json").error == "unauthenticated"
    owner = recover(copy)
    again = owner.issue("alice", "--toolsets", "all")
    read = again("call", "object.get", json.dumps({"id": note["id"]}))
    assert read.json["data"] == {"title": "hello"}
    absent = again("call", "object.get", json.dumps({"id": later["id"]}), "--json")
    assert absent.error == "not_found"
    assert owner("audit", "verify").code == 0


@promise("restore.verified")
def test_a_tampered_backup_is_refused_with_what_is_wrong(root: Cli, tmp_path: Path) -> None:
    root("call", "object.create", json.dumps({"type": "note", "data": {"title": "untouched"}}))
    file = tmp_path / "b.db"
    backed_up(root, file)
    file.write_bytes(file.read_bytes().replace(b'"title":"untouched"', b'"title":"retouched"'))
    folder = tmp_path / "copy"
    folder.mkdir()
    done = Cli(folder)("restore", str(file), "--json")
    assert (done.code, done.error) == (1, "invalid")
    assert "object" in done.json["error"]["message"]
    assert list(folder.iterdir()) == []


@promise("backup.whole")
def test_what_is_there_is_not_overwritten(root: Cli, tmp_path: Path) -> None:
    file = tmp_path / "b.db"
    backed_up(root, file)
    content = file.read_bytes()
    for arguments in (("backup", str(file)), ("backup", str(root.database))):
        assert root(*arguments, "--json").error == "invalid"
    assert root("restore", str(file), "--json").error == "invalid"
    assert (file.read_bytes(), root("call", "whoami").code) == (content, 0)


@promise("cli.json")
def test_wrong_usage_is_told_from_refusal(root: Cli, tmp_path: Path) -> None:
    file = str(tmp_path / "b.db")
    wrong = (("backup",), ("restore",), ("restore", file, "--in-place"))
    for arguments in wrong:
        done = root(*arguments, "--json")
        assert (done.code, done.error) == (2, "invalid"), arguments
    server = Cli(root.folder, extra={"SCOPED_MCP_DB": "postgresql://host/name"})
    nowhere = str(tmp_path / "absent" / "c.db")
    for one, *arguments in (
        (server, "backup", file),
        (server, "restore", file),
        (root, "restore", file),
        (root, "backup", file, "--db", nowhere),
        (root, "restore", "--in-place", "--db", nowhere),
    ):
        done = one(*arguments, "--json")
        assert (done.code, done.error) == (1, "invalid"), arguments
    assert not Path(nowhere).parent.exists()
    assert not Path(file).exists()


@pytest.mark.slow
@promise("restore.dead")
def test_a_copy_in_place_needs_nobody_beside_and_kills_what_it_brought(root: Cli) -> None:
    with root.running("serve", "--transport", "http", "--port", "0", "--json") as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        assert root("restore", "--in-place", "--json").error == "invalid"
        assert root("call", "whoami").code == 0
        server.send_signal(signal.SIGINT)
        assert server.wait(BOUND) == 0
    done = root("restore", "--in-place", "--json")
    assert (done.code, done.json["epoch"], done.json["owners"]) == (0, 1, ["root"])
    assert root("call", "whoami", "--json").error == "unauthenticated"
    assert recover(root)("call", "whoami").code == 0
