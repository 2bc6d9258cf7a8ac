"""The one path itself: what it promises whatever the operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from scoped_mcp import ScopedError, Session
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.ids import AnyId, ObjectId, PrincipalId
from scoped_mcp.layers.objects import CreateObject, Object
from scoped_mcp.spine import declare, detours, parse
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.declare import Access, Command, Effect, View, handles
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import entries
from scoped_mcp.storage.walls import past_walls
from tests.conftest import Home
from tests.promises import promise
from tests.sample import refused

TOKEN = f"smcp_{'a' * 16}_{'b' * 52}"
KEPT = [t for t in metadata.sorted_tables if t.name not in {"entries", "chain_heads", "last_seen"}]
Handler = Callable[[Any, Any], View]
Declare = Callable[..., None]


class Done(View):
    """That it was done."""

    made: str | None = None


class Probe(Command[Done]):
    """Try something."""

    text: str = ""

    example: ClassVar[dict[str, Any]] = {}


@pytest.fixture
def operation() -> Iterator[Declare]:
    """Declare an operation of this test's own on `Probe`, forgotten afterwards."""

    def make(handler: Handler, **more: Any) -> None:
        asked = {"name": "probe.try", "title": "Probe", "effect": Effect.CREATE} | more
        handles(Probe, **asked)(handler)

    yield make
    declare._declared.pop("probe.try", None)
    declare._by_command.pop(Probe, None)
    parse._BY_TOOL.clear()


def _object(tx: Any, **more: Any) -> Object:
    owner = tx.caller.principal
    return Object(id=tx.new_id(ObjectId), type="note", owner=owner, data={}, **more)


async def _state(house: Home) -> list[Any]:
    database = house.scoped.spine.database
    return [
        [tuple(r) for r in await database.read(lambda conn, t=t: conn.rows(past_walls(select(t))))]
        for t in KEPT
    ]


async def _bodies(house: Home) -> list[bytes]:
    query = past_walls(select(entries.c.body).order_by(entries.c.seq))
    return [r.body for r in await house.scoped.spine.database.read(lambda c: c.rows(query))]


class TestSteps:
    @promise("spine.put")
    async def test_a_put_that_was_not_declared_raises_and_stores_nothing(
        self, house: Home, alice: Session, operation: Declare
    ) -> None:
        def handler(_cmd: Probe, tx: Any) -> Done:
            return Done(made=tx.put(_object(tx)).id)

        operation(handler)
        before = await _state(house)
        with refused("internal"):
            await alice.call("probe.try")
        assert await _state(house) == before

    @promise("path.reads")
    async def test_a_read_handler_has_no_put(
        self, house: Home, alice: Session, operation: Declare
    ) -> None:
        seen: list[bool] = []

        def handler(_cmd: Probe, tx: Any) -> Done:
            seen.extend(hasattr(tx, name) for name in ("put", "new_id", "run", "random"))
            return Done()

        operation(handler, effect=Effect.READ)
        await alice.call("probe.try")
        assert seen == [False] * 4

    @promise("path.refusals")
    async def test_what_a_refused_handler_did_is_undone_and_only_its_refusal_stays(
        self, house: Home, alice: Session, operation: Declare
    ) -> None:
        def handler(_cmd: Probe, tx: Any) -> Done:
            tx.put(_object(tx))
            tx.run(CreateObject(type="note", data={}))
            message = "changed my mind"
            raise InvalidError(message)

        operation(handler, writes={Object: Access.NONE})
        before, count = await _state(house), len(await _bodies(house))
        with refused("invalid"):
            await alice.call("probe.try")
        assert await _state(house) == before
        assert len(await _bodies(house)) == count + 1
        assert (await house.root.call("audit.verify"))["ok"]

    @promise("path.whole")
    @pytest.mark.parametrize("error", [ValueError("x"), StopIteration(), KeyError("x")])
    async def test_a_handler_that_breaks_leaves_nothing_but_a_failed_entry(
        self, house: Home, alice: Session, operation: Declare, error: Exception
    ) -> None:
        def handler(_cmd: Probe, tx: Any) -> Done:
            tx.put(_object(tx))
            raise error

        operation(handler, writes={Object: Access.NONE})
        before = await _state(house)
        with refused("internal"):
            await alice.call("probe.try")
        assert await _state(house) == before
        newest = (await alice.call("audit.list"))["items"][0]
        assert (newest["operation"], newest["outcome"]) == ("probe.try", "failed")
        assert await alice.call("whoami")

    @promise("spine.nested")
    async def test_a_nested_operation_has_an_entry_that_names_its_parent_and_is_undone_with_it(
        self, house: Home, alice: Session, operation: Declare
    ) -> None:
        def handler(cmd: Probe, tx: Any) -> Done:
            made = tx.run(CreateObject(type="note", data={"t": cmd.text}))
            return Done(made=made.id)

        operation(handler)
        made = await alice.call("probe.try", {"text": "inner"})
        child, parent = (await alice.call("audit.list", {"limit": 2}))["items"]
        assert (parent["operation"], child["operation"]) == ("probe.try", "object.create")
        assert child["parent"] == parent["id"]
        assert "parent" not in parent
        assert (await alice.call("object.get", {"id": made["made"]}))["data"] == {"t": "inner"}
        before = await _state(house)
        with refused("invalid"):
            await alice.call("probe.try", {"text": TOKEN})
        assert await _state(house) == before

    @promise("spine.put")
    async def test_put_raises_beyond_the_access_that_was_declared(
        self, house: Home, alice: Session, bob: Session, operation: Declare
    ) -> None:
        """Ruling 11: even a handler that peeks at what its caller cannot see changes nothing."""
        note = await alice.call("object.create", {"type": "note", "data": {}})

        def handler(cmd: Probe, tx: Any) -> Done:
            return Done(made=tx.put(tx.peek(Object, cmd.text).but(data={"stolen": 1})).id)

        operation(handler, writes={Object: Access.WRITE})
        with refused("not_found"):
            await bob.call("probe.try", {"text": note["id"]})
        await alice.call("probe.try", {"text": note["id"]})

    async def test_a_handler_that_writes_what_it_read_long_ago_overwrites_nothing(
        self, house: Home, alice: Session, operation: Declare
    ) -> None:
        kept: list[Object] = []

        def handler(cmd: Probe, tx: Any) -> Done:
            kept[:] = kept or [tx.get(Object, cmd.text)]
            return Done(made=tx.put(kept[0].but(data={"n": "old"})).id)

        operation(handler, writes={Object: Access.NONE})
        note = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
        await alice.call("probe.try", {"text": note})
        before = await _state(house)
        with refused("internal"):
            await alice.call("probe.try", {"text": note})
        assert await _state(house) == before

    async def test_what_the_database_refuses_is_undone_and_traced_as_failed(
        self, house: Home, alice: Session, operation: Declare
    ) -> None:
        """Two versions of one thing in one entry: its guard says no (ruling 61)."""

        def handler(_cmd: Probe, tx: Any) -> Done:
            return Done(made=tx.put(tx.put(_object(tx)).but(tags=("a",))).id)

        operation(handler, writes={Object: Access.NONE})
        before = await _state(house)
        with refused("internal"):
            await alice.call("probe.try")
        assert await _state(house) == before
        newest = (await alice.call("audit.list"))["items"][0]
        assert (newest["operation"], newest["outcome"]) == ("probe.try", "failed")

    async def test_an_operation_without_a_face_is_nobody_s_to_call(
        self, house: Home, alice: Session
    ) -> None:
        for name in ("house.found", "registry.register", "principal.break_glass"):
            example = dict(declare.catalogue[name].command.example)
            for session in (alice, house.root):
                with refused("not_found"):
                    await session.call(name, example)


class TestDeclarations:
    """What is not whole fails at import."""

    def _declare(self, command: type[Command[Any]], **more: Any) -> None:
        asked = {"name": "probe.whole", "title": "x", "effect": Effect.CHANGE} | more
        handles(command, **asked)(lambda _cmd, _tx: Done())

    @promise("spine.effects")
    @pytest.mark.parametrize(
        "more",
        [
            {"name": "whoami"},
            {"on": "text"},
            {"scope": "text"},
            {"needs": {"id": Access.READ}},
            {"effect": Effect.READ, "writes": {Object: Access.NONE}},
        ],
    )
    def test_a_declaration_that_is_not_whole(self, more: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            self._declare(Probe, **more)
        assert "probe.whole" not in declare.catalogue

    @promise("spine.ids")
    def test_an_id_without_a_needed_access(self) -> None:
        class Unmapped(Command[Done]):
            """Names things."""

            ids: tuple[ObjectId, ...] = ()
            one: AnyId | None = None

            example: ClassVar[dict[str, Any]] = {}

        for needs in ({}, {"ids": Access.READ}, {"one": Access.READ}):
            with pytest.raises(TypeError):
                self._declare(Unmapped, needs=needs)

    def test_a_command_without_docstring_or_example_or_with_a_wrong_one(self) -> None:
        class Silent(Command[Done]):
            example: ClassVar[dict[str, Any]] = {}

        class NoExample(Command[Done]):
            """Says what it does."""

        class Wrong(Command[Done]):
            """Says what it does."""

            example: ClassVar[dict[str, Any]] = {"unknown": 1}

        class Traces(Command[Done]):
            """Says what it does."""

            example: ClassVar[dict[str, Any]] = {}
            traced: ClassVar[frozenset[str]] = frozenset({"unknown"})

        Silent.__doc__ = ""
        for command in (Silent, NoExample, Wrong, Traces):
            with pytest.raises((TypeError, ValueError)):
                self._declare(command)

    def test_no_command_says_who_the_caller_is(self) -> None:
        for one in declare.catalogue.values():
            fields = set(one.command.model_fields)
            assert fields.isdisjoint({"actor", "owner_id", "principal_id", "as", "caller", "token"})

    @promise("spine.ids")
    def test_every_id_field_is_authorised_or_says_why_not(self) -> None:
        """NONE is for what is public knowledge (ruling 8), or what the handler decides."""
        decided = {
            ("house.found", "organisation"),
            ("house.found", "house"),
            ("house.found", "root"),
            ("object.unshare", "object"),  # a scope's admin unshares what it cannot see
            ("object.unshare", "scope"),  # an owner takes back from where it is no more
            ("scope.adopt", "id"),  # an instance admin names a scope that nobody owns any more
            ("audit.list", "about"),  # what is invisible is as absent
            ("audit.list", "session"),
            ("audit.follow", "about"),
            ("audit.follow", "session"),
            ("tenant.add", "id"),  # drawn by the operator's program, of what is not there yet
            ("tenant.add", "organisation"),  # of another database
            ("tenant.set", "id"),  # the house's own, for the operator
            ("audit.end", "follow"),  # in the sweeper's authority
            ("environment.close_credentials", "id"),  # in its environment's authority
            ("environment.close_credentials", "credentials"),
            ("environment.sweep_one", "id"),  # in the sweeper's
            ("promotion.expire", "id"),
            ("object.inherit", "id"),
            ("scope.inherit", "id"),
            ("environment.inherit", "id"),
            ("template.inherit", "id"),
            ("environment.restore_objects", "snapshot"),  # in that of the rollback around it
        }
        for one in declare.catalogue.values():
            kinds = declare.id_fields(one.command)
            for field, needs in one.needs.items():
                if needs is Access.NONE and kinds[field] is not PrincipalId:
                    assert (one.name, field) in decided, (one.name, field)


class TestParsing:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"id": "obj_AAAAAAAAAAAAAAAA"},
            {"id": " obj_aaaaaaaaaaaaaaaa"},
            {"id": "scp_aaaaaaaaaaaaaaaa"},
            {"id": "obj_aaaaaaaaaaaaaaa1"},
            {"id": "obj_aaaaaaaaaaaaaaaa\n"},
            {"id": ""},
            {"id": 7},
            {"id": ["obj_aaaaaaaaaaaaaaaa"]},
            {},
            {"id": "obj_aaaaaaaaaaaaaaaa", "version": "1"},
            {"id": "obj_aaaaaaaaaaaaaaaa", "version": 0},
            {"id": "obj_aaaaaaaaaaaaaaaa", "version": 1.5},
            {"id": "obj_aaaaaaaaaaaaaaaa", "as_of": "2026-01-01T00:00:00"},
            {"id": "obj_aaaaaaaaaaaaaaaa", "actor": "prn_aaaaaaaaaaaaaaaa"},
        ],
        ids=str,
    )
    async def test_what_does_not_parse_is_invalid(self, alice: Session, arguments: Any) -> None:
        with refused("invalid"):
            await alice.call("object.get", arguments)

    async def test_null_for_an_optional_argument_is_its_absence(self, alice: Session) -> None:
        asked = {"type": "note", "data": {"kept": None}, "name": None, "environment": None}
        made = await alice.call("object.create", asked)
        assert made["data"] == {"kept": None}
        with refused("invalid"):
            await alice.call("object.create", {"type": None, "data": {}})

    async def test_refusals_repeat_at_most_64_characters_escaped(self, alice: Session) -> None:
        for arguments in (
            {"x" * 5_000: 1},
            {"\x1b[31m\u202e": 1},
            {"id": "obj_" + "a" * 5_000},
        ):
            with pytest.raises(ScopedError) as caught:
                await alice.call("object.get", arguments)
            message = caught.value.message
            assert len(message) < 250
            assert message.isprintable()

    async def test_a_tool_s_name_and_an_operation_s_are_the_same_call(self, alice: Session) -> None:
        assert await alice.call("object_list") == await alice.call("object.list")


class TestRepetitions:
    """Ruling 19."""

    @promise("repeat.once")
    async def test_the_same_call_with_the_same_key_is_done_once(
        self, house: Home, alice: Session
    ) -> None:
        asked = {"type": "note", "data": {"n": 1}}
        first = await alice.call("object.create", asked, key="k")
        again = await alice.call("object.create", asked, key="k")
        assert again == first
        other = await alice.call("object.create", asked, key="l")
        assert other["id"] != first["id"]
        assert len((await alice.call("object.list"))["items"]) == 2
        assert (await house.root.call("audit.verify"))["ok"]

    @promise("repeat.now")
    async def test_a_repetition_is_answered_as_the_caller_may_see_it_now(
        self, alice: Session, bob: Session
    ) -> None:
        asked = {"type": "note", "data": {"n": 1}}
        first = await alice.call("object.create", asked, key="k")
        await alice.call("object.update", {"id": first["id"], "data": {"n": 2}})
        assert (await alice.call("object.create", asked, key="k"))["data"] == {"n": 2}
        to = (await bob.call("whoami"))["principal"]["id"]
        await alice.call("object.transfer", {"id": first["id"], "to": to})
        await bob.call("object.transfer_accept", {"id": first["id"]})
        with refused("not_found"):
            await alice.call("object.create", asked, key="k")

    @promise("repeat.conflict")
    async def test_other_arguments_under_the_same_key_are_a_conflict(self, alice: Session) -> None:
        await alice.call("object.create", {"type": "note", "data": {}}, key="k")
        for name, arguments in (
            ("object.create", {"type": "note", "data": {"n": 1}}),
            ("scope.create", {"name": "s"}),
        ):
            with refused("conflict"):
                await alice.call(name, arguments, key="k")

    @promise("repeat.conflict")
    async def test_what_showed_a_token_is_not_shown_twice(self, alice: Session) -> None:
        asked = {"name": "h", "ttl_seconds": 60}
        await alice.call("agent.delegate", asked, key="k")
        with refused("conflict"):
            await alice.call("agent.delegate", asked, key="k")

    async def test_many_that_were_made_at_once_are_answered_again(self, alice: Session) -> None:
        asked = {"objects": [{"type": "note", "data": {"n": n}} for n in range(3)]}
        first = await alice.call("object.create_many", asked, key="k")
        assert await alice.call("object.create_many", asked, key="k") == first

    async def test_a_key_is_the_credential_s_own(self, alice: Session, bob: Session) -> None:
        asked = {"type": "note", "data": {}}
        first = await alice.call("object.create", asked, key="k")
        second = await bob.call("object.create", asked, key="k")
        assert first["id"] != second["id"]

    async def test_a_refused_call_does_not_use_its_key_up(self, alice: Session) -> None:
        with refused("invalid"):
            await alice.call("object.create", {"type": "BAD", "data": {}}, key="k")
        await alice.call("object.create", {"type": "note", "data": {}}, key="k")

    @promise("repeat.once")
    async def test_a_key_is_kept_for_a_day(self, house: Home, alice: Session) -> None:
        asked = {"type": "note", "data": {}}
        first = await alice.call("object.create", asked, key="k")
        house.clock.advance(86_399)
        assert (await alice.call("object.create", asked, key="k"))["id"] == first["id"]
        house.clock.advance(1)
        assert (await alice.call("object.create", asked, key="k"))["id"] != first["id"]

    @pytest.mark.parametrize("key", ["x" * 201, "\ud800", "a\nb", TOKEN])
    async def test_a_key_is_short_and_printable_and_no_token(
        self, alice: Session, key: str
    ) -> None:
        with refused("invalid"):
            await alice.call("object.create", {"type": "note", "data": {}}, key=key)


class TestOrigins:
    """What a client says of itself identifies nothing and breaks nothing (ruling 2)."""

    @promise("session.one")
    @pytest.mark.parametrize("client", [TOKEN, "\ud800", "x" * 10_000, "a\x00b", "prn_x"])
    async def test_any_client_name_is_kept_short_and_harmless(
        self, house: Home, client: str
    ) -> None:
        made = await house.root.call("principal.create", {"name": "dora"})
        issued = await house.root.call("token.issue", {"principal": made["id"]})
        session = await house.scoped.session(issued["token"], Origin(client=client))
        shown = (await session.call("whoami"))["session"]["client"]
        assert len(shown) <= 64
        assert "smcp_a" not in shown
        trail = (await session.call("audit.list"))["items"]
        assert len(trail) == 2
        assert all(TOKEN.encode() not in body for body in await _bodies(house))

    async def test_a_first_call_that_is_refused_still_opens_the_session(self, house: Home) -> None:
        made = await house.root.call("token.issue", {"name": "dora", "kind": "user"})
        with refused("not_found"):
            await house.scoped.spine.call("object.get", {"id": f"obj_{'z' * 16}"}, made["token"])
        session = await house.scoped.session(made["token"])
        seen = (await session.call("audit.list"))["items"]
        assert len({one["session"] for one in seen if one["operation"] != "token.issue"}) == 1
        assert (await house.root.call("audit.verify"))["ok"]


class TestPooledReads:
    """Ruling 54: what was seen on a snapshot is believed only while nobody's rights changed."""

    async def _look(self, house: Home, who: str, name: str, arguments: Any) -> tuple[Any, Any]:
        spine = house.scoped.spine
        request = parse.of_call(name, arguments, house.token(who), Origin(), spine.limits)
        return request, await spine.database.read(
            lambda conn: detours._glimpse(spine, conn, request)
        )

    @promise("reads.again")
    @pytest.mark.parametrize("how", ["unshared", "deleted", "transferred", "removed", "nothing"])
    async def test_a_right_lost_between_look_and_trace_is_looked_at_again(
        self, house: Home, alice: Session, bob: Session, how: str
    ) -> None:
        carol = await house.user("carol")
        scope = (await alice.call("scope.create", {"name": "s"}))["id"]
        reader = (await bob.call("whoami"))["principal"]["id"]
        place = {"scope": scope, "principal": reader, "role": "viewer"}
        await alice.call("scope.add_member", place)
        note = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
        await alice.call("object.share", {"object": note, "scope": scope})
        to = (await carol.call("whoami"))["principal"]["id"]
        await alice.call("object.transfer", {"id": note, "to": to})
        request, look = await self._look(house, "bob", "object.history", {"id": note})
        if how == "unshared":
            await alice.call("object.unshare", {"object": note, "scope": scope})
        elif how == "deleted":
            await alice.call("object.delete", {"id": note})
        elif how == "transferred":
            await carol.call("object.transfer_accept", {"id": note})
        elif how == "removed":
            await alice.call("scope.remove_member", {"scope": scope, "principal": reader})
        else:
            await alice.call("object.update", {"id": note, "data": {"n": 1}})
        spine = house.scoped.spine
        outcome = await spine.database.write(
            lambda conn: detours._confirm(spine, conn, request=request, glimpse=look)
        )
        assert (outcome is None) is (how != "nothing")
        if how != "nothing":
            with refused("not_found"):
                await bob.call("object.history", {"id": note})

    @promise("reads.again")
    async def test_an_expiry_between_look_and_trace_is_looked_at_again(
        self, house: Home, alice: Session, bob: Session
    ) -> None:
        scope = (await alice.call("scope.create", {"name": "s"}))["id"]
        reader = (await bob.call("whoami"))["principal"]["id"]
        place = {"scope": scope, "principal": reader, "role": "viewer"}
        await alice.call("scope.add_member", place | {"expires_at": "2026-01-05T09:00:10Z"})
        note = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
        await alice.call("object.share", {"object": note, "scope": scope})
        request, look = await self._look(house, "bob", "object.history", {"id": note})
        house.clock.advance(10)
        spine = house.scoped.spine
        outcome = await spine.database.write(
            lambda conn: detours._confirm(spine, conn, request=request, glimpse=look)
        )
        assert outcome is None
