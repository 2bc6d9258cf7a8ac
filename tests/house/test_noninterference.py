"""Two worlds that differ only in what bob may not see: every answer he gets is the same in both.

The reads are generated from the catalogue and asked about every id that bob ever saw, so an
operation that is declared tomorrow is compared tomorrow. Ids, digests and cursors are chance; they
are compared by the order in which they appear in the whole of what bob was told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from scoped_mcp import Scoped, Session
from scoped_mcp.kernel.errors import ScopedError
from scoped_mcp.kernel.ids import AnyId, Id
from scoped_mcp.spine import entity
from scoped_mcp.spine.declare import Effect, Operation, catalogue, id_fields
from tests.conftest import FixedClock
from tests.sample import ID, WEEK, refused

READS = [o for o in catalogue.values() if o.tool and o.effect is Effect.READ]
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
CURSOR = re.compile(r'"next_cursor": "[^"]+"')
Arguments = dict[str, Any]
CHOICES: dict[str, list[Arguments]] = {
    "registry.list": [{"kind": bound.kind.KIND, "limit": 100} for bound in entity.kinds()],
    "object.list": [{"state": "deleted"}, {"detail": "full", "limit": 1}],
    "object.get": [{"version": 1}, {"version": 2}, {"as_of": "2026-01-05T09:00:00Z"}],
    "object.history": [{"from_version": 1, "to_version": 2}, {"from_version": 2, "to_version": 2}],
    "scope.list": [{"state": "archived"}, {"state": "active", "limit": 1}],
    "audit.list": [{"operation": o} for o in ("audit.list", "object.share", "object.get")],
}
"""What else can be asked than about an id; other operations are asked by their examples alone."""


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _note(session: Session, title: str) -> str:
    made = await session.call("object.create", {"type": "note", "data": {"title": title}})
    return str(made["id"])


async def channel(admin: Session, scope: str, **more: Any) -> str:
    """A way into a scope."""
    ends = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": scope}}
    made = await admin.call("channel.create", ends | {"name": f"into {scope[4:8]}"} | more)
    return str(made["id"])


async def promoted(who: Session, way: str, title: str) -> Arguments:
    """A promotion of a note that is made in an environment of its own."""
    home = (await who.call("environment.spawn"))["id"]
    new = {"type": "note", "data": {"title": title}, "environment": home}
    note = (await who.call("object.create", new))["id"]
    return await who.call("promotion.request", {"objects": [note], "channel": way})


async def approved(who: Session, promotion: Arguments) -> str:
    """The copy that it becomes."""
    yes = {"id": promotion["id"], "decision": "approve", "picture": promotion["picture"]}
    done = await who.call("promotion.review", yes)
    return str(done["objects"][0]["published"])


class World:
    """A house of alice, bob and carol, in which the busy one holds more that is not bob's."""

    def __init__(self, scoped: Scoped, alice: Session, *, busy: bool) -> None:
        self.scoped = scoped
        self.alice = alice
        self.busy = busy

    async def enrol(self, name: str) -> Session:
        asked = {"name": name, "kind": "user", "ttl_seconds": WEEK, "toolsets": ["all"]}
        return await self.scoped.session((await self.alice.call("token.issue", asked))["token"])

    async def noise(self, carol: Session, thing: str | None = None) -> None:
        """What alice and carol do among themselves; of `thing`, too, where bob sees it."""
        if not self.busy:
            return
        name = f"private {thing or 'talk'}"
        scope = (await self.alice.call("scope.create", {"name": name}))["id"]
        place = {"scope": scope, "principal": await _me(carol), "role": "admin"}
        await self.alice.call("scope.add_member", place)
        note = await _note(self.alice, "private")
        for _ in range(3):
            await self.alice.call("object.update", {"id": note, "patch": {"n": _}})
        await self.alice.call("object.share", {"object": note, "scope": scope, "access": "admin"})
        await carol.call("object.delete", {"id": note})
        child = {"name": f"{name}, below", "parent": scope}
        await carol.call("scope.create", child)
        way = await channel(self.alice, scope)
        done = await promoted(carol, way, "private")
        await approved(self.alice, done)
        await self.alice.call("promotion.revert", {"id": done["id"]})
        await promoted(carol, way, "private, waiting")
        line = {"name": "private", "scope": scope, "stages": [{"name": "one"}]}
        await self.alice.call("pipeline.create", line)
        made = await carol.call("agent.delegate", {"name": name[:20], "ttl_seconds": 600})
        helper = await self.scoped.session(made["token"])
        await _note(helper, "private")
        await carol.call("agent.stop", {"id": made["principal"]["id"]})
        with refused("not_found"):
            await carol.call("object.get", {"id": await _note(self.alice, "another")})
        if thing is not None:
            shown = {"object": thing, "scope": scope}
            await self.alice.call("object.share", shown | {"access": "admin", "history": True})
            await carol.call("object.get", {"id": thing})
            await carol.call("object.history", {"id": thing})


async def _furnish(world: World) -> Session:
    alice, (bob, carol) = world.alice, [await world.enrol(n) for n in ("bob", "carol")]
    await world.noise(carol)
    top = (await alice.call("scope.create", {"name": "top"}))["id"]
    below = (await alice.call("scope.create", {"name": "below", "parent": top}))["id"]
    place = {"scope": below, "principal": await _me(bob), "role": "contributor"}
    await alice.call("scope.add_member", place)
    if world.busy:
        place = {"scope": top, "principal": await _me(carol), "role": "admin"}
        await alice.call("scope.add_member", place)
        await carol.call("scope.create", {"name": "beside", "parent": top})
        await alice.call("object.share", {"object": await _note(alice, "b"), "scope": top})
        await alice.call("object.unshare", {"object": await _last(alice), "scope": top})
    live, pinned, gone, above = [await _note(alice, t) for t in ("live", "pin", "gone", "above")]
    for note in (live, pinned, gone, above):
        await alice.call("object.update", {"id": note, "patch": {"title": "second"}})
    await alice.call("object.share", {"object": live, "scope": below, "access": "admin"})
    await alice.call("object.share", {"object": pinned, "scope": below, "pin_version": 1})
    await alice.call("object.share", {"object": gone, "scope": below})
    await alice.call("object.share", {"object": above, "scope": top})
    for note in (live, pinned, gone, above):
        await bob.call("object.get", {"id": note})
    way = await channel(alice, below, name="way")
    copy = await approved(alice, await promoted(bob, way, "ready"))
    await promoted(bob, way, "waiting")
    line = {"name": "line", "scope": below, "stages": [{"name": "draft"}, {"name": "live"}]}
    stages = (await alice.call("pipeline.create", line))["stages"]
    await alice.call("stage.move", {"object": copy, "stage": stages[0]["id"]})
    if world.busy:  # what waits, was refused or comes from elsewhere is not bob's to know
        await promoted(alice, way, "alice's")
        hers = await promoted(alice, way, "taken back")
        await alice.call("promotion.withdraw", {"id": hers["id"]})
    own = (await bob.call("scope.create", {"name": "bob's"}))["id"]
    mine = await _note(bob, "mine")
    await bob.call("object.share", {"object": mine, "scope": own})
    place = {"scope": own, "principal": await _me(carol), "role": "viewer"}
    await bob.call("scope.add_member", place)
    await world.noise(carol, live)
    await alice.call("object.unshare", {"object": gone, "scope": below})
    if world.busy:  # a pinned share stands still, and what was taken away is gone
        for note in (pinned, gone):
            await alice.call("object.update", {"id": note, "patch": {"title": "third"}})
            await alice.call("object.tag", {"id": note, "tags": ["later"]})
        await alice.call("object.transfer", {"id": gone, "to": await _me(carol)})
        await carol.call("object.transfer_accept", {"id": gone})
    return bob


async def _last(session: Session) -> str:
    return str((await session.call("object.list", {"limit": 1}))["items"][0]["id"])


async def _answer(bob: Session, operation: Operation, arguments: Arguments) -> Any:
    try:
        return await bob.call(operation.name, arguments)
    except ScopedError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}


def _questions(operation: Operation, seen: list[str]) -> Iterator[Arguments]:
    """The operation about everything that was seen so far: what it needs in every combination."""
    plain: Arguments = {}
    if "limit" in operation.command.model_fields:
        plain["limit"] = 20 if operation.name == "audit.list" else 3
    fields = id_fields(operation.command)
    needed = [f for f in fields if operation.command.model_fields[f].is_required()]
    example = dict(operation.command.example)
    rest = {
        name: value
        for name, value in example.items()
        if name not in fields and operation.command.model_fields[name].is_required()
    }
    more = [{}, *CHOICES.get(operation.name, ())]
    for chosen in product(*(_fitting(fields[f], seen) for f in needed)):
        named = dict(zip(needed, chosen, strict=True))
        for choice in more:
            yield plain | rest | named | choice
        for field in [f for f in fields if f not in named]:
            for one in _fitting(fields[field], seen):
                yield plain | rest | named | {field: one}


def _fitting(kind: type[Id], seen: list[str]) -> list[str]:
    return [one for one in seen if kind is AnyId or one.startswith(f"{kind.prefix}_")]


def _ids(text: str) -> list[str]:
    return list(dict.fromkeys(ID.findall(text)))


async def _told(world: World) -> list[str]:
    """Everything that bob can get to hear, every page of it, blurred as one."""
    bob = await _furnish(world)
    seen: list[str] = []
    heard: list[str] = []
    asked: set[str] = set()
    for _ in range(2):  # the second round asks about what the first one showed
        for operation in READS:
            for arguments in list(_questions(operation, seen)):
                said = json.dumps([operation.name, arguments], sort_keys=True)
                if said in asked:
                    continue
                asked.add(said)
                more: Arguments = {}
                while True:
                    answer = await _answer(bob, operation, arguments | more)
                    heard += [said, json.dumps(answer, sort_keys=True)]
                    if not isinstance(answer, dict) or "next_cursor" not in answer:
                        break
                    more = {"cursor": answer["next_cursor"]}
        if not seen:
            seen = _known(_ids("\n".join(heard)))
    return _blur(heard)


def _known(ids: list[str]) -> list[str]:
    """Some of every kind: what is many tells no more than what is few."""
    few: dict[str, list[str]] = {}
    for one in ids:
        few.setdefault(one[:3], []).append(one)
    return [one for kind in few.values() for one in kind[:6]]


def _blur(heard: list[str]) -> list[str]:
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"<{found[0][:3]} {len(names)}>")

    return [
        DIGEST.sub("<digest>", CURSOR.sub('"next_cursor": "more"', ID.sub(name, one)))
        for one in heard
    ]


async def test_every_read_is_the_same_in_a_busy_world_and_a_quiet_one(tmp_path: Path) -> None:
    told: list[list[str]] = []
    for busy in (False, True):
        clock, path = FixedClock(), tmp_path / f"{busy}.db"
        token = await Scoped.create(f"sqlite:///{path}", name="alice", clock=clock)
        async with Scoped.open(f"sqlite:///{path}", clock=clock) as scoped:
            alice = await scoped.session(token)
            told.append(await _told(World(scoped, alice, busy=busy)))
    quiet, loud = told
    for at, (one, other) in enumerate(zip(quiet, loud, strict=False)):
        assert one == other, (at, quiet[at - 1 : at + 1], loud[at - 1 : at + 1])
    assert len(quiet) == len(loud)
    assert len(quiet) > 200
