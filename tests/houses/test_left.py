"""What an organisation left stays closed, whatever an old directory says of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scoped_mcp import Houses, Session, houses
from scoped_mcp.config import Settings
from scoped_mcp.houses import Step
from scoped_mcp.houses.directory import address
from scoped_mcp.kernel.errors import Code
from scoped_mcp.spine.caller import Origin
from scoped_mcp.storage import copies
from tests.houses.conftest import Town
from tests.houses.test_moving import answers, code_of, moved
from tests.promises import promise


def directory_of(town: Town) -> Settings:
    """A copy of the home as it is now, with its directory: what a backup would bring back."""
    old = town.folder / f"home {len(list(town.folder.iterdir()))}.db"
    copies.back_up(town.path("home"), old)
    shutil.copy2(f"{town.path('home')}.key", f"{old}.key")
    return Settings(db=f"sqlite:///{old}")


@promise("organisations.left")
@pytest.mark.parametrize("hops", [1, 2])
async def test_an_old_directory_opens_nothing_again_that_was_left(town: Town, hops: int) -> None:
    """Nor does it move a second one out of it: `org resume` leads it to where it lives."""
    acme = await town.owner("acme")
    old = directory_of(town)
    for hop in range(hops):
        await moved(town.houses, str(town.folder / f"hop{hop}.db"))
    made = await acme.call("object.create", {"type": "note", "data": {}})
    async with Houses.open(old, clock=town.clock) as restored:
        there = Session(restored.spine, town.tokens["acme"], Origin())
        assert await code_of(there.call("whoami")) is Code.CONFLICT
        to = str(town.folder / "second.db")
        assert await code_of(moved(restored, to)) is Code.CONFLICT
        assert not Path(to).exists()
        shown = await houses.resume(restored, "acme")
        assert shown.url == address(str(town.folder / f"hop{hops - 1}.db"))
        assert (await there.call("object.get", {"id": made["id"]}))["version"] == 1
        assert not await answers(town.path("acme"), town)
        await houses.suspend(restored, "acme")
    assert await code_of(acme.call("whoami")) is Code.UNAUTHENTICATED


@promise("organisations.left")
async def test_a_directory_from_the_middle_of_a_move_opens_nothing_again_either(town: Town) -> None:
    to = str(town.folder / "new.db")
    async for step in houses.move(town.houses, "acme", to):
        if step is Step.VERIFIED:
            old = directory_of(town)
    made = await (await town.owner("acme")).call("object.create", {"type": "note", "data": {}})
    async with Houses.open(old, clock=town.clock) as restored:
        assert await code_of(moved(restored, to)) is Code.CONFLICT
        shown = await houses.resume(restored, "acme")
        assert (shown.url, shown.state, shown.target) == (address(to), "active", None)
        assert not await answers(town.path("acme"), town)
        owner = await restored.session(town.tokens["acme"])
        assert (await owner.call("object.get", {"id": made["id"]}))["version"] == 1
        assert (await owner.call("audit.verify"))["ok"]


@promise("organisations.left")
async def test_a_home_that_was_left_does_nothing_to_the_others(town: Town) -> None:
    async for _ in houses.move_home(town.settings, str(town.folder / "h.db"), clock=town.clock):
        pass
    async with Houses.open(Settings(db=str(town.folder / "h.db")), clock=town.clock) as there:
        await moved(there, str(town.folder / "a.db"))
        for work in (
            houses.resume(town.houses, "acme"),
            houses.suspend(town.houses, "acme"),
            houses.lead(town.houses, "acme", None),
            moved(town.houses, str(town.folder / "b.db")),
            town.found("late"),
        ):
            assert await code_of(work) is Code.CONFLICT
        assert not town.path("late").exists()
        assert not (town.folder / "b.db").exists()
        assert not await answers(town.path("acme"), town)
        assert (await there.session(town.tokens["acme"])) is not None


@promise("organisations.left")
async def test_a_home_that_went_on_is_not_opened_again_where_it_was_first(town: Town) -> None:
    first, then = (str(town.folder / name) for name in ("h1.db", "h2.db"))
    async for _ in houses.move_home(town.settings, first, clock=town.clock):
        pass
    async for _ in houses.move_home(Settings(db=first), then, clock=town.clock):
        pass
    assert await code_of(houses.resume_home(town.settings, clock=town.clock)) is Code.CONFLICT


async def test_a_move_can_be_given_up_though_its_target_is_gone_for_good(town: Town) -> None:
    to = town.folder / "new.db"
    move = houses.move(town.houses, "acme", str(to))
    async for step in move:
        if step is Step.VERIFIED:
            break
    await move.aclose()
    to.unlink()
    to.write_text("a disk that died")
    await houses.resume(town.houses, "acme")
    assert await town.owner("acme")
