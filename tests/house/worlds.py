"""Two worlds side by side: the same house, in one of which more happens that observers may not see.

What is done is generated from the declarations. Names, times and ids are chance from streams of
their own, one for what both worlds share and one for what is unseen: so observers can be told the
same to the byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import random
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from sqlalchemy import select

from scoped_mcp import Scoped, ScopedError
from scoped_mcp.kernel.ids import AnyId, Id
from scoped_mcp.layers.identity.model import Principal
from scoped_mcp.spine import entity
from scoped_mcp.spine.declare import Effect, Operation, catalogue, id_fields
from scoped_mcp.storage.path import entries, registry
from scoped_mcp.storage.walls import past_walls
from tests.conftest import FixedClock, FixedEntropy
from tests.grounds import SQLITE, Ground
from tests.sample import ID, PLACEHOLDER, WEEK

OBSERVERS = ("mallory", "vera", "adam", "robot", "helper")
"""A stranger, a scope's viewer, its admin, an agent who contributes, a delegate of who is busy."""
HIDDEN = ("root", "alice", "carol")
"""Who does what observers may not see."""
WRITES = {o.name: o for o in catalogue.values() if o.tool and o.effect is not Effect.READ}
PUBLIC = {"registry.set_lifecycle": "kinds and operations are public knowledge"}
"""What cannot be done unseen."""
WRITING = ("object.update", "object.update_many", "object.tag")
SHOWING = ("object.unshare", "object.share")
ENDING = ("object.delete", "object.restore")
EDGES = {
    "live": SHOWING,
    "above": SHOWING,
    "pinned": (*WRITING, *SHOWING, "object.transfer"),
    "gone": (*WRITING, *SHOWING, "object.transfer", "object.transfer_accept", *ENDING),
    "top": ("scope.create", "scope.add_member", "scope.remove_member"),
}
"""What observers see, saw or stand below, and what can be done to it without their seeing it."""
READY = ("object.transfer", "object.transfer_accept", "promotion.revert", "stage.move")
READY += ("stage.request", "scope.adopt")
"""What takes things that come of several steps: those of the beginning are kept for it."""
SHARED = {"alice": ("object.create", *WRITING, *SHOWING, *ENDING)}
"""What one who is also busy unseen does in both worlds; observers do everything there is."""
WORDS: dict[str, list[str]] = {
    "cursor": ["zz", "obj_zzzzzzzzzzzzzzzz"],
    "detail": ["full"],
    "kind": ["user", "agent", *(bound.kind.KIND for bound in entity.kinds())],
    "label": ["member_of", "supervises"],
    "name": ["alice", "mallory", "seen 1"],
    "operation": ["object.share", "object.get", "scope.add_member", "audit.list", "unknown"],
    "tag": ["draft"],
    "type": ["note", "report"],
}
"""What is said where a field takes free text."""
NEWEST = 3  # of a kind are tried: where it is crowded, they meet
Arguments = dict[str, Any]
Pool = dict[str, list[str]]
"""Ids by their prefix."""


class Chance:
    """One stream a caller (ruling 68); who acts in both worlds has another for what it does unseen.

    Attributes:
        unseen: Whether what is done now is done in one world alone.
    """

    def __init__(self, seed: str, apart: str = "") -> None:
        self.unseen = False
        self._apart = apart
        self._entropy = FixedEntropy(seed)

    def draw(self, stream: str, size: int) -> bytes:
        unseen = ", unseen" if self.unseen and stream == self._apart else ""
        return self._entropy.draw(stream + unseen, size)


@dataclass
class World:
    """An open house, and a token for everyone who acts in it."""

    scoped: Scoped
    clock: FixedClock
    chance: Chance
    tokens: dict[str, str]

    async def ask(self, who: str, operation: str, arguments: Arguments) -> dict[str, Any]:
        """The answer, or all of the refusal."""
        try:
            view = await self.scoped.spine.call(operation, arguments, self.tokens[who])
        except ScopedError as error:
            said = {"code": error.code, "message": error.message, "hint": error.hint}
            return {"refused": said | {"retry": error.retry, "entry": error.entry}}
        return view.as_json()

    async def ids(self) -> set[str]:
        """Everything that has an id, entries included, below the application."""
        found: set[str] = set()
        for table in (registry, entries):
            rows = select(table.c.public_id)
            found |= {
                row[0]
                for row in await self.scoped.spine.database.read(
                    lambda c, s=rows: c.rows(past_walls(s))
                )
            }
        return found


@dataclass(frozen=True)
class Start:
    """The furnished house, closed."""

    ground: Ground
    url: str
    tokens: dict[str, str]
    names: dict[str, str]


@cache
def start(ground: Ground = SQLITE) -> Start:
    """The house that both worlds begin as; from within a running loop too."""
    url = ground.place(Path(tempfile.mkdtemp(prefix="worlds-")))
    with ThreadPoolExecutor(1) as one:
        return one.submit(asyncio.run, _furnish(ground, url)).result()


async def _furnish(ground: Ground, url: str) -> Start:
    """A tree of scopes seen from below, a room of alice's friends, things shown in every way."""
    clock, chance = FixedClock(), Chance("start")
    tokens = {"root": await Scoped.create(url, name="root", clock=clock, entropy=chance)}
    async with Scoped.open(url, clock=clock, entropy=chance) as scoped:
        names: dict[str, str] = {}
        world = World(scoped, clock, chance, tokens)

        async def do(who: str, operation: str, **arguments: Any) -> Any:
            answer = await world.ask(who, operation, arguments)
            assert "refused" not in answer, (operation, answer)
            clock.advance(1)
            return answer

        async def enrol(by: str, name: str, operation: str, **more: Any) -> None:
            asked = {"name": name, "ttl_seconds": WEEK, "toolsets": ["all"], **more}
            made = await do(by, operation, **asked)
            tokens[name], names[name] = made["token"], made["principal"]["id"]
            await do(name, "whoami")

        me = await do("root", "whoami")
        names |= {"root": me["principal"]["id"], "the root": me["scopes"][0]["id"]}
        for name in ("alice", "carol", "mallory", "vera", "adam"):
            await enrol("root", name, "token.issue", kind="user")
        await enrol("root", "robot", "token.issue", kind="agent")
        await enrol("alice", "helper", "agent.delegate")
        names["top"] = (await do("alice", "scope.create", name="top"))["id"]
        names["below"] = (await do("alice", "scope.create", name="below", parent=names["top"]))[
            "id"
        ]
        names["mine"] = (await do("mallory", "scope.create", name="mine"))["id"]
        roles = {"vera": "viewer", "adam": "admin", "robot": "contributor", "helper": "viewer"}
        for name, role in roles.items():
            place = {"scope": names["below"], "principal": names[name], "role": role}
            await do("alice", "scope.add_member", **place)
        for name in ("live", "pinned", "gone", "above", "private"):
            made = await do("alice", "object.create", type="note", data={"n": 0}, name=name)
            names[name] = made["id"]
            await do("alice", "object.update", id=made["id"], data={"n": 1}, reason="better")
        shown = {"live": {"access": "write"}, "pinned": {"pin_version": 1}, "gone": {}}
        for name, how in shown.items():
            await do("alice", "object.share", object=names[name], scope=names["below"], **how)
        await do("alice", "object.share", object=names["above"], scope=names["top"])
        for name in ("live", "pinned", "gone", "above"):
            await do("vera", "object.get", id=names[name])
        await do("alice", "object.unshare", object=names["gone"], scope=names["below"])
        for name in OBSERVERS:
            await do(name, "object.create", type="note", data={"mine": name}, name=f"{name}'s")
    return Start(ground, url, tokens, names)


@contextlib.asynccontextmanager
async def pair(ground: Ground = SQLITE) -> AsyncIterator[Pair]:
    """The same house twice, open: one will stay quiet."""
    begun = start(ground)
    async with contextlib.AsyncExitStack() as stack:
        worlds: list[World] = []
        for _ in range(2):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="world-")))
            url = ground.copy(begun.url, place)
            stack.callback(ground.forget, url)
            clock, chance = FixedClock(), Chance("later", begun.names["alice"])
            clock.advance(3_600)
            opened = Scoped.open(url, clock=clock, entropy=chance)
            scoped = await stack.enter_async_context(opened)
            worlds.append(World(scoped, clock, chance, dict(begun.tokens)))
        both = Pair(*worlds, begun.names)
        await both.begin()
        yield both


@dataclass
class Pair:
    """Two worlds, and what is known in them: to all, and unseen."""

    quiet: World
    busy: World
    names: dict[str, str]
    seen: Pool = field(default_factory=lambda: {})
    unseen: Pool = field(default_factory=lambda: {})
    ready: Pool = field(default_factory=lambda: {})
    hidden: list[str] = field(default_factory=lambda: list(HIDDEN))
    done: set[str] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        names = self.names
        people = [names[who] for who in ("alice", *OBSERVERS)]
        self.seen = {"prn": people, "scp": [names["below"], names["mine"]], "obj": []}
        self.seen["obj"] = [names["live"], names["above"]]
        self.unseen = {"scp": [names["the root"]], "obj": [names["private"]]}

    async def begin(self) -> None:
        """A way out of environments that nobody sees, with what waits there and what came out."""
        names = self.names

        async def do(who: str, operation: str, **arguments: Any) -> Any:
            self.busy.chance.unseen = True
            answer = await self.busy.ask(who, operation, arguments)
            self.busy.chance.unseen = False
            assert "refused" not in answer, (operation, answer)
            self._learn(self.unseen, answer)
            self.done.add(operation)
            return answer

        scope = (await do("alice", "scope.create", name="unseen way"))["id"]
        for name in ("carol", "root"):
            place = {"scope": scope, "principal": names[name], "role": "admin"}
            await do("alice", "scope.add_member", **place)
        ends = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": scope}}
        way = (await do("alice", "channel.create", name="unseen way", **ends))["id"]
        stages = [{"name": "draft"}, {"name": "ready", "approvals": 1}]
        await do("alice", "pipeline.create", name="unseen", scope=scope, stages=stages)
        place = await do("carol", "environment.spawn", name="unseen")
        promotions: list[str] = []
        for n in range(4):
            new = {"type": "note", "data": {"n": n}, "environment": place["id"]}
            made = await do("carol", "object.create", **new)
            asked = await do("carol", "promotion.request", objects=[made["id"]], channel=way)
            promotions.append(asked["id"])
            if n in {0, 1}:
                yes = {"id": asked["id"], "decision": "approve", "picture": asked["picture"]}
                done = await do("alice", "promotion.review", **yes)
                self.ready["obj"] = [done["objects"][0]["published"], names["private"]]
        made = await do("root", "token.issue", name="unseen one", kind="user", toolsets=["all"])
        self.busy.tokens["unseen one"] = made["token"]
        left = (await do("unseen one", "scope.create", name="left behind"))["id"]
        place = {"scope": left, "principal": names["carol"], "role": "viewer"}
        await do("unseen one", "scope.add_member", **place)
        await do("root", "principal.suspend", id=made["principal"]["id"])
        self.ready |= {"scp": [left]}
        gift = (await do("alice", "object.create", type="note", data={"unseen": True}))["id"]
        await do("alice", "object.transfer", id=gift, to=names["carol"])
        await do("carol", "object.transfer_accept", id=gift)
        self.ready |= {"prm": [promotions[0], *promotions[2:]], "stg": self.unseen["stg"][:2]}

    async def both(self, who: str, operation: str, arguments: Arguments) -> dict[str, Any]:
        """Ask in both worlds; an observer is told the same, others may do the same."""
        quiet = await self.quiet.ask(who, operation, arguments)
        busy = await self.busy.ask(who, operation, arguments)
        if who in OBSERVERS:
            one, other = (json.dumps(answer, sort_keys=True) for answer in (quiet, busy))
            assert one == other, (who, operation, arguments, one, other)
        assert ("refused" in quiet) == ("refused" in busy), (who, operation, arguments, quiet, busy)
        return busy

    async def act(
        self, operation: Operation, how: int, *, unseen: bool, tries: int, about: str = ""
    ) -> None:
        """Do an operation with what chance finds, by whom it finds, until it is done."""
        chance = random.Random(how)  # noqa: S311 - chance that repeats
        pool = self.unseen if unseen else self.seen
        people = self.hidden if unseen else [*OBSERVERS, *SHARED]
        ways = [
            (who, arguments)
            for who in people
            if unseen or operation.name in SHARED.get(who, WRITES)
            for arguments in self._ways(operation, pool, chance, unseen=unseen)
        ]
        ways = [(who, arguments) for who, arguments in ways if about in json.dumps(arguments)]
        chance.shuffle(ways)
        for who, arguments in ways[:tries]:
            self.quiet.clock.advance(3)
            self.busy.clock.advance(3)
            self.busy.chance.unseen = unseen
            ask = self.busy.ask if unseen else self.both
            answer = await ask(who, operation.name, arguments)
            self.busy.chance.unseen = False
            if "refused" not in answer:
                if "token" in answer:  # who was given one can act, and has a session once it does
                    name = answer["token"]
                    self.quiet.tokens[name] = self.busy.tokens[name] = name
                    self.hidden += [name] if unseen else []
                    self.busy.chance.unseen = unseen
                    answer |= {"me": await ask(name, "whoami", {})}
                    self.busy.chance.unseen = False
                self._learn(pool, answer)
                self.done |= {operation.name} if unseen else set()
                return

    def _learn(self, pool: Pool, answer: Any) -> None:
        """What was made can be used from now on."""
        known = {one for ids in (*self.seen.values(), *self.unseen.values()) for one in ids}
        for one in ids_in(answer):
            if one not in known and one not in self.names.values():
                pool.setdefault(one[:3], []).append(one)

    def _ways(
        self, operation: Operation, pool: Pool, chance: random.Random, *, unseen: bool
    ) -> Iterator[Arguments]:
        """The example about everything of the pool, with other values and options."""
        fields = id_fields(operation.command)
        example = dict(operation.command.example)
        places = sorted(set(PLACEHOLDER.findall(json.dumps(example))))
        choices = [self._fitting(operation, one[:3], pool, chance, unseen=unseen) for one in places]
        for chosen in product(*choices):
            named = dict(zip(places, chosen, strict=True))
            text = PLACEHOLDER.sub(lambda found, ids=named: ids[found[0]], json.dumps(example))
            yield json.loads(text) | self._options(operation, fields, pool, chance, unseen=unseen)

    def _fitting(
        self, operation: Operation, prefix: str, pool: Pool, chance: random.Random, *, unseen: bool
    ) -> list[str]:
        """What of the pool fits; unseen, half of the time, that of which observers see an edge."""
        names = self.names
        found = list(pool.get(prefix, ())[-NEWEST:])
        if unseen:
            allowed = [names[n] for n, may in EDGES.items() if operation.name in may]
            edges = [one for one in allowed if one.startswith(prefix)]
            found = edges if edges and chance.random() < 0.5 else found
            if operation.name in READY:
                found = [*self.ready.get(prefix, ()), *found]
        if prefix == "prn" and Principal in operation.writes:
            return [one for one in found if one not in names.values()]
        if prefix == "prn" and unseen:  # what is done with these does not show in them
            found += [names[who] for who in HIDDEN]
        return found

    def _options(
        self,
        operation: Operation,
        fields: dict[str, type[Id]],
        pool: Pool,
        chance: random.Random,
        *,
        unseen: bool,
    ) -> Arguments:
        """Other values for some fields that are no ids, and ids for some that may be left out."""
        options: Arguments = {}
        example = operation.command.example
        for name, info in operation.command.model_fields.items():
            self.count += 1
            if name in fields:
                ids = self._fitting(operation, fields[name].prefix, pool, chance, unseen=unseen)
                if name not in example and ids and chance.random() < 0.3:
                    options[name] = chance.choice(ids)
            elif name in {"name", "subject"} and name in example:  # one each in all of the house
                options[name] = f"{'unseen' if unseen else 'seen'} {self.count}"
            elif name in {"expires_at", "ttl_seconds"}:
                continue
            elif name == "toolsets":
                options[name] = ["all"]
            elif (name in example or chance.random() < 0.3) and (
                known := values(info.annotation) or WORDS.get(name, [])
            ):
                options[name] = chance.choice(known)
        return options


def ids_in(answer: Any) -> list[str]:
    """Every id in an answer, once, in order."""
    return list(dict.fromkeys(ID.findall(json.dumps(answer))))


def values(annotation: Any) -> list[Any]:
    """Values of a type that has few: what is free text or JSON has none here."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(parts[0])
    if origin in {Union, UnionType}:
        return [value for part in parts for value in values(part)]
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return [member.value for member in annotation]
    few = {bool: [True, False], int: [1, 2, 3]}
    return list(parts) if origin is Literal else few.get(annotation, [])


def spread(ids: Iterable[str], chance: random.Random, most: int) -> Pool:
    """Some of every kind."""
    found: Pool = {}
    for one in ids:
        found.setdefault(one[:3], []).append(one)
    return {k: chance.sample(found[k], min(most, len(found[k]))) for k in sorted(found)}


def fits(kind: type[Id], pool: Pool) -> list[str]:
    """What of a pool a field of this kind takes."""
    return [o for p, ids in pool.items() if kind is AnyId or kind.prefix == p for o in ids]
