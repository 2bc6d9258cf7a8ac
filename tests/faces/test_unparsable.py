"""Messages that the SDK's parser does not take: mended, and refused by the spine."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from scoped_mcp.faces.mcp.unparsable import mended
from scoped_mcp.kernel.canonical import NotCanonicalError, encode
from tests.faces.cli import BOUND
from tests.faces.conftest import rpc
from tests.faces.test_bad_input import UNPARSABLE, Bad, request
from tests.faces.test_mcp_stdio import SERVE, environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faces.conftest import Face

DEPTH = 64
LEVELS = DEPTH + 3  # what the spine lets arguments nest
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "1"},
}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
BODY = {"content-type": "application/json", "accept": "application/json"}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**70), 2**70),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def message(arguments: str, number: int = 1, meta: dict[str, Any] | None = None) -> bytes:
    params = f'"name":"object_create","arguments":{arguments},"_meta":{json.dumps(meta or {})}'
    head = f'{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{'
    return (head + params + "}}").encode()


@given(JSON)
def test_what_parses_stays_as_it_is(value: Any) -> None:
    for ascii_only in (True, False):
        try:
            sent = message(json.dumps(value, ensure_ascii=ascii_only))
        except UnicodeEncodeError:  # a lone surrogate has no bytes of its own
            continue
        try:
            from_json(sent)
        except ValueError:
            continue
        assert mended(sent, DEPTH) == sent


@pytest.mark.parametrize("bad", UNPARSABLE, ids=lambda bad: bad.label)
def test_what_does_not_parse_becomes_what_the_spine_refuses_at_the_same_length(bad: Bad) -> None:
    sent = message(request({"type": "note"}, "data", bad.json))
    with pytest.raises(ValueError, match="line 1"):
        from_json(sent)
    told = mended(sent, DEPTH)
    assert len(told) == len(sent)
    with pytest.raises(NotCanonicalError):
        encode(from_json(told)["params"]["arguments"], LEVELS)


@given(st.integers(50, 400), st.sampled_from(["[]", "{}", "[{}]"]), st.integers(0, 3))
def test_depth_alone_decides_and_nothing_too_deep_becomes_shallow(
    depth: int, innermost: str, beside: int
) -> None:
    deep = "[" * depth + innermost + "," * bool(beside) + ",".join("0" * beside) + "]" * depth
    told = mended(message(f'{{"data": {deep}}}'), DEPTH)
    if 1 + depth + len(innermost) // 2 > LEVELS:
        with pytest.raises(NotCanonicalError, match="deeper"):
            encode(from_json(told)["params"]["arguments"], LEVELS)
    else:
        assert from_json(told)["params"]["arguments"] == {"data": json.loads(deep)}


@pytest.mark.parametrize(
    "sent",
    [
        *("{", "[" * 500, "]" * 500, '"\\ud800', "\\ud800", '"\\ud8', "-" + "9" * 5000 + "x"),
        *('"' * 501, "{" * 300 + "}" * 300),
    ],
    ids=range(9),
)
def test_what_is_not_json_stays_as_it_is(sent: str) -> None:
    assert mended(sent.encode(), DEPTH) == sent.encode()


def test_text_that_only_looks_like_an_escape_is_kept_where_the_message_parses() -> None:
    sent = message(json.dumps({"path": "C:\\ud800\\new", "deep": "[" * 500, "n": "9" * 5000}))
    assert mended(sent, DEPTH) == sent


@asynccontextmanager
async def piped(face: Face, token: str) -> AsyncIterator[Any]:
    """Say a line to a server over stdio; its answer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE),
        env=environment(face, token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    out, into = process.stdout, process.stdin

    async def say(line: bytes) -> Any:
        into.write(line + b"\n")
        return json.loads(await asyncio.wait_for(out.readline(), BOUND))

    try:
        yield say
    finally:
        into.close()
        assert await asyncio.wait_for(process.wait(), BOUND) == 0


@pytest.mark.slow
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_over_stdio_each_is_answered_traced_and_stores_nothing(
    real_face: Face, era: str
) -> None:
    token = await real_face.user("alice")
    meta = {} if era == "legacy" else MODERN
    async with piped(real_face, token) as say:
        if era == "legacy":
            await say(json.dumps(rpc("initialize", HELLO)).encode())
        for number, bad in enumerate(UNPARSABLE, 2):
            asked = request({"type": "note"}, "data", bad.json)
            answer = await say(message(asked, number, meta))
            assert answer["id"] == number, answer
            error = answer["result"]["structuredContent"]["error"]
            assert (answer["result"]["isError"], error["code"]) == (True, "invalid"), bad.label
            assert "levels deep" in error["hint"]
            entry = await real_face.call("audit.get", {"id": error["entry"]})
            assert (entry["operation"], entry["outcome"]) == ("object.create", "failed")
    assert (await real_face.call("object.list", {}, token))["items"] == []


@pytest.mark.parametrize("bad", UNPARSABLE, ids=lambda bad: bad.label)
async def test_over_http_of_2026_each_is_refused_in_our_words(face: Face, bad: Bad) -> None:
    headers = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "object_create",
    }
    body = message(request({"type": "note"}, "data", bad.json), 7, MODERN)
    async with face.http(face.root_token) as http:
        answer = (await http.post("/mcp", content=body, headers=headers)).json()
    assert answer["id"] == 7, answer
    assert answer["result"]["structuredContent"]["error"]["code"] == "invalid"


@pytest.mark.parametrize("body", ["[]", "null", '"x"', '{"id": 1, "method": "ping"}', "[1, {}]"])
async def test_what_is_no_message_is_told_in_a_sentence(face: Face, body: str) -> None:
    many = json.dumps([json.loads(message("{}", n)) for n in range(3)])
    async with face.http(face.root_token) as client:
        for sent in (body, many):
            answer = await client.post("/mcp", content=sent, headers=BODY)
            assert answer.status_code == 400
            assert (answer.json()["id"], answer.json()["error"]["code"]) == (None, -32600)
            assert "pydantic" not in answer.text
            assert len(answer.content) < 200
        assert (await client.post("/mcp", json=rpc("ping", {}))).json()["result"] == {}
