"""Resources: the same reads under addresses, one answer for all that is not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mcp_types import ResourceTemplateReference

from scoped_mcp.faces.mcp.resources import ADDRESSES
from tests.faces.conftest import rpc
from tests.promises import promise

if TYPE_CHECKING:
    from tests.faces.conftest import Face

ERAS = ["legacy", "2026-07-28"]
NOTE = {"type": "note", "data": {"title": "hello"}}
FIXED = ["scoped://whoami", "scoped://audit/recent"]


async def read(face: Face, token: str, uri: str, era: str = "auto") -> dict[str, Any]:
    async with face.client(token, era) as client:
        contents = await client.read_resource(uri)
    assert contents[0].mime_type == "application/json"
    return json.loads(contents[0].text)


async def refusal(face: Face, token: str, uri: str) -> dict[str, Any]:
    """As it stands on the wire: a client's library would tidy the address up first."""
    async with face.http(token, accept="application/json") as http:
        answer = (await http.post("/mcp", json=rpc("resources/read", {"uri": uri}))).json()
    assert answer["error"]["data"] == {"uri": uri}
    return {"code": answer["error"]["code"], "message": answer["error"]["message"]}


@pytest.mark.parametrize("era", ERAS)
async def test_the_addresses_are_listed_in_one_order(face: Face, era: str) -> None:
    async with face.client(face.root_token, era) as client:
        resources = [str(r.uri) for r in await client.list_resources()]
        templates = [t.uri_template for t in await client.list_resource_templates()]
    assert resources == FIXED
    assert templates == [a.uri for a in ADDRESSES if "{" in a.uri]


@pytest.mark.parametrize("era", ERAS)
async def test_an_address_answers_what_its_operation_answers(
    face: Face, alice_token: str, era: str
) -> None:
    made = await face.call("object.create", NOTE, alice_token)
    await face.call("object.update", {"id": made["id"], "data": {"title": "two"}}, alice_token)
    assert (await read(face, alice_token, "scoped://whoami", era))["principal"]["name"] == "alice"
    newest = await read(face, alice_token, f"scoped://objects/{made['id']}", era)
    first = await read(face, alice_token, f"scoped://objects/{made['id']}/versions/1", era)
    assert (newest["version"], newest["data"]) == (2, {"title": "two"})
    assert (first["version"], first["data"]) == (1, {"title": "hello"})
    assert (await read(face, alice_token, "scoped://audit/recent", era))["items"]


async def test_a_scope_and_an_entry_have_addresses(face: Face) -> None:
    scope = await face.call("scope.create", {"name": "team"})
    assert (await read(face, face.root_token, f"scoped://scopes/{scope['id']}"))["name"] == "team"
    entry = (await face.trail())[0]
    found = await read(face, face.root_token, f"scoped://audit/entries/{entry['id']}")
    assert found["id"] == entry["id"]


@promise("path.hidden")
async def test_absent_invisible_and_malformed_answer_the_same(face: Face, alice_token: str) -> None:
    bob = await face.user("bob")
    made = await face.call("object.create", NOTE, alice_token)
    uris = [
        f"scoped://objects/{made['id']}",
        "scoped://objects/obj_zzzzzzzzzzzzzzzz",
        "scoped://objects/nonsense",
        "scoped://objects/a%2f..%2fb",
        "scoped://objects/..",
        "scoped://objects/%00",
        f"scoped://objects/{made['id']}/versions/{'9' * 5000}",
        f"scoped://objects/{made['id']}/versions/0",
        f"scoped://objects/{made['id']}?x=1",
        "scoped://objects/" + "x" * 10_000,
        "scoped://nothing",
        "file:///etc/passwd",
    ]
    answers = [await refusal(face, bob, uri) for uri in uris]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] == -32602


@promise("attenuation.faces")
async def test_addresses_outside_the_toolset_do_not_exist(face: Face, alice_token: str) -> None:
    entry = (await face.trail())[0]
    async with face.client(alice_token) as client:
        templates = [t.uri_template for t in await client.list_resource_templates()]
    assert "scoped://audit/entries/{id}" not in templates
    uri = f"scoped://audit/entries/{entry['id']}"
    assert (await refusal(face, alice_token, uri))["code"] == -32602


@promise("attenuation.faces")
@pytest.mark.parametrize("era", ERAS)
async def test_completion_offers_visible_ids_alone(face: Face, alice_token: str, era: str) -> None:
    bob = await face.user("bob")
    mine = await face.call("object.create", NOTE, alice_token)
    await face.call("object.create", NOTE, bob)
    objects = ResourceTemplateReference(type="ref/resource", uri="scoped://objects/{id}")
    nothing = ResourceTemplateReference(type="ref/resource", uri="scoped://nothing/{id}")
    async with face.client(alice_token, era) as client:
        for typed in ("", "obj_", mine["id"]):
            found = await client.complete(objects, {"name": "id", "value": typed})
            assert found.values == [mine["id"]]
        assert (await client.complete(objects, {"name": "id", "value": "zzz"})).values == []
        assert (await client.complete(nothing, {"name": "id", "value": ""})).values == []
        trail = ResourceTemplateReference(type="ref/resource", uri="scoped://audit/entries/{id}")
        assert (await client.complete(trail, {"name": "id", "value": ""})).values == [], (
            "outside the toolset there is nothing to complete"
        )
