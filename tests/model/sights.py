"""What everybody sees, by lists, by reading, by history and by address: as the model says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mcp import MCPError
from mcp_types import CompletionArgument, ResourceTemplateReference

from scoped_mcp.faces.mcp.credentials import Credentials
from scoped_mcp.faces.mcp.metrics import Metrics
from scoped_mcp.faces.mcp.resources import Reader
from scoped_mcp.faces.mcp.tools import Caller
from tests.model.beside import ROLES
from tests.model.model import ADMIN, NOBODY, NONE, READ
from tests.model.rooms import ACCESS, Rooms

OBJECTS = ResourceTemplateReference(type="ref/resource", uri="scoped://objects/{id}")
SCOPES = ResourceTemplateReference(type="ref/resource", uri="scoped://scopes/{id}")
ENVIRONMENTS = ResourceTemplateReference(type="ref/resource", uri="scoped://environments/{id}")
WHATEVER = CompletionArgument(name="id", value="")


class Sights(Rooms):
    """Comparisons of one sight; none of them changes anything.

    Attributes:
        every: Of how many watchers one lists what it sees, by turns.
        seldom: Of how many watchers one looks at all, by turns; at the end, of two.
    """

    every = 1
    seldom = 1

    # --- expected

    def expected(self, token: str, thing: str, version: int | None = None) -> Any:
        """Version, data, access and where it is shown; or the code of the refusal."""
        who = self.with_(token)
        have, seen = self.model.sight(who, thing)
        if have == NONE or (version is not None and version not in seen):
            return "not_found"
        version = version or max(seen)
        scopes = {s for t, s in self.model.shown if t == thing and self.model.scope(who, s)}
        content = self.model.objects[thing]["versions"][version - 1]
        return version, content, ACCESS[have], scopes

    def objects(self, token: str) -> tuple[set[str], set[str]]:
        """What it sees that is there, and what it sees the tombstones of."""
        who = self.with_(token)
        seen = {k for k in self.model.objects if self.model.sight(who, k)[0]}
        gone = {k for k in seen if self.model.objects[k]["versions"][-1] is None}
        return seen - gone, gone

    def scopes(self, token: str) -> tuple[set[str], set[str]]:
        """The scopes it sees, and the archived ones; isolation scopes are not listed."""
        who = self.with_(token)
        seen = {k for k in self.model.scopes if self.model.scope(who, k)}
        gone = {k for k in seen if self.model.scopes[k]["state"] == "archived"}
        return seen - gone, gone

    # --- compared

    def look(self, things: list[str], places: list[str], *, whole: bool) -> None:
        """Everybody's lists, and these from every side; what costs most, by turns.

        Args:
            places: Scopes and environments, each looked at by every second or third.
            whole: Every version and every page, and no read of what a third read whole.
        """

        async def everybody() -> None:
            looks: list[Any] = []
            for turn, token in enumerate(self.watching(), next(self.numbers)):
                if turn % (min(2, self.seldom) if whole else self.seldom):
                    continue
                if whole or turn % self.every == 0:
                    looks.append(self.lists(token, whole=whole))
                if whole or turn % 2:
                    looks.append(self.workplace(token))
                if whole or not turn % 2:
                    looks.append(self.listed(token, whole=whole))
                for number, thing in enumerate(things, turn):
                    if number % 3 == 0:
                        looks.append(self.versions(token, thing, whole=whole))
                    elif not whole:
                        looks.append(self.object(token, thing))
                for number, place in enumerate(places, turn):
                    if number % (3 if whole else 2) == 0:
                        looks.append(self.place(token, place))
                    if number % 4 == 0:
                        looks.append(self.shown(token, place))
                    elif number % 4 == 2 and place in self.model.environments:
                        looks.append(self.isolation(token, place))
            await asyncio.gather(*looks)

        self.loop.run_until_complete(everybody())

    async def place(self, token: str, place: str) -> None:
        await (self.scope if place in self.model.scopes else self.room)(token, place)

    async def pages(self, token: str, operation: str, **asked: Any) -> Any:
        """Every item of a list by its id, none of them twice; or the code of the refusal."""
        found: dict[str, Any] = {}
        while True:
            page = await self.ask(token, operation, asked)
            if isinstance(page, str):
                return page
            assert not found.keys() & {item["id"] for item in page["items"]}
            found |= {item["id"]: item for item in page["items"]}
            if page["next_cursor"] is None:
                return found
            asked["cursor"] = page["next_cursor"]

    async def lists(self, token: str, *, whole: bool) -> None:
        limit = 5 if whole else 100
        there, gone = self.objects(token)
        found = await self.pages(token, "object.list", detail="full", limit=limit)
        assert {k: content(v) for k, v in found.items()} == {
            k: self.expected(token, k) for k in there
        }
        if whole or gone:
            assert (await self.pages(token, "object.list", state="deleted")).keys() == gone

    async def listed(self, token: str, *, whole: bool) -> None:
        places, archived = self.scopes(token)
        limit = 5 if whole else 100
        assert (await self.pages(token, "scope.list", limit=limit)).keys() == places
        if whole or archived:
            assert (await self.pages(token, "scope.list", state="archived")).keys() == archived

    async def object(self, token: str, thing: str) -> None:
        found = await self.ask(token, "object.get", {"id": thing})
        assert content(found) == self.expected(token, thing)
        if not isinstance(found, str):
            assert found.get("environment") == self.model.objects[thing]["home"]
            assert self.lineage(found) == self.came_from(token, thing)

    def lineage(self, found: Any) -> Any:
        """Where an answer says that it was forked."""
        fork = found.get("forked_from")
        return fork and (fork["object"], fork["version"])

    def came_from(self, token: str, thing: str) -> Any:
        """What it was forked from, for who sees that (34)."""
        fork, who = self.model.objects[thing]["fork"], self.with_(token)
        return fork if fork and self.model.sight(who, fork[0])[0] else None

    async def versions(self, token: str, thing: str, *, whole: bool) -> None:
        await self.object(token, thing)
        expected = self.expected(token, thing)
        seen = self.model.sight(self.with_(token), thing)[1]
        history = await self.ask(token, "object.history", {"id": thing, "limit": 100})
        if isinstance(expected, str):
            assert history == expected
        else:
            listed = [one["version"] for one in history["items"]]
            assert listed == sorted(seen, reverse=True)
        newest = len(self.model.objects[thing]["versions"])
        some = range(1, newest + 2) if whole else {1 + next(self.numbers) % (newest + 1)}
        for version in some:
            found = await self.ask(token, "object.get", {"id": thing, "version": version})
            assert content(found) == self.expected(token, thing, version)

    async def scope(self, token: str, scope: str) -> None:
        model = self.model
        found = await self.ask(token, "scope.get", {"id": scope})
        who = self.with_(token)
        one, have = model.scopes[scope], model.scope(who, scope)
        if have == NONE:
            assert found == "not_found"
            return
        role, parent = model.roles(who)[scope], one["parent"]
        assert found.get("role") == (None if role == NOBODY else ROLES[role])
        assert found["effective_state"] == model.state(scope)
        assert found.get("parent") == (parent if parent and model.scope(who, parent) else None)
        owner = model.heir(one["owner"])
        assert found.get("owner") == (owner if model.knows(who, owner) else None)
        members = {
            whom: ROLES[place["role"]]
            for whom in model.people
            if (place := model.place(scope, whom)) and model.knows(who, whom) >= READ
        }
        told = role != NOBODY or have >= ADMIN
        listed = {m["principal"]: m["role"] for m in found["members"]} if told else None
        assert listed == (members if told else None)
        assert told or "members" not in found

    async def shown(self, token: str, place: str) -> None:
        key = "scope" if place in self.model.scopes else "environment"
        found = await self.pages(token, "object.list", **{key: place})
        there, who, model = self.objects(token)[0], self.with_(token), self.model
        if key == "scope":
            there &= {thing for thing, where in model.shown if where == place}
            known = model.scope(who, place)
        else:
            there &= {thing for thing, one in model.objects.items() if one["home"] == place}
            known = model.environment(place)
        assert (found if isinstance(found, str) else found.keys()) == (
            there if known else "not_found"
        )

    # --- by address

    async def addresses(self) -> None:
        """Resources and completions, each object and scope for some of the watchers."""
        for number, token in enumerate(self.watching(), next(self.numbers)):
            proof = Credentials(self.scoped.spine, token=self.secrets[token])
            reader = Reader(Caller(self.scoped.spine, proof, Metrics()))
            for thing in list(self.model.objects)[number % 3 :: 3]:
                found = await read(reader, f"scoped://objects/{thing}")
                assert content(found) == self.expected(token, thing)
                newest = len(self.model.objects[thing]["versions"])
                for version in {1, newest}:
                    found = await read(reader, f"scoped://objects/{thing}/versions/{version}")
                    assert content(found) == self.expected(token, thing, version)
            for scope in list(self.model.scopes)[number % 3 :: 3]:
                found = await read(reader, f"scoped://scopes/{scope}")
                seen = self.model.scope(self.with_(token), scope) > NONE
                assert (found != "not_found") == seen
            for env in list(self.model.environments)[number % 3 :: 3]:
                found = await read(reader, f"scoped://environments/{env}")
                self.with_(token)
                assert (found != "not_found") == (self.model.environment(env) > NONE)
            offered = await reader.complete(OBJECTS, WHATEVER, None)
            assert sorted(offered) == sorted(self.objects(token)[0])
            offered = await reader.complete(SCOPES, WHATEVER, None)
            assert sorted(offered) == sorted(self.scopes(token)[0])
            offered = await reader.complete(ENVIRONMENTS, WHATEVER, None)
            assert set(offered) == self.rooms(token)


async def read(reader: Reader, uri: str) -> Any:
    """What stands at an address; absent is one answer (ruling 46)."""
    try:
        found = await reader.read(uri)
    except MCPError:
        return "not_found"
    return json.loads(str(found.contents[0].content))


def content(answer: Any) -> Any:
    """What of an object is compared, or the code of a refusal."""
    if isinstance(answer, str):
        return answer
    return answer["version"], answer.get("data"), answer["access"], set(answer["scopes"])
