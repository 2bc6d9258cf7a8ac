"""Backups are whole or not there; what is restored is checked before anybody can use it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scoped_mcp import Scoped
from scoped_mcp.kernel.errors import InternalError, InvalidError, ScopedError
from scoped_mcp.storage import copies, driver, guards, schema
from tests.conftest import Home
from tests.promises import promise

pytestmark = pytest.mark.sqlite

NOTE = {"type": "note", "data": {"title": "x" * 500}}
PAGE = 4_096
GUARD = (
    "CREATE TRIGGER guard_entries_update BEFORE UPDATE ON entries WHEN 1 "
    "BEGIN SELECT RAISE(ABORT, 'guard: entries refuses this update'); END"
)


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def edit(file: Path, *statements: str) -> None:
    """Change a backup as whoever holds it can: no trigger and no key is in the way."""
    with closing(driver.dbapi.connect(str(file), isolation_level=None)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            raw.execute(statement)


@pytest.fixture
def backup(database_path: Path, tmp_path: Path) -> Path:
    """A backup in a folder of its own."""
    file = tmp_path / "backups" / "b.db"
    copies.back_up(database_path, file)
    return file


async def restore(file: Path, tmp_path: Path) -> Path:
    target = tmp_path / "restored" / "scoped.db"
    await Scoped.restore(f"sqlite:///{target}", file)
    return target


class TestBackup:
    @promise("backup.whole", "embedded.files")
    def test_a_backup_is_one_file_of_its_owner_alone(self, backup: Path) -> None:
        assert files(backup.parent) == {"b.db"}
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600

    @promise("backup.whole")
    @pytest.mark.parametrize("suffix", copies.BESIDE)
    def test_nothing_is_overwritten(self, database_path: Path, tmp_path: Path, suffix: str) -> None:
        folder = tmp_path / "backups"
        folder.mkdir()
        (folder / f"b.db{suffix}").write_text("mine")
        with pytest.raises(InvalidError):
            copies.back_up(database_path, folder / "b.db")
        assert files(folder) == {f"b.db{suffix}"}
        assert (folder / f"b.db{suffix}").read_text() == "mine"

    @promise("backup.whole")
    def test_what_came_to_its_place_meanwhile_stays(
        self, database_path: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "backups" / "b.db"

        def meanwhile(_done: int, _total: int) -> None:
            file.write_text("mine")

        with pytest.raises(InvalidError):
            copies.back_up(database_path, file, meanwhile)
        assert files(file.parent) == {"b.db"}
        assert file.read_text() == "mine"

    @promise("backup.whole")
    def test_a_backup_that_fails_leaves_nothing(self, database_path: Path, tmp_path: Path) -> None:
        file = tmp_path / "backups" / "b.db"

        def stopped(_done: int, _total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copies.back_up(database_path, file, stopped)
        with pytest.raises(InvalidError):
            copies.back_up(tmp_path / "absent.db", file)
        assert files(file.parent) == set()

    def test_what_is_no_database_of_ours_is_no_source(self, tmp_path: Path) -> None:
        other = tmp_path / "other.db"
        edit(other, "CREATE TABLE t (id INTEGER)")
        with pytest.raises(InvalidError):
            copies.back_up(other, tmp_path / "b.db")
        (tmp_path / "text.db").write_text("no database at all" * 500)
        with pytest.raises(ScopedError):
            copies.back_up(tmp_path / "text.db", tmp_path / "b.db")
        assert not (tmp_path / "b.db").exists()

    def test_a_damaged_database_makes_no_backup(self, database_path: Path, tmp_path: Path) -> None:
        spoil(database_path)
        with pytest.raises(InternalError):
            copies.back_up(database_path, tmp_path / "b.db")
        assert not (tmp_path / "b.db").exists()

    @promise("backup.online")
    async def test_it_is_the_database_at_one_moment_and_nobody_waits(
        self, house: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Writers commit between any two pages; the copy holds what was there when it began."""
        monkeypatch.setattr(copies, "PAGES", 8)
        for _ in range(5):
            await house.root.call("object.create", NOTE)
        before = (await house.root.call("audit.verify"))["entries"]
        loop = asyncio.get_running_loop()
        looks: list[int] = []

        def write(_done: int, total: int) -> None:
            looks.append(total)
            if len(looks) <= 10:
                made = house.root.call("object.create", NOTE)
                asyncio.run_coroutine_threadsafe(made, loop).result(60)

        file = tmp_path / "b.db"
        copied = await asyncio.to_thread(copies.back_up, house.path, file, write)
        assert len(looks) > 10
        assert len(set(looks)) == 1
        assert copied.seq == before + 1  # the verification itself is the last entry
        assert copied.size == file.stat().st_size
        assert (await house.root.call("audit.verify"))["ok"]
        target = await restore(file, tmp_path)
        with closing(sqlite3.connect(target)) as raw:
            assert raw.execute("SELECT count(*) FROM objects").fetchone() == (5,)


def spoil(file: Path) -> None:
    """Overwrite a page in the middle, as a bad disk does."""
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size // PAGE // 2 * PAGE)
        handle.write(b"\xff" * PAGE)


def truncate(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size // 2 // PAGE * PAGE)


def cut_within_a_page(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size - 100)


def flip_a_bit_of_the_trail(file: Path) -> None:
    """Wherever it stands: a page that was moved leaves its old bytes behind."""
    content = file.read_bytes()
    assert b'"operation":"house.found"' in content
    file.write_bytes(content.replace(b'"operation":"house', b'"operation":"iouse'))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def other_file(file: Path) -> None:
    file.write_text("not a database " * 1_000)


def other_database(file: Path) -> None:
    file.unlink()
    edit(file, "CREATE TABLE notes (id INTEGER PRIMARY KEY)")


def absent(file: Path) -> None:
    file.unlink()


def without_a_guard(file: Path) -> None:
    edit(file, "DROP TRIGGER guard_entries_update")


def with_a_weaker_guard(file: Path) -> None:
    edit(
        file,
        "UPDATE sqlite_master SET sql = replace(sql, 'WHEN 1', 'WHEN 0')"
        " WHERE name = 'guard_entries_update'",
    )


def with_a_trigger(file: Path) -> None:
    edit(
        file,
        "CREATE TRIGGER later AFTER INSERT ON entries BEGIN"
        " INSERT INTO outbox (entry, event, subject, version) VALUES (new.id, 'x', 1, 1); END",
    )


def with_a_view(file: Path) -> None:
    edit(file, "CREATE VIEW everything AS SELECT * FROM version_contents")


def with_a_table(file: Path) -> None:
    edit(file, "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT")


def with_a_virtual_table(file: Path) -> None:
    edit(file, "CREATE VIRTUAL TABLE more USING fts5(text)")


def without_an_index(file: Path) -> None:
    edit(file, "DROP INDEX ux_sessions_credential")


def with_a_loose_table(file: Path) -> None:
    edit(
        file,
        "UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '') WHERE name = 'credentials'",
    )


def _unguarded(file: Path, *statements: str) -> None:
    """Edit rows and put every guard back as it was."""
    with closing(driver.dbapi.connect(str(file), isolation_level=None)) as raw:
        found = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        raw.execute("BEGIN")
        for name, _ in found:
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert raw.execute(statement).rowcount > 0
        for _, sql in found:
            raw.execute(sql)
        raw.execute("COMMIT")


def with_a_credential_of_the_next_epoch(file: Path) -> None:
    """The epoch is a column: it is recomputed like any other."""
    _unguarded(file, "UPDATE credentials SET epoch = 1")


def with_an_owner_more(file: Path) -> None:
    _unguarded(file, "UPDATE memberships SET role = 'viewer'")


def without_its_last_entry(file: Path) -> None:
    _unguarded(file, "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")


def without_a_head(file: Path) -> None:
    _unguarded(file, "DELETE FROM chain_heads")


def that_was_never_founded(file: Path) -> None:
    file.unlink()
    schema.create(file)


BAD: list[Callable[[Path], None]] = [
    truncate, flip_a_bit_of_the_trail, other_file, without_a_guard, with_a_trigger,
    with_an_owner_more,
]  # fmt: skip
WORSE: list[Callable[[Path], None]] = [
    spoil, cut_within_a_page, empty, other_database, absent, with_a_weaker_guard, with_a_view,
    with_a_table, with_a_virtual_table, without_an_index, with_a_loose_table,
    with_a_credential_of_the_next_epoch, without_its_last_entry, without_a_head,
    that_was_never_founded,
]  # fmt: skip


class TestRestore:
    @promise("restore.verified")
    @pytest.mark.parametrize(
        "harm",
        [*BAD, *(pytest.param(harm, marks=pytest.mark.slow) for harm in WORSE)],
        ids=lambda harm: harm.__name__,
    )
    async def test_a_bad_backup_is_refused_and_leaves_nothing(
        self, backup: Path, tmp_path: Path, harm: Callable[[Path], None]
    ) -> None:
        harm(backup)
        folder = tmp_path / "restored"
        folder.mkdir()
        before = files(backup.parent)
        with pytest.raises(InvalidError) as refused:
            await restore(backup, tmp_path)
        assert refused.value.message
        assert refused.value.hint
        assert files(folder) == set()
        assert files(backup.parent) == before

    @promise("restore.verified")
    @pytest.mark.parametrize("suffix", copies.BESIDE)
    async def test_nothing_is_restored_over_or_beside_a_leftover(
        self, backup: Path, tmp_path: Path, suffix: str
    ) -> None:
        folder = tmp_path / "restored"
        folder.mkdir()
        (folder / f"scoped.db{suffix}").write_text("mine")
        with pytest.raises(InvalidError):
            await restore(backup, tmp_path)
        assert files(folder) == {f"scoped.db{suffix}"}

    @promise("restore.verified")
    async def test_a_head_that_was_noted_tells_another_copy(
        self, backup: Path, database_path: Path, tmp_path: Path
    ) -> None:
        again = copies.back_up(database_path, tmp_path / "again.db")
        target = tmp_path / "restored" / "scoped.db"
        with pytest.raises(InvalidError):
            await Scoped.restore(f"sqlite:///{target}", backup, head="0" * 64)
        assert files(target.parent) == set()
        made = await Scoped.restore(f"sqlite:///{target}", backup, head=again.head)
        assert (made.seq, made.head, made.owners) == (again.seq, again.head, ("root",))

    async def test_a_restored_database_is_whole_guarded_and_its_owner_s_alone(
        self, backup: Path, tmp_path: Path
    ) -> None:
        content = backup.read_bytes()
        target = await restore(backup, tmp_path)
        assert files(target.parent) == {"scoped.db", "scoped.db.key"}
        for name in files(target.parent):
            assert stat.S_IMODE((target.parent / name).stat().st_mode) == 0o600
        with schema.unconfined(target) as connection:
            assert guards.present(connection) == guards.declared(connection)
        assert backup.read_bytes() == content
        assert files(backup.parent) == {"b.db"}

    async def test_a_backup_on_a_medium_that_only_reads_will_do(
        self, backup: Path, tmp_path: Path
    ) -> None:
        backup.chmod(0o400)
        backup.parent.chmod(0o500)
        try:
            assert await restore(backup, tmp_path)
        finally:
            backup.parent.chmod(0o700)

    async def test_a_plain_copy_with_its_wal_is_a_backup_too(
        self, house: Home, tmp_path: Path
    ) -> None:
        """As a snapshot of the disk holds it: newest writes stand in the -wal beside."""
        made = await house.root.call("object.create", NOTE)
        folder = tmp_path / "disk"
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy2(f"{house.path}{suffix}", folder / f"scoped.db{suffix}")
        target = await restore(folder / "scoped.db", tmp_path)
        with closing(sqlite3.connect(target)) as raw:
            found = raw.execute("SELECT public_id FROM registry WHERE kind = 'object'").fetchall()
        assert found == [(made["id"],)]

    async def test_the_key_at_hand_is_used_and_kept(self, backup: Path, tmp_path: Path) -> None:
        folder = tmp_path / "restored"
        folder.mkdir()
        key = folder / "scoped.db.key"
        key.write_bytes(b"k" * 32)
        without_a_guard(backup)
        with pytest.raises(InvalidError):
            await restore(backup, tmp_path)
        assert key.read_bytes() == b"k" * 32
        edit(backup, GUARD)
        await restore(backup, tmp_path)
        assert key.read_bytes() == b"k" * 32

    @promise("restore.schema")
    @pytest.mark.parametrize(
        "revision", ["0001", "0003", pytest.param("0002", marks=pytest.mark.slow)]
    )
    async def test_an_older_backup_is_brought_up_and_stays_as_it_is(
        self, database_path: Path, tmp_path: Path, revision: str
    ) -> None:
        schema.downgrade(database_path, revision)
        file = tmp_path / "old.db"
        assert copies.back_up(database_path, file).revision == revision
        content = file.read_bytes()
        target = await restore(file, tmp_path)
        assert schema.current(target) == schema.HEAD
        assert file.read_bytes() == content

    @promise("restore.schema")
    async def test_a_newer_backup_says_what_to_install(
        self, database_path: Path, tmp_path: Path
    ) -> None:
        edit(database_path, "UPDATE alembic_version SET version_num = '9999'")
        file = tmp_path / "new.db"
        assert copies.back_up(database_path, file).revision == "9999"
        with pytest.raises(InvalidError) as refused:
            await restore(file, tmp_path)
        assert "install" in refused.value.hint
        assert files(tmp_path / "restored") == set()


class TestInPlace:
    @promise("restore.verified")
    async def test_a_copy_in_place_gets_its_epoch_and_is_kept_to_its_owner(
        self, backup: Path, template: Any
    ) -> None:
        backup.chmod(0o644)
        made = await Scoped.begin_epoch(f"sqlite:///{backup}")
        assert (made.epoch, stat.S_IMODE(backup.stat().st_mode)) == (1, 0o600)
        async with Scoped.open(f"sqlite:///{backup}") as scoped:
            with pytest.raises(ScopedError):
                await scoped.session(template[1])

    @promise("restore.verified")
    @pytest.mark.parametrize("harm", [without_a_guard, with_an_owner_more])
    async def test_a_bad_copy_in_place_is_left_as_it_is(
        self, backup: Path, harm: Callable[[Path], None]
    ) -> None:
        harm(backup)
        with pytest.raises(InvalidError):
            await Scoped.begin_epoch(f"sqlite:///{backup}")
        with closing(sqlite3.connect(backup)) as raw:
            assert raw.execute("SELECT epoch FROM organisations").fetchone() == (0,)

    async def test_nobody_else_may_have_it_open(self, house: Home) -> None:
        with pytest.raises(InvalidError):
            await Scoped.begin_epoch(house.url)
        assert await house.root.call("whoami")

    async def test_an_older_copy_in_place_is_sent_to_upgrade(self, backup: Path) -> None:
        schema.downgrade(backup, "0003")
        with pytest.raises(InternalError) as refused:
            await Scoped.begin_epoch(f"sqlite:///{backup}")
        assert "db upgrade" in refused.value.hint
