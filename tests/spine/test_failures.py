"""Failed authentications: counted, told of once a window, and a flood turned away (ruling 51)."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from scoped_mcp import Scoped
from scoped_mcp.config import Settings
from scoped_mcp.kernel.errors import InternalError, UnauthenticatedError
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.spine.caller import External, Origin
from scoped_mcp.spine.failures import Failures
from scoped_mcp.storage.connection import Conn
from scoped_mcp.storage.path import entries, registry
from tests.conftest import START, FixedClock, Home
from tests.sample import refused

MINUTE = timedelta(minutes=1)
BAD = f"smcp_{'a' * 16}_{'b' * 52}"
OTHER = f"smcp_{'c' * 16}_{'d' * 52}"


class TestCounting:
    def test_the_first_of_a_minute_is_told_of_and_those_after_it_in_a_later_one(self) -> None:
        failures = Failures(100)
        assert [failures.count(BAD, "here", START) for _ in range(3)] == [1, 0, 0]
        assert failures.count(BAD, "here", START + MINUTE) == 3
        assert failures.count(BAD, "there", START + MINUTE) == 1

    def test_a_flood_turns_away_what_failed_before_and_nothing_else(self) -> None:
        failures = Failures(2)
        for _ in range(2):
            assert not failures.flooded(BAD, "here", START)
            failures.count(BAD, "here", START)
        assert failures.flooded(BAD, "here", START)
        assert not failures.flooded(OTHER, "here", START)
        assert not failures.flooded(BAD, "there", START)
        assert not failures.flooded(BAD, "here", START + MINUTE)

    def test_a_token_that_failed_in_another_minute_is_looked_at_again(self) -> None:
        failures = Failures(1)
        failures.count(BAD, "here", START)
        failures.count(OTHER, "here", START + MINUTE)
        assert failures.flooded(OTHER, "here", START + MINUTE)
        assert not failures.flooded(BAD, "here", START + MINUTE)

    def test_what_was_turned_away_is_told_of_too(self) -> None:
        failures = Failures(1)
        failures.count(BAD, "here", START)
        for _ in range(5):
            assert failures.flooded(BAD, "here", START)
        assert failures.count(BAD, "here", START + MINUTE) == 6

    def test_an_external_identity_is_counted_by_issuer_and_subject(self) -> None:
        failures = Failures(1)
        one, same, other = (
            External("https://login.example.com", subject, START + n * MINUTE)
            for n, subject in enumerate(("1", "1", "2"), 1)
        )
        failures.count(one, "here", START)
        assert failures.flooded(same, "here", START)
        assert not failures.flooded(other, "here", START)

    def test_what_is_remembered_is_bounded_and_holds_no_token(self) -> None:
        failures = Failures(1)
        for n in range(5_000):
            failures.count(f"{BAD}{n}", f"source {n}", START)
        assert len(failures._windows) == len(failures._bad) == 4_096
        assert failures.flooded(f"{BAD}4999", "source 4999", START)
        assert not failures.flooded(f"{BAD}0", "source 0", START)
        assert BAD not in repr(vars(failures))


async def _told(scoped: Scoped) -> list[dict[str, Any]]:
    """What the trail says of failed authentications, oldest first."""
    query = select(entries.c.body).where(entries.c.operation == "authenticate")
    found = await scoped.spine.database.read(lambda conn: conn.rows(query.order_by(entries.c.id)))
    return [json.loads(row.body)["asked"] for row in found]


class TestOnThePath:
    async def test_a_flood_is_turned_away_and_a_good_token_behind_it_is_not(
        self, template: tuple[Path, str], database_path: Path
    ) -> None:
        clock, here = FixedClock(), Origin(source="10.0.0.1")
        settings = Settings(limits=Limits(failures_a_minute=3))
        async with Scoped.open(
            f"sqlite:///{database_path}", clock=clock, settings=settings
        ) as scoped:
            for name in ["object.list"] * 4 + ["audit.list"] * 4:
                with refused("unauthenticated"):
                    await scoped.spine.call(name, {}, BAD, here)
            assert await _told(scoped) == [{"failures": 1, "source": "10.0.0.1"}]
            root = await scoped.session(template[1], here)
            assert (await root.call("audit.verify"))["ok"]
            clock.advance(60)
            with refused("unauthenticated"):
                await scoped.spine.call("object.list", {}, BAD, here)
            assert (await _told(scoped))[1:] == [{"failures": 8, "source": "10.0.0.1"}]

    async def test_what_a_face_turned_away_is_counted_and_traced_alike(
        self, template: tuple[Path, str], database_path: Path
    ) -> None:
        clock, here = FixedClock(), Origin(face="mcp", source="10.0.0.2")
        settings = Settings(limits=Limits(failures_a_minute=2))
        async with Scoped.open(
            f"sqlite:///{database_path}", clock=clock, settings=settings
        ) as scoped:
            for _ in range(5):
                await scoped.spine.refused(BAD, here)
            clock.advance(60)
            await scoped.spine.refused(BAD, here)
            told = [one["failures"] for one in await _told(scoped)]
            assert told == [1, 5]
            root = await scoped.session(template[1])
            newest = (await root.call("audit.list", {"operation": "authenticate"}))["items"][0]
            assert (newest["face"], newest["outcome"]) == ("mcp", "denied")

    @pytest.mark.sqlite  # where works share a commit, and are done again when it is lost
    async def test_a_failure_that_is_done_again_with_its_batch_is_counted_once(
        self, house: Home
    ) -> None:
        spine, queued = house.scoped.spine, threading.Event()
        orphan = {"id": 10**6, "public_id": "obj_zzzzzzzzzzzzzzzz", "urn": "x", "kind": "object"}

        def spoil(conn: Conn) -> None:
            conn.insert(insert(registry), orphan | {"entry": 10**9})

        waiting = asyncio.create_task(spine.database.write(lambda _conn: queued.wait(60)))
        failing = asyncio.create_task(spine.call("whoami", {}, BAD))
        spoilt = asyncio.create_task(spine.database.write(spoil))
        await asyncio.sleep(0)
        queued.set()
        ends = await asyncio.gather(waiting, failing, spoilt, return_exceptions=True)
        assert [type(end) for end in ends] == [bool, UnauthenticatedError, InternalError]
        assert await _told(house.scoped) == [{"failures": 1, "source": "local"}]

    async def test_a_look_with_a_bad_token_is_refused_and_leaves_no_trace(
        self, house: Home
    ) -> None:
        with pytest.raises(UnauthenticatedError):
            await house.scoped.spine.look(lambda tx: tx.now, BAD)
        assert await _told(house.scoped) == []
