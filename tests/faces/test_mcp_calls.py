"""Calls: what is sent reaches the spine as it is, and what comes back has one shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp.faces.mcp import build, credentials
from tests.faces.conftest import rpc
from tests.promises import promise

if TYPE_CHECKING:
    from fastmcp.client import Client

    from tests.conftest import Home
    from tests.faces.conftest import Face

ERAS = ["legacy", "2026-07-28"]
NOTE = {"type": "note", "data": {"title": "hello", "nothing": None}}
ABSENT = "obj_zzzzzzzzzzzzzzzz"


async def refused(client: Client[Any], tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    assert result.is_error
    content = result.structured_content
    assert content is not None
    assert set(content["error"]) == {"code", "message", "hint", "retry", "entry"}
    assert json.loads(result.content[0].text) == content
    return content["error"]


async def test_a_hint_says_which_of_its_tools_do_not_exist_for_the_credential(
    face: Face, alice_token: str
) -> None:
    whole = await face.user("carol", toolsets=["all"])
    told: dict[str, str] = {}
    for token in (alice_token, whole):
        made = await face.call("object.create", {"type": "note", "data": {}}, token)
        await face.call("object.delete", {"id": made["id"]}, token)
        async with face.client(token) as client:
            asked = {"id": made["id"], "data": {}}
            answer = await client.call_tool("object_update", asked, raise_on_error=False)
        told[token] = answer.structured_content["error"]["hint"].replace(made["id"], "")
    assert "object_restore" in told[alice_token]
    assert "`temporal`" in told[alice_token]
    assert "`temporal`" not in told[whole]
    assert told[alice_token].startswith(told[whole])


async def test_a_hint_names_the_list_of_what_the_id_is_of(face: Face, alice_token: str) -> None:
    async with face.client(alice_token) as client:
        for tool, asked in (
            ("object_get", "obj_" + "z" * 16),
            ("scope_get", "scp_" + "z" * 16),
            ("environment_get", "env_" + "z" * 16),
            ("promotion_get", "prm_" + "z" * 16),
        ):
            answer = await client.call_tool(tool, {"id": asked}, raise_on_error=False)
            hint = answer.structured_content["error"]["hint"]
            assert hint.startswith(f"{tool.replace('get', 'list')}()")


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_answers_structured_content_and_the_same_as_text(
    face: Face, alice_token: str, era: str
) -> None:
    async with face.client(alice_token, era) as client:
        made = await client.call_tool("object_create", NOTE)
        assert made.structured_content is not None
        assert json.loads(made.content[0].text) == made.structured_content
        got = await client.call_tool("object_get", {"id": made.structured_content["id"]})
    assert got.structured_content["data"] == NOTE["data"]
    assert got.structured_content["access"] == "owner"


async def test_a_program_that_calls_the_server_itself_is_answered_like_a_client(
    house: Home,
) -> None:
    server = build(house.scoped, token=house.root_token)
    made = await server.call_tool("object_create", NOTE)
    assert made.structured_content is not None
    assert made.structured_content["access"] == "owner"
    for tool, code in (("object_get", "invalid"), ("no_such_tool", "not_found")):
        refusal = await server.call_tool(tool, {})
        assert refusal.is_error
        assert refusal.structured_content is not None
        assert refusal.structured_content["error"]["code"] == code


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("object_get", {"id": ABSENT}, "not_found"),
        ("object_get", {"id": "nonsense"}, "invalid"),
        ("object_get", {}, "invalid"),
        ("object_list", {"limit": "5"}, "invalid"),
        ("object_list", {"limit": 101}, "invalid"),
        ("object_list", {"limt": 5}, "invalid"),
        ("no_such_tool", {"x": 1}, "not_found"),
        ("no such tool \u202e", {}, "not_found"),
        ("principal_suspend", {"id": "prn_zzzzzzzzzzzzzzzz"}, "not_found"),
    ],
)
async def test_every_refusal_has_one_shape_and_an_entry(
    face: Face, alice_token: str, era: str, tool: str, arguments: dict[str, Any], code: str
) -> None:
    async with face.client(alice_token, era) as client:
        error = await refused(client, tool, arguments)
    assert error["code"] == code
    assert error["entry"] in {entry["id"] for entry in await face.trail()}


@promise("readme.toolsets")
async def test_a_tool_outside_the_toolset_answers_as_one_that_does_not_exist(
    face: Face, alice_token: str
) -> None:
    async with face.client(alice_token) as client:
        hidden = await refused(client, "principal_create", {"name": "eve"})
        absent = await refused(client, "principal_create2", {"name": "eve"})
    for error in (hidden, absent):
        del error["entry"]
    assert json.dumps(absent).replace("create2", "create") == json.dumps(hidden)


@pytest.mark.parametrize("arguments", [[1, 2], "text", 7, True])
async def test_arguments_that_are_no_object_are_refused_in_the_same_shape(
    face: Face, alice_token: str, arguments: object
) -> None:
    request = rpc("tools/call", {"name": "object_list", "arguments": arguments})
    async with face.http(alice_token, accept="application/json") as http:
        answer = (await http.post("/mcp", json=request)).json()
    assert answer["result"]["isError"]
    assert answer["result"]["structuredContent"]["error"]["code"] == "invalid"


async def test_an_explicit_null_is_absence(face: Face, alice_token: str) -> None:
    async with face.client(alice_token) as client:
        made = await client.call_tool("object_create", {**NOTE, "name": None})
    assert "name" not in made.structured_content


async def test_a_read_only_token_does_not_write(face: Face) -> None:
    token = await face.user("reader", read_only=True)
    async with face.client(token) as client:
        assert (await refused(client, "object_create", NOTE))["code"] == "not_found"


@promise("session.one", "identity.spoofed")
@pytest.mark.parametrize("era", ERAS)
async def test_what_a_client_says_of_itself_decides_nothing(
    face: Face, alice_token: str, era: str
) -> None:
    bob = await face.user("bob")
    made = await face.call("object.create", NOTE, alice_token)
    spoofed = {
        "mcp-session-id": (await face.call("whoami", {}, alice_token))["session"]["id"],
        "x-user": "alice",
        "x-forwarded-user": "alice",
    }
    meta = {"client_id": "alice", "principal": "alice"}
    async with face.client(bob, era, **spoofed) as client:
        me = await client.call_tool("whoami", {}, meta=meta)
        assert me.structured_content["principal"]["name"] == "bob"
        assert (await refused(client, "object_get", {"id": made["id"]}))["code"] == "not_found"


async def test_a_traced_call_names_face_and_declared_client(face: Face, alice_token: str) -> None:
    async with face.client(alice_token, "2026-07-28") as client:
        me = await client.call_tool("whoami", {})
    assert me.structured_content["session"]["client"]
    newest = (await face.trail(operation="whoami"))[0]
    assert newest["face"] == "mcp"


@promise("repeat.once")
async def test_a_repetition_with_the_same_key_is_done_once(face: Face, alice_token: str) -> None:
    async with face.client(alice_token) as client:
        ids = [
            (
                await client.call_tool("object_create", NOTE, meta={"scoped-mcp/key": key})
            ).structured_content["id"]
            for key in ("k" * 200, "k" * 200, "k" * 201, "k" * 201)
        ]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert ids[0] != ids[2]


async def test_a_call_leaves_one_entry_and_a_list_none(face: Face, alice_token: str) -> None:
    before = len(await face.trail())
    async with face.client(alice_token, "2026-07-28") as client:
        await client.list_tools()
        await client.list_resources()
        await client.list_resource_templates()
        await client.list_prompts()
        await client.call_tool("object_list", {"limit": 5})
    operations = [entry["operation"] for entry in await face.trail()]
    assert operations.count("object.list") == 1
    assert len(operations) - before <= 2  # that one, and nothing else but our own look before


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0af7651916cd43dd8448eb211c80319c",
        ),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", None),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", None),
        ("nonsense", None),
        (7, None),
        (None, None),
    ],
)
def test_only_a_w3c_trace_id_is_taken_over(traceparent: object, trace: str | None) -> None:
    assert credentials._trace(traceparent) == trace


@pytest.mark.parametrize("key", ["", "k" * 201, 7, {"a": 1}])
def test_a_key_of_another_shape_still_names_the_same_call(key: object) -> None:
    found = credentials._key(key)
    assert found is not None
    assert len(found) <= 200
    assert found == credentials._key(key)


async def test_a_declared_name_is_cleaned_of_control_characters(
    face: Face, alice_token: str
) -> None:
    name = "evil\u202e\x1b[31m\nname" + "x" * 500
    async with face.client(
        alice_token, "2026-07-28", info={"name": name, "version": "1"}
    ) as client:
        me = await client.call_tool("whoami", {})
    assert me.structured_content["session"]["client"] == ("evil[31mname" + "x" * 500)[:64]


@pytest.mark.parametrize("depth", [70, 100_000])
async def test_nesting_beyond_the_limit_is_refused(
    face: Face, alice_token: str, depth: int
) -> None:
    data = '{"a":' * depth + "1" + "}" * depth
    body = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"object_create",'
        f'"arguments":{{"type":"note","data":{data}}}}}}}'
    )
    async with face.http(alice_token, accept="application/json") as http:
        headers = {"content-type": "application/json"}
        answer = await http.post("/mcp", content=body, headers=headers)
    if answer.status_code == 200:
        assert answer.json()["result"]["structuredContent"]["error"]["code"] == "invalid"
    else:
        assert answer.status_code == 400
