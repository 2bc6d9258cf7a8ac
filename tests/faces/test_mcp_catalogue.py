"""What a model sees of the house: few words, all hints, one order, nobody's identity."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from scoped_mcp.faces.mcp.server import INSTRUCTIONS
from scoped_mcp.spine.declare import Effect, catalogue
from tests.promises import promise

if TYPE_CHECKING:
    from mcp_types import Tool

    from tests.faces.conftest import Face

CHARACTERS_A_TOKEN = 4.15  # of JSON, measured with two tokenizers that agree within 5 %
TOOLS_DIGEST = "57e9ac6739414085e1003b1f0b195d71e22fef5858f4f1bea73436d88e7410f7"
IDENTITY = re.compile(
    r"^(owner_id|principal_id|tenant.*|actor|on_behalf.*|act_as|acting_.*|user_id|caller)$"
)


def tokens(value: Any) -> float:
    return len(json.dumps(value, separators=(",", ":"))) / CHARACTERS_A_TOKEN


def as_a_model_sees(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}


def on_the_wire(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


async def listed(face: Face, token: str) -> list[Tool]:
    async with face.client(token) as client:
        return await client.list_tools()


async def test_the_core_toolset_keeps_to_its_budget(face: Face, alice_token: str) -> None:
    tools = await listed(face, alice_token)
    assert sum(tokens(as_a_model_sees(tool)) for tool in tools) <= 6_000
    assert sum(tokens(on_the_wire(tool)) for tool in tools) <= 12_000


async def test_no_tool_costs_more_than_320_tokens(face: Face) -> None:
    costs = {t.name: tokens(as_a_model_sees(t)) for t in await listed(face, face.root_token)}
    assert {name: cost for name, cost in costs.items() if cost > 320} == {}


def test_the_instructions_keep_to_400_tokens() -> None:
    assert tokens(INSTRUCTIONS) <= 400


@promise("readme.core")
async def test_the_first_principal_sees_every_tool_in_the_order_of_the_catalogue(
    face: Face,
) -> None:
    names = [tool.name for tool in await listed(face, face.root_token)]
    assert names == [o.tool_name for o in catalogue.values() if o.tool and not o.stream]


@promise("readme.core")
async def test_an_issued_token_sees_core_alone(face: Face, alice_token: str) -> None:
    names = [tool.name for tool in await listed(face, alice_token)]
    core = (o for o in catalogue.values() if o.tool and not o.stream and o.toolset == "core")
    assert names == [o.tool_name for o in core]


@promise("attenuation.faces")
async def test_a_read_only_token_sees_reads_alone(face: Face) -> None:
    token = await face.user("reader", toolsets=["all"], read_only=True)
    tools = await listed(face, token)
    shown = (o for o in catalogue.values() if o.tool and not o.stream)
    reads = [o.tool_name for o in shown if o.effect is Effect.READ]
    assert [tool.name for tool in tools] == reads
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)


@promise("eras.same")
async def test_the_list_is_the_same_in_both_eras(face: Face, alice_token: str) -> None:
    async with (
        face.client(alice_token, "legacy") as legacy,
        face.client(alice_token, "2026-07-28") as modern,
    ):
        old = [on_the_wire(tool) for tool in await legacy.list_tools()]
        new = [on_the_wire(tool) for tool in await modern.list_tools()]
    assert old == new


async def test_every_tool_has_a_title_both_schemas_and_all_four_hints(face: Face) -> None:
    for tool in await listed(face, face.root_token):
        hints = tool.annotations
        assert tool.title
        assert tool.description
        assert tool.output_schema
        assert hints is not None
        assert hints.read_only_hint is not None
        assert hints.destructive_hint is not None
        assert hints.idempotent_hint is not None
        assert hints.open_world_hint is False
        assert not (hints.read_only_hint and hints.destructive_hint)


async def test_no_tool_takes_an_argument_that_says_who_the_caller_is(face: Face) -> None:
    for tool in await listed(face, face.root_token):
        named = tool.input_schema["properties"]
        assert [name for name in named if IDENTITY.match(name)] == [], tool.name


async def test_schemas_are_valid_and_free_of_noise(face: Face) -> None:
    for tool in await listed(face, face.root_token):
        assert tool.input_schema["additionalProperties"] is False
        for schema in (tool.input_schema, tool.output_schema):
            Draft202012Validator.check_schema(schema)
            text = json.dumps(schema)
            assert "$ref" not in text
            last = schema is tool.output_schema and "next_cursor" in schema["properties"]
            assert text.count('"null"') == last  # the end of a list is told, all else is absent
            assert '"title": "' not in text


async def test_a_schema_accepts_the_example_of_its_command(face: Face) -> None:
    examples = {o.tool_name: dict(o.command.example) for o in catalogue.values()}
    for tool in await listed(face, face.root_token):
        Draft202012Validator(tool.input_schema).validate(examples[tool.name])


async def test_definitions_change_on_purpose_only(face: Face) -> None:
    """A new digest is news for everybody who pinned the old one."""
    seen = [on_the_wire(tool) for tool in await listed(face, face.root_token)]
    digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
    assert digest == TOOLS_DIGEST
