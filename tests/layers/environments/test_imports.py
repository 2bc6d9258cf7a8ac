"""Imports, forks and rebasing; snapshots and templates."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scoped_mcp import ScopedError, Session
from scoped_mcp.storage import driver
from tests.conftest import Home
from tests.large import document, held
from tests.layers.environments.conftest import ids, invite, me, note, spawn
from tests.promises import promise
from tests.sample import refused


async def shared(owner: Session, reader: Session, **data: Any) -> tuple[str, str]:
    """A note of the owner's that the reader reads through a scope."""
    scope = await owner.call("scope.create", {"name": f"s{len(await ids(owner, 'scope.list'))}"})
    place = {"scope": scope["id"], "principal": await me(reader), "role": "viewer"}
    await owner.call("scope.add_member", place)
    thing = await note(owner, None, **data)
    await owner.call("object.share", {"object": thing["id"], "scope": scope["id"]})
    return thing["id"], scope["id"]


class TestImports:
    @promise("environments.imports")
    async def test_an_update_of_an_import_forks_it_here(
        self, alice: Session, robot: Session
    ) -> None:
        thing, _ = await shared(alice, robot, title="a", n=1)
        here = await spawn(robot, imports=[thing])
        fork = await robot.call("object.update", {"id": thing, "patch": {"n": 2}})
        assert fork["id"] != thing
        assert fork["environment"] == here
        assert fork["data"] == {"title": "a", "n": 2}
        assert fork["forked_from"] == {"object": thing, "version": 1}
        assert (await alice.call("object.get", {"id": thing}))["version"] == 1
        seen = await robot.call("environment.get", {"id": here})
        assert seen["imports"] == [{"object": thing, "version": 1, "fork": fork["id"]}]
        with pytest.raises(ScopedError) as caught:
            await robot.call("object.update", {"id": thing, "patch": {"n": 3}})
        assert caught.value.code == "conflict"
        assert fork["id"] in caught.value.hint

    @promise("import.access")
    async def test_an_import_gives_nobody_access(self, alice: Session, robot: Session) -> None:
        thing, scope = await shared(alice, robot)
        here = await spawn(robot, imports=[thing])
        out = {"scope": scope, "principal": await me(robot)}
        await alice.call("scope.remove_member", out)
        with refused("not_found"):
            await robot.call("object.get", {"id": thing})
        with refused("not_found"):
            await robot.call("object.update", {"id": thing, "data": {}})
        assert (await robot.call("environment.get", {"id": here}))["imports"] == []

    async def test_what_cannot_be_read_cannot_be_imported(
        self, alice: Session, robot: Session
    ) -> None:
        private = (await note(alice))["id"]
        here = await spawn(robot)
        for operation, asked in (
            ("environment.import", {"id": here, "objects": [private]}),
            ("environment.spawn", {"imports": [private]}),
        ):
            with refused("not_found"):
                await robot.call(operation, asked)
        assert await ids(robot, "environment.list") == [here]

    @promise("environments.imports")
    async def test_a_fork_is_of_the_version_that_was_imported(
        self, alice: Session, robot: Session
    ) -> None:
        thing, _ = await shared(alice, robot, n=1)
        await spawn(robot, imports=[thing])
        await alice.call("object.update", {"id": thing, "data": {"n": 9}})
        with refused("conflict"):
            asked = {"id": thing, "patch": {"m": 1}, "expected_version": 2}
            await robot.call("object.update", asked)
        fork = await robot.call("object.update", {"id": thing, "patch": {"m": 1}})
        assert fork["data"] == {"n": 1, "m": 1}

    async def test_importing_again_merges_what_changed_outside_into_the_fork(
        self, alice: Session, robot: Session
    ) -> None:
        thing, _ = await shared(alice, robot, a=1, b=1)
        here = await spawn(robot, imports=[thing])
        fork = await robot.call("object.update", {"id": thing, "patch": {"a": 2}})
        await alice.call("object.update", {"id": thing, "patch": {"b": 2}})
        again = {"id": here, "objects": [thing]}
        await robot.call("environment.import", again)
        seen = await robot.call("object.get", {"id": fork["id"]})
        assert seen["data"] == {"a": 2, "b": 2}
        assert seen["forked_from"]["version"] == 2
        await alice.call("object.update", {"id": thing, "patch": {"a": 3}})
        await robot.call("object.update", {"id": fork["id"], "patch": {"a": 4}})
        with pytest.raises(ScopedError) as caught:
            await robot.call("environment.import", again)
        assert caught.value.code == "conflict"
        assert "/a" in caught.value.message
        await robot.call("object.update", {"id": fork["id"], "patch": {"a": 3}})
        await robot.call("environment.import", again)
        assert (await robot.call("object.get", {"id": fork["id"]}))["data"] == {"a": 3, "b": 2}

    @promise("slow.prepare")
    async def test_importing_large_ones_again_is_merged_where_it_holds_nobody_up(
        self, house: Home, alice: Session, robot: Session
    ) -> None:
        thing, _ = await shared(alice, robot, **document("", 700), a=1, b=1)
        here = await spawn(robot, imports=[thing])
        fork = await robot.call("object.update", {"id": thing, "patch": {"a": 2}})
        await alice.call("object.update", {"id": thing, "patch": {"b": 2}})
        again = {"id": here, "objects": [thing]}
        async with held(house.scoped.spine.workshop) as hold:
            importing = asyncio.create_task(robot.call("environment.import", again))
            await hold.waiting()
            await alice.call("object.update", {"id": thing, "patch": {"b": 3}})
            await hold.one()
            await hold.waiting()  # the origin has moved meanwhile
            await hold.one()
            await importing
        seen = await robot.call("object.get", {"id": fork["id"]})
        assert (seen["data"]["a"], seen["data"]["b"]) == (2, 3)
        assert seen["forked_from"]["version"] == 3

    async def test_what_lives_there_is_not_imported(self, alice: Session) -> None:
        here = await spawn(alice)
        inside = await note(alice, here)
        with refused("invalid"):
            await alice.call("environment.import", {"id": here, "objects": [inside["id"]]})


class TestSnapshots:
    @promise("environments.snapshots")
    async def test_a_restore_brings_everything_back_as_new_versions(
        self, alice: Session, bob: Session
    ) -> None:
        here = await spawn(alice, name="bench", purpose="first")
        await invite(alice, here, bob, "editor")
        kept, gone = await note(alice, here, n=1), await note(bob, here, n=2)
        taken = await alice.call("environment.snapshot", {"id": here, "name": "before"})
        assert (taken["objects"], taken["members"]) == (2, 1)
        await alice.call("object.update", {"id": kept["id"], "data": {"n": 9}})
        await bob.call("object.delete", {"id": gone["id"]})
        later = await note(alice, here, n=3)
        await invite(alice, here, bob, "none")
        await alice.call("environment.rename", {"id": here, "name": "other", "purpose": "second"})
        seen = await alice.call("environment.restore", {"snapshot": taken["id"]})
        assert (seen["name"], seen["purpose"], seen["objects"]) == ("bench", "first", 2)
        assert (await bob.call("object.get", {"id": gone["id"]}))["data"] == {"n": 2}
        back = await alice.call("object.get", {"id": kept["id"]})
        assert (back["data"], back["version"]) == ({"n": 1}, 3)
        assert (await alice.call("object.get", {"id": later["id"]}))["state"] == "deleted"
        again = await alice.call("environment.snapshot", {"id": here})
        assert again["digest"] == taken["digest"]
        assert await ids(alice, "environment.snapshot_list", id=here) == [again["id"], taken["id"]]

    async def test_a_thousand_objects_come_back_exactly(self, alice: Session) -> None:
        here = await spawn(alice)
        for start in range(0, 1000, 200):
            many = [{"type": "note", "data": {"n": n}} for n in range(start, start + 200)]
            await alice.call("object.create_many", {"objects": many, "environment": here})
        taken = await alice.call("environment.snapshot", {"id": here})
        assert taken["objects"] == 1000
        for one in (await alice.call("object.list", {"environment": here, "limit": 100}))["items"]:
            await alice.call("object.update", {"id": one["id"], "data": {"n": -1}})
        await alice.call("environment.restore", {"snapshot": taken["id"]})
        again = await alice.call("environment.snapshot", {"id": here})
        assert again["digest"] == taken["digest"]

    @pytest.mark.sqlite  # it edits the file
    @pytest.mark.parametrize("what", ["snapshot", "object"])
    @promise("environments.snapshots")
    async def test_a_tampered_snapshot_is_refused_whole(
        self, house: Home, alice: Session, what: str
    ) -> None:
        here = await spawn(alice, name="bench")
        thing = await note(alice, here, n=1)
        taken = await alice.call("environment.snapshot", {"id": here})
        await alice.call("object.update", {"id": thing["id"], "data": {"n": 2}})
        victim = taken["id"] if what == "snapshot" else thing["id"]
        raw = driver.connect(house.path)
        guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        for (name,) in raw.execute(guards, ("version_contents",)).fetchall():
            raw.execute(f'DROP TRIGGER "{name}"')
        edit = ('"title":"bench"', '"title":"bunch"')
        if what == "object":
            edit = ('"n":1', '"n":7')
        raw.execute(
            "UPDATE version_contents SET content = CAST(replace(content, ?, ?) AS BLOB)"
            " WHERE version = 1 AND id = (SELECT id FROM registry WHERE public_id = ?)",
            (*edit, victim),
        )
        raw.close()
        with refused("conflict"):
            await alice.call("environment.restore", {"snapshot": taken["id"]})
        assert (await alice.call("object.get", {"id": thing["id"]}))["data"] == {"n": 2}

    async def test_only_the_owner_restores(self, alice: Session, bob: Session) -> None:
        here = await spawn(alice)
        await invite(alice, here, bob, "editor")
        taken = await bob.call("environment.snapshot", {"id": here})
        with refused("denied"):
            await bob.call("environment.restore", {"snapshot": taken["id"]})


class TestTemplates:
    @promise("environments.templates")
    async def test_an_environment_begins_with_what_its_template_holds(
        self, alice: Session, bob: Session
    ) -> None:
        made = await alice.call(
            "template.create",
            {
                "name": "interviews",
                "purpose": "ask",
                "ttl_seconds": 7200,
                "objects": [{"type": "guide", "name": "guide", "data": {"q": [1]}}],
                "members": [{"principal": await me(bob), "role": "viewer"}],
            },
        )
        seen = await alice.call("environment.spawn", {"template": made["id"]})
        assert (seen["purpose"], seen["ttl_seconds"], seen["objects"]) == ("ask", 7200, 1)
        assert seen["template"] == made["id"]
        assert await ids(bob, type="guide")

    async def test_members_of_its_scope_use_it_until_it_is_archived(
        self, alice: Session, bob: Session, mallory: Session
    ) -> None:
        scope = await alice.call("scope.create", {"name": "s"})
        place = {"scope": scope["id"], "principal": await me(bob), "role": "viewer"}
        await alice.call("scope.add_member", place)
        asked = {"name": "t", "scope": scope["id"]}
        with refused("not_found"):
            await mallory.call("template.create", asked)
        with refused("denied"):
            await bob.call("template.create", asked)
        made = await alice.call("template.create", asked)
        await bob.call("environment.spawn", {"template": made["id"]})
        with refused("not_found"):
            await mallory.call("environment.spawn", {"template": made["id"]})
        with refused("denied"):
            await bob.call("template.update", {"id": made["id"], "ttl_seconds": 60})
        changed = {"id": made["id"], "ttl_seconds": 600, "expected_version": 1}
        assert (await alice.call("template.update", changed))["version"] == 2
        await alice.call("template.archive", {"id": made["id"]})
        with refused("not_found"):
            await bob.call("environment.spawn", {"template": made["id"]})
        with refused("conflict"):
            await alice.call("environment.spawn", {"template": made["id"]})
