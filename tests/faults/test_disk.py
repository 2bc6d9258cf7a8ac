"""A full disk and a file that cannot be written: said plainly, nothing lost, and on it goes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.storage import driver
from tests.faults.conftest import open_place
from tests.faults.processes import beside, running
from tests.faults.trail import contents
from tests.promises import promise

if TYPE_CHECKING:
    from tests.faults.conftest import Place

pytestmark = pytest.mark.sqlite  # a server's disk is the server's

SMALL = "2m"


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remount(self, options: str) -> None:
        command = ["mount", "-o", f"remount,{options}", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "scoped-mcp-test", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a file system of a test's own needs the right to mount")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


async def fill(session: Session, size: int = 20_000) -> tuple[list[str], ScopedError]:
    """Create objects until one is refused; what was acknowledged, and the refusal."""
    acked: list[str] = []
    while True:
        marker = str(len(acked))
        asked = {"type": "note", "data": {"marker": marker, "x": "x" * size}}
        try:
            await session.call("object.create", asked)
        except ScopedError as error:
            return acked, error
        acked.append(marker)
        assert len(acked) < 1_000


def stored(path: Path) -> list[str]:
    return [
        content["state"]["data"]["marker"]
        for _, _, content in contents(f"sqlite:///{path}", "object")
    ]


@promise("faults.disk")
async def test_a_full_disk_is_named_loses_nothing_and_is_survived(
    disk: Disk, measured: dict[str, Any]
) -> None:
    async with open_place(disk.folder) as place:
        acked, error = await fill(place.root)
        measured["acknowledged before the disk was full"] = len(acked)
        assert error.code == "internal"
        assert "full" in error.message
        assert error.hint
        assert error.retry
        assert stored(place.path) == acked
        burst = [fill(place.root) for _ in range(8)]  # a whole batch meets the full disk
        more: list[str] = []
        for got, refusal in await asyncio.gather(*burst):
            more += got
            assert refusal.code == "internal"
            assert "full" in refusal.message
        assert sorted(stored(place.path)) == sorted(acked + more)
        disk.remount("size=16m")
        after = {"type": "note", "data": {"marker": "after"}}
        await place.root.call("object.create", after)
        assert (await place.root.call("audit.verify"))["ok"]
        url, path, token = place.url, place.path, place.root_token
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        assert (await root.call("audit.verify"))["ok"]
    assert sorted(stored(path)) == sorted([*acked, *more, "after"])


@pytest.mark.slow
async def test_a_house_on_a_full_disk_can_be_closed_and_opened_again(disk: Disk) -> None:
    async with open_place(disk.folder) as place:
        acked, _ = await fill(place.root)
        url, path, token = place.url, place.path, place.root_token
    assert stored(path) == acked
    disk.remount("size=16m")
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        assert (await root.call("audit.verify"))["ok"]


@pytest.mark.slow
async def test_a_file_that_may_not_grow_is_refused_and_loses_nothing(place: Place) -> None:
    async with beside("limited", url=place.url, token=place.root_token) as child:
        told = await child.stop()
    assert told["code"] == "internal"
    assert told["hint"]
    assert not any(word in told["message"].lower() for word in ("sqlite", "errno", "traceback"))
    assert stored(place.path) == told["acked"]
    await place.root.call("object.create", {"type": "note", "data": {"marker": "after"}})
    assert (await place.root.call("audit.verify"))["ok"]


@pytest.mark.slow
async def test_a_read_only_disk_is_named(disk: Disk) -> None:
    async with open_place(disk.folder) as place:
        url, path = place.url, place.path
    before = path.read_bytes()
    disk.remount("ro")
    with pytest.raises(ScopedError) as refused:
        async with Scoped.open(url):
            pass
    assert refused.value.code in {"internal", "invalid"}
    assert refused.value.hint
    assert "written" in refused.value.message or "read-only" in refused.value.message
    disk.remount("rw")
    assert path.read_bytes() == before
    async with Scoped.open(url):
        pass


@pytest.mark.slow
@promise("faults.disk")
async def test_a_file_that_becomes_read_only_is_named_and_recovers(place: Place) -> None:
    acked = await place.root.call("object.create", {"type": "note", "data": {"marker": "1"}})
    raw = place.scoped.spine.database._writer.raw

    def pragma(value: str) -> Any:
        def run() -> None:
            raw.set_authorizer(None)
            raw.execute(f"PRAGMA query_only = {value}")
            driver.confine(raw)

        return run

    await place.scoped.spine.database._writer.run(pragma("ON"))
    for operation in ("object.create", "whoami"):
        given = {"type": "note", "data": {"marker": "2"}} if operation != "whoami" else {}
        with pytest.raises(ScopedError) as refused:
            await place.root.call(operation, given)
        assert refused.value.code == "internal"
        assert "read-only" in refused.value.message
    await place.scoped.spine.database._writer.run(pragma("OFF"))
    again = await place.root.call("object.get", {"id": acked["id"]})
    assert again["version"] == 1
    assert stored(place.path) == ["1"]


# What makes root root about files; without these it is an account like any other.
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
for capability in CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH:
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "scoped_mcp.faces.cli", *sys.argv[1:]])
"""
SOMEBODY = 65_534


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what is another's")
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serve_refuses_a_read_only_file_at_its_start_with_one_line(
    tmp_path: Path, workers: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with open_place(home) as place:
        url, path = place.url, place.path
    for suffix, mode in ("", 0o644), (".lock", 0o666), (".key", 0o644):
        os.chown(path.with_name(path.name + suffix), SOMEBODY, SOMEBODY)
        path.with_name(path.name + suffix).chmod(mode)
    os.chown(home, SOMEBODY, SOMEBODY)
    serve = ["serve", "--transport", "http", "--port", "0", "--workers", workers]
    async with running(sys.executable, "-c", WITHOUT_PRIVILEGE, *serve, "--db", url) as process:
        complaint = await process.complaint()
        assert (await process.over(), await process.all()) == (1, "")
    assert len(complaint.splitlines()) == 1, complaint  # what is wrong, and what to do
    assert "cannot be opened and written: it is read-only for this account" in complaint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    ("folder", "file", "lock"),
    [
        pytest.param(0o755, 0o644, 0o644, id="all"),
        pytest.param(0o777, 0o644, 0o666, id="the file"),
        pytest.param(0o777, 0o600, 0o666, id="reading too", marks=pytest.mark.slow),
        pytest.param(0o700, 0o644, 0o644, id="the folder", marks=pytest.mark.slow),
        pytest.param(0o755, 0o666, 0o666, id="what stands beside it", marks=pytest.mark.slow),
    ],
)
async def test_what_this_account_may_not_write_is_named_before_any_call(
    tmp_path: Path, folder: int, file: int, lock: int
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with open_place(home) as place:
        url, path = place.url, place.path
    before = path.read_bytes()
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(0o755)
    path.chmod(file)
    path.with_name(path.name + ".lock").chmod(lock)
    path.with_name(path.name + ".key").chmod(0o644)
    home.chmod(folder)
    async with beside("as_nobody", url=url) as child:
        told = json.loads(await child.line())
    assert told["code"] in {"internal", "invalid"}
    assert told["hint"]
    assert not any(word in told["message"].lower() for word in ("sqlite", "errno", "traceback"))
    assert path.read_bytes() == before


@promise("backup.whole")
async def test_a_backup_that_the_disk_does_not_hold_is_named_and_leaves_nothing(
    disk: Disk, place: Place
) -> None:
    for number in range(100):
        asked = {"type": "note", "data": {"marker": str(number), "x": "x" * 20_000}}
        await place.root.call("object.create", asked)
    with pytest.raises(ScopedError) as refused:
        Scoped.back_up(place.url, disk.folder / "b.db")
    assert (refused.value.code, "full" in refused.value.message) == ("internal", True)
    assert list(disk.folder.iterdir()) == []
    whole = place.path.with_name("b.db")
    Scoped.back_up(place.url, whole)
    with pytest.raises(ScopedError) as refused:
        await Scoped.restore(f"sqlite:///{disk.folder / 'scoped.db'}", whole)
    assert (refused.value.code, "full" in refused.value.message) == ("internal", True)
    assert list(disk.folder.iterdir()) == []
    assert (await place.root.call("audit.verify"))["ok"]
    disk.remount("size=16m")
    assert await Scoped.restore(f"sqlite:///{disk.folder / 'scoped.db'}", whole)
