"""stdio: the credential of the environment, in both eras; nothing but protocol on the line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from fastmcp.client import Client
from fastmcp.client.transports import StdioTransport

from tests.faces.cli import BOUND
from tests.faces.conftest import rpc

if TYPE_CHECKING:
    from tests.faces.conftest import Face

SERVE = """
import asyncio, sys
from scoped_mcp import Scoped, ScopedError
from scoped_mcp.faces.mcp import serve_stdio

async def main():
    async with Scoped.open() as scoped:
        await serve_stdio(scoped)

try:
    asyncio.run(main())
except ScopedError as error:
    sys.exit(str(error))
"""


def environment(face: Face, token: str | None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCOPED_MCP_")}
    named = {} if token is None else {"SCOPED_MCP_TOKEN": token}
    return {**kept, "SCOPED_MCP_DB": face.url, **named}


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_client_works_as_the_principal_of_its_token(real_face: Face, era: str) -> None:
    alice_token = await real_face.user("alice")
    transport = StdioTransport(
        sys.executable, ["-c", SERVE], env=environment(real_face, alice_token), keep_alive=False
    )
    async with Client(transport, mode=era) as client:
        me = await client.call_tool("whoami", {})
        assert me.structured_content["principal"]["name"] == "alice"
        assert me.structured_content["session"]["client"]
        assert "principal_create" not in [tool.name for tool in await client.list_tools()]
        hidden = await client.call_tool("principal_create", {"name": "x"}, raise_on_error=False)
        assert hidden.structured_content["error"]["code"] == "not_found"
        issued = (await real_face.call("token.list", {"limit": 100}))["items"]
        await real_face.call(
            "token.revoke",
            {"id": next(t["id"] for t in issued if t["principal"]["name"] == "alice")},
        )
        after = await client.call_tool("whoami", {}, raise_on_error=False)
        assert after.structured_content["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "token",
    [
        None,
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("", "nonsense")),
        "smcp_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaa",
    ],
)
async def test_without_a_good_token_it_ends_with_one_line(
    real_face: Face, token: str | None
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVE,
        env=environment(real_face, token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), BOUND)
    assert process.returncode == 1
    assert out == b""
    assert len(err.decode().strip().splitlines()) == 1


@pytest.mark.slow
async def test_nothing_but_protocol_is_written_to_standard_output(real_face: Face) -> None:
    alice_token = await real_face.user("alice")
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    lines = [
        rpc("initialize", hello),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        rpc("tools/call", {"name": "whoami", "arguments": {}}),
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVE,
        env=environment(real_face, alice_token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    sent = "".join(json.dumps(line) + "\n" for line in lines)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(sent.encode())
    answers = [await asyncio.wait_for(process.stdout.readline(), BOUND) for _ in range(2)]
    process.stdin.close()
    rest = await asyncio.wait_for(process.stdout.read(), BOUND)
    await process.wait()
    assert [json.loads(answer)["jsonrpc"] for answer in answers] == ["2.0", "2.0"]
    assert rest == b""
