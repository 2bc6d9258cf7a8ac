"""A server of three organisations: the home, acme and umbra, each with an owner of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from scoped_mcp import Houses, Session, houses
from scoped_mcp.config import Settings
from scoped_mcp.houses.directory import address
from scoped_mcp.houses.founding import put
from scoped_mcp.kernel.clock import Entropy
from tests.conftest import FixedClock
from tests.grounds import SQLITE, Ground

OTHERS = ("acme", "umbra")


@dataclass
class Town:
    """An open server and what opens its houses.

    Attributes:
        tokens: Organisation → the token of its first principal; `home` is one of them.
    """

    houses: Houses
    folder: Path
    clock: FixedClock
    tokens: dict[str, str]

    @property
    def settings(self) -> Settings:
        return self.houses.settings

    def path(self, name: str) -> Path:
        """The database of an organisation where `org create` puts it."""
        return self.folder / ("scoped.db" if name == "home" else f"scoped.{name}.db")

    async def owner(self, name: str) -> Session:
        return await self.houses.session(self.tokens[name])

    async def found(self, name: str, **named: Any) -> str:
        """Found one more; its first token."""
        made = await houses.create(self.houses, name, owner="root", clock=self.clock, **named)
        self.tokens[name] = made.token
        return made.token

    @asynccontextmanager
    async def beside(self, **limits: Any) -> AsyncIterator[Houses]:
        """Another server on the same databases."""
        settings = self.settings.model_copy(update=limits)
        async with Houses.open(settings, clock=self.clock) as opened:
            yield opened


Founded = tuple[Path, dict[str, str]]
Templates = Callable[[Ground], tuple[str, str]]
Opens = Callable[..., AbstractAsyncContextManager[Town]]


@pytest.fixture(scope="session")
def founded(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A server of three that no test writes to, closed: its folder and its tokens."""
    folder = tmp_path_factory.mktemp("town")
    url, token = templates(SQLITE)
    source = url.removeprefix("sqlite:///")
    for suffix in ("", ".key"):
        shutil.copy2(f"{source}{suffix}", folder / f"scoped.db{suffix}")

    async def found() -> dict[str, str]:
        clock = FixedClock()
        settings = Settings(db=f"sqlite:///{folder / 'scoped.db'}")
        async with Houses.open(settings, clock=clock) as opened:
            town = Town(opened, folder, clock, {"home": token})
            for name in OTHERS:
                await town.found(name)
            return town.tokens

    return folder, asyncio.run(found())


@pytest.fixture
def opens(founded: Founded, tmp_path: Path, clock: FixedClock) -> Opens:
    """Opens a server of three in a folder of this test's own."""

    @asynccontextmanager
    async def town(
        place: Path = tmp_path, entropy: Entropy | None = None, **limits: Any
    ) -> AsyncIterator[Town]:
        folder, tokens = founded
        for file in folder.iterdir():
            if file.suffix in {".db", ".key"}:
                shutil.copy2(file, place / file.name)
        settings = Settings(db=f"sqlite:///{place / 'scoped.db'}", **limits)
        async with Houses.open(settings, clock=clock, entropy=entropy) as opened:
            here = Town(opened, place, clock, dict(tokens))
            for one in await opened.directory.read():
                await put(opened, one, url=address(str(here.path(one.name))))
            yield here

    return town


@pytest_asyncio.fixture
async def town(opens: Opens) -> AsyncIterator[Town]:
    async with opens() as opened:
        yield opened
