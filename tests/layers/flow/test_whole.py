"""All of a promotion lands or nothing does: at a failed check, a guard, a `kill -9`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import Any

import pytest

from scoped_mcp import Scoped
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.layers.objects import Object
from scoped_mcp.spine.ports import ports
from tests.layers.flow.conftest import Team, refused
from tests.promises import promise

MANY = 200
KILLED = """
import asyncio, os, signal, sys
from scoped_mcp import Scoped
from scoped_mcp.layers.objects import Object
from scoped_mcp.spine.ports import ports
from tests.conftest import FixedClock

seen = 0

def die(tx, after, content):
    global seen
    seen += isinstance(after, Object)
    if seen == 100:
        os.kill(os.getpid(), signal.SIGKILL)

async def main(url, token, promotion, picture):
    async with Scoped.open(url, clock=FixedClock()) as scoped:
        rita = await scoped.session(token)
        ports.entity_guards.append(die)
        asked = {"id": promotion, "decision": "approve", "picture": picture}
        await rita.call("promotion.review", asked)

asyncio.run(main(*sys.argv[1:]))
"""


async def many(team: Team, last: str = "note") -> list[str]:
    """Two hundred objects in one environment, the last of another type."""
    home = (await team.bot.call("environment.spawn"))["id"]
    asked = [{"type": "note", "data": {"n": n}} for n in range(MANY - 1)]
    asked.append({"type": last, "data": {"n": MANY - 1}})
    made = await team.bot.call("object.create_many", {"objects": asked, "environment": home})
    return [one["id"] for one in made["items"]]


@promise("flow.whole", "spine.nested")
async def test_two_hundred_land_together_in_one_entry(team: Team) -> None:
    asked = await team.ask(team.bot, *await many(team))
    done = await team.decide(team.rita, asked, "approve")
    assert len({one["published"] for one in done["objects"]}) == MANY
    trail = await team.rita.call("audit.list", {"about": asked["id"]})
    entries = {one["operation"]: one for one in trail["items"]}
    applied, reviewed = entries["promotion.apply"], entries["promotion.review"]
    assert applied["parent"] == reviewed["id"]
    assert len(applied["changes"]) == MANY + 1


@pytest.mark.parametrize("approvals", [0, 1])
@promise("flow.whole")
async def test_where_the_last_of_two_hundred_fails_a_check_nothing_lands(
    team: Team, approvals: int
) -> None:
    notes = await team.opened("notes", allowed_types=["note"], approvals=approvals)
    asked = await team.ask(team.bot, *await many(team, last="memo"), channel=notes)
    assert asked["state"] == "failed"
    assert [c["name"] for c in asked["checks"] if c["outcome"] == "failed"] == ["types"]
    assert await team.shown() == {}


async def test_where_a_guard_refuses_the_last_nothing_lands_and_it_still_waits(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await team.ask(team.bot, *await many(team))

    def narrow(_tx: Any, after: Any, _content: bytes) -> None:
        if isinstance(after, Object) and after.data == {"n": MANY - 1}:
            message = "the scope takes no more"
            raise InvalidError(message, hint="make room")

    with monkeypatch.context() as patched:
        patched.setattr(ports, "entity_guards", [*ports.entity_guards, narrow])
        with refused("invalid", "make room"):
            await team.decide(team.rita, asked, "approve")
    assert await team.shown() == {}
    assert await team.state(asked) == "pending"
    assert (await team.house.root.call("audit.verify"))["ok"]
    assert (await team.decide(team.rita, asked, "approve"))["state"] == "applied"


@promise("flow.whole")
async def test_killed_half_way_nothing_landed_and_it_still_waits(team: Team) -> None:
    asked = await team.ask(team.bot, *await many(team))
    await team.house.scoped.spine.database.close()
    arguments = [team.house.url, team.house.token("rita"), asked["id"], asked["picture"]]
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, *arguments],
        check=False,
        timeout=180,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    async with Scoped.open(team.house.url, clock=team.house.clock) as scoped:
        rita = await scoped.session(team.house.token("rita"))
        root = await scoped.session(team.house.root_token)
        assert (await rita.call("object.list", {"scope": team.scope}))["items"] == []
        assert (await rita.call("promotion.get", {"id": asked["id"]}))["state"] == "pending"
        assert (await root.call("audit.verify"))["ok"]
        yes = {"id": asked["id"], "decision": "approve"}
        done = await rita.call("promotion.review", yes)
        assert done["state"] == "applied"
        assert len(done["objects"]) == MANY
