"""Room 1 through the path: everything has a row, for who may see the thing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.spine import entity
from scoped_mcp.spine.declare import catalogue
from scoped_mcp.storage.path import registry
from tests.conftest import Home
from tests.promises import promise
from tests.sample import Sample, refused, sample


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _every(session: Session, kind: str, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        asked = {"kind": kind, "limit": 100} | more | cursor
        page = await session.call("registry.list", asked)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def _rows(house: Home) -> list[Any]:
    found = await house.scoped.spine.database.read(lambda conn: conn.rows(select(registry)))
    return [tuple(row) for row in found]


@promise("readme.registration", "registry.rows")
async def test_every_kind_and_operation_is_registered(alice: Session) -> None:
    assert {one["name"] for one in await _every(alice, "kind")} == {
        bound.kind.KIND for bound in entity.kinds()
    }
    names = {one["name"] for one in await _every(alice, "operation")}
    assert names == set(catalogue)


@promise("registry.restart")
async def test_what_is_registered_survives_a_restart_with_the_same_ids(house: Home) -> None:
    before = await _rows(house)
    async with Scoped.open(house.url, clock=house.clock) as again:
        found = await again.spine.database.read(lambda conn: conn.rows(select(registry)))
    assert [tuple(row) for row in found] == before


@promise("registry.race")
async def test_two_that_open_at_once_register_nothing_twice(house: Home) -> None:
    async def opened() -> None:
        async with Scoped.open(house.url, clock=house.clock):
            pass

    before = await _rows(house)
    await asyncio.gather(opened(), opened())
    assert await _rows(house) == before


@promise("readme.registration", "registry.refused")
async def test_a_refused_write_leaves_no_row(house: Home, alice: Session) -> None:
    await alice.call("object.create", {"type": "note", "data": {}, "name": "taken"})
    before = await _rows(house)
    with refused("invalid"):
        await alice.call("object.create", {"type": "note", "data": {"n": 2**60}})
    names = ("free", "taken")
    asked = {"objects": [{"type": "note", "data": {}, "name": name} for name in names]}
    with refused("conflict"):
        await alice.call("object.create_many", asked)
    assert await _rows(house) == before


@promise("registry.rows")
async def test_a_thing_is_looked_up_by_who_sees_it_and_says_who_made_it(
    house: Home, alice: Session, mallory: Session
) -> None:
    note = await alice.call("object.create", {"type": "note", "data": {}})
    found = await alice.call("registry.get", {"id": note["id"]})
    assert (found["kind"], found["urn"]) == ("object", note["urn"])
    assert found["registered_by"] == await _me(alice)
    for one in (mallory, house.root):
        with refused("not_found"):
            await one.call("registry.get", {"id": note["id"]})


async def test_an_entry_of_the_trail_is_not_in_the_registry(alice: Session) -> None:
    entry = (await alice.call("audit.list"))["items"][0]["id"]
    with refused("invalid"):
        await alice.call("registry.get", {"id": entry})


@promise("registry.lookup")
async def test_a_urn_and_an_absent_one_are_one_answer_to_who_sees_neither(
    alice: Session, mallory: Session
) -> None:
    note = await alice.call("object.create", {"type": "note", "data": {}})
    absent = note["urn"][:-16] + "z" * 16
    assert (await alice.call("registry.find", {"urn": note["urn"]}))["id"] == note["id"]
    answers = []
    for urn in (note["urn"], absent):
        with pytest.raises(ScopedError) as caught:
            await mallory.call("registry.find", {"urn": urn})
        answers.append(str(caught.value).replace(urn[:60], "it"))
    assert answers[0].split("`")[-1] == answers[1].split("`")[-1]
    assert caught.value.code == "not_found"


@promise("registry.lookup", "scopes.agree")
async def test_lists_of_any_kind_show_everyone_what_single_reads_do(tmp_path: Path) -> None:
    """The list filter and the single decision agree for every kind, for everyone."""
    async with sample(tmp_path) as house:
        tokens = house.plan.tokens
        people = [await house.scoped.session(tokens[n]) for n in ("bob", "gina")]
        people += [await _delegate(house, who, pinned=p) for who in people[:] for p in (0, 1)]
        there = await house.rows(select(registry.c.public_id, registry.c.kind))
        for kind in sorted(bound.kind.KIND for bound in entity.kinds()):
            all_of_it = [public_id for public_id, of in there if of == kind]
            assert all_of_it, kind
            for session in (house.alice, house.mallory, *people):
                listed = {one["id"] for one in await _every(session, kind)}
                single = await _read(session, all_of_it)
                if kind == "principal" and session is not house.alice:
                    assert listed <= single  # admins alone list the others (ruling 8)
                else:
                    assert listed == single, kind


async def _delegate(house: Sample, who: Session, *, pinned: int) -> Session:
    """A delegate with every toolset, which works for who made it, or in one environment alone."""
    rooms = (await who.call("environment.list", {"limit": 1}))["items"]
    asked = {"name": f"helper {pinned}", "ttl_seconds": 60, "toolsets": ["all"]}
    asked |= {"environment": rooms[0]["id"]} if pinned else {}
    made = await who.call("agent.delegate", asked)
    return await house.scoped.session(made["token"])


async def _read(session: Session, ids: list[str]) -> set[str]:
    """Those that the caller can read one by one."""
    single = set()
    for public_id in ids:
        try:
            single.add((await session.call("registry.get", {"id": public_id}))["id"])
        except ScopedError as error:
            assert error.code == "not_found"
    return single


async def test_members_of_a_scope_above_are_not_counted_by_who_is_below(
    house: Home, alice: Session
) -> None:
    bob, carol = await house.user("bob"), await house.user("carol")
    top = await alice.call("scope.create", {"name": "top"})
    below = await alice.call("scope.create", {"name": "below", "parent": top["id"]})
    place = {"scope": below["id"], "principal": await _me(bob), "role": "viewer"}
    await alice.call("scope.add_member", place)
    before = await _every(bob, "membership")
    place = {"scope": top["id"], "principal": await _me(carol), "role": "viewer"}
    await alice.call("scope.add_member", place)
    assert await _every(bob, "membership") == before


@promise("registry.restore", "registry.lifecycle")
async def test_a_lifecycle_moves_by_legal_steps_and_by_admins_alone(
    house: Home, alice: Session
) -> None:
    kind = (await _every(alice, "kind"))[0]["id"]
    with refused("denied"):
        await alice.call("registry.set_lifecycle", {"id": kind, "lifecycle": "deprecated"})
    for state, code in (
        ("archived", "conflict"),
        ("deprecated", None),
        ("draft", "conflict"),
        ("archived", None),
        ("active", None),
    ):
        asked = {"id": kind, "lifecycle": state}
        if code is None:
            moved = await house.root.call("registry.set_lifecycle", asked)
            assert moved["lifecycle"] == state
        else:
            with refused(code):
                await house.root.call("registry.set_lifecycle", asked)
    note = await house.root.call("object.create", {"type": "note", "data": {}})
    with refused("invalid"):
        asked = {"id": note["id"], "lifecycle": "deprecated"}
        await house.root.call("registry.set_lifecycle", asked)
