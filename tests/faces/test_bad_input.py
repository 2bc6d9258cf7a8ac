"""Bad input through MCP: refused in our words, with a hint, and nothing of it stored.

Every tool and every field, generated from the catalogue, over the real HTTP stack in process; what
goes over the wire is written here byte by byte, because client libraries refuse some of it.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp.kernel.ids import Id
from scoped_mcp.spine.declare import Operation, arguments_of, catalogue
from scoped_mcp.storage import driver
from scoped_mcp.storage.metadata import metadata
from tests.promises import promise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from httpx2 import AsyncClient

    from tests.faces.conftest import Face

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
REFUSED = {"invalid", "not_found"}
# A scope that has an owner answers so before anybody is looked up: nothing is told of who exists.
UNREAD = "scope_adopt.owner = an absent "
LEAKS = re.compile(
    r"Traceback|pydantic|sqlite|sqlalchemy|psycopg|aiosqlite|site-packages|\.py\b|input_value"
    r"|\b[A-Z]\w*(Error|Exception)\b|NoneType|<class|JSONDecode|\bdict\b|\btuple\b|\bUTF-8 codec",
    re.IGNORECASE,
)
TOOLS = [one for one in catalogue.values() if one.tool and not one.stream]
TRACES = {"entries", "chain_heads", "last_seen", "alembic_version"}
LONG = "".join(f"{n:05}" for n in range(2_000))  # any 65 characters of it stand in it once


@dataclass(frozen=True)
class Bad:
    """A value as it stands in the request.

    Attributes:
        json: Its JSON text, which need not be JSON.
        refused: Whether nothing takes it, whatever the field.
    """

    label: str
    json: str
    refused: bool = False


def text(label: str, value: Any, *, refused: bool = False) -> Bad:
    return Bad(label, json.dumps(value), refused)


ANYWHERE = [
    text("SQL", "x'; DROP TABLE objects; --"),
    text("HTML", "<script>alert(1)</script>&lt;b>"),
    text("a format string", "{0.__class__} %s %n ${jndi:x} {{7*7}}"),
    text("a path", "../../../../etc/passwd"),
    text("an empty string", ""),
    text("blanks", " \t\n "),
    text("10,000 characters", LONG),
    text("NUL", "a\x00b", refused=True),
    text("bidi", "abc\u202edef"),
    text("a control character", "a\x1b[31mb"),
    Bad("NaN", "NaN", refused=True),
    Bad("NaN within", '{"a": [NaN]}', refused=True),
    Bad("minus infinity", "-Infinity", refused=True),
    Bad("a key with NUL", '{"a\\u0000": 1}', refused=True),
    text("a token's shape", "smcp_" + "a" * 16 + "_" + "b" * 20),
    text("a number", 7),
    text("a negative number", -1),
    text("zero", 0),
    text("a float", 1.5),
    Bad("a huge integer", "9" * 400, refused=True),
    text("2^53", 2**53, refused=True),
    text("beyond 64 bits", 2**64, refused=True),
    Bad("a float beyond all", "1e999", refused=True),
    text("true", True),  # noqa: FBT003 - the value is the point
    text("false", False),  # noqa: FBT003
    text("a list", ["a", 1, None]),
    text("an empty list", []),
    text("an object", {"$ne": None}),
    text("an empty object", {}),
    text("a list of lists", [[[]]]),
    Bad("depth 70", "[" * 70 + "]" * 70, refused=True),
    Bad("depth 70 of objects", '{"a":' * 70 + "1" + "}" * 70, refused=True),
    Bad("duplicate keys", '{"a": 1, "a": 2}'),
]
UNPARSABLE = [
    Bad("a lone surrogate", '"a\\ud800b"'),
    Bad("the other half", '"\\udc00"'),
    Bad("a key with a lone surrogate", '{"\\udfff": 1}'),
    Bad("half a pair before another escape", '"\\ud83d\\n"'),
    Bad("a lone surrogate beside a pair", '"\\ud83d\\ude00\\ud83d"'),
    Bad("an integer of 5,000 digits", "9" * 5_000),
    Bad("the same with a fraction", "9" * 5_000 + ".5"),
    Bad("depth 200", "[" * 200 + "]" * 200),
    Bad("depth 900", "[" * 900 + "]" * 900),
    Bad("depth 900 of objects", '{"a":' * 900 + "1" + "}" * 900),
    Bad("depth 100,000", "[" * 100_000 + "]" * 100_000),
    Bad("both", '["\\ud800", ' + "[" * 900 + '"]"' + "]" * 901),
]
"""What the SDK's own JSON parser refuses before any of our code sees it."""
IDS = [
    text("upper case", "OBJ_AAAAAAAAAAAAAAAA", refused=True),
    text("too short", "obj_aaaa", refused=True),
    text("too long", "obj_" + "a" * 17, refused=True),
    text("a blank behind", "obj_aaaaaaaaaaaaaaaa ", refused=True),
    text("a line behind", "obj_aaaaaaaaaaaaaaaa\n", refused=True),
    text("another alphabet", "obj_аaaaaaaaaaaaaaaa", refused=True),
    text("no prefix", "a" * 16, refused=True),
    text("a URN", "scoped:object:org:obj_aaaaaaaaaaaaaaaa", refused=True),
]
NUMBERS = [
    text("negative", -5, refused=True),
    text("a number as text", "5", refused=True),
    text("beyond", 10**9),
]
CURSORS = [
    text("forged", "AAAAAAAAAAAAAAAAAAAAAG9ial9hYWFhYWFhYWFhYWFhYWFh", refused=True),
    text("no base 64", "!!!!", refused=True),
    text("an id", "obj_aaaaaaaaaaaaaaaa", refused=True),
    text("text beyond ASCII", "ü" * 20, refused=True),
    text("SQL in a cursor", "' OR 1=1 --", refused=True),
]


@dataclass
class Wire:
    """A line to the face, an eye on the database, and what was found wrong."""

    http: AsyncClient
    path: Path
    wrong: list[str] = field(default_factory=list)
    calls: int = 0

    async def send(self, tool: str, arguments: str) -> tuple[str, dict[str, Any]]:
        """Call a tool with these bytes as its arguments; the code of the answer, and its error."""
        body = (
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":'
            f'{json.dumps(tool)},"arguments":{arguments}}}}}'
        )
        self.calls += 1
        answer = await self.http.post("/mcp", content=body.encode(), headers=HEADERS)
        try:
            said = answer.json()
        except ValueError:
            return f"HTTP {answer.status_code}: {answer.text[:200]}", {}
        if "result" not in said:
            return f"no result: {json.dumps(said)[:300]}", {}
        content = said["result"]["structuredContent"]
        if not said["result"].get("isError"):
            return "done", {}
        return content["error"]["code"], content["error"]

    async def expect_refusal(self, label: str, tool: str, arguments: str) -> None:
        await self.probe(label, tool, arguments, refused=True)

    async def probe(self, label: str, tool: str, arguments: str, *, refused: bool) -> None:
        """Send it and note everything that is not as it must be."""
        before = rows(self.path)
        code, error = await self.send(tool, arguments)
        complaints: list[str] = []
        allowed = REFUSED if refused else REFUSED | {"done", "conflict", "denied"}
        if label.startswith(UNREAD):
            allowed = allowed | {"conflict"}
        if code not in allowed:
            complaints.append(f"answered {code} {error.get('message')}")
        if code != "done":
            said = f"{error.get('message')} {error.get('hint')}"
            if not error.get("hint"):
                complaints.append("no hint")
            if LEAKS.search(said):
                complaints.append(f"leaks: {said[:200]}")
            if repeats(said, arguments):
                complaints.append(f"repeats too much: {said[:120]}")
            if rows(self.path) != before:
                complaints.append("a refusal stored something")
        self.wrong += [f"{label}: {complaint}" for complaint in complaints]


def rows(path: Path) -> tuple[int, ...]:
    """How many rows each table holds, but for the trail, which names refusals too."""
    with closing(driver.connect(path, reader=True)) as raw:
        return tuple(raw.execute(COUNTS).fetchone())


COUNTS = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM {name})" for name in sorted(set(metadata.tables) - TRACES)
)


def repeats(said: str, sent: str) -> bool:
    """Whether more than 64 characters in a row of what was sent come back."""
    return any(said[i : i + 65] in sent for i in range(len(said) - 64))


async def known_ids(face: Face) -> dict[str, str]:
    """For each kind of thing the id of one that root may use."""
    issued = await face.issue("victim")
    await face.call("whoami", {}, issued["token"])
    sessions = await face.call("session.list", {"principal": issued["principal"]["id"]})
    target = await face.call("object.create", {"type": "note", "data": {"n": 1}})
    scope = await face.call("scope.create", {"name": "known"})
    entry = (await face.trail())[0]["id"]
    kinds = await face.call("registry.list", {"kind": "operation", "limit": 1})
    return {
        "prn": issued["principal"]["id"],
        "crd": issued["id"],
        "ses": sessions["items"][0]["id"],
        "obj": target["id"],
        "scp": scope["id"],
        "ent": entry,
        "opr": kinds["items"][0]["id"],
    }


_ID = re.compile(r"([a-z]{3})_[a-z2-7]{16}")


def base(operation: Operation, known: dict[str, str]) -> dict[str, Any]:
    """The example of an operation with ids that name something here."""
    example = json.dumps(dict(operation.command.example))
    return json.loads(_ID.sub(lambda m: known.get(m[1], m[0]), example))


def is_id(operation: Operation, name: str) -> bool:
    annotation = operation.command.model_fields[arguments_of(operation.command)[name]].annotation
    parts = [annotation, *getattr(annotation, "__args__", ())]
    return any(isinstance(part, type) and issubclass(part, Id) for part in parts)


def least(shape: dict[str, Any]) -> set[Any]:
    """The smallest number that a field's schema takes."""
    return {part.get("minimum") for part in (shape, *shape.get("anyOf", ()))}


def values(operation: Operation, name: str, known: dict[str, str]) -> Iterator[Bad]:
    """Everything that is tried on one field."""
    shape = operation.command.model_json_schema()["properties"][name]
    types = {shape.get("type"), *(part.get("type") for part in shape.get("anyOf", ()))}
    yield from ANYWHERE
    if is_id(operation, name):
        yield from IDS
        for prefix, one in known.items():
            yield text(f"an id of {prefix}", one)
        for prefix in sorted(Id.by_prefix):
            filters = "cursor" in operation.command.model_fields  # nothing is listed, then
            yield text(f"an absent {prefix}", f"{prefix}_" + "z" * 16, refused=not filters)
    if "integer" in types:
        yield from NUMBERS
        yield text("none at all", 0, refused=0 not in least(shape))
    if name == "cursor":
        yield from CURSORS


def request(arguments: dict[str, Any], name: str, value: str) -> str:
    """The arguments as JSON text, with one value as it stands."""
    rest = {k: v for k, v in arguments.items() if k != name}
    parts = [f"{json.dumps(k)}:{json.dumps(v)}" for k, v in rest.items()]
    return "{" + ",".join([*parts, f"{json.dumps(name)}:{value}"]) + "}"


@asynccontextmanager
async def line(face: Face, token: str | None = None) -> AsyncIterator[Wire]:
    """A line to the face; at its end everything must have been as it must be."""
    async with face.http(token or face.root_token) as http:
        wire = Wire(http, face.scoped.spine.database.path)
        yield wire
    assert wire.wrong == [], "\n".join(wire.wrong)
    assert (await face.call("audit.verify", {}))["ok"]


@promise("parse.traced", "objects.not_json")
@pytest.mark.parametrize(
    "of",
    [pytest.param(16, id="a sixteenth"), pytest.param(8, id="an eighth", marks=pytest.mark.slow)],
)
async def test_a_bad_value_in_any_field_of_any_tool_is_refused_and_stores_nothing(
    face: Face, of: int
) -> None:
    """Another part each time: after some runs, every value in every field."""
    known = await known_ids(face)
    turn = secrets.randbelow(of)
    async with line(face) as wire:
        for operation in TOOLS:
            arguments = base(operation, known)
            for name in arguments_of(operation.command):
                for bad in values(operation, name, known):
                    turn += 1
                    if turn % of == 0:
                        label = f"{operation.tool_name}.{name} = {bad.label}"
                        sent = request(arguments, name, bad.json)
                        await wire.probe(label, operation.tool_name, sent, refused=bad.refused)
    assert wire.calls > 500, turn


@pytest.mark.parametrize("bad", UNPARSABLE, ids=lambda bad: bad.label)
async def test_what_the_sdk_cannot_parse_is_refused_in_our_words(face: Face, bad: Bad) -> None:
    async with line(face) as wire:
        sent = request({"type": "note"}, "data", bad.json)
        await wire.probe(bad.label, "object_create", sent, refused=True)


@pytest.mark.parametrize(
    "arguments",
    ['"text"', "[]", "[1]", "7", "1.5", "true", "false", '"' + LONG + '"', "NaN", '[["a"]]'],
)
async def test_arguments_that_are_no_object_are_refused(face: Face, arguments: str) -> None:
    async with line(face) as wire:
        for operation in TOOLS:
            await wire.expect_refusal(operation.tool_name, operation.tool_name, arguments)


UNKNOWN = [
    '"owner_id":"prn_aaaaaaaaaaaaaaaa"',
    '"principal_id":1',
    '"__proto__":{}',
    '"":1',
    f'"{LONG}":1',
    '"<b>":"<script>"',
    '"a\\u0000":1',
    '"\\u202e":null',
    '"self":1',
    '"model_config":{}',
]


@pytest.mark.parametrize("unknown", UNKNOWN, ids=range(len(UNKNOWN)))
async def test_an_argument_that_nothing_takes_is_refused(face: Face, unknown: str) -> None:
    known = await known_ids(face)
    async with line(face) as wire:
        for operation in TOOLS:
            sent = json.dumps(base(operation, known))[:-1]
            sent += (", " if len(sent) > 1 else "") + unknown + "}"
            await wire.expect_refusal(operation.tool_name, operation.tool_name, sent)


async def test_a_missing_argument_is_named(face: Face) -> None:
    known = await known_ids(face)
    async with line(face) as wire:
        for operation in TOOLS:
            for name, info in operation.command.model_fields.items():
                if info.is_required():
                    given = {k: v for k, v in base(operation, known).items() if k != name}
                    label = f"{operation.tool_name} without {name}"
                    await wire.expect_refusal(label, operation.tool_name, json.dumps(given))


NAMES = ["", "no_such_tool", "OBJECT_CREATE", "object.create ", "a\x00b", LONG, "<b>", "../x", "é"]


async def test_a_tool_that_does_not_exist_is_refused_like_any_other_call(face: Face) -> None:
    async with line(face) as wire:
        for name in NAMES:
            await wire.expect_refusal(name[:20], name, "{}")


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@promise("readme.limits")
async def test_data_ends_where_the_limits_say(face: Face) -> None:
    async with line(face) as wire:
        for label, data, expected in (
            ("depth 64", nested(64), "done"),
            ("depth 65", nested(65), "invalid"),
            ("1 MiB", json.dumps({"x": "x" * (2**20 - 8)}), "done"),
            ("1 MiB and 1", json.dumps({"x": "x" * (2**20 - 7)}), "invalid"),
            ("2 MiB", json.dumps({"x": "x" * 2**21}), "invalid"),
            ("2 MiB of keys", json.dumps({f"k{n}": n for n in range(150_000)}), "invalid"),
            ("2 MiB of lists", '{"x":[' + "[]," * 700_000 + "1]}", "invalid"),
            ("2^53 - 1", '{"x": 9007199254740991}', "done"),
            ("-(2^53)", '{"x": -9007199254740992}', "invalid"),
        ):
            before = rows(wire.path)
            code, error = await wire.send("object_create", f'{{"type":"note","data":{data}}}')
            assert code == expected, (label, error)
            assert code == "done" or (error["hint"] and rows(wire.path) == before), label


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("object_create_many", {"objects": []}),
        ("object_create_many", {"objects": [{"type": "note", "data": {}}] * 201}),
        ("object_tag", {"id": "obj_aaaaaaaaaaaaaaaa", "tags": ["t"] * 21}),
        ("token_issue", {"name": "x", "toolsets": []}),
    ],
)
async def test_a_list_that_is_too_short_or_too_long_is_refused_in_our_words(
    face: Face, tool: str, arguments: dict[str, Any]
) -> None:
    async with line(face) as wire:
        await wire.expect_refusal(tool, tool, json.dumps(arguments))


@promise("cursors.bound")
async def test_a_cursor_of_another_caller_or_another_list_is_refused(face: Face) -> None:
    alice = await face.user("alice", toolsets=["all"])
    for token in (alice, face.root_token):
        for number in range(3):
            await face.call("object.create", {"type": "note", "data": {"n": number}}, token)
            await face.call("scope.create", {"name": f"s{number}"}, token)
    hers = (await face.call("object.list", {"limit": 1}, alice))["next_cursor"]
    other_list = (await face.call("scope.list", {"limit": 1}))["next_cursor"]
    own = (await face.call("object.list", {"limit": 1}))["next_cursor"]
    async with line(face) as wire:
        for label, cursor in (
            ("another caller's", hers),
            ("another list's", other_list),
            ("cut", own[:-2]),
            ("turned", own[::-1]),
            ("longer", own + "AA"),
        ):
            asked = json.dumps({"limit": 1, "cursor": cursor})
            await wire.expect_refusal(label, "object_list", asked)
        filtered = json.dumps({"limit": 1, "cursor": own, "state": "deleted"})
        await wire.expect_refusal("other filters", "object_list", filtered)
        assert (await wire.send("object_list", json.dumps({"limit": 1, "cursor": own})))[
            0
        ] == "done"


async def test_legitimate_text_is_kept_to_the_letter(face: Face) -> None:
    kept = {
        "SQL": "x'; DROP TABLE objects; --",
        "HTML": "<script>alert(1)</script>&lt;",
        "right to left": "\u0645\u0631\u062d\u0628\u0627",
        "emoji": "\U0001f469\u200d\U0001f680",
        "combining": "e\u0301",
        "percent": "%s %d {0} ${x}",
        "lines": "a\r\nb\tc",
        'a key of "quotes"': "\\",
    }
    made = await face.call("object.create", {"type": "note", "data": kept, "name": kept["SQL"]})
    read = await face.call("object.get", {"id": made["id"]})
    assert read["data"] == kept
    assert read["name"] == kept["SQL"]
    listed = await face.call("object.list", {"type": "note"})
    assert [item["name"] for item in listed["items"]] == [kept["SQL"]]
