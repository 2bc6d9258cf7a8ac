"""Founding: what is refused leaves nothing, and what was killed is gone on from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from scoped_mcp import Houses, Scoped, houses
from scoped_mcp.app import key_path, place_of
from scoped_mcp.config import Settings
from scoped_mcp.houses.founding import put
from scoped_mcp.kernel.errors import Code, InvalidError, ScopedError
from scoped_mcp.storage import driver
from tests.grounds import Ground
from tests.houses.conftest import Town
from tests.promises import promise

LONG = "x" * 1_001
ISSUER = "https://issuer.example"


def files(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir() if one.suffix in {".db", ".key", ".lock"}}


@promise("organisations.founded")
@pytest.mark.parametrize(
    ("name", "named", "code"),
    [
        ("ev\x1bil", {}, Code.INVALID),
        ("\u202efdp", {}, Code.INVALID),
        ("", {}, Code.INVALID),
        ("n" * 201, {}, Code.INVALID),
        ("late", {"owner": "\x00"}, Code.INVALID),
        ("late", {"issuer": ""}, Code.INVALID),
        ("late", {"issuer": LONG}, Code.INVALID),
        ("late", {"issuer": ISSUER}, Code.CONFLICT),
        ("late", {"db": "sqlite:///a%00b.db"}, Code.INVALID),
        ("late", {"db": f"sqlite:///{LONG}.db"}, Code.INVALID),
        ("acme", {}, Code.CONFLICT),
        ("home", {}, Code.CONFLICT),
    ],
)
async def test_what_the_directory_would_refuse_leaves_no_database(
    town: Town, name: str, named: dict[str, Any], code: Code
) -> None:
    await houses.lead(town.houses, "umbra", ISSUER)
    before = files(town.folder)
    with pytest.raises(ScopedError) as refused:
        await houses.create(town.houses, name, **{"owner": "root", "clock": town.clock, **named})
    assert (refused.value.code, files(town.folder)) == (code, before)
    assert await town.found("late")


async def test_an_issuer_that_is_none_is_refused(town: Town) -> None:
    for issuer in ("", LONG):
        with pytest.raises(InvalidError):
            await houses.lead(town.houses, "acme", issuer)


@pytest.mark.both
async def test_a_founding_that_was_killed_is_gone_on_from(ground: Ground, tmp_path: Path) -> None:
    url = ground.place(tmp_path)
    try:
        place_of(url).create()  # and here it was killed
        with pytest.raises(InvalidError):
            async with Scoped.open(url):
                pass
        token = await Scoped.create(url, name="root")
        async with Scoped.open(url) as scoped:
            root = await scoped.session(token)
            assert (await root.call("audit.verify"))["ok"]
            with pytest.raises(InvalidError):
                await Scoped.create(url, name="mallory")
            assert await scoped.session(token)
    finally:
        ground.forget(url)


async def test_a_file_without_a_table_is_founded_in(tmp_path: Path) -> None:
    path = tmp_path / "scoped.db"
    driver.connect(path).close()  # a header alone: it was killed before its schema stood
    assert path.stat().st_size
    assert await Scoped.create(str(path), name="root")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_two_who_found_at_once_make_one_house(tmp_path: Path) -> None:
    """Whoever comes second takes nothing back that is the first one's."""
    url = f"sqlite:///{tmp_path / 'scoped.db'}"
    place_of(url).create()
    made = await asyncio.gather(
        *(Scoped.create(url, name=name) for name in ("one", "other")), return_exceptions=True
    )
    (token,) = [one for one in made if isinstance(one, str)]
    (refused,) = [one for one in made if not isinstance(one, str)]
    assert isinstance(refused, InvalidError)
    async with Scoped.open(url) as scoped:
        assert await scoped.session(token)


async def test_nothing_is_founded_where_a_move_goes(town: Town) -> None:
    to = town.folder / "new.db"
    move = houses.move(town.houses, "acme", str(to))
    async for step in move:
        if step is houses.Step.COPIED:
            break
    await move.aclose()
    with pytest.raises(InvalidError):
        await Scoped.create(str(to), name="mallory")
    assert [step async for step in houses.move(town.houses, "acme", str(to))]
    assert await town.owner("acme")


async def test_a_move_goes_on_into_no_house_of_somebody_else(town: Town) -> None:
    to = town.folder / "new.db"
    move = houses.move(town.houses, "acme", str(to))
    async for step in move:
        if step is houses.Step.CLOSED:
            break
    await move.aclose()
    token = await Scoped.create(str(to), name="mallory", clock=town.clock)
    with pytest.raises(InvalidError):
        assert [step async for step in houses.move(town.houses, "acme", str(to))]
    async with Scoped.open(str(to), clock=town.clock) as other:
        assert (await (await other.session(token)).call("audit.verify"))["ok"]
    await houses.resume(town.houses, "acme")
    assert await town.owner("acme")


async def test_what_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("hello " * 1_000)
    for place in (tmp_path, text):
        with pytest.raises(InvalidError):
            await Scoped.create(str(place), name="root")
        with pytest.raises(ScopedError):
            place_of(str(place)).current()
        with pytest.raises(ScopedError):
            async with Houses.open(Settings(db=str(place))):
                pass
    assert not key_path(place_of(str(text)), Settings()).exists()
    assert text.read_text().startswith("hello")


async def test_two_operators_at_one_organisation_are_told_so_in_the_command_line_s_words(
    town: Town,
) -> None:
    seen = await town.houses.directory.named("acme")
    await houses.suspend(town.houses, "acme")
    with pytest.raises(ScopedError) as refused:
        await put(town.houses, seen, issuer=ISSUER)
    assert (refused.value.code, refused.value.retry) == (Code.CONFLICT, True)
    assert "scoped-mcp org list" in refused.value.hint


async def test_a_database_that_is_in_use_says_how_to_go_on(town: Town) -> None:
    """As who was killed between its founding and its entry in the directory leaves it."""
    await Scoped.create(str(town.path("late")), name="root", clock=town.clock)
    with pytest.raises(InvalidError) as refused:
        await town.found("late")
    assert "--db" in refused.value.hint
    town.path("late").unlink()
    assert await town.found("late")


async def test_a_folder_of_any_name_holds_a_town(tmp_path: Path) -> None:
    """What is shown of a place names it again, percent signs and quotes included."""
    folder = tmp_path / "50%41 o'clock #1"
    folder.mkdir()
    url = place_of(f"sqlite:///{quote(str(folder / 'scoped.db'))}").url
    assert place_of(url).url == url
    await Scoped.create(url, name="root")
    async with Houses.open(Settings(db=url)) as opened:
        made = await houses.create(opened, "acme", owner="anna")
        assert await opened.session(made.token)
        assert {"scoped.db", "scoped.acme.db"} <= files(folder)
