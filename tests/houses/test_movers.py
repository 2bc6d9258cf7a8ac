"""Two who move one organisation at once: one is refused, and nothing is copied a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scoped_mcp import houses
from scoped_mcp.houses import Step
from scoped_mcp.houses.founding import arrived
from scoped_mcp.kernel.errors import Code
from scoped_mcp.storage import driver
from tests.houses.conftest import Town
from tests.houses.test_moving import code_of, furnish, moved, rows
from tests.promises import promise


@promise("organisations.killed")
async def test_of_two_that_go_on_with_a_move_at_once_one_is_refused(town: Town) -> None:
    await furnish(await town.owner("acme"))
    to = str(town.folder / "new.db")
    begun = houses.move(town.houses, "acme", to)
    assert [await anext(begun) for _ in range(3)][-1] is Step.CLOSED
    await begun.aclose()  # it ended early
    async with town.beside() as other:
        first = houses.move(other, "acme", to)
        assert [await anext(first) for _ in range(4)][-1] is Step.COPIED
        assert await code_of(moved(town.houses, to)) is Code.INVALID
        assert [step async for step in first][-1] is Step.ARRIVED
    assert await moved(town.houses, to) == [Step.ARRIVED]
    assert (await (await town.owner("acme")).call("audit.verify", {}))["ok"]


@promise("organisations.killed", "organisations.left")
async def test_nothing_is_put_again_into_a_copy_that_was_opened_meanwhile(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was delivered from the outbox there would be delivered a second time."""
    await furnish(await town.owner("home"))
    to = str(town.folder / "new home.db")
    begun = houses.move_home(town.settings, to, clock=town.clock)
    assert [await anext(begun) for _ in range(3)][-1] is Step.CLOSED
    await begun.aclose()
    of_moving = "scoped_mcp.houses.moving.arrived"

    async def outrun(*at: Any) -> bool:
        """Another mover ends the move between this one's look and its copying."""
        found = await arrived(*at)
        monkeypatch.setattr(of_moving, arrived)
        await at_home(town, to)
        raw = driver.dbapi.connect(to, isolation_level=None)
        raw.execute("DELETE FROM outbox")
        raw.close()
        return found

    monkeypatch.setattr(of_moving, outrun)
    assert await code_of(at_home(town, to)) is Code.CONFLICT
    assert rows(Path(to))["outbox"] == []
    assert await at_home(town, to) == [Step.ARRIVED]


async def at_home(town: Town, to: str) -> list[Step]:
    return [step async for step in houses.move_home(town.settings, to, clock=town.clock)]
