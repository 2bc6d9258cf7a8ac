"""A move: whole or not at all, byte for byte, and never two that can be used."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scoped_mcp import Houses, Scoped, Session, houses
from scoped_mcp.config import Settings
from scoped_mcp.houses import Step
from scoped_mcp.houses.directory import address
from scoped_mcp.kernel.errors import Code, ScopedError
from scoped_mcp.layers import registry
from scoped_mcp.spine.caller import Origin
from scoped_mcp.storage import copying, driver
from scoped_mcp.storage.metadata import metadata
from tests.grounds import POSTGRESQL
from tests.house.source import ROOT
from tests.houses.conftest import Town
from tests.promises import promise

KILLED_AT = [*Step, "copying"]
SCRIPT = """
import asyncio, os, signal, sys
from scoped_mcp import Houses, houses
from scoped_mcp.config import Settings
from scoped_mcp.storage import copying
from tests.conftest import FixedClock

async def main(db, to, at):
    if at == "copying":
        copying.ROWS, at = 7, "copied"
    async with Houses.open(Settings(db=db), clock=FixedClock()) as town:
        async for step in houses.move(town, "acme", to):
            if step == at:
                os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def moved(town: Houses, to: str) -> list[Step]:
    return [step async for step in houses.move(town, "acme", to)]


async def code_of(work: Any) -> Code:
    with pytest.raises(ScopedError) as refused:
        await work
    return refused.value.code


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, below the application."""
    raw = driver.dbapi.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {name: raw.execute(f"SELECT * FROM {name}").fetchall() for name in metadata.tables}
    finally:
        raw.close()


async def furnish(owner: Session) -> dict[str, Any]:
    """Some of everything: versions, tombstones, a cursor, an environment, a delegate."""
    notes = [
        await owner.call("object.create", {"type": "note", "data": {"n": n}}, key=f"key {n}")
        for n in range(5)
    ]
    await owner.call("object.update", {"id": notes[0]["id"], "data": {"n": "newer"}})
    await owner.call("object.delete", {"id": notes[1]["id"]})
    await owner.call("environment.spawn", {"name": "room"})
    made = await owner.call("agent.delegate", {"name": "helper", "ttl_seconds": 3600})
    page = await owner.call("object.list", {"limit": 2})
    return {"notes": notes, "token": made["token"], "cursor": page["next_cursor"]}


@promise("organisations.moved")
async def test_a_move_keeps_everything_as_it_is(town: Town) -> None:
    acme = await town.owner("acme")
    made = await furnish(acme)
    rest = await acme.call("object.list", {"limit": 2, "cursor": made["cursor"]})
    to = town.folder / "far" / "acme moved.db"
    steps = await moved(town.houses, str(to))
    assert list(dict.fromkeys(steps)) == list(Step)
    before, after = rows(town.path("acme")), rows(to)
    for name in ("entries", "registry", "versions", "version_contents", "outbox"):
        assert set(before[name]) <= set(after[name]), name
    for name in set(before) - {"entries", "versions", "version_contents", "outbox"}:
        changed = {"organisations", "chain_heads", "last_seen"}
        assert name in changed or set(after[name]) == set(before[name]), name
    assert len(after["entries"]) == len(before["entries"]) + 1  # it arrived
    assert (await acme.call("object.get", {"id": made["notes"][0]["id"]}))["version"] == 2
    again = await acme.call("object.list", {"limit": 2, "cursor": made["cursor"]})
    assert again == rest
    assert await town.houses.session(made["token"])
    repeated = await acme.call("object.create", {"type": "note", "data": {"n": 3}}, key="key 3")
    assert repeated["id"] == made["notes"][3]["id"]
    assert (await acme.call("audit.verify", {}))["ok"]
    (one,) = [o for o in await houses.listed(town.houses) if o["name"] == "acme"]
    assert (one["url"], one["state"]) == (address(str(to)), "active")


@promise("organisations.left")
async def test_what_was_left_is_closed_with_a_last_entry_that_says_where_to(town: Town) -> None:
    to = town.folder / "new.db"
    left, copied = town.path("acme"), town.folder / "copied.db"
    await moved(town.houses, str(to))
    shutil.copy2(left, copied)
    shutil.copy2(f"{left}.key", f"{copied}.key")
    before = rows(left)
    last = max(before["entries"])
    assert address(str(to)).encode() in last[-2]
    for path in (left, copied):
        async with Scoped.open(f"sqlite:///{path}", clock=town.clock) as alone:
            session = Session(alone.spine, town.tokens["acme"], Origin())
            assert await code_of(session.call("whoami")) is Code.CONFLICT
            assert await code_of(session.call("audit.list")) is Code.CONFLICT
            assert await code_of(alone.session("nonsense")) is Code.CONFLICT
            await_house = alone.spine.run_as_house(registry.RegisterKinds())
            assert await code_of(await_house) is Code.CONFLICT
            elsewhere = registry.ArriveInDatabase(at=address(str(path)))
            assert await code_of(alone.spine.run_as_house(elsewhere)) is Code.CONFLICT
        assert await code_of(_recovered(path)) is Code.CONFLICT
        if path == left:
            assert rows(left)["chain_heads"][0][:2] == before["chain_heads"][0][:2]


async def _recovered(path: Path) -> str:
    return await Scoped.recover(f"sqlite:///{path}", "root")


@promise("organisations.moved")
async def test_servers_that_have_it_open_follow_it(town: Town) -> None:
    async with town.beside() as other:
        acme = await other.session(town.tokens["acme"])
        made = await acme.call("object.create", {"type": "note", "data": {}})
        move = houses.move(town.houses, "acme", str(town.folder / "new.db"))
        async for step in move:
            if step in {Step.CLOSED, Step.VERIFIED}:
                with pytest.raises(ScopedError) as refused:
                    await acme.call("whoami")
                assert (refused.value.code, refused.value.retry) == (Code.CONFLICT, True)
        assert (await acme.call("object.get", {"id": made["id"]}))["version"] == 1
        await acme.call("object.update", {"id": made["id"], "data": {"n": 1}})
    away = town.path("acme")
    away.unlink()
    assert (await (await town.owner("acme")).call("object.get", {"id": made["id"]}))["version"] == 2


async def test_a_suspended_organisation_moves_and_stays_suspended(town: Town) -> None:
    await houses.suspend(town.houses, "acme")
    await moved(town.houses, str(town.folder / "new.db"))
    assert await code_of(town.owner("acme")) is Code.UNAUTHENTICATED
    await houses.resume(town.houses, "acme")
    assert await town.owner("acme")


async def test_a_target_in_use_is_refused_and_nothing_is_closed(town: Town) -> None:
    strange = town.folder / "strange.db"
    raw = driver.dbapi.connect(str(strange))
    raw.execute("CREATE TABLE things (id INTEGER)")
    raw.close()
    for target in (town.path("umbra"), town.path("home"), strange):
        refused = await code_of(moved(town.houses, str(target)))
        assert refused in {Code.INVALID, Code.INTERNAL}
    assert await town.owner("acme")
    (one, _) = await houses.listed(town.houses)
    assert one["state"] == "active"


async def test_a_move_that_is_given_up_leaves_it_where_it_was(town: Town) -> None:
    to = str(town.folder / "new.db")
    move = houses.move(town.houses, "acme", to)
    async for step in move:
        if step is Step.VERIFIED:
            break
    await move.aclose()
    assert await code_of(town.owner("acme")) is Code.CONFLICT
    assert await code_of(moved(town.houses, str(town.folder / "third.db"))) is Code.CONFLICT
    assert await code_of(houses.suspend(town.houses, "acme")) is Code.CONFLICT
    await houses.resume(town.houses, "acme")
    acme = await town.owner("acme")
    await acme.call("object.create", {"type": "note", "data": {}})
    assert await code_of(moved(town.houses, to)) is Code.INVALID  # an old copy is no target
    async with Scoped.open(to, clock=town.clock) as copy:
        assert await code_of(copy.session(town.tokens["acme"])) is Code.CONFLICT
    await moved(town.houses, str(town.folder / "third.db"))
    assert (await acme.call("audit.verify", {}))["ok"]


async def test_a_copy_that_does_not_verify_is_not_switched_to(town: Town) -> None:
    acme = await town.owner("acme")
    await furnish(acme)
    to = town.folder / "new.db"

    async def spoiled() -> None:
        async for step in houses.move(town.houses, "acme", str(to)):
            if step is Step.COPIED:
                spoil(to)

    assert await code_of(spoiled()) is Code.INTERNAL
    (one, _) = await houses.listed(town.houses)
    assert one["url"] == address(str(town.path("acme")))
    await houses.resume(town.houses, "acme")
    assert await town.owner("acme")


def spoil(path: Path) -> None:
    raw = driver.dbapi.connect(str(path), isolation_level=None)
    raw.execute("DROP TRIGGER IF EXISTS guard_objects_update")
    raw.execute("UPDATE objects SET type = 'other'")
    raw.close()


@pytest.mark.slow
@promise("organisations.killed")
@pytest.mark.parametrize("at", KILLED_AT)
async def test_a_move_killed_at_any_step_leaves_one_that_can_be_used(town: Town, at: str) -> None:
    made = await furnish(await town.owner("acme"))
    to = str(town.folder / "new.db")
    command = [sys.executable, "-c", SCRIPT, town.settings.db, to, at]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=False, timeout=180)
    assert done.returncode == -signal.SIGKILL
    usable = [path for path in (town.path("acme"), Path(to)) if await answers(path, town)]
    assert len(usable) <= 1
    async with town.beside() as other:
        acme = Session(other.spine, town.tokens["acme"], Origin())
        if at in {Step.MADE, Step.MOVING, Step.SWITCHED, Step.ARRIVED}:
            assert (await acme.call("whoami"))["principal"]["name"] == "root"
        await moved(other, to)
        assert (await acme.call("object.get", {"id": made["notes"][0]["id"]}))["version"] == 2
        assert (await acme.call("audit.verify", {}))["ok"]
        assert not await answers(town.path("acme"), town)


@pytest.mark.slow
@promise("organisations.killed")
@pytest.mark.parametrize("at", [Step.MOVING, Step.CLOSED, "copying", Step.VERIFIED])
async def test_a_move_killed_before_it_is_decided_can_be_given_up(town: Town, at: str) -> None:
    await furnish(await town.owner("acme"))
    to = str(town.folder / "new.db")
    command = [sys.executable, "-c", SCRIPT, town.settings.db, to, at]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=False, timeout=180)
    assert done.returncode == -signal.SIGKILL
    async with town.beside() as other:
        await houses.resume(other, "acme")
        acme = await other.session(town.tokens["acme"])
        assert (await acme.call("audit.verify", {}))["ok"]
        assert not await answers(Path(to), town)


async def answers(path: Path, town: Town) -> bool:
    """Whether the organisation answers in this database, opened by itself."""
    if not path.exists():
        return False
    try:
        async with Scoped.open(str(path), clock=town.clock) as alone:
            await alone.session(town.tokens["acme"])
    except ScopedError:
        return False
    return True


async def test_rows_are_copied_in_bounded_chunks(town: Town, monkeypatch: Any) -> None:
    acme = await town.owner("acme")
    heavy = {"text": "x" * 300_000}
    for _ in range(4):
        await acme.call("object.create", {"type": "note", "data": heavy})
    monkeypatch.setattr(copying, "OCTETS", 400_000)
    monkeypatch.setattr(copying, "ROWS", 50)
    steps = await moved(town.houses, str(town.folder / "new.db"))
    assert steps.count(Step.COPIED) > 20
    assert (await acme.call("audit.verify", {}))["ok"]


@promise("organisations.moved", "organisations.left")
async def test_the_home_moves_with_its_directory(town: Town) -> None:
    home, acme = await town.owner("home"), await town.owner("acme")
    made = await furnish(home)
    to = f"sqlite:///{town.folder / 'new home.db'}"
    steps = [s async for s in houses.move_home(town.settings, to, clock=town.clock)]
    assert steps[-1] is Step.ARRIVED
    assert await code_of(home.call("whoami")) is Code.CONFLICT
    assert (await acme.call("whoami"))["principal"]["name"] == "root"
    assert await code_of(_stayed(town)) is Code.CONFLICT  # the copy was opened
    again = [s async for s in houses.move_home(town.settings, to, clock=town.clock)]
    assert again == [Step.ARRIVED]
    moved_to = Settings(db=to)
    async with Houses.open(moved_to, clock=town.clock) as there:
        owner = await there.session(town.tokens["home"])
        page = {"limit": 2, "cursor": made["cursor"]}
        assert (await owner.call("object.list", page))["items"]
        assert (await owner.call("audit.verify", {}))["ok"]
        assert (await there.session(town.tokens["acme"])) is not None


async def _stayed(town: Town) -> None:
    await houses.resume_home(town.settings, clock=town.clock)


@promise("organisations.killed")
@pytest.mark.parametrize("at", [Step.MADE, Step.CLOSED, Step.COPIED, Step.VERIFIED])
async def test_a_move_of_the_home_that_ended_early_goes_on_or_is_given_up(
    town: Town, at: Step
) -> None:
    home = await town.owner("home")
    for to, stays in (("one.db", True), ("two.db", False)):
        move = houses.move_home(town.settings, str(town.folder / to), clock=town.clock)
        async for step in move:
            if step is at:
                break
        await move.aclose()
        if stays:
            await _stayed(town)
            assert (await home.call("whoami"))["principal"]["name"] == "root"
    url = str(town.folder / "two.db")
    steps = [s async for s in houses.move_home(town.settings, url, clock=town.clock)]
    assert steps[-1] is Step.ARRIVED
    assert await code_of(home.call("whoami")) is Code.CONFLICT
    async with Houses.open(Settings(db=url), clock=town.clock) as there:
        assert (await (await there.session(town.tokens["home"])).call("audit.verify", {}))["ok"]


def rows_at(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The same on PostgreSQL; both in the order of their values."""
    with POSTGRESQL.looking(url) as raw:
        found = {name: raw.execute(f"SELECT * FROM {name}").fetchall() for name in metadata.tables}
    return {name: sorted(map(tuple, those), key=repr) for name, those in found.items()}


@pytest.mark.slow
@promise("organisations.moved")
async def test_an_organisation_moves_to_the_other_engine_and_back_row_for_row(
    town: Town, tmp_path: Path
) -> None:
    """With so many objects more as `SCOPED_MCP_TEST_MOVE` says."""
    owner = await town.owner("acme")
    made = await furnish(owner)
    for _ in range(0, int(os.environ.get("SCOPED_MCP_TEST_MOVE", "0")), 200):
        bulk = [{"type": "note", "data": {"n": n}} for n in range(200)]
        await owner.call("object.create_many", {"objects": bulk})
    there, back = POSTGRESQL.place(tmp_path), f"sqlite:///{tmp_path / 'back.db'}"
    try:
        async for step in houses.move(town.houses, "acme", there):
            if step is Step.VERIFIED:
                here = {n: sorted(r, key=repr) for n, r in rows(town.path("acme")).items()}
                assert rows_at(there) == here
        assert (await owner.call("audit.verify"))["ok"]
        note = await owner.call("object.create", {"type": "note", "data": {"n": "there"}})
        page = await owner.call("object.list", {"limit": 2, "cursor": made["cursor"]})
        assert page["items"]
        helper = await town.houses.session(made["token"])
        assert (await helper.call("whoami"))["principal"]["name"].endswith("helper")
        async for step in houses.move(town.houses, "acme", back):
            if step is Step.VERIFIED:
                now = {n: sorted(r, key=repr) for n, r in rows(tmp_path / "back.db").items()}
                assert rows_at(there) == now
        assert (await owner.call("object.get", {"id": note["id"]}))["data"] == {"n": "there"}
        await owner.call("object.update", {"id": note["id"], "data": {"n": "back"}})
        assert (await owner.call("audit.verify"))["ok"]
    finally:
        await town.houses.pool.close()
        POSTGRESQL.forget(there)
