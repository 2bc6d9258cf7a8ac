"""What the spine does beside one caller's one call: looks, the house's own work, pooled reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import func, select

from scoped_mcp import ScopedError, Session
from scoped_mcp.kernel.errors import UnauthenticatedError
from scoped_mcp.kernel.ids import PrincipalId, ScopeId
from scoped_mcp.layers.audit import ListEntries
from scoped_mcp.layers.identity import BreakGlass
from scoped_mcp.layers.objects import CreateObject
from scoped_mcp.layers.registry import RegisterKinds
from scoped_mcp.layers.tenancy import AddMember, Role
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.declare import Command, Effect, View, handles, operation_of
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage.path import entries, last_seen
from scoped_mcp.storage.walls import past_walls
from tests.conftest import Home
from tests.sample import refused


class Nothing(View):
    """Nothing."""


class Undeclared(Command[Nothing]):
    """What nobody handles."""

    example: ClassVar[dict[str, Any]] = {}


async def _count(house: Home, table: Any = entries) -> int:
    query = past_walls(select(func.count()).select_from(table))
    return (await house.scoped.spine.database.read(lambda conn: conn.row(query)))[0]


class TestLooks:
    async def test_a_look_answers_about_the_caller_and_leaves_no_trace(
        self, house: Home, alice: Session
    ) -> None:
        before = await _count(house)
        spine, token = house.scoped.spine, house.token("alice")
        assert await spine.look(lambda tx: tx.caller.principal, token) == house.id("alice")
        assert not await spine.look(lambda tx: hasattr(tx, "put"), token)
        assert await _count(house) == before

    async def test_a_version_is_intact_that_is_there_with_its_digest(
        self, house: Home, alice: Session
    ) -> None:
        made = await alice.call("object.create", {"type": "note", "data": {}})
        spine, token = house.scoped.spine, house.tokens["alice"]
        assert await spine.look(lambda tx: tx.intact(made["id"], 1), token)
        assert not await spine.look(lambda tx: tx.intact(made["id"], 2), token)

    async def test_a_probe_of_a_house_that_answers_leaves_no_trace(self, house: Home) -> None:
        before = await _count(house)
        await house.scoped.spine.alive()
        assert await _count(house) == before

    async def test_a_house_without_a_room_that_knows_callers_lets_nobody_in(
        self, house: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ports, "authenticate", None)
        for operation in ("object.list", "audit.list"):
            with refused("unauthenticated"):
                await house.root.call(operation)
        with pytest.raises(UnauthenticatedError):
            await house.scoped.spine.look(lambda tx: tx.now, house.root_token)


class TestTheHouse:
    async def test_the_house_writes_what_nobody_may_and_reads_what_is_pooled(
        self, house: Home, alice: Session
    ) -> None:
        spine = house.scoped.spine
        made = await spine.run_as_house(BreakGlass(name="alice"), "cli")
        with refused("unauthenticated"):
            await alice.call("whoami")
        assert await house.scoped.session(made.token)
        assert (await spine.run_as_house(RegisterKinds())).registered == 0
        assert await spine.run_as_house(ListEntries())
        page = await house.root.call("audit.list", {"operation": "principal.break_glass"})
        (entry,) = page["items"]
        assert (entry["principal"], entry["face"]) == (spine.house.principal, "cli")

    async def test_a_refusal_of_the_house_is_traced_as_the_house_s(self, house: Home) -> None:
        with pytest.raises(ScopedError) as caught:
            await house.scoped.spine.run_as_house(BreakGlass(name="nobody"))
        entry = await house.root.call("audit.get", {"id": caught.value.entry})
        assert (entry["principal"], entry["code"]) == (
            house.scoped.spine.house.principal,
            "not_found",
        )


class TestPooledReads:
    """Ruling 54."""

    async def test_a_read_whose_rights_keep_running_out_is_done_in_order_after_three_looks(
        self, house: Home, alice: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        note = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
        asked: list[int] = []

        def ran_out(_tx: Any, _since: Any, _now: Any) -> bool:
            asked.append(1)
            return True

        monkeypatch.setattr(ports, "expired", [ran_out])
        before = await _count(house)
        assert (await alice.call("object.history", {"id": note}))["items"]
        assert len(asked) == 3
        assert await _count(house) == before + 1

    async def test_a_read_whose_rights_ran_out_once_is_looked_at_again(
        self, alice: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        note = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
        answers = [True, False]
        monkeypatch.setattr(ports, "expired", [lambda *_: answers.pop(0)])
        assert (await alice.call("object.history", {"id": note}))["items"]
        assert answers == []

    async def test_a_credential_s_first_call_may_be_a_read_that_is_looked_at_again(
        self, house: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It opens a session, which stands in the entry of the look that counts."""
        asked = {"name": "carol", "kind": "user", "ttl_seconds": 3_600}
        made = await house.root.call("token.issue", asked | {"toolsets": ["all"]})
        answers = [True]  # and never again, however often it is asked
        monkeypatch.setattr(ports, "expired", [lambda *_: bool(answers) and answers.pop(0)])
        await house.scoped.spine.call("audit.list", {}, made["token"])
        assert answers == []
        assert (await house.root.call("audit.verify"))["ok"]

    async def test_a_bad_token_is_refused_as_on_every_read(self, house: Home) -> None:
        with refused("unauthenticated"):
            await house.scoped.spine.call("audit.list", {}, f"smcp_{'a' * 16}_{'b' * 52}")

    async def test_a_refusal_is_traced_once_and_names_its_entry(
        self, house: Home, alice: Session
    ) -> None:
        before = await _count(house)
        with pytest.raises(ScopedError) as caught:
            await alice.call("audit.verify")
        assert await _count(house) == before + 1
        entry = await alice.call("audit.get", {"id": caught.value.entry})
        assert (entry["operation"], entry["code"]) == ("audit.verify", "denied")

    async def test_a_hint_says_which_of_its_tools_this_credential_lacks(self, house: Home) -> None:
        carol = await house.user("carol", toolsets=["core"])
        made = await carol.call("object.create", {"type": "note", "data": {}})
        await carol.call("object.delete", {"id": made["id"]})
        with pytest.raises(ScopedError) as caught:
            await carol.call("object.update", {"id": made["id"], "data": {}})
        assert "`object_restore` of the toolset `temporal`" in caught.value.hint

    async def test_a_pinned_credential_writes_what_is_done_inside_alone(
        self, house: Home, alice: Session
    ) -> None:
        home = await alice.call("environment.spawn")
        asked = {"name": "h", "ttl_seconds": 600, "environment": home["id"]}
        pinned = await house.scoped.session((await alice.call("agent.delegate", asked))["token"])
        await pinned.call("object.create", {"type": "note", "data": {}})
        for place, there in (("environment", [home["id"]]), ("scope", [])):
            page = await pinned.call(f"{place}.list")
            assert [one["id"] for one in page["items"]] == there
        with refused("not_found"):
            await pinned.call("scope.create", {"name": "s"})


class TestLastUse:
    async def test_when_a_session_was_last_used_is_known_for_any_number_of_sessions(
        self, house: Home, alice: Session
    ) -> None:
        """Ruling 18: what is remembered of who was written down is bounded."""
        spine, now = house.scoped.spine, house.clock.now()
        spine._seen._at.update((f"ses_{n}", now) for n in range(10_001))
        house.clock.advance(61)
        await alice.call("whoami")
        assert len(spine._seen._at) == 1
        session = (await alice.call("session.list"))["items"][0]
        assert session["last_seen"] == "2026-01-05T09:01:01Z"
        assert await _count(house, last_seen) >= 1


class TestCommands:
    async def test_a_typed_command_with_lists_and_times_is_the_same_as_its_json(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = (await alice.call("scope.create", {"name": "s"}))["id"]
        until = house.clock.now() + timedelta(hours=1)
        seen = await alice.run(
            AddMember(
                scope=ScopeId(scope),
                principal=PrincipalId(house.id("bob")),
                role=Role.VIEWER,
                expires_at=until,
            )
        )
        assert until in {one.expires_at for one in seen.members or ()}
        data = {"list": [1, ["a", {"b": None}]]}
        made = await alice.run(CreateObject(type="note", data=data))
        assert made.data == data

    async def test_arguments_are_an_object(self, house: Home, alice: Session) -> None:
        for wrong in ([], "x", None, 7):
            with refused("invalid"):
                await house.scoped.spine.call("object.list", wrong, house.token("alice"))  # type: ignore[arg-type]

    @pytest.mark.parametrize(("face", "word"), [("mcp", "tool"), ("cli", "operation")])
    async def test_what_is_absent_and_what_is_hidden_answer_alike_in_the_words_of_the_face(
        self, house: Home, face: str, word: str
    ) -> None:
        await house.user("dora", toolsets=["core"])
        answers: list[tuple[str, str]] = []
        for name in ("audit_get", "audit_got"):
            with pytest.raises(ScopedError) as caught:
                await house.scoped.spine.call(name, {}, house.token("dora"), Origin(face=face))
            assert caught.value.code == "not_found"
            answers.append((caught.value.message.replace(name, "it"), caught.value.hint))
        assert answers[0] == answers[1]
        assert f"no {word} " in answers[0][0]

    def test_a_command_that_nobody_declared_has_no_operation(self) -> None:
        with pytest.raises(TypeError):
            operation_of(Undeclared)

    def test_a_command_says_what_it_answers(self) -> None:
        class Mute(Command):  # type: ignore[type-arg]
            """Does not say."""

            example: ClassVar[dict[str, Any]] = {}

        with pytest.raises(TypeError):
            handles(Mute, name="probe.mute", title="x", effect=Effect.READ)(
                lambda _c, _t: Nothing()
            )
