"""A house with the machine's own clock, for tests that run other processes beside it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp import Scoped, Session
from tests.grounds import SQLITE, Ground

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scoped_mcp.kernel.clock import Clock


@dataclass
class Place:
    """An open house and its database."""

    scoped: Scoped
    url: str
    root: Session
    root_token: str

    @property
    def path(self) -> Path:
        """Its file: for tests of SQLite alone."""
        return Path(self.url.removeprefix("sqlite:///"))

    async def issue(self, name: str, **limits: Any) -> dict[str, Any]:
        """A token of a user of this name, who is created if absent."""
        asked = {"name": name, "kind": "user", "ttl_seconds": 86_400, "toolsets": ["all"]}
        return await self.root.call("token.issue", asked | limits)

    async def user(self, name: str) -> Session:
        """A session of a new user."""
        return await self.scoped.session((await self.issue(name))["token"])


@asynccontextmanager
async def open_place(
    folder: Path, clock: Clock | None = None, ground: Ground = SQLITE
) -> AsyncIterator[Place]:
    """Found a house in a folder, or on another ground, and open it."""
    url = ground.place(folder)
    token = await Scoped.create(url, name="root", clock=clock)
    async with Scoped.open(url, clock=clock) as scoped:
        yield Place(scoped, url, await scoped.session(token), token)
    ground.forget(url)


def ticked(file: Path) -> None:
    """Wait until a file that is written now has another time: their clock may be a coarse one."""
    beside = file.with_name("ticked")
    while beside.touch() or beside.stat().st_mtime_ns <= file.stat().st_mtime_ns:
        continue
    beside.unlink()


@pytest.fixture
def measured() -> Iterator[dict[str, Any]]:
    """Numbers that a test measured, printed (`pytest -rP`), never asserted."""
    numbers: dict[str, Any] = {}
    yield numbers
    print(json.dumps(numbers))  # noqa: T201 - shown with the test's report


@pytest.fixture
async def place(tmp_path: Path, ground: Ground) -> AsyncIterator[Place]:
    async with open_place(tmp_path, ground=ground) as opened:
        yield opened
