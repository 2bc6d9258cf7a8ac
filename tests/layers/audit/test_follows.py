"""Ruling 50: a follow is one entry when it is opened and one when it is closed, looks are none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from scoped_mcp import Scoped, Session
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.layers.audit.tables import follows
from scoped_mcp.spine.declare import catalogue
from scoped_mcp.storage.path import entries
from scoped_mcp.storage.walls import past_walls
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused

IDLE = Limits().follow_seconds


async def _follow(session: Session, **asked: Any) -> str:
    return str((await session.call("audit.follow", asked))["id"])


async def _look(session: Session, follow: str, cursor: str | None = None, **asked: Any) -> Any:
    more = {} if cursor is None else {"cursor": cursor}
    return await session.call("audit.look", {"follow": follow, **asked, **more})


async def _note(session: Session) -> str:
    return str((await session.call("object.create", {"type": "note", "data": {}}))["id"])


async def _first(house: Home, query: Any) -> int:
    return int(
        (await house.scoped.spine.database.read(lambda conn: conn.row(past_walls(query))))[0]
    )


async def _count(house: Home, table: Any = entries) -> int:
    return await _first(house, select(func.count()).select_from(table))


async def _closings(reader: Session, operation: str) -> list[dict[str, Any]]:
    """The closing entries of a kind in full, oldest first."""
    found = (await reader.call("audit.list", {"operation": operation}))["items"]
    return [await reader.call("audit.get", {"id": one["id"]}) for one in found[::-1]]


@promise("trail.follow")
async def test_it_is_one_entry_when_opened_and_one_when_closed_which_says_how_much_was_shown(
    house: Home, alice: Session
) -> None:
    await _note(alice)
    before = await _count(house)
    follow = await _follow(alice, latest=1)
    seen = await _look(alice, follow)
    made = [await _note(alice) for _ in range(3)]
    for _ in range(3):
        found = await _look(alice, follow, seen["cursor"])
        seen = {"items": seen["items"] + found["items"], "cursor": found["cursor"]}
    ended = await alice.call("audit.unfollow", {"follow": follow})
    assert [one["target"] for one in seen["items"]][1:] == made
    assert ended == {"shown": 4}
    assert await _count(house) == before + 3 + 2
    assert await _count(house, follows) == 0
    (closing,) = await _closings(alice, "audit.unfollow")
    assert closing["asked"] == {"follow": follow, "shown": 4}
    assert (await alice.call("audit.get", {"id": follow}))["operation"] == "audit.follow"
    assert (await house.root.call("audit.verify"))["ok"]


@promise("trail.follow")
async def test_what_is_about_reading_the_trail_is_left_out_unless_asked_for(alice: Session) -> None:
    follow = await _follow(alice)
    await alice.call("audit.list")
    await _note(alice)
    seen = (await _look(alice, follow))["items"]
    assert {one["operation"] for one in seen} & {"audit.follow", "audit.list"} == set()
    await alice.call("audit.unfollow", {"follow": follow})
    listed = (await alice.call("audit.list"))["items"]
    assert [one for one in listed if one["operation"].startswith("audit.")] == []
    asked = await _follow(alice, operation="audit.follow")
    assert [one["id"] for one in (await _look(alice, asked))["items"]] == [follow, asked]


@promise("follow.quiet")
def test_looking_at_a_follow_is_all_that_leaves_no_entry() -> None:
    assert [name for name, one in catalogue.items() if one.quiet] == ["audit.look"]


@promise("follow.quiet")
async def test_it_shows_what_the_list_shows_that_caller_and_nothing_else(
    house: Home, alice: Session, bob: Session
) -> None:
    scope = (await alice.call("scope.create", {"name": "s"}))["id"]
    place = {"scope": scope, "principal": house.id("bob"), "role": "auditor"}
    follow = await _follow(bob, latest=100)
    await _look(bob, follow)
    await alice.call("scope.add_member", place)
    await alice.call("scope.update", {"id": scope, "description": "d"})
    await _note(alice)
    with refused("not_found"):
        await bob.call("object.get", {"id": "obj_" + "a" * 16})
    listed = (await bob.call("audit.list", {"limit": 100}))["items"]
    cursor, seen = None, []
    while True:
        page = await _look(bob, follow, cursor, limit=2)
        seen, cursor = seen + page["items"], page["cursor"]
        if not page["more"]:
            break
    assert seen == listed[::-1]
    assert {one["outcome"] for one in seen} == {"done", "denied"}
    about = await _follow(bob, about=scope)
    shown = (await bob.call("audit.list", {"about": scope}))["items"]
    assert (await _look(bob, about))["items"] == shown[::-1] != []


@promise("follow.quiet")
async def test_filters_are_those_of_the_list(alice: Session) -> None:
    note = await _note(alice)
    with refused("not_found"):
        await alice.call("object.get", {"id": "obj_" + "a" * 16})
    for asked in ({"about": note}, {"outcome": "denied"}, {"operation": "object.create"}):
        follow = await _follow(alice, **asked)
        listed = (await alice.call("audit.list", asked))["items"]
        assert (await _look(alice, follow))["items"] == listed[::-1] != []


@promise("follow.quiet")
async def test_nobody_looks_but_the_session_that_opened_it(
    house: Home, alice: Session, mallory: Session
) -> None:
    follow = await _follow(alice)
    token = (await alice.call("token.issue", {"principal": house.id("alice")}))["token"]
    other = await house.scoped.session(token)
    before = await _count(house)
    for who, code in ((other, "conflict"), (house.root, "conflict"), (mallory, "not_found")):
        for operation in ("audit.look", "audit.unfollow"):
            with refused(code):
                await who.call(operation, {"follow": follow})
    assert await _count(house) == before + 6, "every refusal is traced"
    entry = (await alice.call("audit.list", {"limit": 1}))["items"][0]["id"]
    with refused("conflict"):
        await _look(alice, entry)
    assert "items" in await _look(alice, follow)


@promise("follow.quiet")
async def test_an_ended_follow_shows_nothing_and_ends_once(alice: Session) -> None:
    follow = await _follow(alice)
    await alice.call("audit.unfollow", {"follow": follow})
    for operation in ("audit.look", "audit.unfollow"):
        with refused("conflict"):
            await alice.call(operation, {"follow": follow})


@promise("follow.revoked", "stream.again")
async def test_revocation_suspension_and_expiry_bite_the_very_next_look(house: Home) -> None:
    alice, bob = await house.user("alice"), await house.user("bob")
    carl = await house.user("carl", ttl_seconds=60)
    open_ones = {one: await _follow(one) for one in (alice, bob, carl)}
    for who, follow in open_ones.items():
        await _look(who, follow)
    mine = (await alice.call("token.list"))["items"][0]["id"]
    await house.root.call("token.revoke", {"id": mine})
    await house.root.call("principal.suspend", {"id": house.id("bob")})
    for who in (alice, bob):
        with refused("unauthenticated"):
            await _look(who, open_ones[who])
    house.clock.advance(59)
    await _look(carl, open_ones[carl])
    house.clock.advance(1)
    with refused("unauthenticated"):
        await _look(carl, open_ones[carl])
    assert await house.scoped.sweep() == 3
    assert await house.scoped.sweep() == 0
    closed = (await house.root.call("audit.list", {"operation": "audit.end"}))["items"]
    assert len(closed) == 3
    await house.root.call("principal.resume", {"id": house.id("bob")})
    (closing,) = await _closings(bob, "audit.end")
    assert closing["asked"]["because"] == "revoked"
    assert closing["asked"]["shown"] >= 1
    with refused("conflict"):
        await _look(bob, open_ones[bob])


@promise("follow.revoked")
async def test_losing_a_role_bites_the_very_next_look(
    house: Home, alice: Session, bob: Session
) -> None:
    scope = (await alice.call("scope.create", {"name": "s"}))["id"]
    place = {"scope": scope, "principal": house.id("bob")}
    await alice.call("scope.add_member", place | {"role": "auditor"})
    follow = await _follow(bob, latest=0)
    await alice.call("scope.update", {"id": scope, "description": "seen"})
    seen = await _look(bob, follow)
    assert [one["operation"] for one in seen["items"]] == ["scope.update"]
    await alice.call("scope.update", {"id": scope, "description": "not seen"})
    await alice.call("scope.remove_member", place)
    assert (await _look(bob, follow, seen["cursor"]))["items"] == []


@promise("follow.idle")
async def test_who_looks_no_more_is_closed_by_the_sweeper(house: Home, alice: Session) -> None:
    left, kept = await _follow(alice, latest=3), await _follow(alice)
    shown = len((await _look(alice, left))["items"])
    cursor = None
    for _ in range(IDLE // 60 + 1):
        cursor = (await _look(alice, kept, cursor)).get("cursor")
        house.clock.advance(60)
    with refused("conflict"):
        await _look(alice, left)
    assert await house.scoped.sweep() == 1
    (closing,) = await _closings(alice, "audit.end")
    assert closing["asked"] == {"follow": left, "because": "idle", "shown": shown}
    assert closing["principal"] == house.scoped.spine.house.principal
    await _look(alice, kept, cursor)
    assert (await house.root.call("audit.verify"))["ok"]


@promise("follow.position")
async def test_an_answer_that_was_lost_is_shown_again_and_counted_once(alice: Session) -> None:
    follow = await _follow(alice, latest=0)
    made = [await _note(alice) for _ in range(3)]
    first = await _look(alice, follow, limit=2)
    assert await _look(alice, follow, limit=2) == first
    assert first["more"]
    second = await _look(alice, follow, first["cursor"])
    assert await _look(alice, follow, first["cursor"]) == second
    shown = first["items"] + second["items"]
    assert [one["target"] for one in shown] == made
    assert (await alice.call("audit.unfollow", {"follow": follow}))["shown"] == 3


@promise("follow.position")
async def test_a_long_silence_is_not_searched_again_and_nothing_in_it_is_missed(
    house: Home, alice: Session, bob: Session
) -> None:
    follow = await _follow(alice, latest=0)
    for _ in range(4):
        await _note(bob)
        house.clock.advance(60)
        assert (await _look(alice, follow))["items"] == []
    clear, head = select(follows.c.clear), select(func.max(entries.c.seq))
    assert await _first(house, clear) == await _first(house, head)
    made = await _note(alice)
    seen = await _look(alice, follow)
    assert [one["target"] for one in seen["items"]] == [made]
    assert (await _look(alice, follow, seen["cursor"]))["items"] == []


@promise("follow.position")
async def test_nothing_is_missed_or_shown_twice_while_two_houses_write_one_file(
    house: Home, alice: Session
) -> None:
    follow = await _follow(alice, latest=0)
    made: list[str] = []

    async def write(who: Session) -> None:
        made.extend([await _note(who) for _ in range(15)])

    async with Scoped.open(house.url, clock=house.clock) as other:
        there = await other.session(house.token("alice"))
        writing = [asyncio.create_task(write(alice)), asyncio.create_task(write(there))]
        seen, cursor = list[str](), None
        while True:
            done = all(one.done() for one in writing)
            page = await _look(alice, follow, cursor, limit=7)
            seen += [one["target"] for one in page["items"] if "target" in one]
            cursor = page.get("cursor")
            if done and not page["more"]:
                break
        await asyncio.gather(*writing)
    assert sorted(seen) == sorted(made)


@promise("follow.idle")
async def test_a_session_has_so_many_open_follows_and_no_more(house: Home, alice: Session) -> None:
    for _ in range(Limits().follows):
        await _follow(alice)
    with refused("limited"):
        await _follow(alice)
    await _follow(house.root)


@pytest.mark.parametrize("limits", [{"read_only": True}, {"toolsets": ["core"]}])
async def test_whoever_may_read_the_trail_may_follow_it(
    house: Home, limits: dict[str, Any]
) -> None:
    carl = await house.user("carl", **limits)
    follow = await _follow(carl)
    assert (await _look(carl, follow))["items"]
    await carl.call("audit.unfollow", {"follow": follow})


async def test_a_pinned_credential_follows_its_own_session_alone(
    house: Home, alice: Session
) -> None:
    home = (await alice.call("environment.spawn"))["id"]
    helper = await house.agent("helper", of=alice, environment=home)
    follow = await _follow(helper)
    await _note(alice)
    made = await helper.call("object.create", {"type": "note", "data": {}})
    seen = (await _look(helper, follow))["items"]
    assert seen[-1]["target"] == made["id"]
    assert {one.get("session") for one in seen} == {seen[0]["session"]}
