"""The MCP face over a fresh house, in process and over the real HTTP stack."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from fastmcp.client import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.utilities.asgi_transport import StreamingASGITransport
from fastmcp.utilities.tests import run_asgi_lifespan
from httpx2 import AsyncClient
from mcp_types import Implementation

from scoped_mcp import Scoped
from scoped_mcp.config import Settings
from scoped_mcp.faces.mcp import application
from tests.conftest import FixedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Home

ORIGIN = "http://127.0.0.1"


@dataclass
class Face:
    """The MCP face of an open house: clients, raw HTTP, and whoever asks."""

    scoped: Scoped
    app: Any
    root_token: str
    url: str

    async def user(self, name: str, **limits: Any) -> str:
        """A token for a principal of this name, created if absent."""
        return (await self.issue(name, **limits))["token"]

    async def issue(self, name: str, **limits: Any) -> dict[str, Any]:
        given = {"name": name, "kind": "user", "ttl_seconds": 3600, **limits}
        return await self.call("token.issue", given)

    async def call(self, operation: str, arguments: Any, token: str | None = None) -> Any:
        """Do an operation beside the face."""
        view = await self.scoped.spine.call(operation, arguments, token or self.root_token)
        return view.as_json()

    def http(self, token: str | None = None, **headers: str) -> AsyncClient:
        if token is not None:
            headers = {"authorization": f"Bearer {token}", **headers}
        return AsyncClient(
            transport=StreamingASGITransport(self.app), base_url=ORIGIN, headers=headers
        )

    def client(
        self, token: str, mode: str = "auto", info: Any = None, **headers: str
    ) -> Client[Any]:
        def factory(**kwargs: Any) -> AsyncClient:
            return AsyncClient(
                transport=StreamingASGITransport(self.app), base_url=ORIGIN, **kwargs
            )

        transport = StreamableHttpTransport(
            f"{ORIGIN}/mcp", headers=headers, auth=token, httpx_client_factory=factory
        )
        declared = None if info is None else Implementation(**info)
        return Client(transport, mode=mode, client_info=declared)

    async def trail(self, **filters: Any) -> list[dict[str, Any]]:
        """The newest entries, as the root owner sees them."""
        return (await self.call("audit.list", {"limit": 100, **filters}))["items"]


@asynccontextmanager
async def _served(scoped: Scoped, root_token: str, url: str) -> AsyncIterator[Face]:
    app = application(scoped)
    async with run_asgi_lifespan(app):
        yield Face(scoped, app, root_token, url)


@pytest_asyncio.fixture
async def face(house: Home) -> AsyncIterator[Face]:
    async with _served(house.scoped, house.root_token, house.url) as served:
        yield served


@pytest_asyncio.fixture
async def public_face(database_path: Path, template: tuple[Path, str]) -> AsyncIterator[Face]:
    """The same under a name of its own, and callable from one web page."""
    url = f"sqlite:///{database_path}"
    settings = Settings(
        db=url, allowed_hosts=("house.example",), allowed_origins=("https://app.example",)
    )
    async with (
        Scoped.open(url, clock=FixedClock(), settings=settings) as scoped,
        _served(scoped, template[1], url) as served,
    ):
        yield served


@pytest_asyncio.fixture
async def real_face(tmp_path: Path) -> AsyncIterator[Face]:
    """A house by the machine's clock, which other processes can open."""
    url = f"sqlite:///{tmp_path / 'real.db'}"
    token = await Scoped.create(url, name="root")
    async with Scoped.open(url) as scoped, _served(scoped, token, url) as served:
        yield served


@pytest_asyncio.fixture
async def alice_token(face: Face) -> str:
    return await face.user("alice")


def rpc(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request of the handshake era."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
