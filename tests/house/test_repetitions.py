"""Ruling 19, generated from the catalogue: a repetition answers again and does nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scoped_mcp import Session
from scoped_mcp.spine.declare import Effect, Operation, catalogue
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import entries
from tests.conftest import Home
from tests.grounds import Ground
from tests.sample import Sample, refused, sample

WRITING = [one for one in catalogue.values() if one.tool and one.effect is not Effect.READ]
SHOWS_A_TOKEN = {"token.issue", "agent.delegate"}
LOSES_SIGHT = {"scope.leave"}
"""Who did it is refused now: it no longer sees what it was about."""
STANDING = [
    table
    for table in metadata.sorted_tables
    if table.name not in {"entries", "chain_heads", "last_seen"}
]


async def _state(house: Sample) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: await house.rows(select(table)) for table in STANDING}


def test_every_operation_that_writes_answers_again_unless_it_showed_a_token() -> None:
    silent = {one.name for one in WRITING if one.again is None}
    assert silent == SHOWS_A_TOKEN
    showing = {one.name for one in WRITING if "token" in one.view.model_fields}
    assert showing == SHOWS_A_TOKEN


@pytest.mark.parametrize("operation", WRITING, ids=lambda one: one.name)
async def test_a_repetition_answers_the_same_and_stores_nothing_but_its_entry(
    operation: Operation, tmp_path: Path, ground: Ground
) -> None:
    async with sample(tmp_path, ground) as house:
        asked = house.fill(operation.command.example)
        first = await house.alice.call(operation.name, asked, key="k")
        state, count = await _state(house), len(await house.rows(select(entries.c.id)))
        if operation.name in SHOWS_A_TOKEN | LOSES_SIGHT:
            with refused("conflict" if operation.name in SHOWS_A_TOKEN else "not_found"):
                await house.alice.call(operation.name, asked, key="k")
        else:
            assert await house.alice.call(operation.name, asked, key="k") == first
        assert await _state(house) == state
        assert len(await house.rows(select(entries.c.id))) == count + 1
        assert (await house.alice.call("audit.verify"))["ok"]


async def _shared(house: Home, alice: Session, access: str) -> tuple[str, str]:
    """A note of alice's in a scope of hers, shown there to bob."""
    scope = (await alice.call("scope.create", {"name": "s"}))["id"]
    place = {"scope": scope, "principal": house.id("bob"), "role": "editor"}
    await alice.call("scope.add_member", place)
    note = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
    await alice.call("object.share", {"object": note, "scope": scope, "access": access})
    return note, scope


class TestAuthorisedNow:
    """A repetition is worth what the caller may do now, not what it might do then."""

    async def test_many_at_once_are_answered_as_they_are_now(self, alice: Session) -> None:
        asked = {"objects": [{"type": "note", "data": {"n": n}} for n in range(3)]}
        first = await alice.call("object.create_many", asked, key="k")
        await alice.call("object.create", {"type": "note", "data": {}})
        ids = [one["id"] for one in first["items"]]
        await alice.call("object.update", {"id": ids[1], "data": {"n": "new"}})
        again = await alice.call("object.create_many", asked, key="k")
        assert [one["id"] for one in again["items"]] == ids
        assert [one["data"]["n"] for one in again["items"]] == [0, "new", 2]

    async def test_what_its_maker_gave_away_is_not_read_again(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        asked = {"objects": [{"type": "note", "data": {}}]}
        made = (await alice.call("object.create_many", asked, key="k"))["items"][0]["id"]
        await alice.call("object.transfer", {"id": made, "to": house.id("bob")})
        await bob.call("object.transfer_accept", {"id": made})
        with refused("not_found"):
            await alice.call("object.create_many", asked, key="k")

    async def test_who_may_only_read_by_now_does_not_repeat_a_change(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note, scope = await _shared(house, alice, "write")
        asked = {"changes": [{"id": note, "data": {"n": 1}}]}
        await bob.call("object.update_many", asked, key="k")
        await alice.call("object.share", {"object": note, "scope": scope, "access": "read"})
        with refused("denied"):
            await bob.call("object.update_many", asked, key="k")
        assert (await alice.call("object.get", {"id": note}))["version"] == 2

    async def test_a_share_is_read_again_by_who_owns_the_object_by_now(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note, scope = await _shared(house, alice, "read")
        asked = {"object": note, "scope": scope, "history": True}
        first = await alice.call("object.share", asked, key="k")
        await alice.call("object.unshare", {"object": note, "scope": scope})
        ended = await alice.call("object.share", asked, key="k")
        assert (first["state"], ended["state"]) == ("active", "ended")
        await alice.call("object.transfer", {"id": note, "to": house.id("bob")})
        await bob.call("object.transfer_accept", {"id": note})
        with refused("not_found"):
            await alice.call("object.share", asked, key="k")

    async def test_a_deletion_that_takes_the_sight_is_refused_when_repeated(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note, _ = await _shared(house, alice, "admin")
        await bob.call("object.delete", {"id": note}, key="k")
        with refused("not_found"):
            await bob.call("object.delete", {"id": note}, key="k")
