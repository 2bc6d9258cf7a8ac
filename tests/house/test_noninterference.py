"""Two worlds that differ only in what an observer may not see: every answer it gets is the same.

To the byte, ids, cursors and trace entries included (house.md §5). What is done unseen and what is
asked are both generated from the declarations, so an operation that is declared tomorrow is done
and asked tomorrow. One clock, one stream of chance a caller; names and existence of active
principals are public (ruling 8).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from fastmcp.client import Client
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mcp import MCPError
from mcp_types import ResourceTemplateReference
from sqlalchemy import select

from scoped_mcp import ScopedError
from scoped_mcp.faces.mcp import build
from scoped_mcp.faces.mcp.resources import ADDRESSES, Address, locate
from scoped_mcp.kernel.ids import Id
from scoped_mcp.layers.identity.tables import principals
from scoped_mcp.spine import entity
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.declare import Effect, Operation, catalogue, id_fields
from scoped_mcp.spine.follow import Stream
from scoped_mcp.storage.path import registry
from tests.grounds import POSTGRESQL, SQLITE, Ground
from tests.house.worlds import (
    EDGES,
    OBSERVERS,
    PLACEHOLDER,
    PUBLIC,
    WORDS,
    WRITES,
    Arguments,
    Pair,
    Pool,
    World,
    fits,
    ids_in,
    pair,
    spread,
    values,
)
from tests.promises import promise

READS = sorted(
    (o for o in catalogue.values() if o.tool and o.effect is Effect.READ), key=lambda o: o.name
)
MOST = 8  # ways to ask about one thing in one example
TIMES = [f"2026-01-05T{time}:00Z" for time in ("08:00", "09:00", "10:00", "23:00")]


def _questions(operation: Operation, known: Pool, chance: random.Random) -> Iterator[Arguments]:
    """About everything that is known; each option on its own, and some of them together."""
    fields, model = id_fields(operation.command), operation.command.model_fields
    needed = {name: fits(fields[name], known) for name in fields if model[name].is_required()}
    example = dict(operation.command.example)
    plain = {n: v for n, v in example.items() if model[n].is_required() and n not in fields}
    whole = {"limit": 100} if "limit" in model else {}
    ways = [dict(zip(needed, chosen, strict=True)) for chosen in product(*needed.values())] or [{}]
    chance.shuffle(ways)
    options = {
        name: _choices(operation, name, fields.get(name), known)
        for name in model
        if name not in needed
    }
    for way in ways[:MOST]:
        yield plain | whole | way
    for name, choices in options.items():
        for value in chance.sample(choices, min(MOST, len(choices))):
            yield plain | whole | chance.choice(ways) | {name: value}
    for _ in range(6 if options else 0):
        several = chance.sample(sorted(options), min(3, len(options)))
        more = {name: chance.choice(options[name]) for name in several if options[name]}
        yield plain | chance.choice(ways) | more


def _choices(operation: Operation, name: str, kind: type[Id] | None, known: Pool) -> list[Any]:
    """What an option may be."""
    if kind is not None:
        return fits(kind, known)
    if name == "urn":
        return known["urn"]
    if name == "limit":
        return [1, 7, 100]
    info = operation.command.model_fields[name]
    found = values(info.annotation) or (TIMES if name in {"since", "until", "as_of"} else [])
    assert found or name in WORDS, f"teach me what to ask for as {operation.name}({name}=…)"
    return [*found, *WORDS.get(name, ())]


async def _asked(worlds: Pair, who: str, operation: Operation, arguments: Arguments) -> list[str]:
    """All pages of the answer, the same in both worlds; the ids that it named."""
    found: list[str] = []
    more: Arguments = {}
    for _ in range(12 if arguments.get("limit") == 1 else 100):
        answer = await worlds.both(who, operation.name, arguments | more)
        found += ids_in(answer)
        if answer.get("next_cursor") is None:
            break
        more = {"cursor": answer["next_cursor"]}
    return found


async def _known(worlds: Pair, seen: list[str], chance: random.Random) -> Pool:
    """Of every kind: what was seen, what is hidden in both worlds, in one, and what is nowhere."""
    quiet, busy = await worlds.quiet.ids(), await worlds.busy.ids()
    worlds.busy.chance.unseen = True
    unseen = [one for one in sorted(busy - quiet) if not await _public(worlds.busy, one)]
    worlds.busy.chance.unseen = False
    known: Pool = {}
    for some in (seen, sorted(quiet - set(seen)), unseen):
        for prefix, ids in spread(some, chance, 3).items():
            known.setdefault(prefix, []).extend(ids)
    for prefix, ids in known.items():
        ids.append(f"{prefix}_{'z' * 16}")
    kinds = {bound.id_type.prefix: bound.kind.KIND for bound in entity.kinds()}
    house = worlds.quiet.scoped.spine.house.organisation
    urns = [
        f"scoped:{kinds[p]}:{house}:{one}" for p, ids in known.items() if p in kinds for one in ids
    ]
    return known | {"urn": chance.sample(urns, 12)}


async def _public(world: World, one: str) -> bool:
    """An active principal exists for everyone: asked below the application, which acts no more."""
    state = select(principals.c.state).join_from(
        principals, registry, registry.c.id == principals.c.id
    )
    row = await world.scoped.spine.database.read(
        lambda conn: conn.row(state.where(registry.c.public_id == one))
    )
    return row is not None and row.state == "active"


async def _everything_is_the_same(worlds: Pair, who: str, seed: int) -> int:
    """Ask everything there is to ask; how much that was."""
    chance = random.Random(seed)  # noqa: S311 - chance that repeats
    seen: list[str] = []
    for operation in READS:
        example = {k: v for k, v in operation.command.example.items() if k != "limit"}
        if not PLACEHOLDER.search(json.dumps(example)):
            seen += await _asked(worlds, who, operation, example)
    known = await _known(worlds, list(dict.fromkeys(seen)), chance)
    questions = [(o, arguments) for o in READS for arguments in _questions(o, known, chance)]
    for operation, arguments in questions:
        await _asked(worlds, who, operation, arguments)
    told = [await _through_mcp(world, who, known) for world in (worlds.quiet, worlds.busy)]
    for one, other in zip(*told, strict=True):
        assert one == other, who
    return len(questions) + len(told[0])


async def _through_mcp(world: World, who: str, known: Pool) -> list[str]:
    """What the face lists, reads and completes, as it goes over the wire."""
    said: list[str] = []
    async with Client(build(world.scoped, token=world.tokens[who])) as client:

        async def hear(question: str, asked: Any) -> None:
            try:
                answer = repr(await asked)
            except MCPError as error:
                answer = repr(error.error)
            said.append(f"{question}: {answer}")

        await hear("tools", client.list_tools_mcp())
        await hear("resources", client.list_resources_mcp())
        await hear("templates", client.list_resource_templates_mcp())
        await hear("prompts", client.list_prompts_mcp())
        for address in ADDRESSES:
            for one in _named(address, known):
                uri = address.uri.replace("{id}", one).replace("{n}", "1")
                await hear(uri, client.read_resource_mcp(uri))
            reference = ResourceTemplateReference(type="ref/resource", uri=address.uri)
            for typed in ("", "obj_", "scp_"):
                argument = {"name": "id", "value": typed}
                await hear(f"{address.uri} {typed}", client.complete_mcp(reference, argument))
    return said


MAKING = {Effect.CREATE, Effect.GRANT}


def _named(address: Address, known: Pool) -> list[str]:
    """The ids that fill an address, and one that does not fit."""
    if not address.ids:
        return [""]
    (field,) = id_fields(catalogue[address.operation].command).values()
    return [*fits(field, known), "prn_x"]


STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(sorted(WRITES)), st.integers(0, 9_999)),
    min_size=4,
    max_size=16,
)


async def _live(
    steps: list[tuple[bool, str, int]], who: str, seed: int, ground: Ground = SQLITE
) -> None:
    async with pair(ground) as worlds:
        for unseen, name, how in steps:
            if not (unseen and name in PUBLIC):
                await worlds.act(WRITES[name], how, unseen=unseen, tries=6)
        await _everything_is_the_same(worlds, who, seed)


EXAMPLE = given(steps=STEPS, who=st.sampled_from(OBSERVERS), seed=st.integers(0, 9_999))


@promise("views.nothing_more")
@settings(max_examples=2, phases=[Phase.generate])
@EXAMPLE
def test_nobody_hears_of_what_they_may_not_see(
    steps: list[tuple[bool, str, int]], who: str, seed: int
) -> None:
    asyncio.run(_live(steps, who, seed))


@pytest.mark.slow
@settings(max_examples=2)
@EXAMPLE
def test_nobody_hears_of_what_they_may_not_see_however_much_happens(
    steps: list[tuple[bool, str, int]], who: str, seed: int
) -> None:
    asyncio.run(_live(steps, who, seed))


@pytest.mark.slow
@settings(max_examples=1, phases=[Phase.generate])
@EXAMPLE
def test_nobody_hears_of_what_they_may_not_see_on_postgresql(
    steps: list[tuple[bool, str, int]], who: str, seed: int
) -> None:
    asyncio.run(_live(steps, who, seed, POSTGRESQL))


async def _followed(worlds: Pair, who: str, ids: list[str]) -> list[Stream]:
    """A stream a world of everything there is an address for, about these ids; the same in both."""
    streams = [
        world.scoped.follows.stream(world.tokens[who], Origin(face="mcp"))
        for world in (worlds.quiet, worlds.busy)
    ]
    for address in ADDRESSES:
        for one in _named(address, spread(ids, random.Random(0), len(ids))):  # noqa: S311
            uri = address.uri.replace("{id}", one).replace("{n}", "1")
            found = locate(uri)
            assert found is not None
            answers = [await _answered(s.open(uri, address.operation, found[1])) for s in streams]
            assert answers[0] == answers[1], (who, uri)
    return streams


async def _answered(opening: Any) -> str:
    try:
        await opening
    except ScopedError as error:
        return f"{error} {error.entry}"
    return "followed"


async def _told(world: World, stream: Stream) -> tuple[list[str], Any, list[str]]:
    """What is told once everything was looked at, how it ended, and what is still followed."""
    hub = world.scoped.follows
    await hub._pass()
    while hub._tasks:
        await asyncio.wait(hub._tasks)
    told, stream._pending = sorted(stream._pending), {}
    return told, stream.ended, sorted(stream.follows)


async def _watched(steps: list[tuple[bool, str, int]], who: str) -> None:
    async with pair() as worlds:
        ids = [one for some in (worlds.names.values(), *worlds.seen.values()) for one in some]
        streams = await _followed(worlds, who, list(dict.fromkeys(ids)))
        for unseen, name, how in steps:
            if not (unseen and name in PUBLIC):
                await worlds.act(WRITES[name], how, unseen=unseen, tries=6)
            both = zip((worlds.quiet, worlds.busy), streams, strict=True)
            quiet, busy = [await _told(world, stream) for world, stream in both]
            assert quiet == busy, (who, name)
            if unseen:
                assert busy[0] == [], (who, name)


@promise("subscription.unseen")
@settings(max_examples=1, phases=[Phase.generate])
@given(steps=STEPS, who=st.sampled_from(OBSERVERS))
def test_nobody_is_told_of_what_they_may_not_see(
    steps: list[tuple[bool, str, int]], who: str
) -> None:
    asyncio.run(_watched(steps, who))


@pytest.mark.slow
@settings(max_examples=4)
@given(steps=STEPS, who=st.sampled_from(OBSERVERS))
def test_nobody_is_told_of_what_they_may_not_see_however_much_happens(
    steps: list[tuple[bool, str, int]], who: str
) -> None:
    asyncio.run(_watched(steps, who))


@pytest.mark.slow
async def test_every_write_can_be_done_unseen() -> None:
    """What is left undone needs to be taught: a kind of id to pick from, an example that works."""
    async with pair() as worlds:
        left = sorted(WRITES.keys() - PUBLIC, key=_making_first)
        for how in range(12):
            for name in left:
                await worlds.act(WRITES[name], how, unseen=True, tries=120)
            if worlds.done >= WRITES.keys() - PUBLIC:
                break
            left = [n for n in left if n not in worlds.done or WRITES[n].effect in MAKING]
        for name, may in EDGES.items():
            for edge in ("scope.create", *may):
                about = worlds.names[name] if edge in may else ""
                await worlds.act(WRITES[edge], 1, unseen=True, tries=30, about=about)
        missing = sorted(WRITES.keys() - PUBLIC - worlds.done)
        assert not missing, f"teach me how to do {missing} unseen"
        for who in ("mallory", "vera"):
            assert await _everything_is_the_same(worlds, who, 1) > 200


def _making_first(name: str) -> tuple[int, str]:
    order = [Effect.CREATE, Effect.GRANT, Effect.CHANGE, Effect.ADMIN, Effect.RULE, Effect.REVOKE]
    return order.index(WRITES[name].effect), name
