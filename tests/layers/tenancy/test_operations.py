"""Room 4 through the path: what a place in a scope is worth, shares, freezing, handing over."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from scoped_mcp import ScopedError, Session
from scoped_mcp.kernel.limits import Limits
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused

ROLES = ("auditor", "viewer", "contributor", "editor", "admin", "owner")
RANK = {role: rank for rank, role in enumerate(ROLES)}


async def _me(session: Session) -> str:
    return (await session.call("whoami"))["principal"]["id"]


async def _note(session: Session, **more: Any) -> str:
    return (await session.call("object.create", {"type": "note", "data": {"n": 1}} | more))["id"]


async def _scope(session: Session, name: str = "s", **more: Any) -> str:
    return (await session.call("scope.create", {"name": name} | more))["id"]


async def _add(
    session: Session, scope: str, who: Session | str, role: str, **more: Any
) -> dict[str, Any]:
    principal = who if isinstance(who, str) else await _me(who)
    asked = {"scope": scope, "principal": principal, "role": role}
    return await session.call("scope.add_member", asked | more)


async def _remove(session: Session, scope: str, who: Session) -> None:
    asked = {"scope": scope, "principal": await _me(who)}
    await session.call("scope.remove_member", asked)


async def _share(session: Session, note: str, scope: str, **more: Any) -> dict[str, Any]:
    return await session.call("object.share", {"object": note, "scope": scope} | more)


async def _unshare(session: Session, note: str, scope: str) -> None:
    await session.call("object.unshare", {"object": note, "scope": scope})


async def _access(session: Session, note: str) -> str | None:
    """What the object's view says, or None where it is not found."""
    try:
        return (await session.call("object.get", {"id": note}))["access"]
    except ScopedError as error:
        assert error.code == "not_found"
        return None


async def _code(call: Awaitable[Any]) -> str | None:
    try:
        await call
    except ScopedError as error:
        return error.code
    return None


async def _state(session: Session, scope: str, state: str) -> dict[str, Any]:
    return await session.call("scope.set_state", {"id": scope, "state": state})


class TestRoles:
    @pytest.mark.parametrize("role", ROLES)
    async def test_what_each_role_may_do(
        self, house: Home, alice: Session, bob: Session, role: str
    ) -> None:
        scope, note = await _scope(alice), await _note(alice)
        await _share(alice, note, scope)
        await _add(alice, scope, bob, role)
        carol = await house.user("carol")
        own = await _note(bob)
        rank = RANK[role]
        seen = await bob.call("scope.get", {"id": scope})
        assert seen["role"] == role
        assert len(seen["members"]) == 2
        assert await _access(bob, note) == (None if role == "auditor" else "read")
        expected: list[tuple[Awaitable[Any], bool]] = [
            (_share(bob, own, scope), rank >= RANK["contributor"]),
            (bob.call("scope.update", {"id": scope, "description": "x"}), rank >= RANK["admin"]),
            (_add(bob, scope, carol, "viewer"), rank >= RANK["admin"]),
            (bob.call("scope.create", {"name": "c", "parent": scope}), rank >= RANK["admin"]),
            (_state(bob, scope, "frozen"), rank >= RANK["admin"]),
            (_state(bob, scope, "active"), rank >= RANK["admin"]),
            (bob.call("scope.transfer", {"id": scope, "to": await _me(carol)}), role == "owner"),
        ]
        for call, allowed in expected:
            assert await _code(call) == (None if allowed else "denied")

    @promise("scopes.grants")
    async def test_nobody_grants_more_than_they_hold(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        await _add(alice, scope, bob, "admin")
        carol = await house.user("carol")
        with refused("denied"):
            await _add(bob, scope, carol, "owner")
        with refused("denied"):
            await _add(bob, scope, bob, "owner")
        with refused("denied"):
            await _add(bob, scope, alice, "viewer")
        with refused("denied"):
            await _remove(bob, scope, alice)
        await _add(bob, scope, carol, "admin")
        await _remove(bob, scope, carol)

    @promise("scopes.grants")
    async def test_nobody_grants_for_longer_than_they_hold(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        carol = await house.user("carol")
        hour = (house.clock.now() + timedelta(hours=1)).isoformat()
        day = (house.clock.now() + timedelta(days=1)).isoformat()
        await _add(alice, scope, bob, "admin", expires_at=hour)
        for more in ({}, {"expires_at": day}):
            with refused("denied"):
                await _add(bob, scope, carol, "viewer", **more)
            with refused("denied"):
                await _add(bob, scope, bob, "admin", **more)
        await _add(bob, scope, carol, "viewer", expires_at=hour)

    async def test_a_place_held_through_a_team_is_granted_for_no_longer_either(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        team = await house.root.call("principal.create", {"name": "crew", "kind": "team"})
        hour = (house.clock.now() + timedelta(hours=1)).isoformat()
        await _add(alice, scope, team["id"], "admin", expires_at=hour)
        edge = {"source": await _me(bob), "label": "member_of", "target": team["id"]}
        await house.root.call("principal.relate", edge)
        with refused("denied"):
            await _add(bob, scope, bob, "admin")
        carol = await house.user("carol")
        await _add(bob, scope, carol, "viewer", expires_at=hour)

    @promise("scopes.members", "scopes.expiry")
    async def test_expiry_is_exact_and_needs_no_sweeper(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(alice)
        await _share(alice, note, scope)
        at = (house.clock.now() + timedelta(seconds=10)).isoformat()
        await _add(alice, scope, bob, "viewer", expires_at=at)
        house.clock.advance(9.999999)
        assert await _access(bob, note) == "read"
        house.clock.advance(0.000001)
        assert await _access(bob, note) is None
        with refused("not_found"):
            await bob.call("scope.get", {"id": scope})
        assert (await bob.call("scope.list"))["items"] == []
        assert (await bob.call("whoami"))["scopes"] == []
        assert len((await alice.call("scope.get", {"id": scope}))["members"]) == 1
        await _add(alice, scope, bob, "viewer")
        assert await _access(bob, note) == "read"
        with refused("invalid"):
            await _add(alice, scope, bob, "viewer", expires_at=at)

    @promise("scopes.members")
    async def test_one_row_a_place_with_history_and_adding_again_works(
        self, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        await _add(alice, scope, bob, "viewer")
        await _remove(alice, scope, bob)
        with refused("not_found"):
            await _remove(alice, scope, bob)
        added = await _add(alice, scope, bob, "editor")
        assert [one["role"] for one in added["members"]] == ["owner", "editor"]
        trail = await alice.call("audit.list", {"about": scope, "operation": "scope.add_member"})
        changed = [one["changes"][0] for one in trail["items"]]
        assert len({one["id"] for one in changed}) == 1
        assert [one["to_version"] for one in changed] == [3, 1]

    @promise("names.leave", "transfer.last")
    async def test_anyone_may_leave_but_the_last_owner_stays(
        self, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        await _add(alice, scope, bob, "viewer")
        who = (await bob.call("whoami"))["scopes"]
        assert who[0]["added_by"] == await _me(alice)
        await bob.call("scope.leave", {"id": scope})
        with refused("not_found"):
            await bob.call("scope.leave", {"id": scope})
        for call in (
            alice.call("scope.leave", {"id": scope}),
            _remove(alice, scope, alice),
            _add(alice, scope, alice, "admin"),
        ):
            assert await _code(call) == "conflict"
        await _add(alice, scope, bob, "owner")
        await alice.call("scope.leave", {"id": scope})
        with refused("not_found"):
            await alice.call("scope.get", {"id": scope})

    async def test_a_member_removes_itself_and_nobody_else(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        carol = await house.user("carol")
        for one in (bob, carol):
            await _add(alice, scope, one, "editor")
        with refused("denied"):
            await _remove(bob, scope, carol)
        await _remove(bob, scope, bob)
        assert len((await carol.call("scope.get", {"id": scope}))["members"]) == 2

    async def test_whether_somebody_is_a_member_is_told_to_admins_alone(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """A viewer that removes a member or an outsider gets one answer."""
        scope = await _scope(alice)
        await _add(alice, scope, bob, "viewer")
        carol = await house.user("carol")
        with refused("denied"):
            await _remove(bob, scope, carol)

    async def test_an_unknown_and_a_suspended_principal_are_one_answer(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        await house.root.call("principal.suspend", {"id": await _me(bob)})
        answers = []
        for one in (house.id("bob"), f"prn_{'z' * 16}"):
            with pytest.raises(ScopedError) as caught:
                await _add(alice, scope, one, "viewer")
            answers.append(str(caught.value).replace(one, "it"))
        assert answers[0] == answers[1]


class TestShares:
    @promise("share.levels")
    @pytest.mark.parametrize("level", ["read", "write", "admin"])
    async def test_a_level_holds_for_every_direct_member_whatever_its_role(
        self, alice: Session, bob: Session, level: str
    ) -> None:
        """Ruling 26: READ < WRITE + update < ADMIN + delete, unshare; OWNER keeps the rest."""
        scope, note = await _scope(alice), await _note(alice)
        other = await _scope(alice, "other")
        await _add(alice, scope, bob, "viewer")
        await _share(alice, note, scope, access=level)
        assert await _access(bob, note) == level
        rank = ("read", "write", "admin").index(level)
        update = bob.call("object.update", {"id": note, "patch": {"n": 2}})
        assert await _code(update) == (None if rank >= 1 else "denied")
        with refused("denied"):
            await _share(bob, note, scope)
        with refused("denied"):
            await bob.call("object.transfer", {"id": note, "to": await _me(bob)})
        with refused("not_found"):
            await _unshare(bob, note, other)
        assert await _code(_unshare(bob, note, scope)) == (None if rank >= 2 else "denied")

    async def test_admin_access_through_one_scope_unshares_from_that_one_alone(
        self, alice: Session, bob: Session
    ) -> None:
        note, admin, read = await _note(alice), await _scope(alice), await _scope(alice, "read")
        for scope in (admin, read):
            await _add(alice, scope, bob, "viewer")
        await _share(alice, note, admin, access="admin")
        await _share(alice, note, read)
        with refused("denied"):
            await _unshare(bob, note, read)
        await _unshare(bob, note, admin)
        assert await _access(bob, note) == "read"

    @promise("scopes.sharing")
    async def test_admins_of_the_scope_unshare_what_others_show_there(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(bob)
        await _add(alice, scope, bob, "contributor")
        carol = await house.user("carol")
        await _add(alice, scope, carol, "viewer")
        await _share(bob, note, scope)
        with refused("denied"):
            await _unshare(carol, note, scope)
        await _unshare(alice, note, scope)
        assert await _access(carol, note) is None
        with refused("not_found"):
            await _unshare(alice, note, scope)

    @promise("scopes.revoked")
    async def test_unsharing_bites_the_very_next_call_also_mid_list(
        self, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        await _add(alice, scope, bob, "viewer")
        notes = [await _note(alice) for _ in range(4)]
        for note in notes:
            await _share(alice, note, scope)
        page = await bob.call("object.list", {"limit": 2})
        assert [one["id"] for one in page["items"]] == notes[:1:-1]
        await _unshare(alice, notes[1], scope)
        await _unshare(alice, notes[2], scope)
        rest = await bob.call("object.list", {"limit": 2, "cursor": page["next_cursor"]})
        assert [one["id"] for one in rest["items"]] == notes[:1]
        await _remove(alice, scope, bob)
        rest = await bob.call("object.list", {"limit": 2, "cursor": page["next_cursor"]})
        assert rest["items"] == []

    @promise("share.since")
    async def test_a_share_shows_the_versions_from_the_one_when_it_was_made(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """Ruling 27: earlier ones do not exist, whatever is asked."""
        scope, note = await _scope(alice), await _note(alice)
        early = house.clock.now().isoformat()
        house.clock.advance(10)
        for n in (2, 3):
            await alice.call("object.update", {"id": note, "data": {"n": n}, "reason": f"r{n}"})
        await _add(alice, scope, bob, "viewer")
        shown = await _share(alice, note, scope)
        assert shown["since"] == 3
        await alice.call("object.update", {"id": note, "data": {"n": 4}})
        history = await bob.call("object.history", {"id": note})
        assert [one["version"] for one in history["items"]] == [4, 3]
        absent = []
        for arguments in ({"version": 2}, {"version": 99}, {"as_of": early}):
            with pytest.raises(ScopedError) as caught:
                await bob.call("object.get", {"id": note} | arguments)
            assert caught.value.code == "not_found"
            absent.append(str(caught.value))
        assert len(set(absent)) == 1
        diffs = []
        for first in (2, 99):
            with pytest.raises(ScopedError) as caught:
                await bob.call(
                    "object.history", {"id": note, "from_version": first, "to_version": 4}
                )
            diffs.append(str(caught.value).replace(str(first), "n"))
        assert diffs[0] == diffs[1]
        await _share(alice, note, scope, history=True)
        history = await bob.call("object.history", {"id": note})
        assert [one["version"] for one in history["items"]] == [4, 3, 2, 1]
        found = await bob.call("object.get", {"id": note, "as_of": early})
        assert found["version"] == 1

    @promise("share.pinned")
    async def test_a_pinned_share_shows_one_version_to_read(
        self, alice: Session, bob: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(alice)
        for n in (2, 3):
            await alice.call("object.update", {"id": note, "data": {"n": n}})
        await _add(alice, scope, bob, "owner")
        with refused("invalid"):
            await _share(alice, note, scope, pin_version=2, access="write")
        with refused("invalid"):
            await _share(alice, note, scope, pin_version=2, history=True)
        with refused("invalid"):
            await _share(alice, note, scope, pin_version=4)
        await _share(alice, note, scope, pin_version=2)
        seen = await bob.call("object.get", {"id": note})
        assert (seen["version"], seen["data"], seen["access"]) == (2, {"n": 2}, "read")
        for version in (1, 3):
            with refused("not_found"):
                await bob.call("object.get", {"id": note, "version": version})
        with refused("denied"):
            await bob.call("object.update", {"id": note, "data": {}})
        history = await bob.call("object.history", {"id": note})
        assert [one["version"] for one in history["items"]] == [2]
        listed = await bob.call("object.list", {"detail": "full"})
        assert listed["items"][0]["data"] == {"n": 2}

    @promise("scopes.sharing")
    async def test_only_a_contributor_shares_and_only_its_own(
        self, alice: Session, bob: Session, mallory: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(bob)
        with refused("not_found"):
            await _share(bob, note, scope)
        await _add(alice, scope, bob, "viewer")
        with refused("denied"):
            await _share(bob, note, scope)
        await _add(alice, scope, bob, "contributor")
        await _share(bob, note, scope)
        await _add(alice, scope, mallory, "contributor")
        with refused("denied"):
            await _share(mallory, note, scope)
        with refused("not_found"):
            await _share(mallory, await _note(alice), scope)

    @promise("share.below")
    async def test_members_of_a_scope_below_read_what_is_shown_above_and_not_the_reverse(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        top = await _scope(alice)
        below = await _scope(alice, "below", parent=top)
        await _add(alice, below, bob, "editor")
        high, low = await _note(alice), await _note(alice)
        await _share(alice, high, top, access="admin")
        await _share(alice, low, below, access="write")
        assert await _access(bob, high) == "read"
        assert await _access(bob, low) == "write"
        carol = await house.user("carol")
        await _add(alice, top, carol, "admin")
        assert await _access(carol, high) == "admin"
        assert await _access(carol, low) is None
        seen = await bob.call("scope.get", {"id": top})
        assert "members" not in seen
        assert "role" not in seen

    @promise("scopes.deep")
    async def test_several_shares_give_the_best_level_and_the_widest_versions(
        self, alice: Session, bob: Session
    ) -> None:
        note = await _note(alice)
        one, two = await _scope(alice, "one"), await _scope(alice, "two")
        for scope in (one, two):
            await _add(alice, scope, bob, "viewer")
        await _share(alice, note, one, pin_version=1)
        for n in (2, 3):
            await alice.call("object.update", {"id": note, "data": {"n": n}})
        await _share(alice, note, two, access="write")
        history = await bob.call("object.history", {"id": note})
        assert [v["version"] for v in history["items"]] == [3, 1]
        assert await _access(bob, note) == "write"
        await _unshare(alice, note, two)
        assert (await bob.call("object.get", {"id": note}))["version"] == 1


class TestInheritedRoles:
    """Ruling 30: they freeze, archive, remove and lower; they raise nobody."""

    async def _below(self, alice: Session, bob: Session) -> tuple[str, str]:
        top = await _scope(alice, "top")
        await _add(alice, top, bob, "admin")
        return top, await _scope(bob, "below", parent=top)

    @promise("inherited.lower", "inherited.raise")
    async def test_they_take_away(self, house: Home, alice: Session, bob: Session) -> None:
        _, below = await self._below(alice, bob)
        carol = await house.user("carol")
        await _add(bob, below, carol, "editor")
        await _add(alice, below, carol, "viewer")
        await _remove(alice, below, carol)
        await _state(alice, below, "frozen")
        with refused("denied"):
            await _state(alice, below, "active")
        await _state(alice, below, "archived")
        for state in ("active", "frozen"):
            with refused("denied"):
                await _state(alice, below, state)

    @promise("inherited.raise")
    async def test_an_admin_of_the_scope_itself_unfreezes_what_one_above_froze(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        _, below = await self._below(alice, bob)
        carol = await house.user("carol")
        await _add(bob, below, carol, "admin")
        await _state(alice, below, "frozen")
        await _state(carol, below, "active")
        await _add(carol, below, await house.user("dave"), "viewer")

    @promise("identity.same_party", "inherited.raise")
    async def test_they_raise_nobody_and_not_themselves(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        _, below = await self._below(alice, bob)
        carol = await house.user("carol")
        await _add(bob, below, carol, "viewer")
        helper = await alice.call("agent.delegate", {"name": "h", "ttl_seconds": 600})
        for who, role in (
            (alice, "viewer"),
            (alice, "auditor"),
            (helper["principal"]["id"], "viewer"),
            (carol, "editor"),
        ):
            with refused("denied"):
                await _add(alice, below, who, role)
        with refused("denied"):
            await alice.call("scope.update", {"id": below, "name": "mine now"})
        note = await _note(bob)
        await _share(bob, note, below)
        assert await _access(alice, note) is None

    async def test_they_lengthen_no_place(self, house: Home, alice: Session, bob: Session) -> None:
        _, below = await self._below(alice, bob)
        carol = await house.user("carol")
        hour = (house.clock.now() + timedelta(hours=1)).isoformat()
        await _add(bob, below, carol, "editor", expires_at=hour)
        with refused("denied"):
            await _add(alice, below, carol, "viewer")
        await _add(alice, below, carol, "viewer", expires_at=hour)

    async def test_an_admin_of_an_archived_scope_has_nothing_below_it(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        top, below = await self._below(alice, bob)
        carol = await house.user("carol")
        await _add(alice, top, carol, "admin")
        assert await carol.call("scope.get", {"id": below})
        await _state(alice, top, "archived")
        for scope in (top, below):
            with refused("not_found"):
                await carol.call("scope.get", {"id": scope})
        for state in ("active", "frozen", "archived"):
            assert (await carol.call("scope.list", {"state": state}))["items"] == []
        assert (await carol.call("audit.list", {"about": top}))["items"] == []
        seen = (await carol.call("audit.list", {"limit": 100}))["items"]
        others = {one["operation"] for one in seen if one["principal"] != await _me(carol)}
        assert others == {"token.issue"}, "the issue of her own credential, and nothing else"


class TestRootScope:
    """Ruling 31: instance roles only."""

    @promise("scope.root")
    async def test_it_has_no_children_and_shows_nothing(self, house: Home) -> None:
        root = house.scoped.spine.house.root
        with refused("invalid"):
            await _scope(house.root, "child", parent=root)
        with refused("invalid"):
            await _share(house.root, await _note(house.root), root)
        with refused("invalid"):
            await _state(house.root, root, "frozen")
        with refused("invalid"):
            await house.root.call("scope.transfer", {"id": root})

    @promise("readme.root")
    async def test_its_owner_sees_no_private_thing(self, house: Home, alice: Session) -> None:
        note, scope = await _note(alice), await _scope(alice)
        await _share(alice, note, scope)
        assert await _access(house.root, note) is None
        for name, arguments in (
            ("scope.get", {"id": scope}),
            ("object.history", {"id": note}),
            ("registry.get", {"id": note}),
            ("object.list", {"scope": scope}),
        ):
            with refused("not_found"):
                await house.root.call(name, arguments)

    async def test_an_admin_manages_principals_and_appoints_no_auditors(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """Auditors read every trail, which admins do not."""
        root = house.scoped.spine.house.root
        await _add(house.root, root, alice, "admin")
        await alice.call("principal.create", {"name": "new"})
        with refused("denied"):
            await alice.call("audit.verify")
        for who in (bob, alice):
            with refused("denied"):
                await _add(alice, root, who, "auditor")
        await _add(house.root, root, bob, "auditor")
        assert (await bob.call("audit.verify"))["ok"]
        with refused("denied"):
            await alice.call("principal.recover", {"id": await _me(bob)})
        await _remove(alice, root, bob)

    async def test_a_delegate_of_an_admin_is_no_auditor(self, house: Home, alice: Session) -> None:
        root = house.scoped.spine.house.root
        await _add(house.root, root, alice, "admin")
        made = await alice.call(
            "agent.delegate", {"name": "h", "ttl_seconds": 600, "toolsets": ["all"]}
        )
        helper = await house.scoped.session(made["token"])
        await _add(house.root, root, made["principal"]["id"], "auditor")
        with refused("denied"):
            await helper.call("audit.verify")


class TestStates:
    @promise("taking.works")
    async def test_frozen_takes_away_and_adds_nothing(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """Ruling 21, and for all that is below."""
        scope, note = await _scope(alice), await _note(alice)
        below = await _scope(alice, "below", parent=scope)
        carol = await house.user("carol")
        for place in (scope, below):
            await _add(alice, place, bob, "editor")
            await _share(alice, note, place, access="write")
        await _state(alice, scope, "frozen")
        assert (await bob.call("scope.get", {"id": below}))["effective_state"] == "frozen"
        assert await _access(bob, note) == "read"
        other = await _note(alice)
        for place in (scope, below):
            for call in (
                _add(alice, place, carol, "viewer"),
                _add(alice, place, bob, "admin"),
                _share(alice, other, place),
                _share(alice, note, place, access="admin"),
                alice.call("scope.update", {"id": place, "name": "new"}),
                _scope(alice, f"child of {place[:8]}", parent=place),
                alice.call("scope.transfer", {"id": place, "to": await _me(bob)}),
            ):
                assert await _code(call) == "conflict"
        await _add(alice, below, bob, "viewer")
        await _unshare(alice, note, below)
        await _remove(alice, below, bob)
        await bob.call("scope.leave", {"id": scope})
        await _state(alice, scope, "active")
        await _add(alice, scope, carol, "viewer")

    @promise("taking.works")
    async def test_a_share_in_a_frozen_scope_is_narrowed_and_widened_by_nothing(
        self, alice: Session, bob: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(alice)
        await _add(alice, scope, bob, "editor")
        for number in range(2, 5):
            await alice.call("object.update", {"id": note, "data": {"n": number}})
            if number == 3:
                await _share(alice, note, scope, access="admin")
        await _state(alice, scope, "frozen")
        for wider in ({"access": "admin", "history": True}, {"pin_version": 2}):
            assert await _code(_share(alice, note, scope, **wider)) == "conflict"
        assert (await _share(alice, note, scope, access="write"))["access"] == "write"
        assert (await _share(alice, note, scope, access="read"))["access"] == "read"
        assert (await _share(alice, note, scope, pin_version=4))["pinned"] == 4
        for wider in ({}, {"access": "write"}, {"pin_version": 3}):
            assert await _code(_share(alice, note, scope, **wider)) == "conflict"
        await _share(alice, note, scope, pin_version=4)
        versions = (await bob.call("object.history", {"id": note}))["items"]
        assert [one["version"] for one in versions] == [4]

    @promise("scopes.archived")
    async def test_archived_is_invisible_to_members_with_all_below(
        self, alice: Session, bob: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(alice)
        below = await _scope(alice, "below", parent=scope)
        for place in (scope, below):
            await _add(alice, place, bob, "admin")
        await _share(alice, note, below)
        await _state(alice, scope, "archived")
        assert await _access(bob, note) is None
        for place in (scope, below):
            with refused("not_found"):
                await bob.call("scope.get", {"id": place})
        assert (await bob.call("scope.list"))["items"] == []
        assert (await bob.call("whoami"))["scopes"] == []
        assert (await alice.call("scope.get", {"id": scope}))["state"] == "archived"
        listed = await alice.call("scope.list", {"state": "archived"})
        assert [one["id"] for one in listed["items"]] == [scope]
        await _state(alice, scope, "active")
        assert await _access(bob, note) == "read"

    async def test_two_scopes_of_one_owner_never_share_a_name_in_force(
        self, alice: Session
    ) -> None:
        scope = await _scope(alice)
        with refused("conflict"):
            await _scope(alice)
        await _state(alice, scope, "archived")
        await _scope(alice)
        with refused("conflict"):
            await _state(alice, scope, "active")

    async def test_an_admin_of_a_scope_learns_no_names_of_its_owner_s_other_scopes(
        self, alice: Session, bob: Session
    ) -> None:
        await _scope(alice, "secret plan")
        scope = await _scope(alice)
        await _add(alice, scope, bob, "admin")
        renamed = await bob.call("scope.update", {"id": scope, "name": "secret plan"})
        assert renamed["name"] == "secret plan"
        other = await _scope(alice, "third")
        with refused("conflict"):
            await alice.call("scope.update", {"id": other, "name": "secret plan"})

    @promise("readme.limits", "scopes.nest", "scopes.deep")
    async def test_scopes_nest_twenty_deep(self, alice: Session) -> None:
        at, deepest = await _scope(alice, "0"), Limits().scope_depth
        for level in range(1, deepest):
            at = await _scope(alice, str(level), parent=at)
        with refused("invalid"):
            await _scope(alice, "too deep", parent=at)


class TestTransfers:
    @promise("transfer.accept")
    async def test_it_is_in_force_when_the_receiver_accepts(
        self, alice: Session, bob: Session, mallory: Session
    ) -> None:
        scope = await _scope(alice)
        await alice.call("scope.transfer", {"id": scope, "to": await _me(bob)})
        assert (await bob.call("whoami"))["waiting"]["transfers"] == [scope]
        assert "members" not in await bob.call("scope.get", {"id": scope})
        with refused("not_found"):
            await mallory.call("scope.transfer_accept", {"id": scope})
        with refused("not_found"):
            await alice.call("scope.transfer_accept", {"id": scope})
        taken = await bob.call("scope.transfer_accept", {"id": scope})
        assert {one["name"]: one["role"] for one in taken["members"]} == {
            "alice": "admin",
            "bob": "owner",
        }
        with refused("not_found"):
            await bob.call("scope.transfer_accept", {"id": scope})

    async def test_an_offer_can_be_taken_back(self, alice: Session, bob: Session) -> None:
        scope = await _scope(alice)
        await alice.call("scope.transfer", {"id": scope, "to": await _me(bob)})
        await alice.call("scope.transfer", {"id": scope})
        with refused("not_found"):
            await bob.call("scope.transfer_accept", {"id": scope})

    async def test_an_offer_ends_with_the_ownership_of_who_made_it(
        self, alice: Session, bob: Session, mallory: Session
    ) -> None:
        scope = await _scope(alice)
        await _add(alice, scope, bob, "owner")
        await bob.call("scope.transfer", {"id": scope, "to": await _me(mallory)})
        await _remove(alice, scope, bob)
        with refused("not_found"):
            await mallory.call("scope.transfer_accept", {"id": scope})

    async def test_accepting_raises_nobody_who_was_lowered_before(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = await _scope(alice)
        await _add(alice, scope, bob, "owner")
        await _add(bob, scope, alice, "viewer")
        carol = await house.user("carol")
        await bob.call("scope.transfer", {"id": scope, "to": await _me(carol)})
        taken = await carol.call("scope.transfer_accept", {"id": scope})
        roles = {one["name"]: one["role"] for one in taken["members"]}
        assert roles["alice"] == "viewer"


class TestExplaining:
    async def test_an_owner_is_told_through_what_somebody_has_access(
        self, alice: Session, bob: Session
    ) -> None:
        scope, note = await _scope(alice), await _note(alice)
        await _add(alice, scope, bob, "viewer")
        await _share(alice, note, scope, access="write")
        asked = {"principal": await _me(bob), "target": note}
        told = await alice.call("access.explain", asked)
        assert (told["access"], told["reasons"][0]["through"]) == ("write", scope)
        with refused("denied"):
            await bob.call("access.explain", asked)

    async def test_an_admin_through_one_scope_learns_nothing_of_another(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        seen, hidden, note = await _scope(alice), await _scope(alice, "hidden"), await _note(alice)
        carol = await house.user("carol")
        await _add(alice, seen, bob, "viewer")
        await _add(alice, hidden, carol, "viewer")
        await _share(alice, note, seen, access="admin")
        asked = {"principal": await _me(carol), "target": note}
        before = await bob.call("access.explain", asked)
        await _share(alice, note, hidden, access="write")
        assert await bob.call("access.explain", asked) == before
        assert (await alice.call("access.explain", asked))["access"] == "write"

    async def test_the_three_answers_agree_for_everyone(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        """What is read, what is listed and what is explained are one decision."""
        top = await _scope(alice, "top")
        left = await _scope(alice, "left", parent=top)
        right = await _scope(alice, "right", parent=top)
        carol = await house.user("carol")
        for scope in (left, right):  # a diamond: two ways up
            await _add(alice, scope, bob, "viewer")
        await _add(alice, top, carol, "auditor")
        note, other = await _note(alice), await _note(alice)
        await _share(alice, note, top, access="admin")
        await _share(alice, other, left, access="write")
        for session in (alice, bob, carol):
            for thing in (note, other):
                access = await _access(session, thing)
                asked = {"principal": await _me(session), "target": thing}
                told = await alice.call("access.explain", asked)
                assert told["access"] == (access or "none")
                listed = {one["id"] for one in (await session.call("object.list"))["items"]}
                assert (thing in listed) == (access is not None)
