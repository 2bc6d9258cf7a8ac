"""Credentials lead to their organisation, and nothing of one is seen in another."""

from __future__ import annotations

import asyncio
import base64
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from scoped_mcp import Scoped, Session, houses
from scoped_mcp.config import Settings
from scoped_mcp.houses.directory import address, opening
from scoped_mcp.kernel.errors import Code, ScopedError
from scoped_mcp.kernel.ids import CredentialId
from scoped_mcp.layers import identity, registry
from scoped_mcp.layers.identity import logic
from scoped_mcp.spine import trace
from scoped_mcp.spine.caller import External, Origin
from scoped_mcp.spine.declare import operation_of
from scoped_mcp.spine.follow import End, worker
from scoped_mcp.spine.steps import the_house
from scoped_mcp.spine.tx import WriteTx
from scoped_mcp.storage import driver
from scoped_mcp.storage.connection import Conn
from tests.houses.conftest import Opens, Town
from tests.promises import promise

NAMES = ("home", "acme", "umbra")


async def refusal(work: object) -> ScopedError:
    with pytest.raises(ScopedError) as refused:
        await work  # type: ignore[misc]
    return refused.value


def other_tail(token: str) -> str:
    """The same token with another secret: same organisation, same credential, wrong."""
    return token[:-1] + ("a" if token[-1] != "a" else "b")


@promise("organisations.tokens")
async def test_a_token_leads_to_the_organisation_that_issued_it(town: Town) -> None:
    found = {}
    for name in NAMES:
        owner = await town.owner(name)
        made = await owner.call("object.create", {"type": "note", "data": {"of": name}})
        found[name] = made["urn"].split(":")[2]
        listed = await owner.call("object.list", {"detail": "full"})
        assert [one["data"] for one in listed["items"]] == [{"of": name}]
    assert len(set(found.values())) == 3


@promise("organisations.apart")
async def test_an_id_of_another_organisation_is_as_absent_as_any(town: Town) -> None:
    acme, umbra = await town.owner("acme"), await town.owner("umbra")
    made = await acme.call("object.create", {"type": "note", "data": {}})
    theirs = await refusal(umbra.call("object.get", {"id": made["id"]}))
    nobodys = await refusal(umbra.call("object.get", {"id": "obj_" + "z" * 16}))
    assert theirs.code is nobodys.code is Code.NOT_FOUND
    blurred = (
        theirs.message.replace(made["id"], "?"),
        nobodys.message.replace("obj_" + "z" * 16, "?"),
    )
    assert blurred[0] == blurred[1]
    assert theirs.hint == nobodys.hint


@promise("organisations.oracle")
async def test_a_bad_token_is_told_nothing_of_which_organisations_there_are(town: Town) -> None:
    nowhere = logic.token_of("crd_" + "q" * 16, logic.secret_of(bytes(26), "org_nobody"))
    bad = [nowhere, "nonsense", "", *(other_tail(town.tokens[name]) for name in NAMES)]
    await houses.suspend(town.houses, "umbra")
    bad.append(town.tokens["umbra"])
    told = set()
    for token in bad:
        error = await refusal(town.houses.session(token))
        told.add((error.code, error.message, error.hint, error.retry))
        looked = await refusal(identity.verify(town.houses.spine, token))
        told.add((looked.code, looked.message, looked.hint, looked.retry))
    assert len(told) == 1


async def test_a_bad_token_of_no_organisation_opens_no_house(opens: Opens) -> None:
    async with opens() as town, town.beside() as other:
        token = logic.token_of("crd_" + "q" * 16, logic.secret_of(bytes(26), "org_nobody"))
        await refusal(other.session(token))
        await refusal(other.session(other_tail(town.tokens["home"])))
        assert not other.pool._open


@promise("organisations.tokens")
async def test_a_token_from_before_there_were_organisations_works_at_home(town: Town) -> None:
    """Its secret has chance where the tag now stands."""
    home = await town.owner("home")
    me = (await home.call("whoami"))["principal"]["id"]
    spine, secret = town.houses.home.spine, base64.b32encode(bytes(32)).decode().lower()[:52]

    def plant(conn: Conn) -> str:
        context, head = spine._begin(conn)
        context.caller = the_house(spine.house, 0)
        record = spine._record(context, operation_of(identity.IssueToken))
        tx = WriteTx(context, operation_of(identity.IssueToken), record)
        tx.key(spine.house.principal)
        old = identity.Credential(
            id=tx.new_id(CredentialId),
            principal=me,
            verifier=logic.verifier_of(secret, b"salt"),
            expires_at=tx.now + timedelta(days=1),
        )
        tx.put(old)
        trace.write(context, head, Origin(face="house"), None)
        return logic.token_of(old.id, secret)

    token = await spine.database.write(plant)
    async with town.beside() as other:
        assert other.directory.of(token) is None
        owner = await other.session(token)
        assert (await owner.call("whoami"))["principal"]["id"] == me


@promise("organisations.founded")
async def test_an_organisation_founded_elsewhere_is_served_at_once(town: Town) -> None:
    async with town.beside() as other:
        token = await town.found("late")
        assert (await identity.verify(other.spine, token))[0]
        again = await town.found("later")
        owner = await other.session(again, Origin(source="here"))
        assert (await owner.call("whoami"))["principal"]["name"] == "root"
    home = await town.owner("home")
    failed = await home.call("audit.list", {"operation": "authenticate"})
    assert failed["items"] == []


@promise("organisations.suspended")
async def test_suspension_bites_the_very_next_call_and_resuming_gives_all_back(town: Town) -> None:
    async with town.beside() as other:
        there, here = await other.session(town.tokens["acme"]), await town.owner("umbra")
        made = await there.call("object.create", {"type": "note", "data": {}})
        await houses.suspend(town.houses, "acme")
        for operation, arguments in (
            ("whoami", {}),
            ("object.get", {"id": made["id"]}),
            ("audit.list", {}),
        ):
            error = await refusal(there.call(operation, arguments))
            assert error.code is Code.UNAUTHENTICATED
        await here.call("whoami")
        await houses.resume(town.houses, "acme")
        assert (await there.call("object.get", {"id": made["id"]}))["version"] == 1


@promise("organisations.suspended")
async def test_suspension_is_a_fact_of_its_own_database(town: Town) -> None:
    await houses.suspend(town.houses, "acme")
    async with Scoped.open(f"sqlite:///{town.path('acme')}", clock=town.clock) as alone:
        error = await refusal(alone.session(town.tokens["acme"]))
        assert error.code is Code.UNAUTHENTICATED


async def test_an_external_issuer_leads_to_the_organisation_that_the_directory_names(
    town: Town,
) -> None:
    proof = External("https://issuer.example", "sub", town.clock.now() + timedelta(hours=1))
    enrol = identity.EnrolExternal(name="ext", issuer=proof.issuer, subject=proof.subject)
    await town.houses.spine.run_as_house(enrol)
    at_home = await identity.verify(town.houses.spine, proof)
    assert at_home[0] == town.houses.home.spine.house.organisation
    await houses.lead(town.houses, "acme", proof.issuer)
    await refusal(identity.verify(town.houses.spine, proof))
    await town.houses.spine.run_as_house(enrol)
    there = await identity.verify(town.houses.spine, proof)
    assert there[0] != at_home[0]
    error = await refusal(houses.lead(town.houses, "umbra", proof.issuer))
    assert error.code is Code.CONFLICT
    await houses.lead(town.houses, "acme", None)
    assert await identity.verify(town.houses.spine, proof) == at_home


@promise("organisations.bounded")
async def test_no_more_houses_stay_open_than_the_settings_allow(opens: Opens) -> None:
    async with opens(open_organisations=1) as town:
        for _ in range(2):
            for name in ("acme", "umbra"):
                await (await town.owner(name)).call("whoami")
                assert len(town.houses.pool._open) == 1
        owners = [await town.owner(name) for name in ("acme", "umbra", "home")]
        both = await asyncio.gather(*(owner.call("whoami") for owner in owners * 4))
        assert len(both) == 12
        assert len(town.houses.pool._open) == 1


@promise("organisations.broken")
async def test_a_broken_organisation_says_so_and_holds_up_nobody(town: Town) -> None:
    async with town.beside() as other:
        path, away = town.path("acme"), town.folder / "away.db"
        acme = Session(other.spine, town.tokens["acme"], Origin())
        path.rename(away)
        for _ in range(2):
            error = await refusal(acme.call("whoami"))
            assert (error.code, error.retry) == (Code.INTERNAL, True)
            assert str(town.folder) not in str(error)
        assert (await (await other.session(town.tokens["umbra"])).call("whoami"))["session"]
        away.rename(path)
        assert (await acme.call("whoami"))["principal"]["name"] == "root"


async def test_another_organisation_s_database_is_not_taken_for_it(town: Town) -> None:
    async with town.beside() as other:
        shutil.copy2(town.path("umbra"), town.path("acme"))
        acme = Session(other.spine, town.tokens["acme"], Origin())
        assert (await refusal(acme.call("whoami"))).code is Code.INTERNAL


@promise("organisations.broken")
async def test_a_slow_opening_holds_up_no_other_and_survives_who_gave_up(town: Town) -> None:
    async with town.beside() as other:
        tenant = await other.directory.named("acme")
        holder = driver.dbapi.connect(str(town.path("acme")), isolation_level=None)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        waiting = [asyncio.create_task(other.session(town.tokens["acme"])) for _ in range(2)]
        await (await other.session(town.tokens["umbra"])).call("whoami")
        assert not any(one.done() for one in waiting)
        waiting[0].cancel()
        holder.execute("ROLLBACK")
        holder.close()
        assert await waiting[1]
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        assert other.pool.opened(tenant) is not None


@promise("organisations.directory")
async def test_the_directory_is_traced_and_nobody_s_to_see(town: Town) -> None:
    home = await town.owner("home")
    listed = await home.call("registry.list", {"kind": "tenant"})
    assert listed["items"] == []
    trail = await home.call("audit.list", {"operation": "tenant.add"})
    assert len(trail["items"]) == 2
    assert "acme" not in str(trail)
    found = await home.call("registry.list", {"kind": "organisation"})
    assert found["items"] == []
    assert (await home.call("audit.verify", {}))["ok"]


async def test_a_url_with_a_password_is_never_kept(town: Town) -> None:
    tenant = await town.houses.directory.named("acme")
    for url in (
        "postgresql://me:secret@host/db",
        "postgresql://me@host/db?password=secret",
        "postgresql://host/db?sslpassword=secret",
    ):
        command = registry.SetTenant(
            id=tenant.id, expected_version=1, url=url, state=registry.TenantState.ACTIVE
        )
        error = await refusal(town.houses.home.spine.run_as_house(command))
        assert error.code is Code.INVALID
        assert "secret" not in str(error)


async def test_a_key_file_of_the_settings_is_each_organisation_s_own(
    opens: Opens, tmp_path: Path
) -> None:
    key = tmp_path / "keys" / "server"
    async with opens(key_file=key) as town:
        await town.found("late")
        tenant = await town.houses.directory.named("late")
        own = key.with_name(f"server.{tenant.id}")
        assert own.stat().st_mode & 0o777 == 0o600
        assert own.read_bytes() != key.read_bytes()
        async for _ in houses.move(town.houses, "late", str(tmp_path / "moved.db")):
            pass
        assert not (tmp_path / "moved.db.key").exists()
        assert await town.owner("late")


@promise("organisations.swept", "organisations.bounded")
async def test_a_house_opened_for_the_sweeper_takes_no_other_s_place(opens: Opens) -> None:
    async with opens(open_organisations=1) as town, town.beside() as other:
        acme, umbra = [await other.directory.named(name) for name in ("acme", "umbra")]
        assert await other.session(town.tokens["acme"])
        async with other.pool.at(umbra, brief=True):
            assert other.pool.opened(umbra) is not None
            assert other.pool.opened(acme) is not None
        assert other.pool.opened(umbra) is None
        assert other.pool.opened(acme) is not None


def test_addresses_hold_no_password_and_open_with_that_of_the_home() -> None:
    home = Settings(db="postgresql://me:secret@db.example:5432/home")
    kept = address("postgresql://me:secret@db.example:5432/acme?schema=a")
    assert kept == "postgresql://me@db.example:5432/acme?schema=a"
    assert opening(kept, home) == "postgresql://me:secret@db.example:5432/acme?schema=a"
    elsewhere = address("postgresql://me@other.example/acme")
    assert opening(elsewhere, home) == elsewhere
    for url in ("postgresql://h/db?password=x", "postgresql://h/db?a=b&sslpassword=x"):
        with pytest.raises(ScopedError):
            address(url)
    assert address("a b.db").endswith("/a%20b.db")


@promise("organisations.bounded")
async def test_a_house_is_let_go_of_when_who_followed_left_while_it_opened(town: Town) -> None:
    async with town.beside() as other:
        held = other.pool._hold(await other.directory.named("acme"))
        holder = driver.dbapi.connect(str(town.path("acme")), isolation_level=None)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        stream = other.follows.stream(town.tokens["acme"], Origin())
        opening = asyncio.create_task(stream.open("mine", "object.list", {}))
        for _ in range(10):
            await asyncio.sleep(0)
        assert held.users == 1
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        stream.close()
        holder.execute("ROLLBACK")
        holder.close()
        await (await other.session(town.tokens["acme"])).call("whoami")
        assert held.users == 0


@promise("organisations.suspended")
@pytest.mark.parametrize(
    ("what", "why"), [("suspend", End.UNAUTHENTICATED), ("move", End.UNANSWERED)]
)
async def test_what_is_followed_ends_at_once_with_its_house(
    town: Town,
    what: str,
    why: End,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever followed something in a house that moved opens it again, where that now is."""
    monkeypatch.setattr(worker, "EVERY", 600.0)  # at once: not at the next look at everything
    monkeypatch.setattr(worker, "WITHIN", 900.0)
    async with town.beside() as other:
        streams = [
            other.follows.stream(town.tokens[name], Origin(), lasting=True)
            for name in ("acme", "umbra")
        ]
        for stream in streams:
            await stream.open("mine", "object.list", {})
        if what == "suspend":
            await houses.suspend(town.houses, "acme")
        else:
            async for _ in houses.move(town.houses, "acme", str(town.folder / "new.db")):
                pass
        async with asyncio.timeout(60):
            assert [key async for key in streams[0]] == []
        assert [stream.ended for stream in streams] == [why, None]
        if what == "move":
            again = other.follows.stream(town.tokens["acme"], Origin())
            await again.open("mine", "object.list", {})
            again.close()
    assert not [one for one in caplog.records if one.levelname == "ERROR"]
