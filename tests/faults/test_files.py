"""Files replaced, cut or deleted under an open house: said, nothing lost in silence, mended."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from scoped_mcp import Scoped, ScopedError
from tests.faults.conftest import open_place, ticked
from tests.faults.http import code, line
from tests.faults.processes import BOUND, server
from tests.faults.trail import contents
from tests.promises import promise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scoped_mcp import Session
    from tests.faults.conftest import Place

pytestmark = pytest.mark.sqlite

SUFFIXES = ("", "-wal", "-shm")


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def stored(path: Path) -> list[str]:
    return [
        content["state"]["data"]["marker"]
        for _, _, content in contents(f"sqlite:///{path}", "object")
    ]


async def create(session: Session, marker: str) -> dict[str, Any]:
    return await session.call("object.create", {"type": "note", "data": {"marker": marker}})


async def refusal(session: Session) -> ScopedError:
    with pytest.raises(ScopedError) as refused:
        await create(session, "never")
    return refused.value


def copy_of(path: Path) -> Path:
    """A whole copy of the house, made as backups are made."""
    backup = path.with_name("backup.db")
    shutil.copy2(path, backup)
    return backup


def replace(path: Path, backup: Path) -> None:
    backup.replace(path)


def overwrite(path: Path, backup: Path) -> None:
    shutil.copyfile(backup, path)  # the same file, other contents


def empty(path: Path, _backup: Path) -> None:
    os.truncate(path, 0)


def halve(path: Path, _backup: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def delete(path: Path, _backup: Path) -> None:
    path.unlink()


def delete_wal(path: Path, _backup: Path) -> None:
    beside(path, "-wal").unlink()


def delete_shm(path: Path, _backup: Path) -> None:
    beside(path, "-shm").unlink()


def cut_wal(path: Path, _backup: Path) -> None:
    os.truncate(beside(path, "-wal"), 100)


def replace_wal(path: Path, _backup: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.touch()
    fresh.replace(beside(path, "-wal"))


TROUBLES = {
    replace: "replaced",
    overwrite: "written by another program",
    empty: "truncated",
    halve: "truncated",
    delete: "deleted",
    delete_wal: "-wal",
    delete_shm: "-shm",
    cut_wal: "-wal",
    replace_wal: "-wal",
}


@promise("faults.files")
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.__name__)
async def test_it_is_named_stops_reads_and_writes_and_tells_clients_no_path(
    tmp_path: Path, trouble: Callable[[Path, Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    async with open_place(tmp_path) as made:
        path, url, token = made.path, made.url, made.root_token
    backup = copy_of(path)  # closed: the file is whole without -wal
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        await create(root, "kept")
        before = beside(path, "-wal").read_bytes() if trouble is delete_shm else b""
        trouble(path, backup)
        with caplog.at_level(logging.CRITICAL, "scoped_mcp"):
            for _ in range(3):
                error = await refusal(root)
                assert error.code == "internal"
                assert TROUBLES[trouble] in error.message
                assert "operator" in error.hint
                assert not error.retry
                assert str(tmp_path) not in f"{error.message} {error.hint}"
            with pytest.raises(ScopedError):  # a revocation in the new file would count
                await scoped.spine.database.read(lambda _conn: None)
        named = [r for r in caplog.records if r.levelno == logging.CRITICAL]
        assert len(named) == 1, "once, not once a call"
        assert str(path) in named[0].getMessage()
        if before:
            assert beside(path, "-wal").read_bytes() == before, "something was written"


@promise("faults.files")
async def test_what_was_committed_into_a_file_nobody_finds_again_is_not_acknowledged(
    place: Place,
) -> None:
    fresh = place.path.with_name("fresh.db")
    shutil.copy2(place.path, fresh)

    def during(_conn: Any) -> None:
        fresh.replace(place.path)

    with pytest.raises(ScopedError) as refused:
        await place.scoped.spine.database.write(during)
    assert refused.value.code == "internal"
    assert "may be lost" in refused.value.message


async def test_files_put_back_as_they_were_are_gone_on_with(place: Place) -> None:
    await create(place.root, "one")
    away = place.path.with_name("away.db")
    place.path.rename(away)
    assert "deleted" in (await refusal(place.root)).message
    away.rename(place.path)
    await create(place.root, "two")
    assert stored(place.path) == ["one", "two"]
    assert (await place.root.call("audit.verify"))["ok"]


async def test_files_put_back_but_written_meanwhile_are_not(place: Place) -> None:
    away = place.path.with_name("away.db")
    place.path.rename(away)
    await refusal(place.root)
    ticked(away)
    os.utime(away)
    away.rename(place.path)
    assert "written" in (await refusal(place.root)).message


async def test_others_that_write_and_checkpoint_are_no_trouble(place: Place) -> None:
    async with Scoped.open(place.url) as other:
        there = await other.session(place.root_token)
        for number in range(150):  # past SQLite's checkpoint at 1,000 pages, by either
            big = {"type": "note", "data": {"x": "x" * 40_000, "marker": str(number)}}
            await (there if number % 2 else place.root).call("object.create", big)
    await create(place.root, "last")
    assert len(stored(place.path)) == 151


@pytest.mark.slow
@promise("faults.files")
@pytest.mark.parametrize("way", ["wal left", "wal taken along"])
async def test_an_older_copy_never_takes_the_newest_writes_of_the_file_before_it(
    tmp_path: Path, way: str
) -> None:
    async with open_place(tmp_path) as place:
        await create(place.root, "old")
        path, url, token = place.path, place.url, place.root_token
    backup = copy_of(path)
    async with server(url) as (process, address), line(address, token) as caller:
        await caller.call("object_create", {"type": "note", "data": {"marker": "new"}})
        path.rename(path.with_name("original.db"))
        backup.rename(path)
        refused = await caller.call("whoami")
        assert code(refused) == "internal", refused
        await process.kill()
    with pytest.raises(ScopedError) as mixed:
        async with Scoped.open(url):
            pass
    assert mixed.value.code == "invalid"
    assert "-wal" in mixed.value.message
    for suffix in ("-wal", "-shm"):
        beside(path, suffix).rename(path.with_name(f"original.db{suffix}"))
    if way == "wal taken along":  # the operator goes back to the original
        path.unlink()
        for suffix in SUFFIXES:
            path.with_name(f"original.db{suffix}").rename(beside(path, suffix))
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        await create(root, "after")
        assert (await root.call("audit.verify"))["ok"]
    expected = ["old", "new", "after"] if way == "wal taken along" else ["old", "after"]
    assert stored(path) == expected


@pytest.mark.slow
async def test_a_cut_file_put_right_serves_again_after_a_restart(tmp_path: Path) -> None:
    async with open_place(tmp_path) as made:
        await create(made.root, "kept")
        path, url, token = made.path, made.url, made.root_token
    backup = copy_of(path)
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        os.truncate(path, path.stat().st_size // 2)
        await refusal(root)
    for suffix in ("-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)
    backup.replace(path)
    async with Scoped.open(url) as scoped:
        root = await scoped.session(token)
        await create(root, "after")
        assert (await root.call("audit.verify"))["ok"]
    assert stored(path) == ["kept", "after"]


@pytest.mark.slow
async def test_over_http_it_is_told_in_the_shape_of_any_refusal(place: Place) -> None:
    async with server(place.url) as (_, address), line(address, place.root_token) as caller:
        assert code(await caller.call("whoami")) == "done"
        place.path.rename(place.path.with_name("away.db"))
        async with line(address, "smcp_another_token") as stranger:  # the door asks the database
            for one in (caller, stranger):
                answer = await one.call("object_create", {"type": "note", "data": {}})
                assert code(answer) == "internal", answer
                assert "deleted" in answer["error"]["message"]
                assert answer["error"]["retry"] is False
        async with httpx2.AsyncClient(timeout=BOUND) as http:
            health = await http.get(address.replace("/mcp", "/healthz"))
            living = await http.get(address.replace("/mcp", "/livez"))
        assert (health.status_code, living.status_code) == (503, 200)
        assert health.json()["error"]["hint"]
