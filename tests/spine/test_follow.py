"""Reads that stay open: what is told, to whom, until when; and what of it stands in the trail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.config import Settings
from scoped_mcp.kernel.errors import InternalError
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.layers.objects import ObjectView
from scoped_mcp.spine.caller import External, Origin
from scoped_mcp.spine.follow import End, Follows, Stream, looks, worker
from scoped_mcp.spine.ports import ports
from tests.conftest import START, FixedClock, Home
from tests.promises import promise

BOUND = 60.0  # seconds: a hang fails, it does not wait for ever
NOTE = {"type": "note", "data": {"n": 0}}
ABSENT = "obj_zzzzzzzzzzzzzzzz"
TICK = 0.02
pytestmark = pytest.mark.usefixtures("follows")


@pytest.fixture
def follows(house: Home) -> Follows:
    """What the house's process follows, without the pauses."""
    hub = house.scoped.follows
    hub.tick = TICK
    return hub


@asynccontextmanager
async def following(
    house: Home, token: str, *ids: str, lasting: bool = False
) -> AsyncIterator[Stream]:
    """A stream of these objects; closed at the end."""
    stream = house.scoped.follows.stream(token, Origin(face="mcp"), lasting=lasting)
    for one in ids:
        await stream.open(one, "object.get", {"id": one})
    yield stream
    stream.close()


async def told(stream: Stream) -> str:
    async with asyncio.timeout(BOUND):
        return await anext(stream)


async def over(stream: Stream) -> End | None:
    """How it ends, with nothing told before."""
    async with asyncio.timeout(BOUND):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    return stream.ended


async def refused(stream: Stream, name: str, **arguments: Any) -> str:
    with pytest.raises(ScopedError) as refusal:
        await stream.open("it", name, arguments)
    return refusal.value.code.value


async def made(session: Session, **more: Any) -> str:
    return str((await session.call("object.create", NOTE | more))["id"])


async def change(session: Session, one: str, n: int = 1) -> None:
    await session.call("object.update", {"id": one, "data": {"n": n}})


async def entries(house: Home, operation: str) -> list[dict[str, Any]]:
    """Of the trail, oldest first."""
    found = await house.root.call("audit.list", {"operation": operation, "limit": 100})
    return list(reversed(found["items"]))


async def ended(house: Home, count: int = 1) -> list[dict[str, Any]]:
    """The closing entries, once there are so many."""
    async with asyncio.timeout(BOUND):
        seen = 0
        while len(found := await entries(house, "object.unsubscribe")) < count:
            seen = await house.scoped.spine.database.changed(seen)
    return found


async def scope_of(owner: Session, house: Home, *members: str) -> str:
    scope = str((await owner.call("scope.create", {"name": "plans"}))["id"])
    for name in members:
        asked = {"scope": scope, "principal": house.id(name), "role": "viewer"}
        await owner.call("scope.add_member", asked)
    return scope


# --- what is told


@promise("subscription.told")
async def test_a_change_is_told_by_name_alone(house: Home, alice: Session) -> None:
    one, other = await made(alice), await made(alice)
    async with following(house, house.token("alice"), one, other) as stream:
        await change(alice, other)
        assert await told(stream) == other
        await change(alice, one)
        assert await told(stream) == one


@promise("subscription.told")
async def test_what_does_not_change_the_answer_is_not_told(
    house: Home, alice: Session, bob: Session
) -> None:
    one, mark = await made(alice), await made(alice)
    async with following(house, house.token("alice"), one, mark) as stream:
        await alice.call("object.get", {"id": one})  # reads leave traces, and change nothing
        await made(alice)
        await made(bob)
        await change(alice, mark)
        assert await told(stream) == mark


async def test_many_changes_are_told_once_until_it_is_taken(
    house: Home, follows: Follows, alice: Session
) -> None:
    one, mark = await made(alice), await made(alice)
    async with following(house, house.token("alice"), one, mark) as stream:
        for n in range(1, 31):
            await change(alice, one, n)
        await follows._pass()
        await change(alice, mark)
        assert [await told(stream), await told(stream)] == [one, mark]


async def test_who_follows_the_same_thing_again_is_told_once(house: Home, alice: Session) -> None:
    one, mark = await made(alice), await made(alice)
    async with following(house, house.token("alice"), one, one, mark) as stream:
        await change(alice, one)
        assert await told(stream) == one
        await change(alice, mark)
        assert await told(stream) == mark
        assert len(await ended(house)) == 1


async def test_what_is_dropped_is_told_no_more(house: Home, alice: Session) -> None:
    one, mark = await made(alice), await made(alice)
    async with following(house, house.token("alice"), one, mark) as stream:
        stream.tell(one)
        stream.drop(one)
        stream.drop(one)
        stream.drop("never followed")
        await change(alice, one)
        await change(alice, mark)
        assert await told(stream) == mark
    assert [e["target"] for e in await ended(house, 2)] == [one, mark]


@promise("subscription.trail")
async def test_the_trail_is_followed_without_its_own_reading(
    house: Home, alice: Session, bob: Session
) -> None:
    mark = await made(alice)
    async with following(house, house.token("alice"), mark) as stream:
        await stream.open("trail", "audit.list", {})
        listed = await alice.call("audit.list", {})
        await alice.call("audit.list", {})
        await made(bob)
        entry = listed["items"][0]["id"]
        await stream.open("entry", "audit.get", {"id": entry})
        await change(alice, mark)
        assert sorted([await told(stream), await told(stream)]) == sorted([mark, "trail"])
        await alice.call("object.get", {"id": mark})
        assert await told(stream) == "trail"
    assert len(await entries(house, "audit.subscribe")) == 2


@promise("subscription.time")
async def test_what_use_alone_moves_is_not_told_and_what_time_ends_is(
    house: Home, follows: Follows, alice: Session
) -> None:
    one = (await alice.call("environment.spawn", {"name": "try", "ttl_seconds": 3600}))["id"]
    follows.every = 0.05
    async with following(house, house.token("alice")) as stream:
        await stream.open("it", "environment.get", {"id": one})
        await stream.open("me", "whoami", {})
        house.clock.advance(1800)
        mark = await made(alice, environment=one)  # a use of it, and of the session
        assert await told(stream) == "it"  # which counts what is inside
        await stream.open("mark", "object.get", {"id": mark})
        house.clock.advance(1900)
        await change(alice, mark)
        assert await told(stream) == "mark"
        house.clock.advance(3600)
        assert sorted([await told(stream), await told(stream)]) == ["it", "me"]
        assert (await alice.call("environment.get", {"id": one}))["state"] == "expired"


async def test_what_two_clients_of_one_credential_follow_is_told_to_both(
    house: Home, alice: Session
) -> None:
    one = await made(alice)
    async with (
        following(house, house.token("alice"), one) as first,
        following(house, house.token("alice"), one) as second,
    ):
        await change(alice, one)
        assert [await told(first), await told(second)] == [one, one]


# --- what is gone


LOSSES = {
    "deleted": ("object.delete", {"id": "one"}),
    "unshared": ("object.unshare", {"object": "one", "scope": "scope"}),
    "left": ("scope.remove_member", {"scope": "scope", "principal": "bob"}),
    "archived": ("scope.set_state", {"id": "scope", "state": "archived"}),
}
BACK = {
    "deleted": ("object.restore", {"id": "one"}),
    "unshared": ("object.share", {"object": "one", "scope": "scope"}),
    "left": ("scope.add_member", {"scope": "scope", "principal": "bob", "role": "viewer"}),
    "archived": ("object.update", {"id": "one", "data": {"n": 2}}),
}


@promise("subscription.gone", "scopes.streams")
@pytest.mark.parametrize("how", LOSSES)
async def test_what_is_gone_is_told_once_however_it_went_and_then_never_more(
    house: Home, alice: Session, bob: Session, how: str
) -> None:
    scope = await scope_of(alice, house, "bob")
    one, mark = await made(alice), await made(bob)
    await alice.call("object.share", {"object": one, "scope": scope})
    named = {"one": one, "scope": scope, "bob": house.id("bob")}

    async def do(operation: str, arguments: dict[str, Any]) -> None:
        await alice.call(operation, {k: named.get(str(v), v) for k, v in arguments.items()})

    async with following(house, house.token("bob"), one, mark) as stream:
        await change(alice, one)
        assert await told(stream) == one
        await do(*LOSSES[how])
        assert await told(stream) == one
        (closing,) = await ended(house)
        await do(*BACK[how])
        await change(bob, mark)
        assert await told(stream) == mark
    detail = await bob.call("audit.get", {"id": closing["id"]})
    assert (detail["principal"], detail["asked"]) == (house.id("bob"), {"ended": "gone"})


@pytest.mark.usefixtures("bob")
async def test_a_stream_ends_with_the_last_that_it_followed(house: Home, alice: Session) -> None:
    scope = await scope_of(alice, house, "bob")
    one = await made(alice)
    await alice.call("object.share", {"object": one, "scope": scope})
    async with (
        following(house, house.token("bob"), one) as stream,
        following(house, house.token("bob"), one, lasting=True) as lasting,
    ):
        await alice.call("object.unshare", {"object": one, "scope": scope})
        assert await told(stream) == one
        assert await over(stream) is End.GONE
        assert await told(lasting) == one
        assert (lasting.ended, lasting.follows) == (None, {})


@promise("subscription.read")
@pytest.mark.usefixtures("mallory")
async def test_what_is_absent_and_what_is_invisible_cannot_be_followed_alike(
    house: Home, alice: Session
) -> None:
    one = await made(alice)
    async with following(house, house.token("mallory")) as stream:
        codes = [await refused(stream, "object.get", id=each) for each in (one, ABSENT)]
        assert codes == ["not_found", "not_found"]
        assert await refused(stream, "object.get", id="no id") == "invalid"
        assert await refused(stream, "object.get", id=one, version=7) == "not_found"
    assert await entries(house, "object.subscribe") == []
    refusals = await entries(house, "object.get")
    assert [e["outcome"] for e in refusals] == ["denied", "denied", "failed", "denied"]


async def test_what_is_lost_while_it_is_opened_is_refused_and_ended(
    house: Home, follows: Follows, alice: Session
) -> None:
    one = await made(alice)
    async with following(house, house.token("alice")) as stream:
        async with follows._turn:  # between its entry and the first look
            opening = asyncio.create_task(refused(stream, "object.get", id=one))
            while not await entries(house, "object.subscribe"):
                await house.scoped.spine.database.changed()
            await house.root.call("principal.suspend", {"id": house.id("alice")})
        assert await opening == "unauthenticated"
        (closing,) = await ended(house)
    assert (closing["target"], stream.follows, follows._held) == (one, {}, {})


# --- who it is


ENDS = {
    "stopped": ("alice", "agent.stop", "helper"),
    "suspended": ("root", "principal.suspend", "helper"),
    "sponsor": ("root", "principal.suspend", "alice"),
    "expired": ("", "", ""),
}


@promise("stream.again", "scopes.streams")
@pytest.mark.parametrize("how", ENDS)
async def test_a_credential_that_works_no_more_is_told_nothing(
    house: Home, follows: Follows, alice: Session, how: str
) -> None:
    one, robot = await made(alice), await house.agent("helper", of=alice)
    scope = await scope_of(alice, house, "helper")
    await alice.call("object.share", {"object": one, "scope": scope})
    follows.every = 0.05
    async with following(house, house.token("helper"), one) as stream:
        await stream.open("me", "whoami", {})
        assert (await robot.call("object.get", {"id": one}))["version"] == 1
        await change(alice, one)
        async with asyncio.timeout(BOUND):
            async for key in stream:
                assert key == one
                break
        who, operation, whom = ENDS[how]
        if who:
            await {"alice": alice, "root": house.root}[who].call(operation, {"id": house.id(whom)})
        else:
            house.clock.advance(8 * 86_400)
        assert await over(stream) is End.UNAUTHENTICATED
        (closing,) = await ended(house)
        assert len(await entries(house, "whoami.unsubscribe")) == 1
        assert await refused(stream, "object.get", id=one) == "unauthenticated"
    (opening,) = await entries(house, "object.subscribe")
    assert opening["principal"] == house.id("helper")
    assert closing["parent"] == opening["id"]
    assert closing["principal"] not in {house.id("helper"), house.id("alice"), house.id("root")}


@promise("subscription.read")
async def test_limits_of_a_credential_hold_for_what_it_follows(house: Home, alice: Session) -> None:
    inside = (await alice.call("environment.spawn", {"name": "in"}))["id"]
    one = await made(alice, environment=inside)
    out = (await alice.call("environment.spawn", {"name": "out"}))["id"]
    other = await made(alice, environment=out)
    await house.agent("pinned", ["core"], of=alice, environment=inside, read_only=True)
    async with following(house, house.token("pinned"), one) as stream:
        assert await refused(stream, "object.get", id=other) == "not_found"
        assert await refused(stream, "audit.get", id="ent_aaaaaaaaaaaaaaaa") == "not_found"
        await change(alice, other)
        await change(alice, one)
        assert await told(stream) == one


# --- the trail


@promise("subscription.entries")
async def test_one_entry_opens_and_one_ends_and_looks_leave_none(
    house: Home, alice: Session
) -> None:
    one = await made(alice)
    before = len((await house.root.call("audit.list", {"limit": 100}))["items"])
    async with following(house, house.token("alice"), one) as stream:
        for n in range(1, 4):
            await change(alice, one, n)
            assert await told(stream) == one
    (closing,) = await ended(house)
    listed = (await house.root.call("audit.list", {"limit": 100}))["items"]
    assert len(listed) == before + 3 + 2
    (opening,) = await entries(house, "object.subscribe")
    assert (opening["target"], opening["outcome"]) == (one, "done")
    assert (closing["parent"], closing["target"]) == (opening["id"], one)
    assert opening["principal"] == closing["principal"] == house.id("alice")
    detail = await alice.call("audit.get", {"id": closing["id"]})
    assert detail["asked"] == {"ended": "left"}
    assert (await house.root.call("audit.verify"))["ok"]


@promise("subscription.entries")
async def test_whoever_gives_up_while_it_is_opened_leaves_both_entries(
    house: Home, follows: Follows, alice: Session
) -> None:
    one = await made(alice)
    async with following(house, house.token("alice")) as stream:
        opening = asyncio.create_task(stream.open("it", "object.get", {"id": one}))
        await asyncio.sleep(0)
        opening.cancel()
        stream.close()
        assert len(await ended(house)) == 1
    assert len(await entries(house, "object.subscribe")) == 1
    assert follows._held == {}


# --- how much


@pytest.fixture
async def small(database_path: Any) -> AsyncIterator[Scoped]:
    """The same house with room for two subscriptions a credential."""
    url = f"sqlite:///{database_path}"
    settings = Settings(db=url, limits=Limits(subscriptions=2))
    async with Scoped.open(url, clock=FixedClock(), settings=settings) as scoped:
        yield scoped


@promise("subscription.limit")
async def test_a_credential_follows_so_much_and_no_more(
    small: Scoped, template: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, other = (await small.session(template[1])), await _issued(small, template[1])
    ids = [await made(root) for _ in range(3)]
    mine = [small.follows.stream(template[1], Origin()) for _ in range(2)]
    for stream, one in zip(mine, ids, strict=False):
        await stream.open(one, "object.get", {"id": one})
    assert await refused(mine[0], "object.get", id=ids[2]) == "limited"
    theirs = small.follows.stream(other, Origin())
    await theirs.open("me", "whoami", {})
    mine[1].close()
    await mine[0].open(ids[2], "object.get", {"id": ids[2]})
    monkeypatch.setattr(worker, "MOST", 3)
    assert await refused(theirs, "whoami") == "limited"
    refusals = await root.call("audit.list", {"outcome": "denied"})
    assert {e["code"] for e in refusals["items"]} == {"limited"}


async def _issued(scoped: Scoped, token: str) -> str:
    asked = {"name": "carol", "kind": "user", "ttl_seconds": 3600}
    root = await scoped.session(token)
    return str((await root.call("token.issue", asked))["token"])


def test_an_external_identity_is_one_holder_whatever_proves_it() -> None:
    first = External("https://id.example", "carol", START)
    later = replace(first, expires_at=START + timedelta(hours=1))
    assert worker._holder(first) == worker._holder(later) != worker._holder("smcp_x")


# --- the server


async def test_work_that_is_cancelled_is_forgotten(follows: Follows) -> None:
    task = follows.task(asyncio.sleep(BOUND))
    task.cancel()
    await follows.close()
    assert follows._tasks == set()


async def test_stopping_ends_all_and_refuses_what_is_new(
    house: Home, follows: Follows, alice: Session
) -> None:
    one = await made(alice)
    async with following(house, house.token("alice"), one) as stream:
        stream.tell(one)
        follows.stop()
        assert await over(stream) is End.STOPPED
        late = follows.stream(house.token("alice"), Origin())
        assert await refused(late, "object.get", id=one) == "internal"
        await follows.close()
        await follows.close()
    assert len(await ended(house, 2)) == 2


async def test_when_nothing_is_followed_nobody_looks(
    house: Home, follows: Follows, alice: Session
) -> None:
    one = await made(alice)
    for _ in range(2):  # and whoever comes again is looked after again
        async with following(house, house.token("alice"), one) as stream:
            await change(alice, one, len(await entries(house, "object.update")) + 1)
            assert await told(stream) == one
            watcher = follows._watcher
        assert watcher is not None
        await asyncio.wait_for(watcher, BOUND)


@promise("stream.again")
async def test_who_cannot_be_authorised_again_in_time_is_not_followed_any_more(
    house: Home, follows: Follows, alice: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await made(alice)
    monkeypatch.setattr(worker, "AGAIN", 0.01)
    follows.every, follows.within = 0.05, 0.2
    async with following(house, house.token("alice"), one) as stream, follows._turn:
        assert await over(stream) is End.UNANSWERED  # no look gets its turn
    assert len(await ended(house)) == 1


@pytest.mark.parametrize("part", ["moved", "look"])
async def test_trouble_of_the_database_tells_nothing_and_is_outlived(
    house: Home, follows: Follows, alice: Session, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    one, spine = await made(alice), house.scoped.spine
    monkeypatch.setattr(worker, "AGAIN", 0.01)
    tried = asyncio.Event()

    def failing(*_anything: Any, **_named: Any) -> Any:
        tried.set()
        message = "the disk is away"
        raise InternalError(message, retry=True)

    async with following(house, house.token("alice"), one) as stream:
        with monkeypatch.context() as patch:
            patch.setattr(looks, part, failing)
            await change(alice, one)
            await asyncio.wait_for(tried.wait(), BOUND)
        assert await told(stream) == one
        with monkeypatch.context() as patch:
            patch.setattr(looks, "trace_end", failing)
            stream.close()
            await asyncio.wait(follows._tasks)
    assert (follows._held, await entries(house, "object.unsubscribe")) == ({}, [])
    await spine.alive()


async def test_a_look_that_fails_ends_nothing_and_hinders_nobody(
    house: Home, alice: Session
) -> None:
    one, mark = await made(alice), await made(alice)
    async with following(house, house.token("alice"), one, mark) as stream:
        broken = stream.follows[one]
        whole = broken.request
        assert whole.operation is not None

        def fails(_command: Any, _tx: Any) -> Any:
            raise ZeroDivisionError

        operation = replace(whole.operation, handler=fails)
        broken.request = replace(whole, operation=operation)
        await change(alice, one)
        await change(alice, mark)
        assert await told(stream) == mark
        broken.request = whole
        await change(alice, mark, 2)
        assert [await told(stream), await told(stream)] == [one, mark]


async def test_the_lens_decides_what_has_changed(
    house: Home, alice: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def masked(view: Any, _caller: Any) -> Any:
        if isinstance(view, ObjectView):
            return view.model_copy(update={"data": {}, "version": 1, "urn": ""})
        return view

    one, mark = await made(alice), await made(alice)
    monkeypatch.setattr(ports, "lens", masked)
    async with following(house, house.token("alice"), one) as stream:
        await stream.open("mark", "object.history", {"id": mark})
        await change(alice, one)
        await change(alice, mark)
        assert await told(stream) == "mark"
