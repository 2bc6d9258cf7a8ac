"""The operator is asked first where the channel wants it; forged answers count for nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from fastmcp.client import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from mcp import MCPError
from mcp_types import ElicitResult as Answer

from tests.faces.test_mcp_stdio import SERVE, environment

if TYPE_CHECKING:
    from tests.faces.conftest import Face

MODERN = "2026-07-28"
Asked = list[str]


async def prepared(face: Face) -> tuple[str, dict[str, Any]]:
    """An agent's token, and the request that it is about to make."""
    issued = await face.issue("bot", kind="agent", toolsets=["all"])
    scope = (await face.call("scope.create", {"name": "team"}))["id"]
    place = {"scope": scope, "principal": issued["principal"]["id"], "role": "contributor"}
    await face.call("scope.add_member", place)
    ends = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": scope}}
    channel = await face.call("channel.create", ends | {"name": "in", "confirm": True})
    note = await face.call("object.create", {"type": "note", "data": {}}, issued["token"])
    return issued["token"], {"objects": [note["id"]], "channel": channel["id"]}


def operator(client: Client[Any], asked: Asked, action: str, *, agrees: bool = True) -> None:
    """Who sits before the client."""

    async def handler(message: str, *_: Any) -> Any:
        asked.append(message)
        content = {"value": agrees} if action == "accept" else None
        return ElicitResult(action=action, content=content)  # type: ignore[arg-type]

    client.set_elicitation_callback(handler)


async def request(client: Client[Any], arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    async with client:
        done = await client.call_tool("promotion_request", arguments, raise_on_error=False, **more)
    assert done.structured_content is not None
    return done.structured_content


async def count(face: Face, token: str) -> int:
    return len((await face.call("promotion.list", {"role": "mine"}, token))["items"])


async def test_over_http_of_2026_the_operator_is_asked_once(face: Face) -> None:
    token, arguments = await prepared(face)
    asked: Asked = []
    client = face.client(token, MODERN)
    operator(client, asked, "accept")
    done = await request(client, arguments)
    assert (done["state"], done["confirmed"]) == ("pending", True)
    assert asked == ["Ask to publish 1 objects in `team` by `in`?"]
    assert await count(face, token) == 1


@pytest.mark.parametrize(
    ("action", "agrees"), [("decline", True), ("cancel", True), ("accept", False)]
)
async def test_who_does_not_agree_requests_nothing(face: Face, action: str, agrees: bool) -> None:
    token, arguments = await prepared(face)
    client = face.client(token, MODERN)
    operator(client, [], action, agrees=agrees)
    done = await request(client, arguments)
    assert done["error"]["code"] == "denied"
    assert await count(face, token) == 0


@pytest.mark.parametrize("era", ["legacy", MODERN])
async def test_a_client_that_cannot_ask_requests_unconfirmed(face: Face, era: str) -> None:
    token, arguments = await prepared(face)
    done = await request(face.client(token, era), arguments)
    assert (done["state"], done["confirmed"]) == ("pending", False)


async def test_an_answer_that_nobody_asked_for_is_asked_again(face: Face) -> None:
    token, arguments = await prepared(face)
    asked: Asked = []
    client = face.client(token, MODERN)
    operator(client, asked, "decline")
    forged = {"confirm": Answer(action="accept", content={"value": True})}
    async with client:
        first = await client.session.call_tool(
            "promotion_request", arguments, input_responses=forged, allow_input_required=True
        )
        assert getattr(first, "request_state", None)
        assert await count(face, token) == 0


async def test_a_replayed_answer_requests_nothing_twice(face: Face) -> None:
    token, arguments = await prepared(face)
    client = face.client(token, MODERN)
    operator(client, [], "accept")
    yes = {"confirm": Answer(action="accept", content={"value": True})}
    async with client:
        first = await client.session.call_tool(
            "promotion_request", arguments, allow_input_required=True
        )
        told = [
            await client.session.call_tool(
                "promotion_request",
                arguments,
                input_responses=yes,
                request_state=first.request_state,
                allow_input_required=True,
            )
            for _ in range(2)
        ]
        ids = {one.structured_content["id"] for one in told}
    assert len(ids) == 1
    assert await count(face, token) == 1


async def test_an_answer_is_for_the_arguments_and_the_caller_that_were_asked_about(
    face: Face,
) -> None:
    token, arguments = await prepared(face)
    other = await face.call("object.create", {"type": "note", "data": {}}, token)
    asked = face.client(token, MODERN)
    operator(asked, [], "accept")
    yes = {"confirm": Answer(action="accept", content={"value": True})}
    async with asked:
        first = await asked.session.call_tool(
            "promotion_request", arguments, allow_input_required=True
        )
    for who, given in (
        (token, arguments | {"objects": [other["id"]]}),
        (face.root_token, arguments),
    ):
        async with face.client(who, MODERN) as client:
            with pytest.raises(MCPError):
                await client.session.call_tool(
                    "promotion_request",
                    given,
                    input_responses=yes,
                    request_state=first.request_state,
                    allow_input_required=True,
                )
    assert await count(face, token) == 0


async def test_over_stdio_of_the_handshake_era_the_client_is_asked_on_the_line(
    real_face: Face,
) -> None:
    token, arguments = await prepared(real_face)
    asked: Asked = []
    transport = StdioTransport(
        sys.executable, ["-c", SERVE], env=environment(real_face, token), keep_alive=False
    )
    client = Client(transport, mode="legacy")
    operator(client, asked, "accept")
    done = await request(client, arguments)
    assert (done["state"], done["confirmed"]) == ("pending", True)
    assert len(asked) == 1
