"""What every story needs: a house with its users, a real server, and clients that call it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmcp.client import Client
from fastmcp.client.transports import StreamableHttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

SCOPED_MCP = (sys.executable, "-m", "scoped_mcp.faces.cli")


def scoped_mcp(*arguments: str, **environment: str) -> str:
    """Run one command of `scoped-mcp`; what it printed."""
    done = subprocess.run(  # noqa: S603 - our own program
        [*SCOPED_MCP, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout.strip()


@asynccontextmanager
async def server(db: str) -> AsyncGenerator[str]:
    """A server on a free port; its address."""
    process = await asyncio.create_subprocess_exec(
        *SCOPED_MCP,
        *("serve", "--transport", "http", "--port", "0", "--json"),
        env={**os.environ, "SCOPED_MCP_DB": db},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        yield json.loads(line)["url"]
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)


def connect(url: str, token: str) -> Client[Any]:
    """An MCP client: the token in its header is all that says who calls."""
    return Client(StreamableHttpTransport(url, headers={"Authorization": f"Bearer {token}"}))


async def call(client: Client[Any], tool: str, **arguments: object) -> dict[str, Any]:
    """Call a tool that must do what it is asked; what it answered."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    answer = result.structured_content or {}
    assert "error" not in answer, (tool, answer)
    return answer


async def refused(client: Client[Any], code: str, tool: str, **arguments: object) -> dict[str, Any]:
    """Call a tool that must refuse with this code; `message`, `hint` and `entry` of its refusal."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    error = (result.structured_content or {}).get("error", {})
    assert error.get("code") == code, (tool, result.structured_content)
    return dict(error)


async def sees(client: Client[Any]) -> dict[str, Any]:
    """Everything that somebody sees: id → data."""
    page = await call(client, "object_list", detail="full", limit=100)
    return {one["id"]: one["data"] for one in page["items"]}


async def agents(of: Client[Any], *names: str, **limits: object) -> list[dict[str, Any]]:
    """Make sub-agents of somebody: `principal` and `token` of each."""
    made = [{"name": name, "ttl_seconds": 600, **limits} for name in names]
    return [await call(of, "agent_delegate", **one) for one in made]


async def place(owner: Client[Any], name: str, members: dict[str, str]) -> tuple[str, str]:
    """A scope with its members, id → role, and a channel into it: the ids of both."""
    scope = str((await call(owner, "scope_create", name=name))["id"])
    for principal, role in members.items():
        await call(owner, "scope_add_member", scope=scope, principal=principal, role=role)
    ends = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": scope}}
    channel = await call(owner, "channel_create", name=f"into {name}", **ends)
    return scope, str(channel["id"])


@asynccontextmanager
async def house() -> AsyncGenerator[tuple[str, Client[Any]]]:
    """A fresh house, served over HTTP: its address, and a client of its first principal, root."""
    with tempfile.TemporaryDirectory() as folder:
        db = f"sqlite:///{Path(folder) / 'scoped.db'}"
        token = scoped_mcp("init", "--name", "root", SCOPED_MCP_DB=db)
        async with server(db) as url, connect(url, token) as root:
            yield url, root


async def decide(
    reviewer: Client[Any], promotion: str, decision: str, **more: object
) -> dict[str, Any]:
    """Look at a promotion, and decide about exactly what was seen."""
    picture = (await call(reviewer, "promotion_get", id=promotion))["picture"]
    asked = {"id": promotion, "decision": decision, "picture": picture, **more}
    return await call(reviewer, "promotion_review", **asked)


async def who(client: Client[Any]) -> str:
    """The id of the principal that a client acts as."""
    return str((await call(client, "whoami"))["principal"]["id"])


def play(story: Callable[[Client[Any], Client[Any], str], Awaitable[None]]) -> None:
    """Play a story of alice and bob at the address of a server, and verify its trail."""
    asked = {"kind": "user", "toolsets": ["core", "flow", "review"]}

    async def whole() -> None:
        async with house() as (url, root):
            issued = [await call(root, "token_issue", name=n, **asked) for n in ("alice", "bob")]
            alice, bob = (connect(url, one["token"]) for one in issued)
            async with alice, bob:
                await story(alice, bob, url)
            found = await call(root, "audit_verify")
            assert found["ok"], found
            print(f"{found['entries']} entries of the trail verify")

    asyncio.run(whole())
