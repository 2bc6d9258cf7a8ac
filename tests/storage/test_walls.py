"""Row security on PostgreSQL: a statement that forgets whom it is for finds what is theirs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Select, select

from scoped_mcp import Scoped, Session
from scoped_mcp.kernel.ids import ScopeId
from scoped_mcp.layers.environments.tables import snapshots, templates
from scoped_mcp.layers.flow.tables import promotions
from scoped_mcp.layers.objects import objects
from scoped_mcp.layers.tenancy.model import LeaveScope
from scoped_mcp.spine import entity
from scoped_mcp.spine.declare import Effect
from scoped_mcp.storage import revisions
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import entries, registry, version_contents, versions
from scoped_mcp.storage.postgres import schema
from scoped_mcp.storage.postgres import walls as built
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.dialect import DIALECT, door_of
from scoped_mcp.storage.walls import past_walls, walls
from tests import grounds
from tests.conftest import FixedClock, Home
from tests.promises import promise
from tests.sample import STRANGER, _enrol, _furnish, _own
from tests.spine.test_path import Declare, Done, Probe, operation
from tests.walls import Raw, keys_of, raw_at

__all__ = ["operation"]

pytestmark = pytest.mark.postgresql
NOTE = {"type": "note", "data": {"n": 1}}
WALLED = {
    t.name for t in (objects, snapshots, templates, promotions, versions, version_contents, entries)
}
"""What holds what people stored. Everything else is what decisions are made of."""
_FORGETFUL = select(entries.c.id)
MEET = {
    "layers.audit.store.entries._ONE",
    "layers.objects.store._OFFERED",
    "layers.objects.store._SHOWN",
}


@pytest.fixture
def raw(house: Home) -> Iterator[Raw]:
    """A connection as the role that serves."""
    with raw_at(house.url) as found:
        yield found


class TestNobody:
    @promise("walls.nobody")
    async def test_without_a_caller_there_are_no_rows(
        self, house: Home, alice: Session, raw: Raw
    ) -> None:
        await alice.call("object.create", NOTE)
        for table in [*metadata.tables, *map(door_of, WALLED)]:
            assert raw.rows(f"SELECT * FROM {table}") == [], table
        everything = {"everything": [1]}
        assert raw.rows("SELECT * FROM entries", everything) != []
        assert raw.rows("SELECT * FROM entries") == []  # what was said went with its transaction
        assert raw.rows("SELECT * FROM past_entries") == []

    @promise("walls.nobody")
    async def test_who_comes_later_in_a_transaction_is_not_who_was_there_before(
        self, house: Home, alice: Session
    ) -> None:
        """As where the looks of several credentials share a snapshot."""
        await alice.call("object.create", NOTE)
        keys = await keys_of(house.scoped, house.token("alice"))

        def looks(conn: Any) -> list[int]:
            found: list[int] = []
            for known in (keys.get, lambda _name: None):
                conn.seen_by(known)
                found += [len(conn.rows(select(objects.c.id))), len(conn.rows(_FORGETFUL))]
                conn.forget()
            return found

        one, all_, none, nothing = await house.scoped.spine.database.read(looks)
        assert (one, none, nothing) == (1, 0, 0)
        assert all_ > 0

    @pytest.mark.slow
    async def test_the_path_itself_is_shown_nothing_before_it_knows_who_asks(
        self, alice: Session, raw: Raw
    ) -> None:
        await alice.call("object.create", NOTE)
        for table in WALLED:
            assert raw.rows(f"SELECT * FROM {table}", {}) == [], table

    @pytest.mark.slow
    @promise("walls.nobody")
    async def test_without_a_caller_nothing_is_put_in(self, alice: Session, raw: Raw) -> None:
        made = await alice.call("object.create", NOTE)
        keys = f"SELECT id FROM registry WHERE public_id = '{made['id']}'"
        assert raw.rows(keys) == []
        insert_ = "INSERT INTO {} (id, {}) VALUES (1, {}) RETURNING id"
        for table, more, values in (
            ("past_version_contents", "version", "9"),
            ("sizes", "things", "1"),
            ("last_seen", "at", "''"),
        ):
            with pytest.raises(errors.Error) as caught:
                raw.rows(insert_.format(table, more, values))
            assert isinstance(
                caught.value, (errors.InsufficientPrivilege, errors.WithCheckOptionViolation)
            )
        with pytest.raises(errors.InsufficientPrivilege):
            raw.rows(insert_.format("version_contents", "version", "9"), {})


class TestSomebody:
    @promise("walls.forgetful")
    async def test_a_query_that_forgets_visibility_finds_what_is_the_callers(
        self, house: Home, alice: Session, bob: Session, operation: Declare
    ) -> None:
        async def forgotten(who: Session) -> set[str]:
            return set((await who.call("probe.try"))["made"].split())

        operation(lambda _cmd, tx: _everything(tx), effect=Effect.READ)
        mine = (await alice.call("object.create", NOTE))["id"]
        theirs = (await bob.call("object.create", NOTE))["id"]
        assert await forgotten(alice) == {mine}
        assert await forgotten(bob) == {theirs}
        scope = await _shared(alice, bob)
        (shown,) = {one["id"] for one in (await alice.call("object.list"))["items"]} - {mine}
        assert await forgotten(bob) == {shown, theirs}
        await alice.call("scope.remove_member", {"scope": scope, "principal": house.id("bob")})
        assert await forgotten(bob) == {theirs}

    @promise("walls.forgetful")
    async def test_what_moves_rights_counts_within_the_same_transaction(
        self, house: Home, alice: Session, bob: Session, operation: Declare
    ) -> None:
        scope = await _shared(alice, bob)

        def leaves(_cmd: Probe, tx: Any) -> Done:
            before = _everything(tx).made
            tx.run(LeaveScope(id=ScopeId(scope)))
            return Done(made=f"{len(before.split())} {len(_everything(tx).made.split())}")

        operation(leaves)
        assert (await bob.call("probe.try"))["made"] == "1 0"

    @pytest.mark.slow
    async def test_a_version_that_a_share_does_not_show_is_not_there(
        self, house: Home, alice: Session, bob: Session, raw: Raw
    ) -> None:
        await _shared(alice, bob, pin_version=1)
        (mine,) = [one["id"] for one in (await alice.call("object.list"))["items"]]
        await alice.call("object.update", {"id": mine, "patch": {"m": 2}})
        keys = await keys_of(house.scoped, house.token("bob"))
        assert raw.ids("objects", keys) == {mine}
        for table in ("versions", "version_contents"):
            assert raw.versions(table, keys) == {(mine, 1)}, table
        await alice.call("object.update", {"id": mine, "patch": {"m": 3}})
        assert raw.versions("version_contents", keys) == {(mine, 1)}

    async def test_of_what_no_wall_is_around_no_version_is_shown_to_anybody(
        self, house: Home, alice: Session, raw: Raw
    ) -> None:
        """A scope's words, a credential's verifier: decisions read them, by the doors."""
        await alice.call("scope.create", {"name": "plans"})
        await alice.call("environment.spawn", {"purpose": "what nobody is to know"})
        await alice.call("object.create", NOTE)
        kinds = "SELECT DISTINCT r.kind FROM {} v JOIN registry r ON r.id = v.id"
        for name in ("alice", "root"):
            keys = await keys_of(house.scoped, house.token(name))
            for table in ("versions", "version_contents"):
                assert {row[0] for row in raw.rows(kinds.format(table), keys)} <= {"object"}


class TestMade:
    def test_what_has_a_wall_is_decided_here(self) -> None:
        assert set(walls) == WALLED
        assert all(one.asks for one in walls.values())

    def test_which_statements_meet_a_wall_is_decided_here(self) -> None:
        """Of those that modules build once. One that decides says `past_walls`."""
        meet = {
            f"{module.__name__.removeprefix('scoped_mcp.')}.{name}"
            for module in [m for n, m in sys.modules.items() if n.startswith("scoped_mcp.")]
            for name, one in vars(module).items()
            if isinstance(one, Select) and getattr(one.compile(dialect=DIALECT), "asks", None)
        }
        assert meet == MEET

    def test_a_marked_statement_names_doors_and_each_under_its_tables_name(self) -> None:
        """Or a column would be an outer table's: a filter within would be none."""
        inner, other = select(objects.c.id).where(objects.c.owner == 1), entries.alias()
        within = select(objects.c.id).where(objects.c.id.in_(select(inner.subquery().c.id)))
        both = within.where(objects.c.entry.in_(select(other.c.id)))
        for but, outer in (((), "past_objects AS objects"), ((objects.name,), "objects")):
            found = str(past_walls(both, but=but).compile(dialect=DIALECT)).split("FROM ")
            names = [re.split(r" \n|\)", words)[0] for words in found[1:]]
            assert names[0] == outer
            assert [names[-2], names[-1]] == [
                "past_objects AS objects",
                "past_entries AS entries_1",
            ]

    def test_no_wall_reads_the_table_it_is_around_but_by_its_rows(self) -> None:
        for name, one in walls.items():
            assert door_of(name) not in built.condition(one), name

    @pytest.mark.slow
    @promise("walls.migrations")
    def test_walls_stand_after_every_step_down_and_up(self, database_url: str) -> None:
        address = Address.parse(database_url)
        tables = set(metadata.tables)

        def standing() -> dict[str, str]:
            with psycopg.connect(database_url) as raw:
                return built.present(raw, address.schema)

        new = standing()
        every = {f"table {t} {t}" for t in tables} | {f"policy {t} owner" for t in tables}
        every |= {f"policy {t} shown" for t in WALLED}
        every |= {f"policy {t} path" for t in tables - WALLED}
        every |= {f"door {door_of(t)} {door_of(t)}" for t in WALLED}
        assert set(new) == every
        steps = [one.revision for one in revisions.scripts().walk_revisions()]
        for revision in steps[1:]:
            schema.downgrade(address, revision)
            below = standing()
            assert set(below) <= every
            assert {n for n in below if n.startswith("policy")} >= {
                f"policy {t} {p}" for t in ("objects", "entries") for p in ("owner", "shown")
            }
        for revision in steps[-2::-1]:
            schema.upgrade(address, revision)
        assert standing() == new

    @pytest.mark.slow
    def test_a_wall_that_was_taken_down_comes_back(self, database_url: str) -> None:
        address = Address.parse(database_url)
        with psycopg.connect(database_url) as raw:
            new = built.present(raw, address.schema)
            raw.execute(f"DROP POLICY shown ON {address.schema}.objects")
            raw.execute(f"ALTER TABLE {address.schema}.entries DISABLE ROW LEVEL SECURITY")
        schema.upgrade(address)
        with psycopg.connect(database_url) as raw:
            assert built.present(raw, address.schema) == new


async def _shared(owner: Session, guest: Session, **how: Any) -> str:
    """A scope in which a guest sees one thing of its owner's."""
    scope = str((await owner.call("scope.create", {"name": "plans"}))["id"])
    me = (await guest.call("whoami"))["principal"]["id"]
    await owner.call("scope.add_member", {"scope": scope, "principal": me, "role": "viewer"})
    thing = (await owner.call("object.create", NOTE))["id"]
    await owner.call("object.share", {"object": thing, "scope": scope, **how})
    return scope


def _everything(tx: Any) -> Done:
    """Every object there is, as a room would find them that forgot whom it works for."""
    query = select(registry.c.public_id).join_from(registry, objects, objects.c.id == registry.c.id)
    return Done(made=" ".join(row.public_id for row in tx.rows(query)))


@pytest.mark.slow
@promise("walls.agree")
async def test_raw_sql_finds_what_lists_show_for_everybody_in_the_sample(
    database_url: str, tmp_path: Path
) -> None:
    """Filters are asked past walls and walls without filters: each is a whole wall by itself."""
    clock, ground = FixedClock(), grounds.of(database_url)
    url = ground.place(tmp_path)
    tokens = {"alice": await Scoped.create(url, name="alice", clock=clock)}
    async with Scoped.open(url, clock=clock) as scoped:
        alice = await scoped.session(tokens["alice"])
        _, tokens[STRANGER] = await _enrol(alice, STRANGER)
        await scoped.session(tokens[STRANGER])
        await _furnish(scoped, tokens)
        await _own(scoped, tokens[STRANGER])
        me = (await alice.call("whoami"))["principal"]["id"]
        environment = await alice.call("environment.spawn", {"name": "pinned"})
        here = {"environment": environment["id"]}
        await alice.call("object.create", NOTE | here)
        for name, asked in (
            ("pinned", {"principal": me, "environment": environment["id"]}),
            ("auditor", {"name": "auditor", "kind": "user"}),
        ):
            made = await alice.call("token.issue", {"ttl_seconds": 86_400, **asked})
            tokens[name] = made["token"]
        house = {"scope": scoped.spine.house.root, "principal": made["principal"]["id"]}
        await alice.call("scope.add_member", house | {"role": "auditor"})
        del tokens["carl"]  # suspended
        with raw_at(url) as raw:
            for name, token in tokens.items():
                session = await scoped.session(token)
                keys = await keys_of(scoped, token)
                for one in entity.kinds():
                    if one.table.name in WALLED:
                        listed = await scoped.spine.look(_listed(one), token)
                        assert raw.ids(one.table.name, keys) == listed, (name, one.table.name)
                shown = await _shown(session, raw.ids("objects", keys))
                for table in ("versions", "version_contents"):
                    assert raw.versions(table, keys) == shown, (name, table)
                trail = await _trail(session)
                read = "SELECT public_id FROM entries WHERE operation NOT LIKE 'audit.%'"
                assert {row[0] for row in raw.rows(read, keys)} == trail, name
    ground.forget(url)


def _listed(one: entity.Bound) -> Callable[[Any], set[str]]:
    def listed(tx: Any) -> set[str]:
        query = past_walls(tx.select(one.kind).newest(10_000))
        return {each.id for each in tx.entities(one.kind, query)}

    return listed


async def _shown(session: Session, things: set[str]) -> set[tuple[str, int]]:
    """The versions that history tells of."""
    found = [(thing, await session.call("object.history", {"id": thing})) for thing in things]
    return {(thing, one["version"]) for thing, page in found for one in page["items"]}


async def _trail(session: Session) -> set[str]:
    found, cursor = set[str](), {}
    while True:
        page = await session.call("audit.list", {"limit": 100, **cursor})
        found |= {one["id"] for one in page["items"]}
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
