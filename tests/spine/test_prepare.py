"""Ruling 17: what is slow is prepared before the transaction, and holds nobody up."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from scoped_mcp import Scoped, ScopedError, Session
from scoped_mcp.config import Settings
from scoped_mcp.kernel import canonical, documents
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.spine import worker
from scoped_mcp.spine.workshop import Workshop
from tests.conftest import FixedClock, Home
from tests.large import MIB_ROWS, document, held, until
from tests.promises import promise
from tests.sample import refused

NOTE = {"type": "note", "data": {"n": 1}}


async def _two(who: Session, rows: int = 700) -> str:
    """An object of two versions that is too large to be compared beside the database."""
    asked = {"type": "note", "data": document("one", rows)}
    made = str((await who.call("object.create", asked))["id"])
    await who.call("object.update", {"id": made, "data": document("two", rows)})
    return made


def _between(public_id: str, first: int = 1, last: int = 2) -> dict[str, Any]:
    return {"id": public_id, "from_version": first, "to_version": last}


@contextmanager
def _failing() -> Iterator[None]:
    """What is done inside fails by our fault; without a house nobody traces it."""
    with pytest.raises(ScopedError) as caught:
        yield
    assert caught.value.code == "internal"


async def _stopped(scoped: Scoped, who: Session, note: str) -> int:
    """A process that was used and waits, and will not be done with what it is given next."""
    await who.call("object.history", _between(note))
    (pid,) = scoped.spine.workshop.processes
    os.kill(pid, signal.SIGSTOP)
    return pid


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@promise("slow.diffs")
async def test_a_large_difference_leads_from_one_version_to_the_other(alice: Session) -> None:
    note = await _two(alice)
    found = (await alice.call("object.history", _between(note)))["diff"]
    assert len(found) == 7
    assert all(one["path"].endswith("/mark") for one in found)
    plain = canonical.decode(canonical.encode(document("one", 700)))
    assert jsonpatch.apply_patch(plain, found) == document("two", 700)
    await alice.call("object.delete", {"id": note})
    gone = (await alice.call("object.history", _between(note, 2, 3)))["diff"]
    assert {one["op"] for one in gone} == {"remove"}
    assert len(gone) == 700


@promise("slow.nobody_waits")
async def test_others_go_on_while_two_large_documents_are_compared(
    house: Home, alice: Session, bob: Session
) -> None:
    note = await _two(alice, MIB_ROWS)
    await alice.call("object.history", _between(note))
    assert len(house.scoped.spine.workshop.processes) == 1
    comparing = asyncio.create_task(alice.call("object.history", _between(note, 2, 1)))
    done = 0
    while not comparing.done():
        await bob.call("object.create", NOTE)
        done += 1
    assert len((await comparing)["diff"]) == 65
    assert done > 5


@promise("slow.prepare")
async def test_what_is_small_starts_no_process(house: Home, alice: Session) -> None:
    made = (await alice.call("object.create", NOTE))["id"]
    await alice.call("object.update", {"id": made, "data": {"n": 2}})
    assert (await alice.call("object.history", _between(made)))["diff"] == [
        {"op": "replace", "path": "/n", "value": 2}
    ]
    assert house.scoped.spine.workshop.processes == ()


@promise("slow.prepare")
async def test_a_comparison_leaves_one_entry_and_a_refused_one_starts_nothing(
    house: Home, alice: Session, mallory: Session
) -> None:
    note = await _two(alice)
    with refused("not_found"):
        await mallory.call("object.history", _between(note))
    assert house.scoped.spine.workshop.processes == ()
    await alice.call("object.history", _between(note))
    for name, outcome in (("mallory", "denied"), ("alice", "done")):
        asked = {"operation": "object.history", "principal": house.id(name)}
        found = (await alice.call("audit.list", asked))["items"]
        assert [one["outcome"] for one in found] == [outcome]


@promise("slow.prepare")
async def test_a_revocation_while_it_is_compared_is_in_time(house: Home, alice: Session) -> None:
    note = await _two(alice)
    async with held(house.scoped.spine.workshop) as hold:
        comparing = asyncio.create_task(alice.call("object.history", _between(note)))
        await hold.waiting()
        await house.root.call("principal.suspend", {"id": house.id("alice")})
    with refused("unauthenticated"):
        await comparing


@promise("slow.budget")
async def test_over_the_budget_it_is_limited_and_traced(
    template: tuple[Path, str], database_path: Path
) -> None:
    settings = Settings(limits=Limits(prepare_seconds=0))
    async with Scoped.open(
        f"sqlite:///{database_path}", clock=FixedClock(), settings=settings
    ) as scoped:
        root = await scoped.session(template[1])
        note = await _two(root)
        with refused("limited"):
            await root.call("object.history", _between(note))
        (entry,) = (await root.call("audit.list", {"outcome": "denied"}))["items"]
        assert (entry["operation"], entry["code"]) == ("object.history", "limited")
        await until(lambda: scoped.spine.workshop.processes == ())


@promise("slow.budget")
async def test_more_than_can_be_held_at_once_is_invalid(
    template: tuple[Path, str], database_path: Path
) -> None:
    settings = Settings(limits=Limits(prepare_bytes=100_000))
    async with Scoped.open(
        f"sqlite:///{database_path}", clock=FixedClock(), settings=settings
    ) as scoped:
        root = await scoped.session(template[1])
        note = await _two(root)
        with refused("invalid"):
            await root.call("object.history", _between(note))


@promise("slow.ended")
async def test_who_leaves_ends_the_work(house: Home, alice: Session) -> None:
    note = await _two(alice)
    workshop = house.scoped.spine.workshop
    pid = await _stopped(house.scoped, alice, note)
    leaving = asyncio.create_task(alice.call("object.history", _between(note)))
    await until(lambda: not workshop._idle)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert workshop.processes == ()
    await until(lambda: _gone(pid))
    assert len((await alice.call("object.history", _between(note)))["diff"]) == 7
    entries = (await alice.call("audit.list", {"operation": "object.history"}))["items"]
    assert len(entries) == 2, "before it and after it, and none of its own"


@promise("slow.ended")
async def test_a_killed_process_is_replaced_and_nobody_notices(house: Home, alice: Session) -> None:
    note = await _two(alice)
    workshop = house.scoped.spine.workshop
    first = await _stopped(house.scoped, alice, note)
    comparing = asyncio.create_task(alice.call("object.history", _between(note)))
    await until(lambda: not workshop._idle)
    os.kill(first, signal.SIGKILL)
    assert len((await comparing)["diff"]) == 7
    (second,) = workshop.processes
    assert second != first
    os.kill(second, signal.SIGKILL)  # one that waits for work
    await until(lambda: _gone(second))
    assert len((await alice.call("object.history", _between(note)))["diff"]) == 7


@promise("slow.ended")
async def test_a_process_that_is_killed_whenever_it_starts_is_an_internal_failure() -> None:
    async with Workshop(30) as workshop:
        working = asyncio.create_task(workshop.work([(os.kill, (os.getpid(), 0)), _suicide()]))
        with _failing():
            await working
        assert workshop.processes == ()


def _suicide() -> tuple[Any, tuple[Any, ...]]:
    return signal.raise_signal, (signal.SIGKILL,)


async def test_what_fails_there_is_our_failure_and_the_process_goes_on() -> None:
    async with Workshop(30) as workshop:
        with _failing():
            await workshop.work([(documents.compare, (b"no place", None))])
        place = (b'{"a":1}', ())
        assert await workshop.work([(documents.compare, (None, place))]) == [
            ({"op": "add", "path": "/a", "value": 1},)
        ]


@promise("slow.ended")
async def test_a_closed_house_leaves_no_process_and_takes_no_work(
    template: tuple[Path, str], database_path: Path
) -> None:
    async with Scoped.open(f"sqlite:///{database_path}", clock=FixedClock()) as scoped:
        root = await scoped.session(template[1])
        note = await _two(root)
        workshop = scoped.spine.workshop
        idle = await _stopped(scoped, root, note)
        busy = asyncio.create_task(root.call("object.history", _between(note, 2, 1)))
        await until(lambda: not workshop._idle)
    assert _gone(idle)
    assert workshop.processes == ()
    with _failing():
        await busy
    with _failing():
        await workshop.work([(documents.compare, (None, None))])


def test_the_other_process_answers_each_task_and_names_no_more_than_what_failed() -> None:
    place = (b'{"a":1}', ())
    tasks = [(documents.compare, (None, place)), (documents.compare, (b"secret", None))]
    answers = io.BytesIO()
    worker.serve(io.BytesIO(worker.framed(tasks) + worker.framed([])), answers)
    answers.seek(0)
    found = []
    while length := answers.read(worker.LENGTH):
        found.append(pickle.loads(answers.read(int.from_bytes(length, "big"))))  # noqa: S301 - its own
    assert found == [(({"op": "add", "path": "/a", "value": 1},), None), (None, "ValueError")]
