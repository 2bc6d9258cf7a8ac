"""What the tests of environments ask again and again."""

from __future__ import annotations

from typing import Any

import pytest

from scoped_mcp import Session
from tests.conftest import Home

DAY = 86_400


async def me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def note(session: Session, environment: str | None = None, **data: Any) -> dict[str, Any]:
    """A note of this caller's."""
    asked: dict[str, Any] = {"type": "note", "data": data or {"n": 1}}
    if environment is not None:
        asked["environment"] = environment
    return await session.call("object.create", asked)


async def spawn(session: Session, **more: Any) -> str:
    return (await session.call("environment.spawn", more))["id"]


async def invite(owner: Session, environment: str, guest: Session, role: str) -> None:
    asked = {"id": environment, "principal": await me(guest), "role": role}
    await owner.call("environment.invite", asked)


async def ids(session: Session, operation: str = "object.list", **filters: Any) -> list[str]:
    """The ids of everything that a list shows, page by page."""
    found: list[str] = []
    asked = dict(filters)
    while True:
        page = await session.call(operation, asked)
        found += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            return found
        asked["cursor"] = page["next_cursor"]


@pytest.fixture
async def robot(house: Home) -> Session:
    """An agent that root answers for."""
    return await house.agent("robot")
