"""Two organisations with the same names in them: what happens in one is nothing in the other."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastmcp.utilities.tests import run_asgi_lifespan
from mcp_types import ResourceTemplateReference

from scoped_mcp import ScopedError, Session
from scoped_mcp.faces.mcp import application
from scoped_mcp.houses.worker import Sweeper
from scoped_mcp.kernel.errors import Code
from scoped_mcp.spine.declare import Effect, catalogue
from tests.conftest import FixedEntropy
from tests.faces.conftest import Face, rpc
from tests.houses.conftest import Opens, Town
from tests.promises import promise

NAMES = ("acme", "umbra")
READS = [one for one in catalogue.values() if one.tool and one.effect is Effect.READ]


async def live(owner: Session, *, of: str) -> list[Any]:
    """The same life in each organisation: the same names, things, places, refusals."""
    done: list[Any] = []

    async def do(who: Session, operation: str, **arguments: Any) -> dict[str, Any]:
        done.append(await who.call(operation, arguments))
        return done[-1]

    issued = await do(owner, "token.issue", name="alice", kind="user", toolsets=["all"])
    scope = await do(owner, "scope.create", name="team")
    note = await do(owner, "object.create", type="note", name="plan", data={"of": of})
    await do(owner, "object.update", id=note["id"], data={"of": of, "n": 2})
    await do(owner, "object.share", object=note["id"], scope=scope["id"])
    await do(owner, "environment.spawn", name="room")
    await do(owner, "principal.relate", source=issued["principal"]["id"], label="knows",
             target=(await owner.call("whoami"))["principal"]["id"])  # fmt: skip
    return done


async def asked(owner: Session) -> dict[str, Any]:
    """What every read answers that needs no id, and what each page holds."""
    found: dict[str, Any] = {}
    for operation in READS:
        required = {n for n, f in operation.command.model_fields.items() if f.is_required()}
        if required & set(operation.needs):
            continue
        for more in ({}, {"limit": 2}, {"detail": "full"}):
            if not set(more) <= set(operation.command.model_fields):
                continue
            given = {n: v for n, v in operation.command.example.items() if n in required} | more
            try:
                answer = await owner.call(operation.name, given)
            except ScopedError as error:
                answer = {"code": error.code, "message": error.message, "entry": error.entry}
            found[f"{operation.name} {more}"] = answer
    return found


@promise("organisations.apart")
async def test_what_an_organisation_is_told_does_not_depend_on_what_others_do(
    opens: Opens, tmp_path: Path
) -> None:
    answers = []
    for busy in (False, True):
        place = tmp_path / str(busy)
        place.mkdir()
        async with opens(place, FixedEntropy("town")) as town:
            acme, umbra = [await town.owner(name) for name in NAMES]
            if busy:
                await live(umbra, of="umbra")
                await live(await town.owner("home"), of="home")
            lived = await live(acme, of="acme")
            if busy:
                await umbra.call("object.create", {"type": "note", "name": "more", "data": {}})
            answers.append((lived, await asked(acme)))
    assert len(answers[0][1]) > 20
    for name, answer in answers[0][1].items():
        assert answer == answers[1][1][name], name
    assert answers[0] == answers[1]


@asynccontextmanager
async def faces(town: Town) -> Any:
    """One server's HTTP face, as each organisation meets it."""
    async with AsyncExitStack() as stack:
        app = application(town.houses)
        await stack.enter_async_context(run_asgi_lifespan(app))
        yield {
            name: Face(town.houses, app, town.tokens[name], "")  # type: ignore[arg-type]
            for name in (*NAMES, "home")
        }


@promise("organisations.tokens", "organisations.apart")
async def test_every_part_of_the_mcp_face_is_of_the_caller_s_organisation(town: Town) -> None:
    made: dict[str, str] = {}
    async with faces(town) as served:
        del served["home"]
        for name, face in served.items():
            narrow = await face.user("alice", toolsets=["core"])
            async with face.client(narrow) as client:
                note = await client.call_tool(
                    "object_create", {"type": "note", "data": {"of": name}}
                )
                made[name] = note.structured_content["id"]
                assert "principal_create" not in {t.name for t in await client.list_tools()}
                assert len(await client.list_prompts()) == 3
        for name, face in served.items():
            others = [made[other] for other in made if other != name]
            async with face.client(await face.user("bob", toolsets=["all"])) as client:
                assert "principal_create" in {t.name for t in await client.list_tools()}
                listed = await client.call_tool("object_list", {})
                assert listed.structured_content["items"] == []
            async with face.client(face.root_token) as client:
                for other in others:
                    absent = await client.call_tool(
                        "object_get", {"id": other}, raise_on_error=False
                    )
                    assert absent.structured_content["error"]["code"] == "not_found"
                    async with face.http(face.root_token, accept="application/json") as http:
                        uri = f"scoped://objects/{other}"
                        read = await http.post("/mcp", json=rpc("resources/read", {"uri": uri}))
                        assert "error" in read.json()
                own = await client.call_tool("scope_create", {"name": "team"})
                completed = await client.complete(
                    ResourceTemplateReference(uri="scoped://scopes/{id}"),
                    {"name": "id", "value": "scp_"},
                )
                assert own.structured_content["id"] in completed.values
                assert len(completed.values) == 2  # and its own root scope


@promise("organisations.apart")
async def test_metrics_count_the_calls_of_one_s_own_organisation(town: Town) -> None:
    async with faces(town) as served:
        acme, umbra = served["acme"], served["umbra"]
        async with acme.http(acme.root_token, accept="application/json") as http:
            for _ in range(3):
                await http.post("/mcp", json=rpc("tools/call", {"name": "whoami", "arguments": {}}))
            mine = (await http.get("/metrics")).text
        async with umbra.http(umbra.root_token) as http:
            theirs = (await http.get("/metrics")).text
    assert 'operation="whoami",outcome="done"} 3' in mine
    assert "whoami" not in theirs


@promise("organisations.broken")
async def test_over_http_a_broken_organisation_is_503_and_a_suspended_one_401(town: Town) -> None:
    from scoped_mcp import houses

    town.path("acme").unlink()
    await houses.suspend(town.houses, "umbra")
    call = rpc("tools/call", {"name": "whoami", "arguments": {}})
    async with faces(town) as served:
        told = {}
        for name, face in served.items():
            async with face.http(face.root_token, accept="application/json") as http:
                told[name] = await http.post("/mcp", json=call)
    assert told["acme"].status_code == 503
    assert told["acme"].json()["error"]["code"] == Code.INTERNAL
    assert told["umbra"].status_code == 401
    assert told["home"].status_code == 200


@promise("organisations.swept")
async def test_open_houses_are_swept_each_time_and_closed_ones_in_turn(town: Town) -> None:
    for name in (*NAMES, "home"):
        owner = await town.owner(name)
        await owner.call("environment.spawn", {"name": "room"})
    town.clock.advance(60 * 86_400)
    async with town.beside() as other:
        assert await other.session(town.tokens["acme"])
        sweeper = Sweeper(other.home, other.directory, other.pool)
        for _ in range(2):
            await sweeper.round()
            await sweeper.done()
        assert [held.tenant.name for held in other.pool._open.values()] == ["acme"]
    for name in (*NAMES, "home"):
        owner = await town.owner(name)
        trail = await owner.call("audit.list", {"operation": "environment.sweep_one"})
        assert len(trail["items"]) == 1, name


async def test_what_one_house_refuses_the_sweeper_others_do_not_wait_for(town: Town) -> None:
    town.path("acme").unlink()
    async with town.beside() as other:
        sweeper = Sweeper(other.home, other.directory, other.pool)
        for _ in range(3):
            await sweeper.round()
            await sweeper.done()
        assert set(sweeper._turns.values()) >= {2, 3}
