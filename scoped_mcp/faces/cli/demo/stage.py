"""The stage: a fresh house, its HTTP server in a process of its own, and who acts through MCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from fastmcp.client import Client
from fastmcp.client.transports import StreamableHttpTransport

from scoped_mcp.app import Scoped
from scoped_mcp.config import Settings
from scoped_mcp.kernel.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from scoped_mcp.faces.cli.demo.document import Section

START_SECONDS = 60
STOP_SECONDS = 15
CALL_SECONDS = 60
PAGE = 100


class BrokenPromiseError(Exception):
    """A step does not hold."""


def expect(holds: object, otherwise: str) -> None:
    """Go on if it holds.

    Raises:
        BrokenPromiseError: it does not.
    """
    if not holds:
        raise BrokenPromiseError(otherwise)


class Actor:
    """Somebody with a token, working through an MCP client of its own."""

    def __init__(self, name: str, token: str, client: Client[Any]) -> None:
        self.name = name
        self.token = token
        self.id = ""
        self.refusals: list[str] = []
        self._client = client

    async def answer(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Call a tool; its view, or `{"error": …}`."""
        result = await self._client.call_tool(tool, arguments, raise_on_error=False)
        content: dict[str, Any] = result.structured_content or {}
        if result.is_error:
            expect("error" in content, f"{tool} failed without saying why")
            self.refusals.append(content["error"]["entry"])
        return content

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Call a tool that must succeed."""
        content = await self.answer(tool, **arguments)
        error: dict[str, Any] = content.get("error") or {}
        why = f"{error.get('code')}: {error.get('message')}"
        expect(not error, f"{tool} by {self.name} was refused with {why}")
        return content

    async def refused(self, code: str, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Call a tool that must be refused with this code; the refusal."""
        content = await self.answer(tool, **arguments)
        found = content.get("error", {}).get("code", "done")
        expect(found == code, f"{tool} by {self.name} answered {found}, not {code}")
        return cast("dict[str, Any]", content["error"])

    async def visible(self) -> dict[str, dict[str, Any]]:
        """Every object that it sees, by id."""
        return {one["id"]: one for one in await self.pages("object_list")}

    async def pages(self, tool: str) -> list[dict[str, Any]]:
        """Every item of a list."""
        items: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            found = await self.call(tool, limit=PAGE, **more)
            items += found["items"]
            if found.get("next_cursor") is None:
                return items
            more = {"cursor": found["next_cursor"]}


@dataclass
class Stage:
    """What the steps share.

    Attributes:
        address: Where the server answers.
        folder: Where the database is.
        root_token: The credential of the first principal.
        sections: The document.
        cast: Who acts, by name.
        objects: The ids of the sections, in their order.
        environment: Where they were made.
        scope: The scope in which some are published.
        channel: The way into it.
        promotion: By which they were.
        merged: By which a fork of one of them was merged.
        published: The ids of the copies, in the order of the sections.
        hidden_entry: The trail's entry of the refused write.
    """

    address: str
    folder: Path
    root_token: str
    sections: list[Section]
    server: asyncio.subprocess.Process
    clients: contextlib.AsyncExitStack
    cast: dict[str, Actor] = field(default_factory=dict[str, Actor])
    objects: list[str] = field(default_factory=list[str])
    environment: str = ""
    scope: str = ""
    channel: str = ""
    promotion: str = ""
    merged: str = ""
    published: list[str] = field(default_factory=list[str])
    hidden_entry: str = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def set_up(cls, folder: Path, sections: list[Section]) -> AsyncGenerator[Stage]:
        """A new database and a server on a free port of the loopback."""
        url = f"sqlite:///{folder / 'scoped.db'}"
        token = await Scoped.create(url, name="root", settings=Settings(db=url, key_file=None))
        with os.fdopen(
            os.open(folder / "root.token", os.O_CREAT | os.O_WRONLY, 0o600), "w"
        ) as file:
            file.write(token)
        server, address = await _serve(url)
        async with contextlib.AsyncExitStack() as clients:
            stage = cls(address, folder, token, sections, server, clients)
            try:
                yield stage
            finally:
                await stage.stop()

    async def enter(self, name: str, token: str, mode: str = "auto", **headers: str) -> Actor:
        """Connect somebody; the actor knows itself by `whoami`."""
        transport = StreamableHttpTransport(self.address, headers=headers, auth=token)
        client: Client[Any] = Client(transport, mode=mode, timeout=CALL_SECONDS)
        actor = Actor(name, token, await self.clients.enter_async_context(client))
        actor.id = (await actor.call("whoami"))["principal"]["id"]
        return actor

    async def turned_away(self, token: str) -> bool:
        """Whether a token opens nothing: 401, or the refusal of the call (clients hide a 401)."""
        status, body = await asyncio.to_thread(_post, self.address, token)
        return status == HTTPStatus.UNAUTHORIZED or b"unauthenticated" in body

    async def stop(self) -> None:
        """Disconnect everybody and end the server; nothing happens when it has ended."""
        with contextlib.suppress(Exception):
            await self.clients.aclose()
        if self.server.returncode is None:
            self.server.terminate()
            try:
                await asyncio.wait_for(self.server.wait(), STOP_SECONDS)
            except TimeoutError:
                self.server.kill()
                await self.server.wait()


def _post(address: str, token: str) -> tuple[int, bytes]:
    """Status and body of one call with a token."""
    at = urlsplit(address)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami"}}
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    with contextlib.closing(HTTPConnection(at.netloc, timeout=CALL_SECONDS)) as connection:
        connection.request("POST", at.path, json.dumps(call), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


async def _serve(url: str) -> tuple[asyncio.subprocess.Process, str]:
    """Start `scoped-mcp serve` and wait until it says where it answers."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCOPED_MCP_")}
    command = (
        "-m",
        "scoped_mcp.faces.cli",
        "serve",
        "--transport",
        "http",
        "--port",
        "0",
        "--json",
    )
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**kept, "SCOPED_MCP_DB": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said = b""
    if server.stdout is not None:
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(server.stdout.readline(), START_SECONDS)
    _, found, rest = said.decode().partition('"url": "')
    if not found:
        if server.returncode is None:
            server.kill()
            await server.wait()
        message = "the server did not start"
        raise InternalError(message, hint="try `scoped-mcp serve --transport http` by itself")
    return server, rest.partition('"')[0]
