"""Two versions of the code on one file: the older one stops and says what to install."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp import Scoped, ScopedError
from scoped_mcp.storage import driver, schema
from tests.faults.http import code, line
from tests.faults.processes import CLI, running, server
from tests.faults.trail import entries
from tests.promises import promise

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.conftest import Place


NOTE: dict[str, Any] = {"type": "note", "data": {}}
NEWER = "UPDATE alembic_version SET version_num = '9999'; PRAGMA user_version = 2001003;"


def move(path: Path, script: str) -> None:
    """What code of another version does, minding no lock; with one SQLite in this process."""
    with closing(driver.connect(path)) as raw:
        raw.executescript(script)


def back(number: int) -> str:
    return (
        f"UPDATE alembic_version SET version_num = '{schema.HEAD}'; PRAGMA user_version = {number};"
    )


@pytest.mark.slow
@promise("schema.revision")
@pytest.mark.sqlite
async def test_a_revision_that_appears_under_a_server_stops_it_until_it_is_gone(
    place: Place,
) -> None:
    async with server(place.url) as (_, address), line(address, place.root_token) as caller:
        assert code(await caller.call("object_create", NOTE)) == "done"
        held = len(entries(place.url))
        move(place.path, NEWER)
        for tool, given in (("object_create", NOTE), ("object_list", {}), ("whoami", {})):
            answer = await caller.call(tool, given)
            assert code(answer) == "internal", answer
        with pytest.raises(ScopedError) as refused:
            await place.root.call("object.create", NOTE)
        assert refused.value.code == "internal"
        assert "install scoped-mcp 2.1.3" in refused.value.hint
        assert not refused.value.retry
        assert len(entries(place.url)) == held, "written into a schema it does not know"
        move(place.path, back(1_000))
        assert code(await caller.call("object_create", NOTE)) == "done"
    assert (await place.root.call("audit.verify"))["ok"]


@pytest.mark.slow
@promise("schema.alone")
@pytest.mark.sqlite
async def test_serving_over_stdio_migrates_nothing(place: Place) -> None:
    move(place.path, "UPDATE alembic_version SET version_num = '9999'")
    settings = {"SCOPED_MCP_DB": place.url, "SCOPED_MCP_TOKEN": place.root_token}
    async with running(*CLI, "serve", **settings) as process:
        assert await process.over() == 1
        assert "install" in await process.complaint()
    with closing(driver.connect(place.path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    move(place.path, back(1_000))
    await place.root.call("whoami")


@promise("schema.alone")
@pytest.mark.parametrize("words", [["upgrade"], ["downgrade", "0001"]])
async def test_the_command_line_moves_no_schema_under_a_server(
    place: Place, words: list[str]
) -> None:
    async with running(*CLI, "db", *words, "--json", SCOPED_MCP_DB=place.url) as process:
        assert await process.over() == 1
        assert "another process has the database open" in await process.complaint()
    await place.root.call("whoami")


@promise("schema.revision")
@pytest.mark.sqlite
async def test_older_code_opens_no_newer_file(place: Place) -> None:
    move(place.path, NEWER)
    with pytest.raises(ScopedError) as refused:
        async with Scoped.open(place.url):
            pass
    assert "install scoped-mcp 2.1.3" in refused.value.hint
    move(place.path, back(1_000))
