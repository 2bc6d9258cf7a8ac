"""What rooms may do beside putting things: derived tables, proofs of contents, house secrets."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from scoped_mcp import ScopedError, Session
from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.layers.objects import objects
from scoped_mcp.spine import declare
from scoped_mcp.spine.declare import Authority
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused
from tests.spine.test_path import Declare, Done, Probe, operation

__all__ = ["operation"]


@promise("spine.authority")
def test_whoever_acts_in_another_s_right_stands_here() -> None:
    """Each of them runs within another operation alone, on what that one names (ruling 12)."""
    declared = {n: one.authority for n, one in declare.catalogue.items() if one.authority}
    assert declared == {
        "environment.close_credentials": Authority.ENVIRONMENT,
        "environment.sweep_one": Authority.SWEEPER,
        "environment.restore_objects": Authority.ROLLBACK,
        "environment.inherit": Authority.SWEEPER,
        "object.inherit": Authority.SWEEPER,
        "scope.inherit": Authority.SWEEPER,
        "template.inherit": Authority.SWEEPER,
        "promotion.apply": Authority.CHANNEL,
        "promotion.turn": Authority.CHANNEL,
        "promotion.expire": Authority.SWEEPER,
        "audit.end": Authority.SWEEPER,
    }
    assert not any(declare.catalogue[name].tool for name in declared)


async def test_what_is_no_derived_table_is_not_written_without_a_version(
    alice: Session, operation: Declare
) -> None:
    def handler(_cmd: Probe, tx: Any) -> Done:
        tx.derive(insert(objects), {"id": 1})
        return Done()

    operation(handler)
    with refused("internal"):
        await alice.call("probe.try")


async def test_what_is_not_there_is_not_intact(alice: Session, operation: Declare) -> None:
    def handler(_cmd: Probe, tx: Any) -> Done:
        return Done(made=str(tx.intact("obj_" + "z" * 16, 1)))

    operation(handler)
    assert (await alice.call("probe.try"))["made"] == "False"


async def test_a_secret_is_for_one_purpose_and_the_same_every_time(house: Home) -> None:
    spine = house.scoped.spine
    assert spine.secret_for(b"one") == spine.secret_for(b"one") != spine.secret_for(b"other")


async def test_what_the_database_itself_refuses_is_raised_and_traced(
    house: Home, alice: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = house.scoped.spine.database
    write, asked = database.write, []

    async def busy(work: Any, **how: Any) -> Any:
        asked.append(work)
        if len(asked) == 1:
            message = "busy"
            raise ConflictError(message, hint="again", retry=True)
        return await write(work, **how)

    monkeypatch.setattr(database, "write", busy)
    with pytest.raises(ScopedError) as caught:
        await alice.call("object.create", {"type": "note", "data": {}})
    assert caught.value.code == "conflict"
    assert len(asked) == 2
