"""The sample house (ruling 65): small, whole, and built through ordinary operations.

Every command's `example` names things by placeholder ids such as `obj_aaaaaaaaaaaaaaaa`. The sample
has a thing for each of them, so that every example can be run by alice, the owner of the root
scope:

    prn …a bob     …c carl, suspended   …d alice's delegate   …e erin, not enrolled
        …f a team   …g gina
    env …a alice's, with gina      …c to finish or discard
    tpl …a alice's   …c to archive     snp …a of env …a
    obj …a alice's, private, two versions     …c shared in scp …a   …d to delete   …e deleted
        …f bob's, offered to alice     …p alice's, in an environment     …q …r published in plans
    scp …a alice's, with gina     …c to freeze   …d bob's, offered to alice
        …e bob's, alice a member     …g carl's, bob a member
    prm …a bob's, pending     …c alice's, pending     …d applied; all through chn …a into scp …a
    ent …a an entry, …f a follow that alice has open
    tnt …a in the directory, which is nobody's to see
    stg …a and …c of ppl …a; plc …a is obj …r, at the first and asked for the second

A room that is added later adds what its examples name to `_furnish`.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.kernel.ids import OrganisationId, TenantId
from scoped_mcp.layers import registry as registry_room
from scoped_mcp.storage.path import registry
from scoped_mcp.storage.walls import past_walls
from tests.conftest import FixedClock
from tests.grounds import SQLITE, Ground

WEEK = 7 * 86_400
PLACEHOLDER = re.compile(r"[a-z]{3}_a{15}[a-z]")
ID = re.compile(r"\b[a-z]{3}_[a-z2-7]{16}\b")
STRANGER = "mallory"


@dataclass(frozen=True)
class Plan:
    """A house, closed: copy it to use it.

    Attributes:
        url: Its database.
        ids: Placeholder id → real id.
        tokens: Name → token of everyone who acts.
        own: For each kind of id, one thing of the stranger's own.
    """

    url: str
    ids: Mapping[str, str]
    tokens: Mapping[str, str]
    own: Mapping[str, str]


@dataclass
class Sample:
    """The same, open.

    Attributes:
        alice: The owner of the root scope, who can run every example.
        mallory: A user with every toolset and access to nothing.
    """

    scoped: Scoped
    url: str
    clock: FixedClock
    plan: Plan
    alice: Session
    mallory: Session

    def fill(self, example: Any) -> Any:
        """An example with real ids for its placeholders."""
        return fill(example, self.plan.ids)

    async def rows(self, statement: Any) -> list[tuple[Any, ...]]:
        """What a query finds below the application."""
        found = await self.scoped.spine.database.read(lambda conn: conn.rows(past_walls(statement)))
        return [tuple(row) for row in found]


def fill(value: Any, ids: Mapping[str, str]) -> Any:
    """Replace placeholders, at any depth.

    Raises:
        KeyError: the sample has nothing for one of them: furnish it.
    """
    if isinstance(value, Mapping):
        return {name: fill(one, ids) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(one, ids) for one in value]
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: ids[found[0]], value)
    return value


async def _enrol(root: Session, name: str, kind: str = "user") -> tuple[str, str]:
    asked = {"name": name, "kind": kind, "ttl_seconds": WEEK, "toolsets": ["all"]}
    made = await root.call("token.issue", asked)
    return made["principal"]["id"], made["token"]


async def found(url: str, clock: FixedClock) -> dict[str, str]:
    """An empty house: alice, who owns it, and a stranger."""
    tokens = {"alice": await Scoped.create(url, name="alice", clock=clock)}
    async with Scoped.open(url, clock=clock) as scoped:
        alice = await scoped.session(tokens["alice"])
        _, tokens[STRANGER] = await _enrol(alice, STRANGER)
        await scoped.session(tokens[STRANGER])
    return tokens


async def _furnish(scoped: Scoped, tokens: dict[str, str]) -> dict[str, str]:
    """Everything that the examples name."""
    alice = await scoped.session(tokens["alice"])
    people = {"a": "bob", "c": "carl", "g": "gina"}
    ids: dict[str, str] = {}

    def note(kind: str, letter: str, real: str) -> None:
        ids[f"{kind}_{'a' * 15}{letter}"] = real

    for letter, name in people.items():
        principal, tokens[name] = await _enrol(alice, name)
        note("prn", letter, principal)
    bob = await scoped.session(tokens["bob"])
    me = await bob.call("whoami")
    note("ses", "a", me["session"]["id"])
    listed = await bob.call("token.list")
    note("crd", "a", listed["items"][0]["id"])
    erin = await alice.call("principal.create", {"name": "erin"})
    note("prn", "e", erin["id"])
    team = await alice.call("principal.create", {"name": "crew", "kind": "team"})
    note("prn", "f", team["id"])
    delegate = await alice.call("agent.delegate", {"name": "helper", "ttl_seconds": WEEK})
    note("prn", "d", delegate["principal"]["id"])
    tokens["helper"] = delegate["token"]
    edge = {"source": me["principal"]["id"], "label": "member_of", "target": team["id"]}
    await alice.call("principal.relate", edge)
    carl = await scoped.session(tokens["carl"])
    left = await carl.call("scope.create", {"name": "left"})
    note("scp", "g", left["id"])
    bobs = {"scope": left["id"], "principal": me["principal"]["id"], "role": "viewer"}
    await carl.call("scope.add_member", bobs)
    await alice.call("principal.suspend", {"id": ids["prn_aaaaaaaaaaaaaaac"]})

    for letter, name in (("a", "plans"), ("c", "calm")):
        scope = await alice.call("scope.create", {"name": name})
        note("scp", letter, scope["id"])
    gina = {"scope": ids["scp_aaaaaaaaaaaaaaaa"], "principal": ids["prn_aaaaaaaaaaaaaaag"]}
    await alice.call("scope.add_member", gina | {"role": "viewer"})
    whoami = await alice.call("whoami")
    for letter, name in (("d", "offered"), ("e", "open")):
        scope = await bob.call("scope.create", {"name": name})
        note("scp", letter, scope["id"])
    to_alice = {"id": ids["scp_aaaaaaaaaaaaaaad"], "to": whoami["principal"]["id"]}
    await bob.call("scope.transfer", to_alice)
    guest = {"scope": ids["scp_aaaaaaaaaaaaaaae"], "principal": whoami["principal"]["id"]}
    await bob.call("scope.add_member", guest | {"role": "viewer"})

    for letter in "acde":
        thing = await alice.call("object.create", {"type": "note", "data": {"title": letter}})
        note("obj", letter, thing["id"])
    first = ids["obj_aaaaaaaaaaaaaaaa"]
    await alice.call("object.update", {"id": first, "patch": {"title": "second"}})
    shown = {"object": ids["obj_aaaaaaaaaaaaaaac"], "scope": ids["scp_aaaaaaaaaaaaaaaa"]}
    await alice.call("object.share", shown)
    await alice.call("object.delete", {"id": ids["obj_aaaaaaaaaaaaaaae"]})
    for letter, name in (("a", "bench"), ("c", "shed")):
        made = await alice.call("environment.spawn", {"name": name})
        note("env", letter, made["id"])
    seat = {"id": ids["env_aaaaaaaaaaaaaaaa"], "principal": ids["prn_aaaaaaaaaaaaaaag"]}
    await alice.call("environment.invite", seat | {"role": "editor"})
    inside = {"type": "note", "data": {"title": "inside"}, "environment": seat["id"]}
    await alice.call("object.create", inside)
    refer = {"id": seat["id"], "objects": [shown["object"]]}
    await alice.call("environment.import", refer)
    taken = await alice.call("environment.snapshot", {"id": seat["id"]})
    note("snp", "a", taken["id"])
    for letter, name in (("a", "seeds"), ("c", "stale")):
        made = await alice.call("template.create", {"name": name})
        note("tpl", letter, made["id"])

    gift = await bob.call("object.create", {"type": "note", "data": {"title": "gift"}})
    note("obj", "f", gift["id"])
    await bob.call("object.transfer", {"id": gift["id"], "to": whoami["principal"]["id"]})

    await _flow(alice, bob, note, ids)
    trail = await alice.call("audit.list", {"operation": "object.create"})
    note("ent", "a", trail["items"][-1]["id"])
    note("ent", "f", (await alice.call("audit.follow"))["id"])
    note("org", "a", scoped.spine.house.organisation)
    neighbour = registry_room.AddTenant(
        id=TenantId.of(bytes(10)),
        name="neighbour",
        organisation=OrganisationId.of(bytes(10)),
        tag="aaaaaaaaaa",
        url="sqlite:////srv/neighbour.db",
    )
    note("tnt", "a", (await scoped.spine.run_as_house(neighbour)).id)
    for kind, prefix in (("membership", "mem"), ("projection", "prj"), ("relationship", "rel")):
        first_of = select(registry.c.public_id).where(registry.c.kind == kind).limit(1)
        found = await scoped.spine.database.read(lambda conn, one=first_of: conn.rows(one))
        note(prefix, "a", found[0].public_id)
    kinds = await alice.call("registry.list", {"kind": "kind"})
    note("knd", "a", kinds["items"][0]["id"])
    return ids


async def _flow(
    alice: Session, bob: Session, note: Callable[[str, str, str], None], ids: dict[str, str]
) -> None:
    """A channel into plans, what waits and what went through it, and a pipeline there."""
    plans = ids["scp_aaaaaaaaaaaaaaaa"]
    guest = {"scope": plans, "principal": ids["prn_aaaaaaaaaaaaaaaa"], "role": "editor"}
    await alice.call("scope.add_member", guest)
    way = {"name": "way out", "source": {"kind": "any_environment"}}
    channel = await alice.call("channel.create", way | {"target": {"kind": "scope", "id": plans}})
    note("chn", "a", channel["id"])
    stages = [{"name": "draft"}, {"name": "live", "approvals": 1}]
    asked = {"name": "releases", "scope": plans, "stages": stages}
    pipeline = await alice.call("pipeline.create", asked)
    note("ppl", "a", pipeline["id"])
    for letter, stage in zip("ac", pipeline["stages"], strict=True):
        note("stg", letter, stage["id"])

    async def made(who: Session, title: str) -> str:
        home = await who.call("environment.spawn", {"name": title})
        new = {"type": "note", "data": {"title": title}, "environment": home["id"]}
        return str((await who.call("object.create", new))["id"])

    async def asked_for(who: Session, thing: str) -> str:
        request = {"objects": [thing], "channel": channel["id"]}
        return str((await who.call("promotion.request", request))["id"])

    async def published(title: str) -> tuple[str, str]:
        promotion = await asked_for(bob, await made(bob, title))
        await alice.call("promotion.get", {"id": promotion})
        yes = {"id": promotion, "decision": "approve"}
        done = await alice.call("promotion.review", yes)
        return promotion, str(done["objects"][0]["published"])

    note("obj", "p", await made(alice, "ready"))
    note("prm", "a", await asked_for(bob, await made(bob, "waiting")))
    await alice.call("promotion.get", {"id": ids["prm_aaaaaaaaaaaaaaaa"]})
    note("prm", "c", await asked_for(alice, await made(alice, "taken back")))
    note("prm", "d", (await published("published"))[0])
    for letter in "qr":
        note("obj", letter, (await published(f"staged {letter}"))[1])
        first = {"object": ids[f"obj_{'a' * 15}{letter}"], "stage": ids["stg_aaaaaaaaaaaaaaaa"]}
        placed = await bob.call("stage.move", first)
    await bob.call("stage.request", first | {"stage": ids["stg_aaaaaaaaaaaaaaac"]})
    note("plc", "a", placed["id"])


async def _own(scoped: Scoped, token: str) -> dict[str, str]:
    """One thing of each kind of the stranger's own."""
    mallory = await scoped.session(token)
    me = await mallory.call("whoami")
    made = await mallory.call("object.create", {"type": "note", "data": {"title": "mine"}})
    scope = await mallory.call("scope.create", {"name": "mine"})
    place = await mallory.call("environment.spawn", {"name": "mine"})
    tokens = await mallory.call("token.list")
    to = {"kind": "scope", "id": scope["id"]}
    out = {"name": "mine", "source": {"kind": "any_environment"}, "target": to, "approvals": 0}
    channel = await mallory.call("channel.create", out)
    inside = {"type": "note", "data": {"title": "mine"}, "environment": place["id"]}
    kept = await mallory.call("object.create", inside)
    asked = {"objects": [kept["id"]], "channel": channel["id"]}
    promotion = await mallory.call("promotion.request", asked)
    line = {"name": "mine", "scope": scope["id"], "stages": [{"name": "one"}]}
    pipeline = await mallory.call("pipeline.create", line)
    stage = pipeline["stages"][0]["id"]
    published = promotion["objects"][0]["published"]
    placed = await mallory.call("stage.move", {"object": published, "stage": stage})
    trail = await mallory.call("audit.list")  # the last entry changed nothing
    return {
        "chn": channel["id"],
        "prm": promotion["id"],
        "ppl": pipeline["id"],
        "stg": stage,
        "plc": placed["id"],
        "prn": me["principal"]["id"],
        "ses": me["session"]["id"],
        "crd": tokens["items"][0]["id"],
        "obj": made["id"],
        "scp": scope["id"],
        "env": place["id"],
        "ent": trail["items"][0]["id"],
    }


async def _build(url: str, *, furnished: bool) -> Plan:
    clock = FixedClock()
    tokens = await found(url, clock)
    ids: dict[str, str] = {}
    async with Scoped.open(url, clock=clock) as scoped:
        if furnished:
            ids = await _furnish(scoped, tokens)
        own = await _own(scoped, tokens[STRANGER])
    return Plan(url, ids, tokens, own)


@cache
def plan(ground: Ground = SQLITE, *, furnished: bool = True) -> Plan:
    """The sample house, built once in a process; from within a running loop too."""
    url = ground.place(Path(tempfile.mkdtemp(prefix="sample-")))
    with ThreadPoolExecutor(1) as one:
        return one.submit(asyncio.run, _build(url, furnished=furnished)).result()


@asynccontextmanager
async def sample(
    folder: Path, ground: Ground = SQLITE, *, furnished: bool = True
) -> AsyncIterator[Sample]:
    """A fresh copy of the sample house, open, an hour after it was built."""
    source = plan(ground, furnished=furnished)
    url, clock = ground.copy(source.url, folder), FixedClock()
    clock.advance(3600)
    async with Scoped.open(url, clock=clock) as scoped:
        alice = await scoped.session(source.tokens["alice"])
        mallory = await scoped.session(source.tokens[STRANGER])
        yield Sample(scoped, url, clock, source, alice, mallory)
    ground.forget(url)


@contextmanager
def refused(code: str) -> Iterator[None]:
    """What is done inside must be refused with this code, and the refusal traced."""
    with pytest.raises(ScopedError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)
    assert caught.value.entry is not None or code == "unauthenticated"
