"""Room 3 through the path: versions, conflicts, tombstones, limits, and what is refused."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from scoped_mcp import ScopedError, Session
from scoped_mcp.kernel.limits import Limits
from scoped_mcp.layers.objects import CreateObject
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused

TOKEN = f"smcp_{'a' * 16}_{'b' * 52}"


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _note(session: Session, data: Any = None, **more: Any) -> str:
    asked = {"type": "note", "data": {"title": "one"} if data is None else data}
    return (await session.call("object.create", asked | more))["id"]


async def _shared(
    owner: Session, reader: Session, access: str = "read", **more: Any
) -> tuple[str, str]:
    """A note of the owner's, shown to the reader in a scope: both ids."""
    scope = await owner.call("scope.create", {"name": "shared"})
    place = {"scope": scope["id"], "principal": await _me(reader), "role": "viewer"}
    await owner.call("scope.add_member", place)
    note = await _note(owner)
    shown = {"object": note, "scope": scope["id"], "access": access}
    await owner.call("object.share", shown | more)
    return note, scope["id"]


async def test_pages_show_what_is_seen_in_any_way_once_and_newest_first(house: Home) -> None:
    alice, bob = await house.user("alice"), await house.user("bob")
    first, scope = await _shared(bob, alice)
    seen = [first]
    for _ in range(3):
        shown, offered, both = [await _note(bob) for _ in range(3)]
        for one in (shown, both):
            await bob.call("object.share", {"object": one, "scope": scope})
        for one in (offered, both):
            await bob.call("object.transfer", {"id": one, "to": house.id("alice")})
        await _note(bob)
        seen += [shown, offered, both, await _note(alice)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while not found or cursor:
        page = await alice.call("object.list", {"limit": 5, **cursor})
        found += [one["id"] for one in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert found == seen[::-1]


async def _get(session: Session, note: str, **more: Any) -> dict[str, Any]:
    return await session.call("object.get", {"id": note} | more)


async def _update(session: Session, note: str, **more: Any) -> dict[str, Any]:
    return await session.call("object.update", {"id": note} | more)


class TestVersions:
    @promise("readme.private", "readme.root")
    async def test_a_new_object_is_its_creator_s_alone(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note = await _note(alice)
        assert (await _get(alice, note))["access"] == "owner"
        for one in (bob, house.root):
            with refused("not_found"):
                await _get(one, note)
            assert (await one.call("object.list"))["items"] == []

    @promise("readme.versions", "objects.history")
    async def test_every_change_is_a_version_and_each_can_be_read(self, alice: Session) -> None:
        note = await _note(alice)
        await _update(alice, note, data={"title": "two"}, reason="better")
        await alice.call("object.tag", {"id": note, "tags": ["draft", "draft"]})
        assert (await _get(alice, note))["tags"] == ["draft"]
        assert [(await _get(alice, note, version=v))["data"]["title"] for v in (1, 2, 3)] == [
            "one",
            "two",
            "two",
        ]
        with refused("not_found"):
            await _get(alice, note, version=4)
        listed = (await alice.call("object.history", {"id": note}))["items"]
        assert [one["version"] for one in listed] == [3, 2, 1]
        assert [one.get("reason") for one in listed] == [None, "better", None]

    @promise("patch.null")
    async def test_a_patch_is_a_merge_patch_and_null_removes(self, alice: Session) -> None:
        note = await _note(alice, {"a": {"b": 1, "c": 2}, "d": [1, 2]})
        changed = await _update(alice, note, patch={"a": {"b": None, "e": 3}, "d": [3]})
        assert changed["data"] == {"a": {"c": 2, "e": 3}, "d": [3]}

    async def test_data_and_patch_exclude_each_other(self, alice: Session) -> None:
        note = await _note(alice)
        for arguments in ({}, {"data": {}, "patch": {}}):
            with refused("invalid"):
                await _update(alice, note, **arguments)

    @promise("path.lost_race")
    async def test_a_lost_race_says_who_and_when_and_loses_nothing(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note, _ = await _shared(alice, bob, "write")
        house.clock.advance(5)
        await _update(bob, note, data={"title": "bob's"}, expected_version=1)
        with pytest.raises(ScopedError) as caught:
            await _update(alice, note, data={"title": "alice's"}, expected_version=1)
        error = caught.value
        assert (error.code, error.retry) == ("conflict", True)
        assert await _me(bob) in error.message
        assert "2026-01-05T09:00:05Z" in error.message
        assert "expected_version=2" in error.hint
        assert (await _get(alice, note))["data"] == {"title": "bob's"}

    async def test_as_of_answers_what_was_current_then(self, house: Home, alice: Session) -> None:
        start = house.clock.now()
        house.clock.advance(10)
        note = await _note(alice)
        first = house.clock.now()
        house.clock.advance(10)
        await _update(alice, note, data={"title": "two"})
        second = house.clock.now()
        house.clock.advance(10)
        await alice.call("object.delete", {"id": note})
        for at, version, state in (
            (first, 1, "active"),
            (second, 2, "active"),
            (house.clock.now(), 3, "deleted"),
        ):
            found = await _get(alice, note, as_of=at.isoformat())
            assert (found["version"], found["state"]) == (version, state)
        with refused("not_found"):
            await _get(alice, note, as_of=start.isoformat())
        with refused("invalid"):
            await _get(alice, note, as_of=first.isoformat(), version=1)

    @pytest.mark.parametrize(
        "at", ["0001-01-01T00:00:00+14:00", "0999-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]
    )
    async def test_as_of_long_ago_there_was_nothing(self, alice: Session, at: str) -> None:
        note = await _note(alice)
        with pytest.raises(ScopedError) as caught:
            await _get(alice, note, as_of=at)
        assert caught.value.code in {"not_found", "invalid"}

    async def test_as_of_the_end_of_time_is_now(self, alice: Session) -> None:
        note = await _note(alice)
        found = await _get(alice, note, as_of="9999-12-31T23:59:59Z")
        assert found["version"] == 1
        with refused("invalid"):
            await _get(alice, note, as_of="9999-12-31T23:59:59-14:00")

    @promise("objects.history")
    async def test_a_diff_applied_gives_the_later_version(self, alice: Session) -> None:
        before = {"a": [1, {"b": "x/~y"}], "c": None, "big": list(range(3_000))}
        after = {"a": [{"b": "x"}, 2], "d": {"~/": 1}, "big": list(range(2_999))}
        note = await _note(alice, before)
        await _update(alice, note, data=after)
        asked = {"id": note, "from_version": 1, "to_version": 2}
        forward = (await alice.call("object.history", asked))["diff"]
        assert jsonpatch.apply_patch(before, forward) == after
        asked = {"id": note, "from_version": 2, "to_version": 1}
        backward = (await alice.call("object.history", asked))["diff"]
        assert jsonpatch.apply_patch(after, backward) == before

    @promise("cursors.bound")
    async def test_history_is_paged_and_its_cursor_is_the_caller_s_own(
        self, alice: Session, bob: Session
    ) -> None:
        note, _ = await _shared(alice, bob, history=True)
        for n in range(4):
            await _update(alice, note, data={"n": n})
        seen, cursor = [], None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = await alice.call("object.history", {"id": note, "limit": 2} | more)
            seen += [one["version"] for one in page["items"]]
            last, cursor = cursor or page.get("next_cursor"), page.get("next_cursor")
            if cursor is None:
                break
        assert seen == [5, 4, 3, 2, 1]
        with refused("invalid"):
            await bob.call("object.history", {"id": note, "limit": 2, "cursor": last})
        with refused("invalid"):
            await alice.call("object.history", {"id": note, "from_version": 1, "cursor": last})

    async def test_lists_are_newest_first_and_paged_without_gaps(self, alice: Session) -> None:
        made = [await _note(alice, {"n": n}) for n in range(5)]
        seen, cursor = [], None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = await alice.call("object.list", {"limit": 2} | more)
            seen += [one["id"] for one in page["items"]]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        assert seen == made[::-1]
        assert all("data" not in one for one in page["items"])
        full = await alice.call("object.list", {"detail": "full", "type": "note"})
        assert full["items"][0]["data"] == {"n": 4}
        assert (await alice.call("object.list", {"type": "other"}))["items"] == []


class TestTombstones:
    @promise("objects.deleted")
    async def test_a_deleted_object_vanishes_for_everyone_but_its_owner(
        self, alice: Session, bob: Session
    ) -> None:
        note, scope = await _shared(alice, bob, "admin", history=True)
        assert (await bob.call("object.list", {"scope": scope}))["items"]
        gone = await alice.call("object.delete", {"id": note, "reason": "done"})
        assert gone["state"] == "deleted"
        assert "data" not in gone
        for name, arguments in (
            ("object.get", {"id": note}),
            ("object.get", {"id": note, "version": 1}),
            ("object.history", {"id": note}),
            ("object.update", {"id": note, "data": {}}),
            ("object.delete", {"id": note}),
            ("object.restore", {"id": note}),
            ("registry.get", {"id": note}),
        ):
            with refused("not_found"):
                await bob.call(name, arguments)
        for state in ("active", "deleted"):
            for more in ({}, {"scope": scope}):
                assert (await bob.call("object.list", {"state": state} | more))["items"] == []
        assert (await bob.call("audit.list", {"about": note}))["items"] == []
        assert (await _get(alice, note))["state"] == "deleted"
        listed = await alice.call("object.list", {"state": "deleted"})
        assert [one["id"] for one in listed["items"]] == [note]
        assert (await alice.call("object.list"))["items"] == []
        assert (await _get(alice, note, version=1))["data"] == {"title": "one"}

    async def test_what_is_deleted_is_changed_by_nothing_but_restoring(
        self, alice: Session
    ) -> None:
        note = await _note(alice)
        await alice.call("object.delete", {"id": note})
        for name, more in (
            ("object.update", {"data": {}}),
            ("object.delete", {}),
            ("object.tag", {"tags": []}),
            ("object.transfer", {}),
        ):
            with refused("conflict"):
                await alice.call(name, {"id": note} | more)

    @promise("readme.kept")
    async def test_restoring_brings_it_back_as_it_was_and_shares_show_it_again(
        self, alice: Session, bob: Session
    ) -> None:
        note, _ = await _shared(alice, bob)
        await alice.call("object.delete", {"id": note})
        back = await alice.call("object.restore", {"id": note, "reason": "oops"})
        assert (back["data"], back["version"], back["state"]) == ({"title": "one"}, 3, "active")
        assert (await _get(bob, note))["data"] == {"title": "one"}
        with refused("conflict"):
            await alice.call("object.restore", {"id": note})

    @promise("share.levels")
    async def test_a_sharee_with_admin_deletes_and_then_sees_it_no_more(
        self, alice: Session, bob: Session
    ) -> None:
        note, _ = await _shared(alice, bob, "admin")
        gone = await bob.call("object.delete", {"id": note})
        assert (gone["state"], gone["version"]) == ("deleted", 2)
        with refused("not_found"):
            await _get(bob, note)
        assert (await _get(alice, note))["state"] == "deleted"

    @promise("toolset.temporal")
    async def test_restoring_is_a_tool_of_the_toolset_temporal(self, house: Home) -> None:
        plain = await house.user("plain", toolsets=["core", "scopes", "audit", "admin"])
        undoing = await house.user("undoing", toolsets=["core", "temporal"])
        for one, code in ((plain, "not_found"), (undoing, None)):
            note = await _note(one)
            await one.call("object.delete", {"id": note})
            if code is None:
                await one.call("object.restore", {"id": note})
            else:
                with refused(code):
                    await one.call("object.restore", {"id": note})


class TestNames:
    async def test_a_name_is_unique_among_what_one_owner_has(
        self, alice: Session, bob: Session
    ) -> None:
        note = await _note(alice, name="plan")
        with refused("conflict"):
            await _note(alice, name="plan")
        await _note(bob, name="plan")
        await alice.call("object.delete", {"id": note})
        await _note(alice, name="plan")
        with refused("conflict"):
            await alice.call("object.restore", {"id": note})

    @promise("objects.names")
    @pytest.mark.parametrize(
        "name", ["", " ", "a\x00b", "a\nb", "a\u202eb", "\u200f", "x" * 201, "a\x1b[31m", "\ud800"]
    )
    async def test_names_that_deceive_are_refused(self, alice: Session, name: str) -> None:
        with refused("invalid"):
            await _note(alice, name=name)

    async def test_names_of_all_scripts_are_kept(self, alice: Session) -> None:
        for name in ("данные", "计划", "خطة", "👩‍👩‍👧", "e\u0301"):
            note = await _note(alice, name=name)
            assert (await _get(alice, note))["name"] == name


class TestRefusals:
    @promise("numbers.kept", "objects.not_json")
    @pytest.mark.parametrize(
        "data",
        [
            {"n": float("nan")},
            {"n": float("inf")},
            {"n": 2**53},
            {"n": -(2**53)},
            {"s": "\x00"},
            {"s": "\ud800"},
            {"\udfff": 1},
            {"\x00": 1},
            {"b": b"bytes"},
            pytest.param({"o": object()}, id="object"),
            [],
            "text",
            None,
        ],
        ids=repr,
    )
    async def test_what_json_cannot_keep_is_refused_and_not_stored(
        self, alice: Session, data: Any
    ) -> None:
        with refused("invalid"):
            await alice.call("object.create", {"type": "note", "data": data})
        assert (await alice.call("object.list"))["items"] == []

    async def test_what_json_can_keep_comes_back_exactly(self, alice: Session) -> None:
        data = {"i": 2**53 - 1, "f": 0.1, "e": 1e16, "z": -0.0, "u": "\U0001f600", "": [None, True]}
        note = await _note(alice, data)
        assert (await _get(alice, note))["data"] == data

    @promise("guards.results", "objects.not_json")
    async def test_depth_and_size_have_limits_also_as_the_result_of_a_patch(
        self, alice: Session
    ) -> None:
        limits = Limits()

        def nested(levels: int) -> dict[str, Any]:
            data: dict[str, Any] = {}
            for _ in range(levels - 1):
                data = {"a": data}
            return data

        note = await _note(alice, nested(limits.object_depth))
        with refused("invalid"):
            await _note(alice, nested(limits.object_depth + 1))
        with refused("invalid"):
            await _note(alice, nested(5_000))
        with refused("invalid"):
            await _note(alice, {"a": "x" * limits.object_bytes})
        half = "x" * (limits.object_bytes // 2)
        note = await _note(alice, {"a": half})
        with refused("invalid"):
            await _update(alice, note, patch={"b": half})
        assert (await _get(alice, note))["version"] == 1
        with refused("invalid"):
            await _note(alice, {"a": "x" * limits.request_bytes})

    @pytest.mark.parametrize("kind", ["", "Note", "1note", "no te", "n" * 65, "nöte", "note\n"])
    async def test_a_type_is_a_lower_case_word(self, alice: Session, kind: str) -> None:
        with refused("invalid"):
            await alice.call("object.create", {"type": kind, "data": {}})

    @promise("readme.secrets", "content.credentials")
    async def test_nothing_of_the_shape_of_a_credential_is_stored_or_repeated(
        self, house: Home, alice: Session
    ) -> None:
        """Ruling 9: data, keys, names, reasons, tags, descriptions, metadata."""
        note = await _note(alice)
        mine = await _me(alice)
        attempts = [
            ("object.create", {"type": "note", "data": {"t": f"my {TOKEN}!"}}),
            ("object.create", {"type": "note", "data": {TOKEN: 1}}),
            ("object.create", {"type": "note", "data": {}, "name": TOKEN}),
            ("object.update", {"id": note, "patch": {"t": [TOKEN]}}),
            ("object.update", {"id": note, "patch": {"t": 1}, "reason": TOKEN}),
            ("object.delete", {"id": note, "reason": TOKEN}),
            ("object.tag", {"id": note, "tags": [TOKEN]}),
            ("scope.create", {"name": TOKEN}),
            ("scope.create", {"name": "s", "description": TOKEN}),
            ("principal.update", {"id": mine, "metadata": {"t": TOKEN}}),
            ("agent.delegate", {"name": TOKEN, "ttl_seconds": 60}),
        ]
        for name, arguments in attempts:
            with pytest.raises(ScopedError) as caught:
                await alice.call(name, arguments)
            assert caught.value.code == "invalid"
            assert "smcp_a" not in caught.value.message + caught.value.hint
        for suffix in ("", "-wal"):
            file = house.path.with_name(house.path.name + suffix)
            assert not file.exists() or TOKEN.encode() not in file.read_bytes()

    async def test_an_environment_that_nobody_has_is_not_found(self, alice: Session) -> None:
        with refused("not_found"):
            await _note(alice, environment=f"env_{'a' * 16}")


class TestMany:
    @promise("spine.nested", "objects.bulk")
    async def test_all_or_none_with_one_entry_and_its_children(
        self, alice: Session, house: Home
    ) -> None:
        asked = {"objects": [{"type": "note", "data": {"n": n}} for n in range(3)]}
        made = (await alice.call("object.create_many", asked))["items"]
        assert [one["data"]["n"] for one in made] == [0, 1, 2]
        parent = (await alice.call("audit.list", {"operation": "object.create_many"}))["items"][0]
        children = (await alice.call("audit.list", {"operation": "object.create"}))["items"]
        assert [one["parent"] for one in children] == [parent["id"]] * 3
        changes = [{"id": one["id"], "patch": {"m": 1}} for one in made]
        changes[2]["expected_version"] = 7
        with refused("conflict"):
            await alice.call("object.update_many", {"changes": changes})
        for one in made:
            assert (await _get(alice, one["id"]))["version"] == 1
        failed = (await alice.call("audit.list", {"outcome": "failed"}))["items"]
        assert [one["operation"] for one in failed] == ["object.update_many"]
        changes[2].pop("expected_version")
        await alice.call("object.update_many", {"changes": changes, "reason": "all"})
        gone = await alice.call("object.delete_many", {"objects": [one["id"] for one in made]})
        assert {one["state"] for one in gone["items"]} == {"deleted"}
        verified = await house.root.call("audit.verify")
        assert verified["ok"]

    @promise("objects.bulk")
    async def test_many_change_in_one_order_and_answer_in_that_of_the_call(
        self, alice: Session
    ) -> None:
        """Two calls that named the same in other orders would each wait for the other."""
        ids = sorted([await _note(alice) for _ in range(4)], reverse=True)
        changes = [{"id": one, "patch": {"m": 1}} for one in ids]
        made = await alice.call("object.update_many", {"changes": changes})
        assert [one["id"] for one in made["items"]] == ids
        page = await alice.call("audit.list", {"operation": "object.update"})
        assert [one["target"] for one in page["items"]] == ids  # newest first

    @promise("objects.bulk")
    async def test_one_that_is_another_s_fails_all(self, alice: Session, mallory: Session) -> None:
        mine, theirs = await _note(mallory), await _note(alice)
        for name, arguments in (
            ("object.delete_many", {"objects": [mine, theirs]}),
            ("object.update_many", {"changes": [{"id": i, "data": {}} for i in (mine, theirs)]}),
        ):
            with refused("not_found"):
                await mallory.call(name, arguments)
        assert (await _get(mallory, mine))["version"] == 1

    @promise("readme.limits", "objects.bulk")
    async def test_many_is_at_most_two_hundred_and_each_once(self, alice: Session) -> None:
        one = {"type": "note", "data": {}}
        with refused("invalid"):
            await alice.call("object.create_many", {"objects": [one] * 201})
        with refused("invalid"):
            await alice.call("object.create_many", {"objects": []})
        note = await _note(alice)
        for name, arguments in (
            ("object.delete_many", {"objects": [note, note]}),
            ("object.update_many", {"changes": [{"id": note, "data": {}}] * 2}),
        ):
            with refused("invalid"):
                await alice.call(name, arguments)

    async def test_two_of_one_name_in_one_call_are_none(self, alice: Session) -> None:
        one = {"type": "note", "data": {}, "name": "same"}
        with refused("conflict"):
            await alice.call("object.create_many", {"objects": [one, one]})
        assert (await alice.call("object.list"))["items"] == []


class TestOwnership:
    @promise("transfer.accept", "objects.transfer")
    async def test_it_changes_hands_when_the_receiver_accepts(
        self, alice: Session, bob: Session, mallory: Session
    ) -> None:
        note = await _note(alice)
        await _update(alice, note, data={"title": "two"})
        offered = await alice.call("object.transfer", {"id": note, "to": await _me(bob)})
        assert offered["transfer_to"] == await _me(bob)
        with refused("not_found"):
            await mallory.call("object.transfer_accept", {"id": note})
        assert (await bob.call("whoami"))["waiting"]["transfers"] == [note]
        assert (await _get(bob, note))["access"] == "read"
        with refused("not_found"):
            await _get(bob, note, version=1)
        taken = await bob.call("object.transfer_accept", {"id": note})
        assert (taken["owner"], taken["access"]) == (await _me(bob), "owner")
        assert (await _get(bob, note, version=1))["data"] == {"title": "one"}
        with refused("not_found"):
            await _get(alice, note)

    async def test_an_offer_can_be_taken_back(self, alice: Session, bob: Session) -> None:
        note = await _note(alice)
        await alice.call("object.transfer", {"id": note, "to": await _me(bob)})
        await alice.call("object.transfer", {"id": note})
        with refused("not_found"):
            await _get(bob, note)
        with refused("not_found"):
            await bob.call("object.transfer_accept", {"id": note})

    @promise("transfer.accept")
    async def test_nobody_but_the_owner_offers(self, alice: Session, bob: Session) -> None:
        note, _ = await _shared(alice, bob, "admin")
        with refused("denied"):
            await bob.call("object.transfer", {"id": note, "to": await _me(bob)})
        with refused("invalid"):
            await alice.call("object.transfer", {"id": note, "to": await _me(alice)})

    @promise("views.ids")
    async def test_whoever_sees_a_share_does_not_see_to_whom_it_is_offered(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        note, _ = await _shared(alice, bob)
        carol = await house.user("carol")
        await alice.call("object.transfer", {"id": note, "to": await _me(carol)})
        assert "transfer_to" not in await _get(bob, note)
        assert (await _get(carol, note))["transfer_to"] == await _me(carol)

    async def test_shares_end_where_the_new_owner_does_not_contribute(
        self, alice: Session, bob: Session, house: Home
    ) -> None:
        note, _ = await _shared(alice, bob)
        carol = await house.user("carol")
        await alice.call("object.transfer", {"id": note, "to": await _me(carol)})
        await carol.call("object.transfer_accept", {"id": note})
        with refused("not_found"):
            await _get(bob, note)


class TestViews:
    async def test_what_others_wrote_is_marked_as_data(self, alice: Session, bob: Session) -> None:
        note, scope = await _shared(alice, bob, "write")
        seen = await _get(bob, note)
        assert seen["untrusted"] is True
        assert seen["provenance"] == {
            "author": await _me(alice),
            "scope": scope,
            "at": seen["updated_at"],
        }
        assert "untrusted" not in await _get(alice, note)
        await _update(bob, note, data={"title": "bob's"})
        assert (await _get(alice, note))["untrusted"] is True

    @promise("views.ids")
    async def test_scopes_that_the_caller_does_not_see_are_not_named(
        self, alice: Session, bob: Session
    ) -> None:
        note, scope = await _shared(alice, bob)
        other = await alice.call("scope.create", {"name": "other"})
        await alice.call("object.share", {"object": note, "scope": other["id"]})
        assert (await _get(bob, note))["scopes"] == [scope]
        assert set((await _get(alice, note))["scopes"]) == {scope, other["id"]}

    async def test_the_typed_call_is_the_same_path(self, alice: Session) -> None:
        view = await alice.run(CreateObject(type="note", data={"a": 1}))
        assert (await _get(alice, view.id))["data"] == {"a": 1}
