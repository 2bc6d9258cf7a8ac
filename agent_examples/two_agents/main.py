"""Two agents, one server: throwaway by default, kept on purpose, taken back at once.

Run it: `python agent_examples/two_agents/main.py`. It needs nothing but scoped-mcp, starts a server
on a free port with a database of its own, and ends with a non-zero code if anything does not hold.
"""

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
    from collections.abc import AsyncGenerator

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
    """Call a tool; a refusal comes back as `{"error": {code, message, hint, …}}`."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    return result.structured_content or {}


async def story(alice: Client[Any], bob: Client[Any], url: str) -> None:
    """Each user makes an agent; what one of them keeps, the other may read."""
    made = [
        await call(user, "agent_delegate", name="agent", ttl_seconds=600) for user in (alice, bob)
    ]
    async with connect(url, made[0]["token"]) as writer, connect(url, made[1]["token"]) as reader:
        note = await call(
            writer, "object_create", type="note", data={"title": "plan", "done": False}
        )
        hidden = await call(reader, "object_get", id=note["id"])
        assert hidden["error"]["code"] == "not_found", hidden
        assert (await call(reader, "object_list"))["items"] == []
        print("an agent works in a throwaway environment: to another agent it does not exist")

        patch = {"done": True}
        await call(writer, "object_update", id=note["id"], patch=patch, expected_version=1)
        late = await call(
            writer, "object_update", id=note["id"], patch={"x": 1}, expected_version=1
        )
        assert late["error"]["code"] == "conflict", late
        print("a lost race says what to do:", late["error"]["hint"])

        scope = await call(alice, "scope_create", name="shared")
        bob_id = (await call(bob, "whoami"))["principal"]["id"]
        members = (
            (made[0]["principal"]["id"], "contributor"),
            (bob_id, "viewer"),
            (made[1]["principal"]["id"], "viewer"),
        )
        for principal, role in members:
            await call(alice, "scope_add_member", scope=scope["id"], principal=principal, role=role)
        ends = {
            "source": {"kind": "any_environment"},
            "target": {"kind": "scope", "id": scope["id"]},
        }
        channel = await call(alice, "channel_create", name="keep", **ends)
        asked = await call(writer, "promotion_request", objects=[note["id"]], channel=channel["id"])
        assert asked["state"] == "pending", asked
        assert (await call(reader, "object_list"))["items"] == []
        seen = await call(alice, "promotion_get", id=asked["id"])
        done = await call(
            alice,
            "promotion_review",
            id=asked["id"],
            decision="approve",
            picture=seen["picture"],
        )
        assert done["state"] == "applied", done
        copy = done["objects"][0]["published"]
        read = await call(reader, "object_get", id=copy)
        assert read["data"] == {"title": "plan", "done": True}, read
        assert read["untrusted"] is True, read
        print("what a person approved is there for the other agent, marked as another's data")

        await call(writer, "object_update", id=note["id"], patch={"title": "changed"})
        assert (await call(reader, "object_get", id=copy))["data"] == read["data"]
        denied = await call(reader, "object_update", id=copy, patch=patch)
        assert denied["error"]["code"] == "denied", denied
        print("it is what was approved, and reading is not writing:", denied["error"]["message"])

        trail = await call(alice, "audit_list", about=copy, outcome="denied")
        assert denied["error"]["entry"] in {entry["id"] for entry in trail["items"]}, trail
        print("the trail of the scope's owner names who tried to write")

        await call(writer, "environment_discard", id=note["environment"])
        assert (await call(writer, "object_get", id=note["id"]))["error"]["code"] == "not_found"
        assert (await call(reader, "object_get", id=copy))["data"] == read["data"]
        await call(alice, "promotion_revert", id=asked["id"])
        gone = await call(reader, "object_get", id=copy)
        assert gone["error"]["code"] == "not_found", gone
        print("the environment is gone; what was kept is, once it is taken back")


async def main() -> None:
    """Set up a house with two users, and play the story."""
    with tempfile.TemporaryDirectory() as folder:
        db = f"sqlite:///{Path(folder) / 'scoped.db'}"
        root = scoped_mcp("init", "--name", "root", SCOPED_MCP_DB=db)
        known = {"SCOPED_MCP_DB": db, "SCOPED_MCP_TOKEN": root}
        tools = ("--toolsets", "core,flow,review")
        issue = ("token", "issue", "--kind", "user", *tools, "--principal")
        tokens = [scoped_mcp(*issue, name, **known) for name in ("alice", "bob")]
        async with (
            server(db) as url,
            connect(url, tokens[0]) as alice,
            connect(url, tokens[1]) as bob,
        ):
            await story(alice, bob, url)
        print(scoped_mcp("audit", "verify", **known))


if __name__ == "__main__":
    asyncio.run(main())
