"""(c) Lists of twenty in a large house beside the same lists in a small one.

Both houses have the same principals. The large one has a hundred times the objects and five times
the scopes; a tenth of the objects is shown, in one scope each. What is timed is the whole
operation, its trace and its fsync included, one caller at a time, the two houses taking turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from scoped_mcp import Scoped, Session
from scoped_mcp.layers.objects import ListObjects
from tests.bench.measure import Finding, Scale, at_most, benchmark

SMALL = 1_000
SCOPES = 1_000
PLACES = 200  # scopes of the one who is in many
FEW = 50  # objects of the one who has few, older than all others
TOGETHER = 200
LISTS = 25  # each of a round


@benchmark("lists", "object_list of 20 in a large house and in a small one")
async def lists(scale: Scale) -> list[Finding]:
    async with AsyncExitStack() as stack:
        small = await _house(stack, scale.folder / "small", SMALL, PLACES)
        large = await _house(stack, scale.folder / "large", scale.objects, SCOPES)
        times: dict[str, tuple[list[float], list[float]]] = {}
        for _ in range(scale.rounds):
            for name in large:
                slow, quick = times.setdefault(name, ([], []))
                slow.append(await _timed(*large[name]))
                quick.append(await _timed(*small[name]))
    size = f"{scale.objects:,} / {SMALL:,} objects"
    return [
        at_most(f"object_list of 20 {name}, {size}", 2.0, *both) for name, both in times.items()
    ]


async def _timed(who: Session, what: ListObjects) -> float:
    began = time.perf_counter()
    for _ in range(LISTS):
        await who.run(what)
    return (time.perf_counter() - began) / LISTS


async def _house(
    stack: AsyncExitStack, folder: Path, size: int, places: int
) -> dict[str, tuple[Session, ListObjects]]:
    """A house in which alice owns nearly all objects, and dora all scopes and what is shown."""
    url = f"sqlite:///{folder}/scoped.db"
    token = await Scoped.create(url, name="alice")
    scoped = await stack.enter_async_context(Scoped.open(url))
    alice = await scoped.session(token)
    carol, _ = await _user(scoped, alice, "carol")
    dora, _ = await _user(scoped, alice, "dora")
    bob, principal = await _user(scoped, alice, "bob")
    await _make(carol, FEW)
    made = await asyncio.gather(
        *(dora.call("scope.create", {"name": f"scope {n}"}) for n in range(places))
    )
    scopes = [one["id"] for one in made]
    shown = await _make(dora, size // 10)
    shares = ({"object": o, "scope": scopes[n % places]} for n, o in enumerate(shown))
    while some := list(islice(shares, TOGETHER)):
        await asyncio.gather(*(dora.call("object.share", one) for one in some))
    for scope in scopes[:PLACES]:
        asked = {"scope": scope, "principal": principal, "role": "viewer"}
        await dora.call("scope.add_member", asked)
    await _make(alice, size - FEW - len(shown))
    mine = ListObjects()
    return {
        "by who owns nearly all": (alice, mine),
        "by who owns a few old ones": (carol, mine),
        f"by a member of {PLACES} scopes": (bob, mine),
        "of one scope": (bob, ListObjects.model_validate_json(f'{{"scope": "{scopes[0]}"}}')),
        "of a rare type": (alice, ListObjects(type="rare")),
    }


async def _make(owner: Session, count: int) -> list[str]:
    found: list[str] = []
    new: Iterator[dict[str, Any]] = (
        {"type": "rare" if n % (SMALL // 4) == 0 else "note", "data": {"n": n}}
        for n in range(count)
    )
    while some := list(islice(new, TOGETHER)):
        made = await owner.call("object.create_many", {"objects": some})
        found += [one["id"] for one in made["items"]]
    return found


async def _user(scoped: Scoped, admin: Session, name: str) -> tuple[Session, str]:
    asked = {"name": name, "kind": "user", "toolsets": ["all"]}
    made = await admin.call("token.issue", asked)
    return await scoped.session(made["token"]), made["principal"]["id"]
