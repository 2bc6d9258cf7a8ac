"""HTTP: who gets in, from where, with how much; and how the server ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from httpx2 import AsyncClient

from scoped_mcp import Scoped
from scoped_mcp.faces.mcp.http import GRACE_SECONDS, bind, serve_on
from tests.faces.cli import BOUND
from tests.faces.conftest import rpc
from tests.promises import promise

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faces.conftest import Face

JSON = {"accept": "application/json, text/event-stream"}
LATEST = 50  # connections held open at once
LIST = rpc("tools/list")
WHOAMI = rpc("tools/call", {"name": "whoami", "arguments": {}})


@promise("readme.identity")
@pytest.mark.parametrize("request_", [LIST, WHOAMI, rpc("ping"), rpc("resources/list")])
@pytest.mark.parametrize(
    "token", [None, "", "nonsense", "smcp_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaa", "é"]
)
async def test_whom_the_house_does_not_know_gets_401(
    face: Face, request_: dict[str, Any], token: str | None
) -> None:
    async with face.http(**JSON) as http:
        headers = {} if token is None else {"authorization": f"Bearer {token}".encode()}
        answer = await http.post("/mcp", json=request_, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_in_the_address_is_not_looked_at(face: Face) -> None:
    async with face.http(**JSON) as http:
        answer = await http.post(f"/mcp?access_token={face.root_token}", json=WHOAMI)
    assert answer.status_code == 401


@promise("readme.secrets")
async def test_a_failed_authentication_is_on_the_trail_without_its_token(face: Face) -> None:
    async with face.http("smcp_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaa", **JSON) as http:
        for _ in range(5):
            await http.post("/mcp", json=WHOAMI)
    entries = await face.trail(operation="authenticate")
    assert len(entries) == 1
    assert "aaaaaaaaaaaaaaaa_" not in str(entries)


async def test_a_revoked_token_is_refused_at_once(face: Face) -> None:
    issued = await face.issue("alice")
    async with face.http(issued["token"], **JSON) as http:
        assert (await http.post("/mcp", json=WHOAMI)).json()["result"]["structuredContent"]
        await face.call("token.revoke", {"id": issued["id"]})
        answer = await http.post("/mcp", json=WHOAMI)
        listed = await http.post("/mcp", json=LIST)
        read = await http.post("/mcp", json=rpc("resources/read", {"uri": "scoped://whoami"}))
    if answer.status_code != 401:
        error = answer.json()["result"]["structuredContent"]["error"]
        assert error["code"] == "unauthenticated"
    for other in (listed, read):
        assert other.status_code == 401 or other.json()["error"]["code"] == -32001


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "house.example"])
async def test_a_foreign_host_is_turned_away(face: Face, host: str) -> None:
    async with face.http(face.root_token, host=host, **JSON) as http:
        assert (await http.post("/mcp", json=WHOAMI)).status_code == 421
        assert (await http.get("/healthz")).status_code == 421
        assert (await http.get("/metrics")).status_code == 421


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://localhost.evil.example"]
)
async def test_a_foreign_origin_is_turned_away(face: Face, origin: str) -> None:
    async with face.http(face.root_token, origin=origin, **JSON) as http:
        assert (await http.post("/mcp", json=WHOAMI)).status_code == 403


async def test_hosts_and_origins_of_the_settings_are_welcome(public_face: Face) -> None:
    token = public_face.root_token
    known = {"host": "house.example", "origin": "https://app.example"}
    async with public_face.http(token, **JSON, **known) as http:
        assert (await http.post("/mcp", json=WHOAMI)).status_code == 200
    async with public_face.http(token, **JSON, host="evil.example") as http:
        assert (await http.post("/mcp", json=WHOAMI)).status_code == 421
    foreign = {"host": "house.example", "origin": "https://evil.example"}
    async with public_face.http(token, **JSON, **foreign) as http:
        assert (await http.post("/mcp", json=WHOAMI)).status_code == 403


@promise("readme.limits")
async def test_a_body_beyond_four_mebibytes_is_refused(face: Face) -> None:
    request = rpc("tools/call", {"name": "object_create", "arguments": {"x": "x" * 4_200_000}})
    async with face.http(face.root_token, **JSON) as http:
        answer = await http.post("/mcp", json=request)
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert (error["code"], "4194304" in error["message"]) == ("invalid", True)


@promise("http.no_stream")
async def test_there_is_no_stream_to_leave_open(face: Face) -> None:
    async with face.http(face.root_token, accept="text/event-stream") as http:
        assert (await http.get("/mcp")).status_code == 405
    async with face.http(face.root_token, **JSON) as http:
        answer = await http.post("/mcp", json=WHOAMI)
    assert answer.headers["content-type"].startswith("application/json")
    assert "mcp-session-id" not in answer.headers


@pytest.mark.parametrize("probe", ["/healthz", "/livez"])
async def test_health_is_for_all(face: Face, probe: str) -> None:
    async with face.http() as http:
        answer = await http.get(probe)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_how_much_others_do_is_shown_to_administrators_alone(
    face: Face, alice_token: str
) -> None:
    async with face.http(alice_token, **JSON) as http:
        await http.post("/mcp", json=WHOAMI)
        await http.post("/mcp", json=rpc("tools/call", {"name": "made_up", "arguments": {}}))
        hers = await http.get("/metrics")
    async with face.http() as http:
        nobodys = await http.get("/metrics")
    async with face.http(face.root_token) as http:
        all_of_it = await http.get("/metrics")
    for shown in (hers, nobodys):
        assert shown.status_code == 200
        assert "scoped_mcp_uptime_seconds" in shown.text
        assert "whoami" not in shown.text
    assert 'scoped_mcp_calls_total{operation="whoami",outcome="done"} 1' in all_of_it.text
    assert 'scoped_mcp_calls_total{operation="unknown",outcome="not_found"} 1' in all_of_it.text
    assert "made_up" not in all_of_it.text


SERVE = """
import asyncio, sys
from scoped_mcp import Scoped
from scoped_mcp.faces.mcp import serve

async def main():
    async with Scoped.open(sys.argv[1]) as scoped:
        await serve(scoped, "127.0.0.1", 0, ready=lambda url: print(url, flush=True))
    print("closed", flush=True)

asyncio.run(main())
"""


async def test_a_stop_ends_the_server_with_clients_attached(real_face: Face) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, real_face.url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), BOUND)).decode().strip()
        headers = {"authorization": f"Bearer {real_face.root_token}", **JSON}
        async with AsyncClient(headers=headers, timeout=BOUND) as client:
            assert (await client.post(url, json=WHOAMI)).status_code == 200
            os.kill(process.pid, signal.SIGTERM)
            rest = await asyncio.wait_for(process.stdout.read(), BOUND)
        assert await asyncio.wait_for(process.wait(), BOUND) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert rest.decode().strip() == "closed"


async def test_who_is_let_in_at_the_moment_of_a_stop_does_not_hold_it_up(real_face: Face) -> None:
    """Connections that the kernel has taken and uvicorn does not know of yet."""
    bound = bind("127.0.0.1", 0)
    address = bound.getsockname()
    told = asyncio.get_running_loop().create_future()
    stops: list[Callable[[], None]] = []
    async with Scoped.open(real_face.url) as scoped:
        serving = asyncio.create_task(
            serve_on(scoped, bound, ready=told.set_result, stopper=stops.append)
        )
        await asyncio.wait_for(told, 30)
        stops[0]()
        latest: deque[socket.socket] = deque()
        with contextlib.ExitStack() as open_ones:
            with contextlib.suppress(ConnectionRefusedError):
                while True:  # at each turn of the loop one more
                    latest.append(socket.create_connection(address))
                    open_ones.callback(latest[-1].close)
                    if len(latest) > LATEST:
                        latest.popleft().close()
                    await asyncio.sleep(0)
            await asyncio.wait_for(serving, GRACE_SECONDS)
            for one in latest:
                with contextlib.suppress(ConnectionResetError):
                    assert one.recv(1) == b""
