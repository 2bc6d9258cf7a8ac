"""What everybody sees of environments: as the model says."""

from __future__ import annotations

from datetime import datetime

from tests.conftest import START
from tests.model.beside import Beside
from tests.model.inside import GONE
from tests.model.model import READ, WRITE

ACCESS = ("none", "read", "write", "admin", "owner")
STATES = ("active", "suspended", "completed", "expired", "discarded")


class Rooms(Beside):
    """Comparisons of one sight; none of them changes anything but that it is a use."""

    def with_(self, token: str) -> str:
        """Who asks the model from here on, with this credential."""
        self.model.token = token
        return self.model.tokens[token]["who"]

    def rooms(self, token: str, *states: str) -> set[str]:
        """The environments it sees in these states, or in those of open ones."""
        self.with_(token)
        asked = states or set(STATES) - GONE
        every = [k for k in self.model.environments if self.model.life(k) in asked]
        return {k for k in every if self.model.environment(k)}

    async def workplace(self, token: str) -> None:
        """Where it works, and the environments that it sees, by state."""
        model = self.model
        found = (await self.ask(token, "whoami", {})).get("environment")
        here = model.current(token)
        expected = (here, model.life(here)) if here and model.seat(token, here) else None
        assert (found and (found["id"], found["state"])) == expected
        number = next(self.numbers)  # open ones every other time, else by state
        state = STATES[number // 2 % len(STATES)] if number % 2 else None
        found = await self.ask(token, "environment.list", {"limit": 100, "state": state})
        listed = {one["id"] for one in found["items"]}
        assert listed == self.rooms(token, *([state] if state else []))

    async def isolation(self, token: str, env: str) -> None:
        """Its scope is there for who is inside; members are told by the environment."""
        model, one = self.model, self.model.environments[env]
        scope = await self.ask(token, "scope.get", {"id": one["scope"]})
        who = self.with_(token)
        assert (scope == "not_found") == (not model.inside(env))
        if scope != "not_found":
            members = {m["principal"] for m in scope.get("members", ())}
            assert members <= self.members(who, env).keys()

    async def room(self, token: str, env: str) -> None:
        """One environment."""
        model, one = self.model, self.model.environments[env]
        found = await self.ask(token, "environment.get", {"id": env})
        who = self.with_(token)
        have, is_open = model.environment(env), model.life(env) not in GONE
        if not have:
            assert found == "not_found"
            return
        assert found["state"] == model.life(env)
        assert found["access"] == ACCESS[have]
        assert found["current"] == (model.current(token) == env)
        assert found.get("owner") == (one["owner"] if model.knows(who, one["owner"]) else None)
        if model.life(env) != "discarded":
            moment = datetime.fromisoformat(found["expires_at"]) - START
            assert moment.total_seconds() == one["ends"]
        members = {m["principal"]: m["role"] for m in found.get("members", ())}
        assert members == (self.members(who, env) if is_open else {})
        live = [o for o in model.objects.values() if o["home"] == env and o["versions"][-1]]
        assert found["objects"] == (len(live) if is_open else 0)
        imports = {i["object"]: (i["version"], i.get("fork")) for i in found.get("imports", ())}
        known = {k: (v, model.fork_of(env, k)) for k, v in model.imports(who, env).items()}
        assert imports == (known if is_open else {})

    def members(self, who: str, env: str) -> dict[str, str]:
        """Its members, as far as they are known."""
        one, names = self.model.environments[env], {READ: "viewer", WRITE: "editor"}
        every = {whom: names[role] for whom, role in one["members"].items()}
        every |= {one["owner"]: "owner"}
        return {whom: role for whom, role in every.items() if self.model.knows(who, whom)}
