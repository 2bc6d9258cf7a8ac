"""A team with a way in: alice owns its scope, rita reviews, bob and the agent bot work for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from scoped_mcp import ScopedError, Session
from tests.conftest import Home

View = dict[str, Any]


@dataclass
class Team:
    """A scope, those who belong to it, and a channel from any environment into it.

    Attributes:
        alice: The owner of the scope.
        rita: An admin of it, who reviews.
        bob: A user who contributes.
        bot: An agent that root answers for, and that contributes.
    """

    house: Home
    alice: Session
    rita: Session
    bob: Session
    bot: Session
    scope: str
    channel: str

    async def member(self, session: Session, role: str, scope: str | None = None) -> None:
        """Give somebody a role in the scope."""
        who = (await session.call("whoami"))["principal"]["id"]
        asked = {"scope": scope or self.scope, "principal": who, "role": role}
        await self.alice.call("scope.add_member", asked)

    async def opened(self, name: str, **more: Any) -> str:
        """Another channel into the scope."""
        asked = {
            "name": name,
            "source": {"kind": "any_environment"},
            "target": {"kind": "scope", "id": self.scope},
        }
        return str((await self.alice.call("channel.create", asked | more))["id"])

    async def note(self, who: Session, data: View, **more: Any) -> str:
        """An object in somebody's newest environment, which is spawned where there is none."""
        found = (await who.call("environment.list", {"limit": 1}))["items"]
        home = found[0]["id"] if found else (await who.call("environment.spawn"))["id"]
        asked = {"type": "note", "data": data, "environment": home} | more
        return str((await who.call("object.create", asked))["id"])

    async def ask(self, who: Session, *objects: str, **more: Any) -> View:
        """Request a promotion."""
        asked = {"objects": list(objects), "channel": self.channel} | more
        return await who.call("promotion.request", asked)

    async def decide(self, who: Session, promotion: View, decision: str, **more: Any) -> View:
        """Look, and decide."""
        seen = await who.call("promotion.get", {"id": promotion["id"]})
        asked = {"id": promotion["id"], "decision": decision, "picture": seen["picture"]}
        return await who.call("promotion.review", asked | more)

    async def publish(self, who: Session, *objects: str, **more: Any) -> list[str]:
        """Request and approve; the ids of the copies."""
        asked = await self.ask(who, *objects, **more)
        assert asked["state"] == "pending", asked
        done = await self.decide(self.rita, asked, "approve")
        assert done["state"] == "applied", done
        return [one["published"] for one in done["objects"]]

    async def state(self, promotion: View, who: Session | None = None) -> str:
        """The state of a promotion, as its reviewer sees it."""
        seen = await (who or self.rita).call("promotion.get", {"id": promotion["id"]})
        return str(seen["state"])

    async def shown(self, who: Session | None = None) -> dict[str, Any]:
        """What stands in the scope: id → data."""
        asked = {"scope": self.scope, "detail": "full", "limit": 100}
        page = await (who or self.alice).call("object.list", asked)
        return {one["id"]: one["data"] for one in page["items"]}


@pytest_asyncio.fixture
async def team(house: Home) -> Team:
    """The team, and nothing published yet."""
    life = {"ttl_seconds": 30 * 86_400}
    alice, rita, bob = [await house.user(name, **life) for name in ("alice", "rita", "bob")]
    bot = await house.agent("bot", **life)
    scope = (await alice.call("scope.create", {"name": "team"}))["id"]
    found = Team(house, alice, rita, bob, bot, scope, "")
    for who, role in ((rita, "admin"), (bob, "contributor"), (bot, "contributor")):
        await found.member(who, role)
    found.channel = await found.opened("results")
    return found


@contextmanager
def refused(code: str, hint: str = "") -> Iterator[None]:
    """What is done inside must be refused with this code, traced, with a hint that names this."""
    with pytest.raises(ScopedError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)
    assert caught.value.entry is not None
    assert hint in caught.value.hint, caught.value.hint
