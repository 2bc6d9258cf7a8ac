"""Subscriptions as clients see them: both eras, in process and over the real HTTP stack."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastmcp.client import Client
from mcp import MCPError
from mcp.client.subscriptions import Subscription, SubscriptionLost, listen
from mcp_types import SubscriptionFilter, SubscriptionsListenRequestParams

from scoped_mcp.config import Settings
from scoped_mcp.faces.mcp import build, subscriptions
from scoped_mcp.faces.mcp.credentials import Credentials
from scoped_mcp.faces.mcp.resources import ADDRESSES, locate
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.declare import catalogue
from tests.faces.conftest import Face, rpc
from tests.promises import promise
from tests.sample import sample

BOUND = 60.0  # seconds: a hang fails, it does not wait for ever
MODERN = "2026-07-28"
NOTE = {"type": "note", "data": {"n": 0}}
ABSENT = "scoped://objects/obj_zzzzzzzzzzzzzzzz"
UNAUTHENTICATED = -32001
pytestmark = pytest.mark.filterwarnings(  # the SDK's, of what the handshake era had
    "ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning"
)


async def made(face: Face, token: str) -> str:
    return f"scoped://objects/{(await face.call('object.create', NOTE, token))['id']}"


async def change(face: Face, token: str, uri: str, n: int = 1) -> None:
    asked = {"id": uri.rpartition("/")[2], "data": {"n": n}}
    await face.call("object.update", asked, token)


@asynccontextmanager
async def listening(
    face: Face, token: str, *uris: str, **more: bool
) -> AsyncIterator[Subscription]:
    face.scoped.follows.tick = 0.02
    async with (
        face.client(token, MODERN) as client,
        listen(client.session, resource_subscriptions=uris, **more) as stream,
    ):
        yield stream


async def told(stream: Subscription) -> str:
    async with asyncio.timeout(BOUND):
        return (await anext(stream)).uri  # type: ignore[union-attr]


async def entries(face: Face, operation: str, count: int) -> list[dict[str, Any]]:
    """Entries of the trail, once there are so many."""
    async with asyncio.timeout(BOUND):
        seen = 0
        while len(found := await face.trail(operation=operation)) < count:
            seen = await face.scoped.spine.database.changed(seen)
    return found


@promise("subscription.told", "subscription.entries")
async def test_a_listening_client_is_told_what_to_read_again(face: Face, alice_token: str) -> None:
    one, other = await made(face, alice_token), await made(face, alice_token)
    async with listening(face, alice_token, one, other) as stream:
        await change(face, alice_token, other)
        assert await told(stream) == other
        await change(face, alice_token, one)
        assert await told(stream) == one
    assert len(await entries(face, "object.unsubscribe", 2)) == 2


@promise("subscription.read")
async def test_what_is_not_there_for_the_caller_is_left_out_of_what_is_acknowledged(
    face: Face, alice_token: str
) -> None:
    theirs, mine = await made(face, face.root_token), await made(face, alice_token)
    uris = (theirs, ABSENT, "scoped://objects/no-id", "scoped://nowhere", "x", mine, mine)
    async with listening(face, alice_token, *uris, tools_list_changed=True) as stream:
        assert stream.honored == SubscriptionFilter(resource_subscriptions=[mine])
        await change(face, face.root_token, theirs)
        await change(face, alice_token, mine)
        assert await told(stream) == mine
    async with listening(face, alice_token, theirs, ABSENT, prompts_list_changed=True) as nothing:
        assert nothing.honored == SubscriptionFilter()
        with pytest.raises(StopAsyncIteration):
            await anext(nothing)


@promise("subscription.gone")
async def test_a_stream_ends_in_order_with_the_last_that_it_followed(
    face: Face, alice_token: str
) -> None:
    bob_token = await face.user("bob")
    bob = (await face.call("whoami", {}, bob_token))["principal"]["id"]
    one = await made(face, alice_token)
    scope = (await face.call("scope.create", {"name": "plans"}, alice_token))["id"]
    place = {"scope": scope, "principal": bob, "role": "viewer"}
    await face.call("scope.add_member", place, alice_token)
    share = {"object": one.rpartition("/")[2], "scope": scope}
    await face.call("object.share", share, alice_token)
    async with listening(face, bob_token, one) as stream:
        await face.call("object.unshare", share, alice_token)
        assert await told(stream) == one
        async with asyncio.timeout(BOUND):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


@promise("stream.again", "http.no_stream")
async def test_a_credential_that_works_no_more_ends_its_stream_with_nothing_told(
    face: Face,
) -> None:
    issued = await face.issue("alice", toolsets=["all"])
    alice_token, one = issued["token"], await made(face, issued["token"])
    credentials = await face.call("token.list", {"limit": 100})
    name = next(t["id"] for t in credentials["items"] if t["principal"]["name"] == "alice")
    async with listening(face, alice_token, one) as stream:
        await face.call("token.revoke", {"id": name})
        async with asyncio.timeout(BOUND):
            with pytest.raises(SubscriptionLost) as lost:
                await anext(stream)
    assert isinstance(lost.value.__cause__, MCPError)
    assert lost.value.__cause__.error.code == UNAUTHENTICATED


@promise("subscription.stop")
async def test_a_server_that_stops_ends_its_streams_in_order_and_takes_no_new_ones(
    face: Face, alice_token: str
) -> None:
    one = await made(face, alice_token)
    async with listening(face, alice_token, one) as stream:
        face.scoped.follows.stop()
        async with asyncio.timeout(BOUND):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
    with pytest.raises(MCPError):
        async with listening(face, alice_token, one):
            pytest.fail("it was opened")


@promise("subscription.limit")
async def test_over_the_limit_nothing_is_opened_and_the_limit_is_named(
    face: Face, alice_token: str
) -> None:
    limit = face.scoped.settings.limits.subscriptions
    uris = [await made(face, alice_token) for _ in range(3)]
    more = [f"{uris[0]}/versions/1"]
    face.scoped.follows._held[alice_token] = limit - 3
    async with listening(face, alice_token, *uris) as stream:
        with pytest.raises(MCPError) as refusal:
            async with listening(face, alice_token, *more):
                pytest.fail("it was opened")
        assert str(limit) in refusal.value.error.message
        await change(face, alice_token, uris[1])
        assert await told(stream) == uris[1]
    await entries(face, "object.unsubscribe", 3)
    with pytest.raises(MCPError):
        async with listening(face, alice_token, *uris, *more):
            pytest.fail("it was opened")
    await entries(face, "object.unsubscribe", 6)  # what was opened of it is closed
    assert face.scoped.follows._held[alice_token] == limit - 3


@pytest.mark.slow
@promise("subscription.load")
async def test_a_flood_of_changes_is_a_handful_of_notifications(
    face: Face, alice_token: str
) -> None:
    one, last = await made(face, alice_token), await made(face, alice_token)
    async with listening(face, alice_token, one, last) as stream:
        face.scoped.follows.tick, began = 0.2, time.monotonic()
        for n in range(1, 101):
            await change(face, alice_token, one, n)
        await change(face, alice_token, last)
        seen = [await told(stream)]
        while seen[-1] != last:
            seen.append(await told(stream))
    ticks = (time.monotonic() - began) / 0.2
    assert 1 <= seen.count(one) <= ticks + 2
    assert len(await entries(face, "object.subscribe", 2)) == 2


async def test_a_client_that_takes_nothing_is_followed_no_longer(
    face: Face, alice_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "STALLED_SECONDS", 0.05)
    one = await made(face, alice_token)
    credentials = Credentials(face.scoped.spine, token=alice_token)
    serving = subscriptions.Subscriptions(face.scoped.follows, credentials, 10)
    asked = SubscriptionsListenRequestParams(
        notifications=SubscriptionFilter(resource_subscriptions=[one])
    )

    async def never(*_what: Any, **_named: Any) -> None:
        await asyncio.Event().wait()

    context: Any = SimpleNamespace(request_id=1, session=SimpleNamespace(send_notification=never))
    await asyncio.wait_for(serving._listen(context, asked), BOUND)
    (closing,) = await entries(face, "object.unsubscribe", 1)
    assert (await face.call("audit.get", {"id": closing["id"]}))["parent"]
    assert face.scoped.follows._held == {}


async def test_the_stream_is_the_only_answer_that_is_one(face: Face, alice_token: str) -> None:
    one = await made(face, alice_token)
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    heads = {"mcp-protocol-version": MODERN, "accept": "application/json, text/event-stream"}
    asked = {"notifications": {"resourceSubscriptions": [one]}, "_meta": meta}
    method = {"mcp-method": "subscriptions/listen"}
    async with (
        asyncio.timeout(BOUND),
        face.http(alice_token, **heads, **method) as http,
        http.stream("POST", "/mcp", json=rpc("subscriptions/listen", asked)) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                frame = json.loads(line.removeprefix("data:"))
                break
    assert frame["params"]["notifications"] == {"resourceSubscriptions": [one]}
    assert len(await entries(face, "object.unsubscribe", 1)) == 1  # the client hung up
    only = {**heads, "accept": "application/json"}
    async with face.http(alice_token, **only, **method) as http:
        answer = await http.post("/mcp", json=rpc("subscriptions/listen", asked))
    assert answer.status_code == 406


@promise("eras.subscriptions")
async def test_capabilities_say_what_is_served(face: Face, alice_token: str) -> None:
    async with face.client(alice_token) as client:
        assert client.session.protocol_version == MODERN
        modern = client.session.server_capabilities
    async with face.client(alice_token, "legacy") as client:
        legacy = client.session.server_capabilities
        with pytest.raises(MCPError) as refusal:
            await client.session.subscribe_resource(ABSENT)
        assert refusal.value.error.code == -32601
    line = build(face.scoped, token=alice_token)
    async with Client(line, mode="legacy") as client:
        over_line = client.session.server_capabilities
    for found, subscribes in ((modern, True), (legacy, False), (over_line, True)):
        assert found is not None
        assert found.resources is not None
        assert bool(found.resources.subscribe) is subscribes
        kinds = (found.resources, found.tools, found.prompts)
        assert not any(kind is None or kind.list_changed for kind in kinds)


class Line:
    """A client of the handshake era on a line, and what it is told."""

    def __init__(self, face: Face, token: str) -> None:
        face.scoped.follows.tick = 0.02
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.client = Client(
            build(face.scoped, token=token), mode="legacy", message_handler=self._hear
        )

    async def _hear(self, message: Any) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            self.heard.put_nowait(str(message.params.uri))

    async def subscribe(self, uri: str) -> int:
        try:
            await self.client.session.subscribe_resource(uri)
        except MCPError as error:
            assert error.error.data in (None, {"uri": uri})
            return error.error.code
        return 0

    async def told(self) -> str:
        return await asyncio.wait_for(self.heard.get(), BOUND)


@promise("eras.subscriptions", "subscription.told")
async def test_a_handshake_client_on_a_line_subscribes_and_unsubscribes(
    face: Face, alice_token: str
) -> None:
    theirs = await made(face, face.root_token)
    one, other = await made(face, alice_token), await made(face, alice_token)
    line = Line(face, alice_token)
    async with line.client as client:
        assert [await line.subscribe(uri) for uri in (one, other, one)] == [0, 0, 0]
        refused = [await line.subscribe(uri) for uri in (theirs, ABSENT, "scoped://nowhere")]
        assert len(set(refused)) == 1 != refused[0]
        await change(face, alice_token, one)
        assert await line.told() == one
        await client.session.unsubscribe_resource(one)
        await client.session.unsubscribe_resource(ABSENT)
        await change(face, alice_token, one, 2)
        await change(face, alice_token, other)
        assert await line.told() == other
        await face.call("object.delete", {"id": other.rpartition("/")[2]}, alice_token)
        assert await line.told() == other  # its owner reads a tombstone now
    assert len(await entries(face, "object.unsubscribe", 3)) == 3


async def test_a_handshake_client_whose_credential_ends_is_told_nothing_more(
    face: Face,
) -> None:
    alice_token = await face.user("alice")
    me = (await face.call("whoami", {}, alice_token))["principal"]["id"]
    one = await made(face, alice_token)
    line = Line(face, alice_token)
    async with line.client:
        assert await line.subscribe(one) == 0
        await face.call("principal.suspend", {"id": me})
        await entries(face, "object.unsubscribe", 1)
        assert await line.subscribe(one) == UNAUTHENTICATED
        await face.call("principal.resume", {"id": me})
        assert await line.subscribe(one) == 0
        await change(face, alice_token, one)
        assert await line.told() == one
        assert line.heard.empty()


@pytest.mark.slow
@promise("subscription.time")
async def test_every_address_can_be_followed_and_time_alone_tells_nothing(tmp_path: Path) -> None:
    async with sample(tmp_path) as furnished:
        follows, token = furnished.scoped.follows, furnished.plan.tokens["alice"]
        entry = (await furnished.alice.call("audit.list"))["items"][0]["id"]
        stream = follows.stream(token, Origin())
        for address in ADDRESSES:
            example = furnished.fill(catalogue[address.operation].command.example)
            one = entry if address.operation == "audit.get" else str(example.get("id"))
            uri = address.uri.replace("{id}", one).replace("{n}", "1")
            located = locate(uri)
            assert located is not None
            await stream.open(uri, address.operation, located[1])
        assert len(stream.follows) == len(ADDRESSES)
        for seconds in (1, 70, 600):
            furnished.clock.advance(seconds)
            await follows._pass()
            assert stream._pending == {}


async def test_the_limit_is_a_setting() -> None:
    assert Settings(limits=Limits(subscriptions=3)).limits.subscriptions == 3
