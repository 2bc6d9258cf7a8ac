"""Revocation, suspension and expiry bite the very next call, whoever serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastmcp.client import Client
from fastmcp.client.transports import StdioTransport

from scoped_mcp import Scoped
from tests.faults.conftest import Place, open_place
from tests.faults.http import code, line
from tests.faults.processes import CLI, ROOT, FileClock, command, environment, running, server
from tests.grounds import Ground
from tests.promises import promise

Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
Do = Callable[[str, dict[str, Any]], Awaitable[Any]]
TTL = 600


@dataclass
class Case:
    """Alice's object in a scope, bob who reads it there, and what can be taken from him."""

    clock: FileClock
    scope: str
    target: str
    bob: dict[str, Any]
    delegate: str
    token: str = ""

    async def revoke_token(self, root: Do, _alice: Do) -> None:
        await root("token.revoke", {"id": self.bob["id"]})

    async def revoke_session(self, root: Do, _alice: Do) -> None:
        held = await root("session.list", {"principal": self.bob["principal"]["id"]})
        await root("session.revoke", {"id": held["items"][0]["id"]})

    async def suspend(self, root: Do, _alice: Do) -> None:
        await root("principal.suspend", {"id": self.bob["principal"]["id"]})

    async def archive(self, root: Do, _alice: Do) -> None:
        await root("principal.archive", {"id": self.bob["principal"]["id"]})

    async def expire(self, _root: Do, _alice: Do) -> None:
        self.clock.advance(TTL + 1)

    async def remove(self, _root: Do, alice: Do) -> None:
        gone = {"scope": self.scope, "principal": self.bob["principal"]["id"]}
        await alice("scope.remove_member", gone)

    async def unshare(self, _root: Do, alice: Do) -> None:
        await alice("object.unshare", {"object": self.target, "scope": self.scope})

    async def end_membership(self, _root: Do, alice: Do) -> None:
        me = {"scope": self.scope, "principal": self.bob["principal"]["id"], "role": "viewer"}
        soon = self.clock.now() + timedelta(seconds=TTL / 2)
        await alice("scope.add_member", me | {"expires_at": soon.isoformat()})
        self.clock.advance(TTL / 2 + 1)


TAKEN = {
    "revoke_token": "unauthenticated",
    "revoke_session": "unauthenticated",
    "suspend": "unauthenticated",
    "archive": "unauthenticated",
    "expire": "unauthenticated",
    "remove": "not_found",
    "unshare": "not_found",
    "end_membership": "not_found",
}


Connect = Callable[[str], AbstractAsyncContextManager[Call]]


@asynccontextmanager
async def over_http(url: str, clock: FileClock) -> AsyncIterator[Connect]:
    """One server for all."""
    async with server(url, clock) as (_, address):

        @asynccontextmanager
        async def connect(token: str) -> AsyncIterator[Call]:
            async with line(address, token) as one:
                yield one.call

        yield connect


@asynccontextmanager
async def over_stdio(url: str, clock: FileClock) -> AsyncIterator[Connect]:
    """One server each, as desktop clients start them."""
    python, *arguments = command("stdio", url=url, clock=str(clock.file))

    @asynccontextmanager
    async def connect(token: str) -> AsyncIterator[Call]:
        env = environment(SCOPED_MCP_TOKEN=token, SCOPED_MCP_DB=url)
        transport = StdioTransport(python, arguments, env=env, cwd=str(ROOT), keep_alive=False)
        async with Client(transport) as client:

            async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
                answer = await client.call_tool(tool, arguments, raise_on_error=False)
                return answer.structured_content or {}

            yield call

    yield connect


def through(call: Call) -> Do:
    """A face's tool under the name of its operation."""

    async def do(name: str, arguments: dict[str, Any]) -> Any:
        answer = await call(name.replace(".", "_"), arguments)
        assert code(answer) == "done", answer
        return answer

    return do


async def prepare(place: Place, clock: FileClock, name: str) -> tuple[Case, str]:
    """A case of its own in a shared house, and alice's token."""
    alices = (await place.issue(f"alice-{name}"))["token"]
    alice = await place.scoped.session(alices)
    scope = (await alice.call("scope.create", {"name": name}))["id"]
    target = (await alice.call("object.create", {"type": "note", "data": {}}))["id"]
    await alice.call("object.share", {"object": target, "scope": scope, "access": "write"})
    bob = await place.issue(f"bob-{name}", ttl_seconds=TTL)
    member = {"scope": scope, "principal": bob["principal"]["id"], "role": "viewer"}
    await alice.call("scope.add_member", member)
    bobs = await place.scoped.session(bob["token"])
    agent = await bobs.call("agent.delegate", {"name": "helper", "ttl_seconds": TTL})
    return Case(clock, scope, target, bob, agent["token"]), alices


async def over_http_all_is_taken(place: Place, clock: FileClock, *, elsewhere: bool) -> None:
    async with over_http(place.url, clock) as connect:
        for taken, answer in TAKEN.items():
            case, alices = await prepare(place, clock, taken)
            async with (
                connect(case.bob["token"]) as bob,
                connect(case.delegate) as delegate,
                connect(alices) as alice,
                connect(place.root_token) as root,
            ):
                change = {"id": case.target, "patch": {"by": taken}}
                assert code(await bob("object_update", change)) == "done"
                assert code(await delegate("whoami", {})) == "done"
                if elsewhere:
                    alice_here = await place.scoped.session(alices)
                    await getattr(case, taken)(place.root.call, alice_here.call)
                else:
                    await getattr(case, taken)(through(root), through(alice))
                assert code(await bob("object_update", change)) == answer, taken
                assert code(await bob("object_get", {"id": case.target})) == answer, taken
                if answer == "unauthenticated":  # and with him what he delegated
                    assert code(await delegate("whoami", {})) == answer, taken


@promise("readme.identity", "readme.revocation", "identity.suspended", "scopes.revoked")
async def test_what_another_process_takes_is_gone_at_the_very_next_call(
    tmp_path: Path, ground: Ground
) -> None:
    clock = FileClock(tmp_path / "clock")
    async with open_place(tmp_path, clock, ground) as place:
        await over_http_all_is_taken(place, clock, elsewhere=True)


@promise("readme.revocation")
@pytest.mark.sqlite  # one process is one process on either engine
async def test_what_the_serving_process_takes_is_gone_at_the_very_next_call(tmp_path: Path) -> None:
    clock = FileClock(tmp_path / "clock")
    async with open_place(tmp_path, clock) as place:
        await over_http_all_is_taken(place, clock, elsewhere=False)


STDIO = [
    taken if taken in {"revoke_token", "expire"} else pytest.param(taken, marks=pytest.mark.slow)
    for taken in TAKEN
]


@pytest.mark.slow
@pytest.mark.sqlite  # desktop clients start servers on a file
@pytest.mark.parametrize("taken", STDIO)
async def test_it_is_gone_at_the_very_next_call_over_stdio_too(tmp_path: Path, taken: str) -> None:
    clock = FileClock(tmp_path / "clock")
    async with open_place(tmp_path, clock) as place, over_stdio(place.url, clock) as connect:
        case, alices = await prepare(place, clock, taken)
        async with connect(case.bob["token"]) as bob:
            change = {"id": case.target, "patch": {"by": taken}}
            assert code(await bob("object_update", change)) == "done"
            alice = await place.scoped.session(alices)
            await getattr(case, taken)(place.root.call, alice.call)
            assert code(await bob("object_update", change)) == TAKEN[taken]


@pytest.mark.parametrize("taken", ["token", pytest.param("principal", marks=pytest.mark.slow)])
@pytest.mark.sqlite  # it is another process
async def test_what_the_command_line_takes_is_gone_at_the_very_next_call(
    place: Place, taken: str
) -> None:
    bob = await place.issue("bob")
    async with server(place.url) as (_, address), line(address, bob["token"]) as caller:
        assert code(await caller.call("whoami")) == "done"
        words = ["token", "revoke", bob["id"]] if taken == "token" else [taken, "suspend", "bob"]
        settings = {"SCOPED_MCP_DB": place.url, "SCOPED_MCP_TOKEN": place.root_token}
        async with running(*CLI, *words, **settings) as process:
            assert await process.over() == 0, await process.complaint()
        assert code(await caller.call("whoami")) == "unauthenticated"


@pytest.mark.slow
@promise("suspension.computed")
@pytest.mark.sqlite  # computed, not stored
async def test_resuming_gives_back_exactly_what_suspension_took(
    tmp_path: Path, ground: Ground
) -> None:
    clock = FileClock(tmp_path / "clock")
    async with open_place(tmp_path, clock, ground) as place:
        case, _ = await prepare(place, clock, "resumed")
        async with (
            over_http(place.url, clock) as connect,
            connect(case.bob["token"]) as bob,
            connect(case.delegate) as delegate,
        ):
            who = {"id": case.bob["principal"]["id"]}
            for _ in range(3):
                await place.root.call("principal.suspend", who)
                assert code(await bob("whoami", {})) == "unauthenticated"
                assert code(await delegate("whoami", {})) == "unauthenticated"
                await place.root.call("principal.resume", who)
                assert code(await bob("object_get", {"id": case.target})) == "done"
                assert code(await delegate("whoami", {})) == "done"


async def test_a_house_opened_elsewhere_obeys_at_once_too(tmp_path: Path, ground: Ground) -> None:
    async with open_place(tmp_path, ground=ground) as place, Scoped.open(place.url) as other:
        bob = await place.issue("bob")
        there = await other.session(bob["token"])
        await place.root.call("token.revoke", {"id": bob["id"]})
        with pytest.raises(Exception, match="unauthenticated"):
            await there.call("whoami")
