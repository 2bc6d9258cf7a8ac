"""Callers that leave: nothing of what their batch commits is lost or done twice."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import BOUND
from tests.faults.trail import contents, entries
from tests.promises import promise

if TYPE_CHECKING:
    from scoped_mcp import Session
    from tests.faults.conftest import Place


class Gate:
    """Work that holds the database's thread until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _conn: Any) -> None:
        self.entered.set()
        assert self.open.wait(BOUND)


def creating(session: Session, marker: str, key: str | None = None) -> asyncio.Task[Any]:
    asked = {"type": "note", "data": {"marker": marker}}
    return asyncio.create_task(session.call("object.create", asked, key=key))


def stored(place: Place) -> Counter[str]:
    return Counter(c["state"]["data"]["marker"] for _, _, c in contents(place.url, "object"))


async def settled(*tasks: asyncio.Task[Any]) -> list[Any]:
    async with asyncio.timeout(BOUND):
        return await asyncio.gather(*tasks, return_exceptions=True)


@promise("batch.cancelled")
async def test_who_leaves_while_waiting_has_done_nothing(place: Place) -> None:
    alice = await place.user("alice")
    gate = Gate()
    holding = asyncio.create_task(place.scoped.spine.database.write(gate))
    assert await asyncio.to_thread(gate.entered.wait, BOUND)
    tasks = {str(number): creating(alice, str(number)) for number in range(20)}
    await asyncio.sleep(0)
    for marker, task in tasks.items():
        if int(marker) % 2:
            task.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    await settled(holding, *tasks.values())
    assert all(task.cancelled() == bool(int(marker) % 2) for marker, task in tasks.items())
    assert stored(place) == Counter({str(n): 1 for n in range(0, 20, 2)})
    assert (await place.root.call("audit.verify"))["ok"]


@promise("batch.cancelled")
async def test_who_leaves_while_the_batch_waits_for_its_fsync_has_done_it(place: Place) -> None:
    alice = await place.user("alice")
    first, last = Gate(), Gate()
    holding = asyncio.create_task(place.scoped.spine.database.write(first))
    assert await asyncio.to_thread(first.entered.wait, BOUND)
    early = creating(alice, "early")
    await asyncio.sleep(0)
    after = asyncio.create_task(place.scoped.spine.database.write(last))  # of the same batch
    await asyncio.sleep(0)
    first.open.set()
    assert await asyncio.to_thread(last.entered.wait, BOUND)
    early.cancel()  # its work is done; the commit is still to come
    last.open.set()
    await settled(holding, early, after)
    assert early.cancelled()
    await place.root.call("whoami")
    assert stored(place) == Counter({"early": 1})
    assert (await place.root.call("audit.verify"))["ok"]


@promise("batch.cancelled")
async def test_who_leaves_while_the_batch_is_run_again_has_done_it_once_or_not_at_all(
    place: Place,
) -> None:
    alice = await place.user("alice")
    first, again = Gate(), Gate()
    runs: list[str] = []

    def lose(conn: Any) -> None:
        """End the outer transaction as a full disk does; alone, behave."""
        runs.append("lose")
        if len(runs) == 1:
            conn._raw.execute("ROLLBACK")
        else:
            again(conn)

    holding = asyncio.create_task(place.scoped.spine.database.write(first))
    assert await asyncio.to_thread(first.entered.wait, BOUND)
    done = creating(alice, "done")
    await asyncio.sleep(0)
    loser = asyncio.create_task(place.scoped.spine.database.write(lose))
    await asyncio.sleep(0)
    waiting = creating(alice, "waiting")
    staying = creating(alice, "staying")
    await asyncio.sleep(0)
    first.open.set()
    assert await asyncio.to_thread(again.entered.wait, BOUND)  # replayed as far as `lose`
    done.cancel()
    waiting.cancel()
    await asyncio.sleep(0)
    again.open.set()
    await settled(holding, done, loser, waiting, staying)
    assert runs == ["lose", "lose"]
    assert stored(place) == Counter({"done": 1, "staying": 1})
    assert (await place.root.call("audit.verify"))["ok"]


@promise("readme.trace")
async def test_who_leaves_at_any_moment_has_done_it_once_or_not_at_all(
    place: Place, measured: dict[str, Any]
) -> None:
    alice = await place.user("alice")
    chance = random.Random(58)  # noqa: S311 - chance, not secrecy
    answered: set[str] = set()
    left: set[str] = set()

    async def caller(number: int) -> None:
        for turn in range(25):
            marker = f"{number}/{turn}"
            task = creating(alice, marker, key=marker)
            if chance.random() < 0.5:
                for _ in range(chance.randrange(20)):  # hops of a thread: some moments of a batch
                    await asyncio.to_thread(str)
                task.cancel()  # too late for some, while it waits or runs for the others
            (result,) = await settled(task)
            if isinstance(result, BaseException):
                assert isinstance(result, asyncio.CancelledError)
                left.add(marker)
            else:
                answered.add(marker)

    await asyncio.gather(*(caller(number) for number in range(8)))
    await alice.call("whoami")  # behind whatever still runs for callers that have left
    count = stored(place)
    measured |= {"answered": len(answered), "left": len(left)}
    measured["of these done"] = sum(count[marker] for marker in left)
    assert answered
    assert left
    assert {marker: count[marker] for marker in answered} == dict.fromkeys(answered, 1)
    assert set(count.values()) == {1}, "something was done twice"
    created = [e for e in entries(place.url) if e["operation"] == "object.create"]
    assert sum(len(e["changes"]) for e in created) == count.total(), "done without a trace"
    for marker in sorted(left):  # a retry under the same key is the same call
        await creating(alice, marker, key=marker)
    assert stored(place) == Counter(dict.fromkeys(answered | left, 1))
    assert (await place.root.call("audit.verify"))["ok"]


@pytest.mark.parametrize("seconds", [0.0005, 0.002, 0.01])
async def test_a_deadline_leaves_the_writer_working(place: Place, seconds: float) -> None:
    alice = await place.user("alice")
    for number in range(20):
        try:
            async with asyncio.timeout(seconds):
                await creating(alice, str(number))
        except TimeoutError:
            continue
    await creating(alice, "after")
    assert max(stored(place).values()) == 1
    assert stored(place)["after"] == 1
    assert (await place.root.call("audit.verify"))["ok"]


async def test_closing_answers_everyone_who_waits(place: Place) -> None:
    alice = await place.user("alice")
    tasks = [creating(alice, str(number)) for number in range(150)]
    await asyncio.sleep(0)
    async with asyncio.timeout(BOUND):
        await place.scoped.spine.database.close()
    results = await settled(*tasks)
    assert [r for r in results if isinstance(r, BaseException)] == []
    assert stored(place).total() == 150
