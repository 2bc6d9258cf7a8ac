"""(c) Lists of twenty, and single objects, in a large house beside the same in a small one.

Both houses have the same principals. The large one has many times the objects and five times the
scopes; a tenth of the objects is shown, but at most ten thousand, in one scope each. What is timed
is the whole operation, its trace and its fsync included, one caller at a time, the two houses
taking turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import islice
from typing import Any

from scoped_mcp import Scoped, Session
from scoped_mcp.layers.objects import CreateObject, GetObject, ListObjects
from scoped_mcp.spine.declare import Command
from tests.bench.engines import Place, on_each
from tests.bench.measure import Finding, Scale, at_most, benchmark
from tests.bench.seed import seed

SMALL = 1_000
SCOPES = 1_000
SHOWN = 10_000
PLACES = 200  # scopes of the one who is in many
FEW = 50  # objects of the one who has few, older than all others
TOGETHER = 200
LISTS = 25  # each of a round


@benchmark("lists", "object_list of 20 and object_get in a large house and in a small one")
async def lists(scale: Scale) -> list[Finding]:
    return await on_each(scale, _listed)


async def _listed(engine: str, place: Place, scale: Scale) -> list[Finding]:
    async with AsyncExitStack() as stack:
        small = await _house(stack, place("small"), SMALL, PLACES)
        large = await _house(stack, place("large"), scale.objects, SCOPES)
        times: dict[str, tuple[list[float], list[float]]] = {}
        for _ in range(scale.rounds):
            for name in large:
                slow, quick = times.setdefault(name, ([], []))
                slow.append(await _timed(*large[name]))
                quick.append(await _timed(*small[name]))
    size = f"{scale.objects:,} / {SMALL:,} objects, {engine}"
    return [at_most(f"{name}, {size}", 2.0, *both) for name, both in times.items()]


async def _timed(who: Session, what: Command[Any]) -> float:
    began = time.perf_counter()
    for _ in range(LISTS):
        await who.run(what)
    return (time.perf_counter() - began) / LISTS


async def _house(
    stack: AsyncExitStack, url: str, size: int, places: int
) -> dict[str, tuple[Session, Command[Any]]]:
    """A house in which alice owns nearly all objects, and dora all scopes and what is shown."""
    tokens = {"alice": await Scoped.create(url, name="alice")}
    shown = min(size // 10, SHOWN)
    async with Scoped.open(url) as scoped:
        scopes, made = await _people(scoped, tokens, shown, places)
    seed(url, [{"n": n} for n in range(size - FEW - shown)], each=SMALL // 4)
    scoped = await stack.enter_async_context(Scoped.open(url))
    alice, bob, carol = [await scoped.session(tokens[n]) for n in ("alice", "bob", "carol")]
    in_scope = f'{{"scope": "{scopes[0]}"}}'
    return {
        "object_list of 20 by who owns nearly all": (alice, ListObjects()),
        "object_list of 20 by who owns a few old ones": (carol, ListObjects()),
        f"object_list of 20 by a member of {PLACES} scopes": (bob, ListObjects()),
        "object_list of 20 of one scope": (bob, ListObjects.model_validate_json(in_scope)),
        "object_list of 20 of a rare type": (alice, ListObjects(type="rare")),
        "object_get by its owner": (alice, GetObject.model_validate_json(f'{{"id": "{made}"}}')),
    }


async def _people(
    scoped: Scoped, tokens: dict[str, str], shown: int, places: int
) -> tuple[list[str], str]:
    """Everything but what alice owns, of which there is one: the scopes, and that one."""
    alice = await scoped.session(tokens["alice"])
    carol = await _user(scoped, alice, "carol", tokens)
    dora = await _user(scoped, alice, "dora", tokens)
    bob = await _user(scoped, alice, "bob", tokens)
    principal = (await bob.call("whoami"))["principal"]["id"]
    await _make(carol, FEW)
    found = await asyncio.gather(
        *(dora.call("scope.create", {"name": f"scope {n}"}) for n in range(places))
    )
    scopes = [one["id"] for one in found]
    objects = await _make(dora, shown)
    shares = ({"object": o, "scope": scopes[n % places]} for n, o in enumerate(objects))
    while some := list(islice(shares, TOGETHER)):
        await asyncio.gather(*(dora.call("object.share", one) for one in some))
    for scope in scopes[:PLACES]:
        asked = {"scope": scope, "principal": principal, "role": "viewer"}
        await dora.call("scope.add_member", asked)
    return scopes, (await alice.run(CreateObject(type="note", data={"n": -1}))).id


async def _make(owner: Session, count: int) -> list[str]:
    found: list[str] = []
    new: Iterator[dict[str, Any]] = ({"type": "note", "data": {"n": n}} for n in range(count))
    while some := list(islice(new, TOGETHER)):
        made = await owner.call("object.create_many", {"objects": some})
        found += [one["id"] for one in made["items"]]
    return found


async def _user(scoped: Scoped, admin: Session, name: str, tokens: dict[str, str]) -> Session:
    asked: Mapping[str, Any] = {"name": name, "kind": "user", "toolsets": ["all"]}
    tokens[name] = (await admin.call("token.issue", asked))["token"]
    return await scoped.session(tokens[name])
