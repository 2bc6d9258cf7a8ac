"""Ruling 24: in a restored database every credential is dead and enrolment is open again.

Here the epoch begins in a house that is open, as when PostgreSQL's servers were left running: each
credential worked one call ago, so nothing but the epoch ends it. Copies that were really restored
are in tests/faces/test_cli_backup.py.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from scoped_mcp import Scoped, Session
from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.layers.audit.store import verify
from scoped_mcp.layers.identity import BreakGlass
from scoped_mcp.layers.registry import BeginEpoch
from scoped_mcp.spine.caller import External
from scoped_mcp.spine.trace import head_of
from scoped_mcp.storage import driver
from scoped_mcp.storage.connection import SQLiteConn
from tests.conftest import WEEK, Home
from tests.promises import promise
from tests.sample import refused

NOTE = {"type": "note", "data": {"title": "x"}}


async def begin_epoch(house: Home) -> Any:
    """What `restore` does last."""
    head = await house.scoped.spine.database.read(head_of)
    command = BeginEpoch(seq=head.seq, head=head.hash.hex())
    return await house.scoped.spine.run_as_house(command, "cli")


async def recovered(house: Home, name: str = "root") -> Session:
    made = await house.scoped.spine.run_as_house(BreakGlass(name=name), "cli")
    return await house.scoped.session(made.token)


@promise("restore.dead")
async def test_every_credential_is_dead_whatever_it_hangs_on(house: Home, alice: Session) -> None:
    delegate = await house.agent("helper", of=alice)
    deeper = await house.agent("deeper", of=delegate)
    room = await alice.call("environment.spawn", {"name": "room"})
    pinned = await house.agent("pinned", of=alice, environment=room["id"])
    reader = await house.agent("reader", of=alice, read_only=True)
    mine = {"principal": house.id("alice"), "ttl_seconds": 60}
    second = await house.scoped.session((await alice.call("token.issue", mine))["token"])
    never_used = (await house.root.call("token.issue", {"name": "bob", "kind": "user"}))["token"]
    subject = {"issuer": "https://login.example.com", "subject": "1", "ttl_seconds": WEEK}
    linked = await house.root.call("principal.create", {"name": "erin"})
    await house.root.call("identity.link", subject | {"principal": linked["id"]})
    ends = house.clock.now() + timedelta(hours=1)
    external = await house.scoped.session(External(subject["issuer"], subject["subject"], ends))
    alive = [house.root, alice, delegate, deeper, pinned, reader, second, external]
    for session in alive:
        assert await session.call("whoami")
    await begin_epoch(house)
    for session in alive:
        with refused("unauthenticated"):
            await session.call("whoami")
    with refused("unauthenticated"):
        await house.scoped.session(never_used)
    root = await recovered(house)
    states = {one["state"] for one in (await root.call("token.list", {"limit": 100}))["items"]}
    assert states == {"live", "revoked"}
    with refused("unauthenticated"):  # a recovery of another revives nobody
        await alice.call("whoami")


@promise("restore.open")
async def test_enrolment_is_open_again_down_the_chain_and_closes_again(house: Home) -> None:
    assert await house.user("alice")
    with refused("denied"):
        await house.root.call("token.issue", {"principal": house.id("alice")})
    await begin_epoch(house)
    root = await recovered(house)
    for _ in range(2):  # until it has authenticated once
        issued = await root.call("token.issue", {"principal": house.id("alice")})
    assert await house.scoped.session(issued["token"])
    with refused("denied"):
        await root.call("token.issue", {"principal": house.id("alice")})


@promise("restore.open")
async def test_a_user_enrols_its_own_agent_again(house: Home) -> None:
    root = house.root
    scope = (await root.call("scope.list"))["items"][0]["id"]
    alice = await house.user("alice")
    member = {"scope": scope, "principal": house.id("alice"), "role": "admin"}
    await root.call("scope.add_member", member)
    agent = await alice.call("token.issue", {"name": "robot", "kind": "agent"})
    assert await house.scoped.session(agent["token"])
    await begin_epoch(house)
    root = await recovered(house)
    asked = {"principal": house.id("alice"), "toolsets": ["all"]}
    alice = await house.scoped.session((await root.call("token.issue", asked))["token"])
    robot = await alice.call("token.issue", {"principal": agent["principal"]["id"]})
    again = await house.scoped.session(robot["token"])
    assert (await again.call("whoami"))["principal"]["name"] == "robot"


async def test_an_external_identity_is_linked_again_by_an_admin(house: Home) -> None:
    subject = {"issuer": "https://login.example.com", "subject": "1", "ttl_seconds": WEEK}
    erin = await house.root.call("principal.create", {"name": "erin"})
    await house.root.call("identity.link", subject | {"principal": erin["id"]})
    with refused("conflict"):
        await house.root.call("identity.link", subject | {"principal": house.id("root")})
    await begin_epoch(house)
    root = await recovered(house)
    await root.call("identity.link", subject | {"principal": erin["id"]})
    proof = External("https://login.example.com", "1", house.clock.now() + timedelta(hours=1))
    back = await house.scoped.session(proof)
    assert (await back.call("whoami"))["principal"]["id"] == erin["id"]


async def test_what_a_delegate_owned_is_its_delegator_s_and_its_name_can_be_freed(
    house: Home, alice: Session
) -> None:
    room = await alice.call("environment.spawn", {"name": "room"})
    helper = await house.agent("helper", of=alice)
    note = await helper.call("object.create", NOTE | {"environment": room["id"]})
    await begin_epoch(house)
    root = await recovered(house)
    asked = {"principal": house.id("alice"), "toolsets": ["all"]}
    alice = await house.scoped.session((await root.call("token.issue", asked))["token"])
    assert (await alice.call("whoami"))["delegates"] == []
    assert (await alice.call("object.get", {"id": note["id"]}))["access"] == "owner"
    await alice.call("agent.stop", {"id": house.id("helper")})
    again = await house.agent("helper", of=alice)
    assert (await again.call("whoami"))["principal"]["name"] == "alice/helper"


@promise("restore.before")
async def test_a_cursor_and_a_key_from_before_are_of_no_use(house: Home, alice: Session) -> None:
    notes = [await alice.call("object.create", NOTE) for _ in range(3)]
    page = await alice.call("object.list", {"limit": 1})
    trail = await alice.call("audit.list", {"limit": 1})
    done = await alice.call("object.create", NOTE, key="k")
    assert await alice.call("object.create", NOTE, key="k") == done
    await begin_epoch(house)
    for old in (page["next_cursor"], trail["next_cursor"], None):
        with refused("unauthenticated"):
            await alice.call("object.list", {"cursor": old} if old else {}, key="k")
    root = await recovered(house)
    asked = {"principal": house.id("alice"), "toolsets": ["all"]}
    alice = await house.scoped.session((await root.call("token.issue", asked))["token"])
    with refused("invalid"):
        await alice.call("object.list", {"limit": 1, "cursor": page["next_cursor"]})
    with refused("invalid"):
        await alice.call("audit.list", {"limit": 1, "cursor": trail["next_cursor"]})
    new = await alice.call("object.create", NOTE, key="k")  # a key is of a credential: a new call
    assert new["id"] not in {done["id"], *(note["id"] for note in notes)}


@promise("restore.head")
async def test_the_first_entry_names_the_head_that_it_goes_on_from(house: Home) -> None:
    before = await house.root.call("audit.verify")
    head = await house.scoped.spine.database.read(head_of)
    begun = await begin_epoch(house)
    assert (begun.epoch, begun.seq, begun.head) == (1, head.seq, head.hash.hex())
    root = await recovered(house)
    listed = await root.call("audit.list", {"operation": "house.begin_epoch"})
    (entry,) = [await root.call("audit.get", {"id": one["id"]}) for one in listed["items"]]
    assert (entry["seq"], entry["previous"]) == (begun.seq + 1, begun.head)
    assert (entry["principal"], entry["face"]) == (house.scoped.spine.house.principal, "cli")
    assert [change["to_version"] for change in entry["changes"]] == [2]
    after = await root.call("audit.verify")
    assert (before["ok"], after["ok"]) == (True, True)
    assert (await begin_epoch(house)).epoch == 2  # a copy of a restored copy
    with refused("unauthenticated"):
        await root.call("whoami")


async def test_an_epoch_begins_from_the_head_that_was_verified_or_not_at_all(house: Home) -> None:
    spine = house.scoped.spine
    head = await spine.database.read(head_of)
    await house.root.call("object.create", NOTE)
    newest = await spine.database.read(head_of)
    for seq, named in ((head.seq, head.hash), (newest.seq, head.hash), (head.seq, newest.hash)):
        with pytest.raises(ConflictError):
            await spine.run_as_house(BeginEpoch(seq=seq, head=named.hex()))
    assert await house.root.call("whoami")
    assert (await house.root.call("audit.verify"))["ok"]


async def test_a_long_read_does_not_outlive_the_epoch(house: Home, alice: Session) -> None:
    """Ruling 54: an epoch that begins between the look and its trace is seen."""
    database = house.scoped.spine.database
    write = database.write
    beginning: list[Any] = []

    async def write_later(work: Any, **how: Any) -> Any:
        if not beginning:
            beginning.append(True)
            await begin_epoch(house)
        return await write(work, **how)

    object.__setattr__(database, "write", write_later)
    with refused("unauthenticated"):
        await alice.call("audit.list")
    assert beginning


@pytest.mark.sqlite  # it edits the file
@promise("restore.head", "readme.verify")
async def test_verification_names_an_epoch_that_goes_on_from_another_head(house: Home) -> None:
    """Rewritten with its hash and the head of the chain, as whoever owns the file can."""
    begun = await begin_epoch(house)
    copied = house.path.with_name("copy.db")
    Scoped.back_up(house.url, copied)
    with closing(driver.dbapi.connect(str(copied), isolation_level=None)) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            raw.execute(f'DROP TRIGGER "{name}"')
        seq = begun.seq + 1
        (body,) = raw.execute("SELECT body FROM entries WHERE seq = ?", (seq,)).fetchone()
        entry: Any = canonical.decode(body)
        for asked in ({"seq": seq - 2}, {"head": "0" * 64}, {}):
            forged = canonical.encode({**entry, "asked": entry["asked"] | asked})
            hashed = canonical.digest(b"", forged)
            raw.execute(
                "UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (forged, hashed, seq)
            )
            raw.execute("UPDATE chain_heads SET hash = ?", (hashed,))
            found = verify(SQLiteConn(raw))[1]
            named = None if found is None else (found.problem, found.public_id)
            assert named == (("edited", entry["id"]) if asked else None)
