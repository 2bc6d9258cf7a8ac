"""Net 5: every operation, run by its owner and then by a stranger.

Generated from the catalogue: an operation that is declared tomorrow is tried tomorrow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scoped_mcp.kernel.errors import ScopedError
from scoped_mcp.kernel.ids import AnyId
from scoped_mcp.spine.declare import Effect, Operation, catalogue, id_fields
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import entries
from tests.grounds import Ground
from tests.promises import promise
from tests.sample import ID, PLACEHOLDER, Sample, fill, plan, sample

OPERATIONS = [one for one in catalogue.values() if one.tool]
PUBLIC = {
    "prn": "active principals are known inside an organisation (ruling 8)",
    "knd": "kinds are declared in the code",
    "opr": "operations are declared in the code",
    "org": "every URN that one sees names the organisation",
}
"""What a stranger may know of: there it is `denied`, or reads what is public."""
STANDING_STILL = [
    table
    for table in metadata.sorted_tables
    if table.name not in {"entries", "chain_heads", "last_seen"}
]
ANY = ("obj", "scp", "prn", "crd", "ses", "ent", "mem", "prj", "rel")
"""What is tried where a field takes an id of any kind."""
MINE = re.compile(r"mine:([a-z]{3}_[a-z]{16})")
CURSOR = re.compile(r'"next_cursor": "[^"]+"')
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
TOKEN = re.compile(r"smcp_[a-z2-7]+_[a-z2-7]+")


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _ids(one)
    elif isinstance(value, list):
        for one in value:
            yield from _ids(one)
    elif isinstance(value, str):
        yield from ID.findall(value)


def _is_public(placeholder: str) -> bool:
    # prn …c is suspended: only its admins know of it
    return placeholder[:3] in PUBLIC and placeholder != "prn_aaaaaaaaaaaaaaac"


async def _state(house: Sample) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a refusal must leave alone."""
    return {table.name: await house.rows(select(table)) for table in STANDING_STILL}


async def _entries(house: Sample) -> int:
    """How many there are, those of operations within operations aside."""
    bodies = await house.rows(select(entries.c.body))
    return sum(b'"parent":null' in body for (body,) in bodies)


async def _answer(house: Sample, operation: Operation, arguments: Any) -> dict[str, Any]:
    """What the stranger gets, all of it: the view, or the refusal to the letter; one entry each."""
    before = await _entries(house)
    try:
        view = await house.mallory.call(operation.name, arguments)
    except ScopedError as error:
        view = {"code": error.code, "message": error.message, "hint": error.hint}
        view |= {"retry": error.retry, "traced": error.entry is not None}
    assert await _entries(house) == before + 1
    if operation.name == "audit.follow" and "id" in view:  # by a new id, and there are not many
        await house.mallory.call("audit.unfollow", {"follow": view.pop("id")})
    return view


def _blur(value: Any) -> Any:
    """Ids and tokens by the order in which they appear: chance is not knowledge."""
    text, seen = json.dumps(value, sort_keys=True), {}
    text = DIGEST.sub("a salted digest", text)
    text = CURSOR.sub('"next_cursor": "more"', TOKEN.sub("a token", text))
    return ID.sub(lambda m: seen.setdefault(m[0], f"{m[0][:3]}_{len(seen)}"), text)


def _same(value: Any, was: str) -> Any:
    return json.loads(json.dumps(value).replace(was, "the id"))


def _fields(operation: Operation) -> dict[str, str]:
    """The id fields of a command and the prefix of what they hold; `*` for any kind."""
    found = id_fields(operation.command)
    return {name: "*" if kind is AnyId else kind.prefix for name, kind in found.items()}


def _mine(house: Sample, placeholder: str) -> str:
    return house.plan.own.get(placeholder[:3], house.plan.ids.get(placeholder, placeholder))


def _swaps(operation: Operation) -> Iterator[tuple[dict[str, Any], str]]:
    """The example with one placeholder left in place for the foreign id, and which it is.

    Everything else that it names is marked `mine:`; fields that it leaves out are tried too.
    """
    example = dict(operation.command.example)
    named = sorted(set(PLACEHOLDER.findall(json.dumps(example))))
    for placeholder in named:
        others = {other: f"mine:{other}" for other in named if other != placeholder}
        yield fill(example, others | {placeholder: "foreign"}), placeholder
    everything = {other: f"mine:{other}" for other in named}
    for field, prefix in _fields(operation).items():
        if field not in example or prefix == "*":
            many = "tuple" in str(operation.command.model_fields[field].annotation)
            given: Any = ["foreign"] if many else "foreign"
            for one in ANY if prefix == "*" else (prefix,):
                yield fill(example, everything) | {field: given}, f"{one}_aaaaaaaaaaaaaaaa"


def _named(house: Sample, value: Any, foreign: str) -> Any:
    if isinstance(value, dict):
        return {name: _named(house, one, foreign) for name, one in value.items()}
    if isinstance(value, list):
        return [_named(house, one, foreign) for one in value]
    if not isinstance(value, str):
        return value
    found = MINE.sub(lambda mark: _mine(house, mark[1]), value)
    return found.replace("foreign", foreign)


def _foreign(house: Sample, placeholder: str) -> list[str]:
    """Private ids of others for this field: none of them may be told from an absent one."""
    prefix, ids = placeholder[:3], house.plan.ids
    found = [real for mark, real in ids.items() if mark[:3] == prefix and not _is_public(mark)]
    if prefix == "prn":
        found = [ids["prn_aaaaaaaaaaaaaaac"]]
    return found


@promise("sample.owner")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
async def test_every_example_runs_for_its_owner(
    operation: Operation, tmp_path: Path, ground: Ground
) -> None:
    """As the first call of a credential too, which opens its session in the same transaction."""
    async with sample(tmp_path, ground) as house:
        me = (await house.alice.call("whoami"))["principal"]["id"]
        asked = {"principal": me, "toolsets": ["all"]}
        fresh = (await house.alice.call("token.issue", asked))["token"]
        before = await _entries(house)
        arguments = house.fill(operation.command.example)
        if "follow" in arguments:  # it is of one session alone
            opened = await house.scoped.spine.call("audit.follow", {}, fresh)
            arguments["follow"] = opened.model_dump()["id"]
        assert await house.scoped.spine.call(operation.name, arguments, fresh)
        if operation.quiet:
            assert await _entries(house) == before + 1  # the follow's
            return
        assert await _entries(house) > before
        newest = await house.alice.call("audit.list", {"operation": operation.name, "limit": 1})
        assert newest["items"][0]["outcome"] == "done"


@promise("readme.private", "sample.stranger")
@pytest.mark.both
async def test_every_example_is_closed_to_a_stranger(tmp_path: Path, ground: Ground) -> None:
    async with sample(tmp_path, ground) as house:
        for operation in OPERATIONS:
            example = dict(operation.command.example)
            named = list(PLACEHOLDER.findall(json.dumps(example)))
            if not named:
                continue
            before = await _state(house)
            answer = await _answer(house, operation, house.fill(example))
            public = operation.instance > 0 or all(map(_is_public, named))
            if "code" in answer:
                allowed = {"not_found", "denied"} if public else {"not_found"}
                open_ends = any(map(_is_public, named))
                assert answer["code"] in (allowed | {"denied"} if open_ends else allowed), (
                    operation.name
                )
            else:
                assert public, operation.name
                assert operation.effect is Effect.READ, operation.name
            assert await _state(house) == before, operation.name


@promise("path.hidden", "spine.foreign")
async def test_a_foreign_id_answers_like_an_absent_one_to_the_letter(tmp_path: Path) -> None:
    async with sample(tmp_path) as house:
        for operation in OPERATIONS:
            for arguments, placeholder in _swaps(operation):
                absent = f"{placeholder[:3]}_{'z' * 16}"
                before = await _state(house)
                nothing = await _answer(house, operation, _named(house, arguments, absent))
                for foreign in _foreign(house, placeholder):
                    given = _named(house, arguments, foreign)
                    answer = await _answer(house, operation, given)
                    where = f"{operation.name} {placeholder}"
                    assert _same(answer, foreign) == _same(nothing, absent), where
                    if "code" in answer:
                        assert answer["code"] in {"not_found", "denied"}, where
                    else:
                        assert operation.effect is Effect.READ, where
                        assert not set(_ids(answer)) & set(house.plan.ids.values()), where
                assert await _state(house) == before, operation.name


@promise("views.ids")
async def test_a_refusal_in_the_stranger_s_own_trail_shows_no_target(
    tmp_path: Path, ground: Ground
) -> None:
    async with sample(tmp_path, ground) as house:
        for operation in OPERATIONS:
            for arguments, placeholder in _swaps(operation):
                absent = f"{placeholder[:3]}_{'z' * 16}"
                seen = []
                for one in (absent, *_foreign(house, placeholder)[:1]):
                    try:
                        await house.mallory.call(operation.name, _named(house, arguments, one))
                    except ScopedError as error:
                        entry = await house.mallory.call("audit.get", {"id": error.entry})
                        seen.append(_same(entry | {"id": ""}, one))
                assert len(seen) < 2 or seen[0] == seen[1], (operation.name, placeholder)


@promise("sample.stranger")
@pytest.mark.both
async def test_what_needs_no_target_answers_a_stranger_as_in_an_empty_house(
    tmp_path: Path, ground: Ground
) -> None:
    answers: list[dict[str, Any]] = []
    for furnished in (True, False):
        folder = tmp_path / str(furnished)
        folder.mkdir()
        found: dict[str, Any] = {}
        async with sample(folder, ground, furnished=furnished) as house:
            for operation in OPERATIONS:
                example = dict(operation.command.example)
                if not PLACEHOLDER.search(json.dumps(example)):
                    found[operation.name] = _blur(await _answer(house, operation, example))
        answers.append(found)
    assert answers[0].keys() == answers[1].keys()
    for name, answer in answers[0].items():
        assert answer == answers[1][name], name


def test_the_sample_names_everything_that_examples_name() -> None:
    named = {
        p for o in OPERATIONS for p in PLACEHOLDER.findall(json.dumps(dict(o.command.example)))
    }
    assert named <= plan().ids.keys()
