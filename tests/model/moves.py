"""What is done with environments: each rule is one call of the product and of the model."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from scoped_mcp.layers.environments import worker
from tests.model.beside import DAY
from tests.model.sights import Sights

ABSENT = "not_found"
MOST = 11  # objects, scopes and delegates in one run: where it is crowded, they meet
CLOSED = {
    "scope.create": ("parent", {"name": "x"}, "invalid"),
    "scope.set_state": ("id", {"state": "frozen"}, "denied"),
    "scope.transfer": ("id", {}, "denied"),
    "scope.update": ("id", {"name": "x"}, "denied"),
}

which = st.integers(0, 9_999)  # of many, modulo how many there are
keys = st.sampled_from(["n", "a", "b"])
ages = st.sampled_from([600, 7_200, 2 * DAY, 2 * DAY, 20 * DAY, 31 * DAY])


def one_of(many: Any, number: int) -> Any:
    return list(many)[number % len(many)]


class Moves(Sights):
    """Rules about environments."""

    def room_at(self, number: int) -> str:
        """Mostly one that is open."""
        some = self.live_rooms() if number % 8 else []
        return one_of(some or self.model.environments, number // 8)

    def live_rooms(self) -> list[str]:
        return [k for k in self.model.environments if self.model.life(k) == "active"]

    def dweller(self, number: int, env: str) -> str:
        """Mostly who owns it, or who is inside; a pinned credential now and then."""
        live = [t for t in self.watching() if self.model.seat(t, env)]
        inside = [self.model.tokens[token]["who"] for token in live]
        pinned = [token for token in live if self.model.tokens[token]["pinned"]]
        if pinned and number % 7 == 0:
            return one_of(pinned, number // 7)
        return self.actor(number, self.model.environments[env]["owner"], others=inside)

    @precondition(lambda self: len(self.live_rooms()) < MOST // 2)
    @rule(by=which, ttl=ages, thing=which)
    def spawn(self, by: int, ttl: int, thing: int) -> None:
        name = one_of(self.model.objects, thing)
        token = self.reader_of(by, name)
        self.make_environment(token, ttl, [name] if thing % 3 else [])

    def reader_of(self, number: int, thing: str) -> str:
        """Mostly who sees it, with whatever credential."""
        seeing = [t for t in self.watching() if self.expected(t, thing) != ABSENT]
        return one_of(seeing, number // 8) if seeing and number % 8 else self.actor(number)

    @rule(by=which, where=which)
    def enter(self, by: int, where: int) -> None:
        env = self.room_at(where)
        self.both(self.dweller(by, env), "environment.use", {"id": env}, "enter", env)

    @rule(by=which, where=which, state=st.sampled_from(["active", "suspended", "completed"]))
    def finish(self, by: int, where: int, state: str) -> None:
        off = [k for k in self.model.environments if k not in self.live_rooms()]
        env = one_of(off, where) if off and where % 4 else self.room_at(where)
        state = "active" if where % 4 and where % 3 else state
        asked = {"id": env, "state": state}
        self.both(self.dweller(by, env), "environment.finish", asked, "finish", env, state)

    @rule(by=which, where=which, ttl=ages)
    def extend(self, by: int, where: int, ttl: int) -> None:
        env = self.room_at(where)
        asked = {"id": env, "ttl_seconds": ttl}
        self.both(self.dweller(by, env), "environment.extend", asked, "extend", env, ttl)

    @precondition(lambda self: len(self.live_rooms()) > 2)
    @rule(by=which, where=which)
    def discard(self, by: int, where: int) -> None:
        env = self.room_at(where)
        self.both(self.dweller(by, env), "environment.discard", {"id": env}, "discard", env)

    @rule(by=which, where=which, whom=which, role=st.sampled_from(["viewer", "editor", "none"]))
    def let_in(self, by: int, where: int, whom: int, role: str) -> None:
        env = self.room_at(where)
        members = self.model.environments[env]["members"]
        person = one_of(members if members and role == "none" else self.model.people, whom)
        self.invite(self.dweller(by, env), env, person, role)

    @rule(by=which, where=which, how=st.sampled_from(["leave", "leave", *sorted(CLOSED)]))
    def walk_out_or_meddle(self, by: int, where: int, how: str) -> None:
        env = self.room_at(where)
        scope, token = self.model.environments[env]["scope"], self.dweller(by, env)
        if how == "leave":
            self.both(token, "scope.leave", {"id": scope}, "leave", scope)
        else:
            field, more, code = CLOSED[how]
            self.both(token, how, {field: scope, **more}, "meddle", scope, code)

    @rule(by=which, where=which, thing=which, more=which)
    def bring(self, by: int, where: int, thing: int, more: int) -> None:
        env = self.room_at(where)
        things = [one_of(self.model.objects, thing)]
        if more % 5 == 0:
            things = sorted({*things, one_of(self.model.objects, more // 5)})
        asked = {"id": env, "objects": things}
        self.both(self.dweller(by, env), "environment.import", asked, "bring", env, things)

    @precondition(lambda self: any(e["imports"] for e in self.model.environments.values()))
    @rule(by=which, where=which, thing=which, key=keys)
    def edit_import(self, by: int, where: int, thing: int, key: str) -> None:
        """Where somebody works in an environment with imports, and edits one."""
        having = [k for k, e in self.model.environments.items() if e["imports"]]
        env = one_of(having, where)
        there = [t for t in self.watching() if self.model.current(t) == env]
        name = one_of(self.model.environments[env]["imports"], thing)
        token = one_of(there, by // 4) if there and by % 4 else self.dweller(by, env)
        self.edit(token, name, key, None)

    @precondition(lambda self: self.forks())
    @rule(by=which, fork=which, one=keys, other=keys)
    def diverge(self, by: int, fork: int, one: str, other: str) -> None:
        """A fork goes on and so does its origin; then that is imported again."""
        name = one_of(self.forks(), fork)
        origin, env = self.model.objects[name]["fork"][0], self.model.objects[name]["home"]
        self.edit(self.dweller(by, env), name, one, None)
        self.edit(self.reader_of(by, origin), origin, other, None)
        asked = {"id": env, "objects": [origin]}
        self.both(self.dweller(by, env), "environment.import", asked, "bring", env, [origin])

    def forks(self) -> list[str]:
        return [k for k, one in self.model.objects.items() if one["fork"] and one["versions"][-1]]

    @precondition(lambda self: self.model.fallen)
    @rule()
    def sweep_what_fell(self) -> None:
        self.sweep()

    @rule()
    def sweep(self) -> None:
        self.loop.run_until_complete(worker.sweep(self.scoped.spine))
        self.model.sweep()
        self.changed = True
