"""Room 6 through the path: who sees what of the trail, and that nothing escapes it."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import Any

import pytest

from scoped_mcp import ScopedError, Session
from scoped_mcp.kernel import canonical
from scoped_mcp.storage import driver
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _note(session: Session) -> str:
    return (await session.call("object.create", {"type": "note", "data": {"n": 1}}))["id"]


async def _own(reader: Session) -> list[dict[str, Any]]:
    """What one sees beside the issue of one's own credential, by whoever issued it."""
    return [one for one in await _trail(reader) if one["operation"] != "token.issue"]


async def _trail(reader: Session, /, **filters: Any) -> list[dict[str, Any]]:
    return (await reader.call("audit.list", {"limit": 100} | filters))["items"]


async def _entry(session: Session, public_id: str) -> dict[str, Any]:
    return await session.call("audit.get", {"id": public_id})


class TestEntries:
    @promise("readme.trace", "path.reads", "audit.entries")
    async def test_every_operation_is_one_entry_with_what_it_changed(self, alice: Session) -> None:
        note = await _note(alice)
        await alice.call("object.update", {"id": note, "data": {"n": 2}})
        await alice.call("object.get", {"id": note})
        seen = (await _trail(alice, about=note))[::-1]
        assert [one["operation"] for one in seen] == [
            "object.create",
            "object.update",
            "object.get",
        ]
        assert [
            [(c.get("from_version"), c["to_version"]) for c in one["changes"]] for one in seen
        ] == [[(None, 1)], [(1, 2)], []]
        assert {(one["target"], one["outcome"]) for one in seen} == {(note, "done")}

    @promise("path.refusals", "trail.outcomes", "audit.entries")
    @pytest.mark.parametrize(
        ("operation", "arguments", "code", "outcome"),
        [
            ("object.get", {"id": f"obj_{'z' * 16}"}, "not_found", "denied"),
            ("principal.list", {}, "denied", "denied"),
            ("object.create", {"type": "BAD", "data": {}}, "invalid", "failed"),
            ("no.such_operation", {}, "not_found", "denied"),
        ],
    )
    async def test_a_refusal_is_one_entry_with_its_code(
        self, alice: Session, operation: str, arguments: Any, code: str, outcome: str
    ) -> None:
        with pytest.raises(ScopedError) as caught:
            await alice.call(operation, arguments)
        newest = (await _trail(alice))[0]
        assert newest["id"] == caught.value.entry
        assert (newest["code"], newest["outcome"]) == (code, outcome)
        assert newest["changes"] == []

    @promise("parse.traced")
    async def test_what_does_not_parse_is_traced_with_field_and_code_never_the_value(
        self, house: Home, alice: Session
    ) -> None:
        secret = "my-private-words"
        for arguments, field in (
            ({"type": "note", "data": {}, "name": f"{secret}\x1b"}, "name"),
            ({"type": secret.upper(), "data": {}}, "type"),
            ({"type": "note", "data": secret}, "data"),
            ({"type": "note", "data": {secret: float("nan")}}, "data"),
            ({"type": "note", "data": {}, secret: 1}, None),
        ):
            with pytest.raises(ScopedError) as caught:
                await alice.call("object.create", arguments)
            entry = await _entry(alice, caught.value.entry or "")
            assert entry["asked"] == ({} if field is None else {"field": field})
            for reader in (alice, house.root):
                assert secret not in str(await _entry(reader, caught.value.entry or "")).lower()

    @promise("trail.arguments")
    async def test_arguments_stand_in_the_trail_only_where_they_are_declared_traced(
        self, alice: Session
    ) -> None:
        note = await _note(alice)
        asked = {"id": note, "data": {"private": 1}, "expected_version": 1, "reason": "private"}
        await alice.call("object.update", asked)
        entry = await _entry(alice, (await _trail(alice, operation="object.update"))[0]["id"])
        assert entry["asked"] == {"id": note, "expected_version": 1}
        assert "private" not in str(entry)

    @promise("trail.reading")
    async def test_reading_the_trail_is_traced_and_left_out_unless_asked_for(
        self, alice: Session
    ) -> None:
        await _trail(alice)
        assert {one["operation"] for one in await _trail(alice)}.isdisjoint(
            {"audit.list", "audit.get"}
        )
        assert len(await _trail(alice, operation="audit.list")) == 2

    async def test_filters_narrow_and_cursors_walk_without_gaps(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        since = house.clock.now()
        house.clock.advance(60)
        for _ in range(5):
            await _note(alice)
        whole = [one["id"] for one in await _trail(alice, operation="object.create")]
        seen, cursor = [], {}
        while True:
            asked = {"operation": "object.create", "limit": 2} | cursor
            page = await alice.call("audit.list", asked)
            seen += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == whole
        with refused("invalid"):
            await bob.call("audit.list", {"operation": "object.create", "limit": 2} | cursor)
        with refused("invalid"):
            await alice.call("audit.list", {"limit": 2} | cursor)
        late = house.clock.now().isoformat()
        assert len(await _trail(alice, since=late)) >= 5
        assert not await _trail(alice, until=since.isoformat(), operation="object.create")
        assert not await _trail(alice, outcome="denied")

    async def test_a_session_is_opened_by_the_first_call_and_named_by_every_entry(
        self, house: Home, alice: Session
    ) -> None:
        session = (await alice.call("whoami"))["session"]["id"]
        await _note(alice)
        assert {one["session"] for one in await _own(alice)} == {session}
        assert await _trail(alice, session=session) == await _own(alice)
        assert await _trail(house.root, session=session, operation="object.create")

    @pytest.mark.sqlite  # by a trigger below the application
    @promise("audit.failed")
    async def test_an_entry_that_cannot_be_written_fails_its_operation(
        self, house: Home, alice: Session
    ) -> None:
        with closing(driver.connect(house.path)) as raw:
            refuse = "BEGIN SELECT RAISE(ABORT, ''); END"
            raw.execute(f"CREATE TRIGGER no BEFORE INSERT ON entries {refuse}")
            with pytest.raises(ScopedError) as caught:
                await _note(alice)
            raw.execute("DROP TRIGGER no")
        assert (caught.value.code, caught.value.entry) == ("internal", None)
        assert (await alice.call("object.list"))["items"] == []
        assert (await house.root.call("audit.verify"))["ok"]

    @promise("trail.arguments")
    async def test_digests_of_arguments_tell_nobody_what_they_were(
        self, house: Home, alice: Session
    ) -> None:
        asked = {"type": "note", "data": {"answer": "yes"}}
        for _ in range(2):
            await alice.call("object.create", asked)
        made = await _trail(house.root, operation="object.create")
        shown = [(await _entry(house.root, one["id"]))["arguments"] for one in made]
        assert len(set(shown)) == 2, "the same arguments look different"
        assert hashlib.sha256(canonical.encode(asked)).hexdigest() not in shown


class TestFilters:
    async def test_an_operation_is_asked_for_by_its_name_or_its_tool_s(
        self, alice: Session
    ) -> None:
        await _note(alice)
        for name in ("object.create", "object_create"):
            found = await _trail(alice, operation=name)
            assert [one["operation"] for one in found] == ["object.create"]
        assert await _trail(alice, operation="no_such_tool") == []


class TestWhoSees:
    """Rulings 46 and 47."""

    @promise("audit.sights")
    async def test_a_stranger_sees_nothing_of_others(
        self, alice: Session, mallory: Session
    ) -> None:
        note = await _note(alice)
        entry = (await _trail(alice, about=note))[0]["id"]
        with refused("not_found"):
            await _entry(mallory, entry)
        mine = await _me(mallory)
        assert {one["principal"] for one in await _own(mallory)} == {mine}
        for filters in (
            {"about": note},
            {"principal": await _me(alice)},
            {"session": (await alice.call("whoami"))["session"]["id"]},
            {"operation": "object.create"},
        ):
            assert await _trail(mallory, **filters) == []

    @promise("trail.asked")
    async def test_a_stranger_s_attempt_is_visible_to_the_owner_and_shows_the_stranger_no_target(
        self, alice: Session, mallory: Session
    ) -> None:
        note = await _note(alice)
        absent = f"obj_{'z' * 16}"
        seen = []
        for one in (note, absent):
            with pytest.raises(ScopedError) as caught:
                await mallory.call("object.get", {"id": one})
            entry = await _entry(mallory, caught.value.entry or "")
            assert entry["asked"] == {"id": one}
            assert "target" not in entry
            seen.append(str(entry).replace(one, "it").replace(entry["id"], ""))
        assert seen[0] == seen[1]
        attempt = (await _trail(alice, about=note, outcome="denied"))[0]
        assert (attempt["principal"], attempt["target"]) == (await _me(mallory), note)
        detail = await _entry(alice, attempt["id"])
        assert "asked" not in detail

    @promise("trail.asked")
    async def test_attempts_on_a_scope_are_seen_by_its_admins(
        self, house: Home, alice: Session, bob: Session, mallory: Session
    ) -> None:
        scope = (await alice.call("scope.create", {"name": "s"}))["id"]
        carol = await house.user("carol")
        for who, role in ((bob, "admin"), (carol, "viewer")):
            place = {"scope": scope, "principal": await _me(who), "role": role}
            await alice.call("scope.add_member", place)
        with refused("not_found"):
            await mallory.call("scope.get", {"id": scope})
        for reader in (alice, bob):
            assert len(await _trail(reader, about=scope, outcome="denied")) == 1
        assert await _trail(carol, about=scope, outcome="denied") == []

    async def test_attempts_on_ones_own_credential_are_seen(
        self, house: Home, alice: Session, mallory: Session
    ) -> None:
        credential = (await alice.call("token.list"))["items"][0]["id"]
        with refused("not_found"):
            await mallory.call("token.revoke", {"id": credential})
        seen = await _trail(alice, about=credential, outcome="denied")
        assert [one["operation"] for one in seen] == ["token.revoke"]

    @promise("audit.sights")
    async def test_an_auditor_of_a_scope_reads_its_trail_and_no_ids_of_private_things(
        self, alice: Session, bob: Session
    ) -> None:
        scope = (await alice.call("scope.create", {"name": "s"}))["id"]
        place = {"scope": scope, "principal": await _me(bob), "role": "auditor"}
        await alice.call("scope.add_member", place)
        note = await _note(alice)
        await alice.call("object.share", {"object": note, "scope": scope})
        shared = (await _trail(bob, operation="object.share"))[0]
        assert (shared["scope"], shared["principal"]) == (scope, await _me(alice))
        assert "target" not in shared
        assert note not in str(await _entry(bob, shared["id"]))
        with refused("denied"):
            await bob.call("audit.verify")

    @promise("trail.sponsors", "audit.sights")
    async def test_a_sponsor_sees_that_its_agent_acted_and_not_its_data(
        self, house: Home, alice: Session, mallory: Session
    ) -> None:
        made = await alice.call("agent.delegate", {"name": "h", "ttl_seconds": 60})
        helper = await house.scoped.session(made["token"])
        note = await _note(helper)
        about = {"principal": made["principal"]["id"], "operation": "object.create"}
        seen = (await _trail(alice, **about))[0]
        assert "target" not in seen
        assert seen["changes"] == []
        assert note not in str(seen)
        assert await _trail(mallory, principal=made["principal"]["id"]) == []
        assert await _trail(helper, principal=await _me(alice)) == []

    async def test_whose_an_agent_is_stands_in_its_entries_for_itself_sponsors_and_auditors(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """Others whose things it touched see who acted, and no more than `principal_get` says."""
        helper = await house.agent("h", of=alice)
        deep = await house.agent("d", of=helper)
        scope = (await bob.call("scope.create", {"name": "s"}))["id"]
        place = {"scope": scope, "principal": await _me(deep), "role": "viewer"}
        await bob.call("scope.add_member", place | {"principal": await _me(helper)})
        await bob.call("scope.add_member", place | {"principal": await _me(alice)})
        await bob.call("scope.add_member", place)
        await deep.call("scope.get", {"id": scope})
        entry = (await _trail(bob, principal=await _me(deep), about=scope))[0]
        detail = await _entry(bob, entry["id"])
        assert detail["principal"] == await _me(deep)
        known = await bob.call("principal.get", {"id": await _me(deep)})
        assert detail.keys().isdisjoint({"sponsors", "asked"})
        assert "sponsor" not in known
        for reader in (deep, helper, alice, house.root):
            detail = await _entry(reader, entry["id"])
            assert detail["sponsors"] == [await _me(helper), await _me(alice)]

    @promise("trail.positions", "audit.sights")
    async def test_root_auditors_see_everything_and_positions_are_theirs_alone(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note = await _note(alice)
        root = house.scoped.spine.house.root
        place = {"scope": root, "principal": await _me(bob), "role": "auditor"}
        await house.root.call("scope.add_member", place)
        entry = (await _trail(bob, operation="object.create"))[0]
        assert entry["target"] == note
        for reader, shown in ((bob, True), (house.root, True), (alice, False)):
            detail = await _entry(reader, entry["id"])
            for name in ("seq", "hash", "previous", "arguments", "chain"):
                assert (name in detail) is shown

    async def test_what_was_about_ones_things_stays_readable_and_names_what_one_still_sees(
        self, alice: Session, bob: Session
    ) -> None:
        note = await _note(alice)
        await alice.call("object.transfer", {"id": note, "to": await _me(bob)})
        await bob.call("object.transfer_accept", {"id": note})
        assert all("target" not in one for one in await _trail(alice, operation="object.create"))
        assert await _trail(alice, about=note) == []
        await bob.call("object.get", {"id": note})

    async def test_what_somebody_ended_by_leaving_is_no_longer_visible(
        self, alice: Session, bob: Session
    ) -> None:
        scope = (await alice.call("scope.create", {"name": "s"}))["id"]
        place = {"scope": scope, "principal": await _me(bob), "role": "admin"}
        await alice.call("scope.add_member", place)
        assert await _trail(bob, about=scope)
        await alice.call("scope.remove_member", {"scope": scope, "principal": await _me(bob)})
        assert await _trail(bob, about=scope) == []
        mine = await _me(bob)
        assert {one["principal"] for one in await _own(bob)} == {mine}


class TestVerification:
    async def test_what_everybody_did_verifies(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note = await _note(alice)
        with refused("not_found"):
            await bob.call("object.get", {"id": note})
        await alice.call("object.delete", {"id": note})
        found = await house.root.call("audit.verify")
        assert found["ok"]
        ranged = await house.root.call("audit.verify", {"from": 3, "to": 5})
        assert (ranged["ok"], ranged["entries"]) == (True, 3)

    async def test_it_is_for_auditors_and_owners_of_the_root_scope(self, alice: Session) -> None:
        with refused("denied"):
            await alice.call("audit.verify")

    @pytest.mark.parametrize(
        "bounds", [{"from": 10**6}, {"from": 5, "to": 2}, {"from": 9**9, "to": None}]
    )
    async def test_an_empty_range_is_fine(self, house: Home, bounds: dict[str, Any]) -> None:
        found = await house.root.call("audit.verify", bounds)
        assert (found["ok"], found["entries"]) == (True, 0)
