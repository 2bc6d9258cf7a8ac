"""A caller that is remembered is one that would be found again: nothing it hangs on can change."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from scoped_mcp import Scoped, Session
from scoped_mcp.spine.callers import REMEMBERED, Callers
from scoped_mcp.storage.path import versions
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused
from tests.spine.test_path import Declare, Done, Probe, operation

__all__ = ["operation"]


def remembered(house: Home) -> dict[bytes, Any]:
    return house.scoped.spine._callers._known


@promise("reads.remembered")
async def test_what_another_process_revokes_ends_who_is_remembered_here(house: Home) -> None:
    alice = await house.user("alice")
    await alice.call("whoami")
    async with Scoped.open(house.url, clock=house.clock) as beside:
        root = await beside.session(house.root_token)
        issued = await root.call("token.list", {"principal": house.ids["alice"]})
        for one in issued["items"]:
            await root.call("token.revoke", {"id": one["id"]})
    with refused("unauthenticated"):
        await alice.call("whoami")


@promise("reads.remembered")
async def test_the_suspension_of_who_answers_for_it_ends_who_is_remembered(house: Home) -> None:
    alice = await house.user("alice")
    agent = await alice.call("agent.delegate", {"name": "helper", "ttl_seconds": 3_600})
    helper = await house.scoped.session(agent["token"])
    await helper.call("whoami")
    await house.root.call("principal.suspend", {"id": house.ids["alice"]})
    with refused("unauthenticated"):
        await helper.call("whoami")
    await house.root.call("principal.resume", {"id": house.ids["alice"]})
    await helper.call("whoami")


@promise("reads.remembered")
async def test_who_is_remembered_ends_when_its_credential_does(house: Home) -> None:
    alice = await house.user("alice")
    agent = await alice.call("agent.delegate", {"name": "helper", "ttl_seconds": 60})
    helper = await house.scoped.session(agent["token"])
    await helper.call("whoami")
    house.clock.advance(59)
    await helper.call("whoami")
    house.clock.advance(1)
    with refused("unauthenticated"):
        await helper.call("whoami")


@promise("reads.remembered")
async def test_nothing_is_remembered_of_a_transaction_that_is_lost(
    house: Home, alice: Session, operation: Declare
) -> None:
    """Its authority number comes again, and means something else."""

    def handler(_cmd: Probe, tx: Any) -> Done:
        orphan = {"id": tx.caller.key, "version": 99, "entry": 10**9, "digest": b""}
        tx._context.conn.insert(insert(versions), orphan)
        return Done()

    operation(handler)
    await alice.call("whoami")
    remembered(house).clear()
    with refused("internal"):
        await alice.call("probe.try")
    assert not remembered(house)
    await alice.call("whoami")
    assert len(remembered(house)) == 1


async def test_who_is_remembered_takes_a_bounded_place(house: Home, alice: Session) -> None:
    await alice.call("whoami")
    (known,) = [one for one in remembered(house).values() if one.caller.name == "alice"]
    callers = Callers()
    for number in range(REMEMBERED + 1):
        callers.keep(f"token {number}", known.caller, known.authority)
    assert len(callers._known) <= REMEMBERED
