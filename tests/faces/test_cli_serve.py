"""`serve` with real clients over real sockets and pipes, and `demo`."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastmcp.client import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import MCPError

from tests.faces.cli import BOUND, PROGRAM, Cli, new_house
from tests.promises import promise


@pytest.fixture
def root(tmp_path: Path) -> Cli:
    return new_house(tmp_path)


async def name_of(client: Client[Any]) -> str:
    me = await client.call_tool("whoami", {})
    return str(me.structured_content["principal"]["name"])


async def is_turned_away(client: Client[Any]) -> bool:
    """By the door (401, of which clients say only that it is an error), or by the call itself."""
    try:
        answer = await client.call_tool("whoami", {}, raise_on_error=False)
    except MCPError:
        return True
    return bool(answer.structured_content["error"]["code"] == "unauthenticated")


async def test_http_serves_when_it_says_so_and_revocation_from_beside_bites(root: Cli) -> None:
    agent = root.issue("helper", "--kind", "agent", "--ttl", "8h")
    serve = ("serve", "--transport", "http", "--port", "0", "--json")
    with Cli(root.folder).running(*serve, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        transport = StreamableHttpTransport(url, auth=agent.token)
        async with Client(transport) as client:
            assert await name_of(client) == "helper"
            tools = {tool.name for tool in await client.list_tools()}
            assert "object_create" in tools
            assert "token_issue" not in tools
            token = root("token", "list", "--principal", "helper", "--json").json["items"][0]["id"]
            assert root("token", "revoke", token).code == 0
            assert await is_turned_away(client)
            server.terminate()
            out, err = server.communicate(timeout=BOUND)
    assert server.returncode == 0, err
    assert (out, err) == ("", f"serving {url}\n")


async def test_stdio_serves_the_bearer_of_the_token(root: Cli) -> None:
    agent = root.issue("helper", "--kind", "agent")
    program, *arguments = PROGRAM
    transport = StdioTransport(
        program, [*arguments, "serve"], env=agent.environment, keep_alive=False
    )
    async with Client(transport) as client:
        assert await name_of(client) == "helper"


def test_stdio_writes_no_chatter_and_ends_with_its_client(root: Cli) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with root.running("serve", **pipes) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(hello) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["id"] == 1
        out, err = server.communicate(timeout=BOUND)
    assert (server.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_told(root: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = root("serve", "--transport", "http", "--port", port, "--json")
    assert (done.code, done.error) == (1, "invalid")


@pytest.mark.slow
def test_a_half_sent_request_does_not_keep_it_from_ending_quietly(root: Cli) -> None:
    serve = ("serve", "--transport", "http", "--port", "0", "--json")
    with root.running(*serve, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        host, port = url.removeprefix("http://").removesuffix("/mcp").split(":")
        with socket.create_connection((host, int(port))) as half:
            sent = f"POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {root.token}\r\n"
            expects = "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"
            half.sendall((sent + expects).encode())
            assert half.recv(100).startswith(b"HTTP/1.1 100 ")  # it waits for the body now
            half.sendall(b"{")
            server.terminate()
            _, err = server.communicate(timeout=BOUND)
            assert half.recv(100).startswith(b"HTTP/1.1 503 ")
    assert (server.returncode, err) == (0, f"serving {url}\n")


@pytest.mark.slow
@promise("identity.break_glass")
def test_recover_and_upgrade_want_the_server_stopped(root: Cli) -> None:
    with root.running("serve", "--transport", "http", "--port", "0", "--json") as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        assert root("recover", "root", "--json").error == "invalid"
        assert root("db", "upgrade", "--json").error == "invalid"
        assert root("call", "whoami").code == 0
        server.send_signal(signal.SIGINT)
        assert server.wait(BOUND) == 0
    assert root("recover", "root").code == 0


@pytest.mark.slow
def test_the_demo_holds_and_keeps_what_it_is_told_to_keep(tmp_path: Path) -> None:
    document = tmp_path / "text.md"
    document.write_text("\n".join(f"# Part {n}\n\ntext {n}\n" for n in range(8)))
    stage = Cli(tmp_path, extra={"TMPDIR": str(tmp_path)})
    played = stage("demo", "--keep", "--input", str(document), "--json")
    assert played.code == 0, (played.out, played.err)
    assert played.json["ok"]
    assert all(step["ok"] and step["proved"] for step in played.json["steps"])
    kept = f"{played.json['folder']}/scoped.db"
    raw = sqlite3.connect(f"file:{kept}?mode=ro", uri=True)
    sections, copies, forks, notes = 8, 3, 1, 1
    (count,) = raw.execute("SELECT count(*) FROM objects").fetchone()
    assert count == sections + copies + forks + notes
    raw.close()


@pytest.mark.slow
@promise("cli.start", "embedded.said")
def test_the_demo_leaves_nothing_and_says_what_each_step_proved(tmp_path: Path) -> None:
    played = Cli(tmp_path, extra={"TMPDIR": str(tmp_path), "PYTHONIOENCODING": "ascii"})("demo")
    assert played.code == 0, (played.out, played.err)
    *steps, last = played.out.splitlines()
    assert len(steps) == int(last.split()[1])
    assert "does not promise" in played.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"# one\n\ntext"], ids=["binary", "short"])
def test_the_demo_refuses_what_is_no_document(tmp_path: Path, content: bytes) -> None:
    document = tmp_path / "input"
    document.write_bytes(content)
    done = Cli(tmp_path)("demo", "--input", str(document), "--json")
    assert (done.code, done.error) == (1, "invalid")


def test_the_program_is_installed_under_its_name() -> None:
    script = Path(sys.executable).with_name("scoped-mcp")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
