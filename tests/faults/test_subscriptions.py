"""Subscriptions among processes: real clients, other writers, revocations, stops, a crowd."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import fastmcp
import httpx
import psutil
import pytest
from fastmcp.client import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import Client as OfficialClient
from mcp import StdioServerParameters
from mcp.client import stdio
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost, listen
from mcp.shared._httpx_utils import create_mcp_http_client

from scoped_mcp import Session
from tests.faults.conftest import Place, open_place
from tests.faults.processes import BOUND, CLI, FileClock, environment, running, server
from tests.promises import promise

MODERN = "2026-07-28"
NOTE = {"type": "note", "data": {"n": 0}}
MIB = 2**20
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(  # the SDK's, of what the handshake era had
        "ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning"
    ),
]


async def made(session: Session) -> str:
    return f"scoped://objects/{(await session.call('object.create', NOTE))['id']}"


async def change(session: Session, uri: str, n: int = 1) -> None:
    await session.call("object.update", {"id": uri.rpartition("/")[2], "data": {"n": n}})


async def closed(place: Place, count: int) -> list[str]:
    """Why so many subscriptions ended, once they have."""
    asked = {"operation": "object.unsubscribe", "limit": 100}
    async with asyncio.timeout(BOUND):
        seen = 0
        while len(found := (await place.root.call("audit.list", asked))["items"]) < count:
            seen = await place.scoped.spine.database.changed(seen)
    details = [await place.root.call("audit.get", {"id": entry["id"]}) for entry in found]
    assert all(detail["parent"] for detail in details)
    return [detail["face"] for detail in details]


async def next_of(stream: Any) -> str:
    async with asyncio.timeout(BOUND):
        return str((await anext(stream)).uri)


@promise("eras.subscriptions", "subscription.company", "readme.clients")
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_the_official_client_listens_to_what_another_process_does(
    place: Place, transport: str
) -> None:
    token = (await place.issue("alice"))["token"]
    alice = await place.scoped.session(token)
    one = await made(alice)
    async with AsyncExitStack() as stack:
        if transport == "http":
            _, address = await stack.enter_async_context(server(place.url))
            heads = {"authorization": f"Bearer {token}"}
            http = await stack.enter_async_context(create_mcp_http_client(headers=heads))
            way: Any = streamable_http_client(address, http_client=http)
        else:
            settings = environment(SCOPED_MCP_DB=place.url, SCOPED_MCP_TOKEN=token)
            way = stdio_client(
                StdioServerParameters(
                    command=sys.executable, args=[*CLI[1:], "serve"], env=settings
                )
            )
        client = await stack.enter_async_context(OfficialClient(way))
        async with client.listen(resource_subscriptions=[one]) as stream:
            await change(alice, one)
            assert await next_of(stream) == one
            read = await client.read_resource(one)
            assert json.loads(read.contents[0].text)["version"] == 2  # type: ignore[union-attr]
        assert await closed(place, 1) == ["mcp"]


@promise("eras.subscriptions", "subscription.company")
async def test_a_handshake_client_over_stdio_hears_of_what_another_process_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", BOUND)  # it kills after two seconds
    monkeypatch.setattr(fastmcp.settings, "client_disconnect_timeout", BOUND)
    token = (await place.issue("alice"))["token"]
    alice = await place.scoped.session(token)
    one, heard = await made(alice), asyncio.Queue[str]()

    async def hear(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            heard.put_nowait(str(message.params.uri))

    settings = environment(SCOPED_MCP_DB=place.url, SCOPED_MCP_TOKEN=token)
    way = StdioTransport(sys.executable, [*CLI[1:], "serve"], env=settings, keep_alive=False)
    async with Client(way, mode="legacy", message_handler=hear) as client:
        await client.session.subscribe_resource(one)
        await change(alice, one)
        assert await asyncio.wait_for(heard.get(), BOUND) == one
    assert await closed(place, 1) == ["mcp"]


@promise("stream.revoked", "scopes.streams")
async def test_a_token_revoked_by_another_process_is_told_nothing_more(place: Place) -> None:
    issued = await place.issue("bob")
    alice = await place.user("alice")
    scope = (await alice.call("scope.create", {"name": "plans"}))["id"]
    member = {"scope": scope, "principal": issued["principal"]["id"], "role": "viewer"}
    await alice.call("scope.add_member", member)
    one = await made(alice)
    await alice.call("object.share", {"object": one.rpartition("/")[2], "scope": scope})
    listed = (await place.root.call("token.list", {"limit": 100}))["items"]
    name = next(t["id"] for t in listed if t["principal"]["name"] == "bob")
    async with (
        server(place.url) as (_, address),
        Client(StreamableHttpTransport(address, auth=issued["token"]), mode=MODERN) as client,
        listen(client.session, resource_subscriptions=[one]) as stream,
    ):
        await change(alice, one)
        assert await next_of(stream) == one
        await place.root.call("token.revoke", {"id": name})
        await change(alice, one, 2)
        with pytest.raises(SubscriptionLost):
            await next_of(stream)


@promise("stream.again")
async def test_a_token_that_runs_out_ends_its_stream_though_nothing_happens(
    tmp_path: Path,
) -> None:
    clock = FileClock(tmp_path / "clock")
    async with open_place(tmp_path, clock) as place:
        token = (await place.issue("alice", ttl_seconds=600))["token"]
        one = await made(await place.scoped.session(token))
        async with (
            server(place.url, clock) as (_, address),
            Client(StreamableHttpTransport(address, auth=token), mode=MODERN) as client,
            listen(client.session, resource_subscriptions=[one]) as stream,
        ):
            clock.advance(601)
            async with asyncio.timeout(15 + 15):  # its own fifteen, and the machine's
                with pytest.raises(SubscriptionLost):
                    await anext(stream)


@promise("subscription.stop", "subscription.company")
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_ends_in_time_with_streams_open(place: Place, workers: int) -> None:
    token = (await place.issue("alice"))["token"]
    alice = await place.scoped.session(token)
    one = await made(alice)
    arguments = ["serve", "--transport", "http", "--port", "0", "--json", "--db", place.url]
    async with running(*CLI, *arguments, "--workers", str(workers)) as process:
        address = json.loads(await process.line())["url"]
        async with AsyncExitStack() as stack:
            streams = []
            for _ in range(8):  # on whichever worker takes them
                way = StreamableHttpTransport(address, auth=token)
                client = await stack.enter_async_context(Client(way, mode=MODERN))
                opening = listen(client.session, resource_subscriptions=[one])
                streams.append(await stack.enter_async_context(opening))
            await change(alice, one)
            assert [await next_of(stream) for stream in streams] == [one] * 8
            os.kill(process.pid, signal.SIGTERM)
            assert await process.over() == 0  # 1 is said by who had to be ended
            for stream in streams:
                with pytest.raises(StopAsyncIteration):
                    await next_of(stream)
    assert await closed(place, 8) == ["mcp"] * 8


@asynccontextmanager
async def crowd(
    address: str, tokens: list[str], uri: str, told: Counter[int]
) -> AsyncIterator[None]:
    """So many subscribers, a connection each; what each was told is counted."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    asked = {"notifications": {"resourceSubscriptions": [uri]}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": asked}
    opened = asyncio.Semaphore(0)

    async def subscribe(http: httpx.AsyncClient, number: int, token: str) -> None:
        heads = {
            "authorization": f"Bearer {token}",
            "mcp-protocol-version": MODERN,
            "mcp-method": "subscriptions/listen",
            "accept": "application/json, text/event-stream",
        }
        async with http.stream("POST", address, json=body, headers=heads) as answer:
            async for line in answer.aiter_lines():
                if "acknowledged" in line:
                    opened.release()
                elif "resources/updated" in line:
                    told[number] += 1

    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(timeout=BOUND, limits=limits) as http,
        asyncio.TaskGroup() as tasks,
    ):
        listening = [
            tasks.create_task(subscribe(http, number, token)) for number, token in enumerate(tokens)
        ]
        async with asyncio.timeout(BOUND):
            for _ in tokens:
                await opened.acquire()
        yield
        for task in listening:
            task.cancel()


@promise("subscription.load")
@pytest.mark.sqlite
async def test_two_hundred_subscribers_cost_no_growing_memory(
    place: Place, measured: dict[str, Any]
) -> None:
    alice = await place.user("alice")
    scope = (await alice.call("scope.create", {"name": "plans"}))["id"]
    one = await made(alice)
    await alice.call("object.share", {"object": one.rpartition("/")[2], "scope": scope})
    tokens = []
    for n in range(4):
        issued = await place.issue(f"reader {n}")
        member = {"scope": scope, "principal": issued["principal"]["id"], "role": "viewer"}
        await alice.call("scope.add_member", member)
        tokens += [issued["token"]] * 50
    told, levels = Counter[int](), []
    async with server(place.url) as (process, address), crowd(address, tokens, one, told):
        seen = psutil.Process(process.pid)
        for number in range(8):
            before = min(told[n] for n in range(200))
            async with asyncio.timeout(BOUND):
                while min(told[n] for n in range(200)) == before:  # until everybody was told
                    await change(alice, one, number)
                    await change(alice, one, -1)
            levels.append(seen.memory_info().rss / MIB)
    grown = statistics.median(levels[-3:]) - statistics.median(levels[1:4])
    measured |= {"levels": levels, "grown_mib": grown, "told": max(told.values())}
    assert grown < 8
    assert max(told.values()) <= 3 * min(told.values())
