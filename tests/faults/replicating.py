"""What Litestream does to a database, in a process of its own: pages, then frames as they come.

    python -m tests.faults.replicating DATABASE FOLDER

It holds a read transaction, so that no checkpoint starts the -wal anew under it, copies the
database page by page while others write, and at each `sync` on standard input ships the frames up
to the last commit. What it ships it has read from the two files: SQLite is not asked.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import BinaryIO

from scoped_mcp.storage import driver

WAL_HEADER, FRAME_HEADER = 32, 24


def checksum(content: bytes, order: str, first: int, second: int) -> tuple[int, int]:
    """SQLite's checksum of a -wal (file format, §4.2)."""
    for one, two in struct.iter_unpack(f"{order}II", content):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


class Wal:
    """The frames of one -wal, shipped up to the newest commit."""

    def __init__(self, source: Path, replica: Path) -> None:
        self._source, self._replica = source, replica
        self._at = 0
        self._sums = (0, 0)
        self._header = b""

    def ship(self) -> int:
        """Append what has been committed by now to the replica; the length of what it holds."""
        end = self._source.stat().st_size
        with self._source.open("rb") as file:
            header = file.read(WAL_HEADER)
            if not self._header and len(header) == WAL_HEADER:
                self._begin(header)
            assert header == self._header, "the -wal began anew under the read transaction"
            file.seek(self._at)
            with self._replica.open("ab") as replica:
                self._frames(file, replica, end)
        return self._at

    def _begin(self, header: bytes) -> None:
        self._header = header
        self._order = ">" if header[3] & 1 else "<"
        self._page = int.from_bytes(header[8:12], "big")
        self._sums = checksum(header[:24], self._order, 0, 0)
        self._replica.write_bytes(header)
        self._at = WAL_HEADER

    def _frames(self, file: BinaryIO, replica: BinaryIO, end: int) -> None:
        waiting, sums = b"", self._sums
        size = FRAME_HEADER + self._page
        while file.tell() < end and len(frame := file.read(size)) == size:
            if frame[8:16] != self._header[16:24]:
                return  # of an earlier round of the file
            sums = checksum(frame[:8] + frame[FRAME_HEADER:], self._order, *sums)
            written = tuple(int.from_bytes(frame[at : at + 4], "big") for at in (16, 20))
            if written != sums:
                return  # it is being written
            waiting += frame
            if int.from_bytes(frame[4:8], "big"):  # a commit
                replica.write(waiting)
                self._at += len(waiting)
                self._sums, waiting = sums, b""


def main(database: Path, folder: Path) -> None:
    """Replicate until standard input ends."""
    raw = driver.dbapi.connect(str(database), isolation_level=None)
    raw.execute("PRAGMA busy_timeout = 30000")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    raw.execute("CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
    raw.execute("CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER)")
    raw.execute("BEGIN")
    raw.execute("SELECT count(*) FROM _litestream_seq").fetchone()
    wal = Wal(Path(f"{database}-wal"), folder / "scoped.db-wal")
    print("reading", flush=True)  # noqa: T201 - to the test
    with database.open("rb") as source, (folder / "scoped.db").open("wb") as base:
        while page := source.read(4_096):
            base.write(page)
    print(wal.ship(), flush=True)  # noqa: T201
    for _ in sys.stdin:
        print(wal.ship(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
