"""Order before check: no write stands behind the revocation that should have stopped it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import Place, open_place
from tests.faults.processes import BOUND, beside, write_until
from tests.faults.trail import credentials_of_sessions, entries, late_writes
from tests.grounds import POSTGRESQL, SQLITE, Ground
from tests.promises import promise

if TYPE_CHECKING:
    from pathlib import Path

    from scoped_mcp import Session

WRITERS = 10
KINDS = ("member", "token", "share", "suspension")
UPDATE, ENOUGH = "object.update", 20


class Revoker:
    """Takes rights from writers and gives them back, one kind after the other."""

    def __init__(self, place: Place, alice: Session, scope: str, target: str) -> None:
        self._root, self._alice, self._url = place.root, alice, place.url
        self._scope, self._target = scope, target
        self.made = Counter[str]()

    async def until(self, end: float, principals: list[str]) -> None:
        """Until then, and until both have met: the writers may have had little of the machine."""
        turn = 0
        while time.monotonic() < end or turn < 2 * len(KINDS) or not self._met():
            assert time.monotonic() < end + BOUND, "writers and revoker do not meet"
            kind = KINDS[turn % len(KINDS)]
            await getattr(self, f"_{kind}")(principals[(turn // len(KINDS)) % len(principals)])
            self.made[kind] += 1
            turn += 1

    def _met(self) -> bool:
        """Whether writers wrote, and some were stopped."""
        said = Counter(e["outcome"] for e in entries(self._url) if e["operation"] == UPDATE)
        return said["done"] > ENOUGH and said["denied"] > 0

    async def _member(self, principal: str) -> None:
        asked = {"scope": self._scope, "principal": principal}
        await self._alice.call("scope.remove_member", asked)
        await self._alice.call("scope.add_member", asked | {"role": "viewer"})

    async def _share(self, _principal: str) -> None:
        asked = {"object": self._target, "scope": self._scope}
        await self._alice.call("object.unshare", asked)
        await self._alice.call("object.share", asked | {"access": "write"})

    async def _suspension(self, principal: str) -> None:
        await self._root.call("principal.suspend", {"id": principal})
        await self._root.call("principal.resume", {"id": principal})

    async def _token(self, principal: str) -> None:
        held = await self._root.call("token.list", {"principal": principal, "limit": 2})
        if len(held["items"]) > 1:  # the newest; the first of all makes the others
            await self._root.call("token.revoke", {"id": held["items"][0]["id"]})


async def hammer(place: Place, seconds: float, processes: int) -> tuple[Counter[str], Counter[str]]:
    """Ten writers against one revoker; how the writes ended, and what was revoked."""
    alice = await place.user("alice")
    scope = (await alice.call("scope.create", {"name": "shared"}))["id"]
    target = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
    await alice.call("object.share", {"object": target, "scope": scope, "access": "write"})
    tokens: list[str] = []
    principals: list[str] = []
    for number in range(WRITERS):
        issued = await place.issue(f"writer{number}")
        tokens.append(issued["token"])
        principals.append(issued["principal"]["id"])
        member = {"scope": scope, "principal": principals[-1], "role": "viewer"}
        await alice.call("scope.add_member", member)
    revoker = Revoker(place, alice, scope, target)
    if processes == 0:
        told = await _here(place, revoker, seconds, tokens, principals, target)
    else:
        told = await _beside(place, revoker, seconds, tokens, principals, target, processes)
    late = late_writes(entries(place.url), scope, credentials_of_sessions(place.url))
    assert late == []
    assert (await place.root.call("audit.verify"))["ok"]
    return told, revoker.made


async def _here(place: Place, revoker: Revoker, seconds: float, *rest: Any) -> Counter[str]:
    tokens, principals, target = rest
    stop = asyncio.Event()
    tasks = [asyncio.create_task(write_until(stop, place.scoped, t, target)) for t in tokens]
    try:
        await revoker.until(time.monotonic() + seconds, principals)
    finally:
        stop.set()
        told = await asyncio.gather(*tasks)
    return sum(told, Counter[str]())


async def _beside(place: Place, revoker: Revoker, seconds: float, *rest: Any) -> Counter[str]:
    tokens, principals, target, processes = rest
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(
                beside("writers", url=place.url, tokens=tokens[n::processes], target=target)
            )
            for n in range(processes)
        ]
        for one in running:
            assert await one.line() == "ready"
        await revoker.until(time.monotonic() + seconds, principals)
        return sum([Counter(await one.stop()) for one in running], Counter[str]())


PROFILES = [pytest.param(1.0, id="1s"), pytest.param(5.0, id="5s", marks=pytest.mark.slow)]


@promise("readme.revocation", "order.check")
@pytest.mark.parametrize("seconds", PROFILES)
@pytest.mark.parametrize("processes", [0, 2])
async def test_no_write_stands_behind_the_revocation_that_should_have_stopped_it(
    tmp_path: Path, seconds: float, processes: int, measured: dict[str, Any]
) -> None:
    await proven(tmp_path, SQLITE, seconds, processes, measured)


@promise("postgres.order")
@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 4])
async def test_on_postgresql_none_does_either_in_however_many_processes(
    tmp_path: Path, processes: int, measured: dict[str, Any]
) -> None:
    await proven(tmp_path, POSTGRESQL, 3.0, processes, measured)


async def proven(
    folder: Path, ground: Ground, seconds: float, processes: int, measured: dict[str, Any]
) -> None:
    async with open_place(folder, ground=ground) as place:
        told, made = await hammer(place, seconds, processes)
    measured["writes"] = dict(told)
    measured["revocations"] = dict(made)
    assert told["done"] > ENOUGH, "nobody wrote"
    assert min(made[kind] for kind in KINDS) > 1, "nobody was revoked"
    assert told["not_found"] + told["unauthenticated"] > 0, "nobody was stopped"
    assert set(told) <= {"done", "not_found", "unauthenticated"}


def _entry(seq: int, operation: str, **asked: str) -> dict[str, Any]:
    about = {"principal": "p", "session": "s", "outcome": "done"}
    return {"seq": seq, "operation": operation, "asked": asked, **about}


@pytest.mark.parametrize(
    ("taken", "given"),
    [
        (
            _entry(2, "scope.remove_member", principal="p", scope="x"),
            _entry(4, "scope.add_member", principal="p", scope="x"),
        ),
        (
            _entry(2, "object.unshare", object="o", scope="x"),
            _entry(4, "object.share", object="o", scope="x"),
        ),
        (_entry(2, "principal.suspend", id="p"), _entry(4, "principal.resume", id="p")),
        (_entry(2, "token.revoke", id="c"), None),
    ],
)
def test_the_proof_itself_would_see_a_late_write(taken: Any, given: Any) -> None:
    write = [_entry(seq, "object.update", id="o") for seq in range(6)]
    trail = [write[1], taken, write[3], *([given, write[5]] if given else [])]
    assert late_writes(trail, "x", {"s": "c"}) == [3]
