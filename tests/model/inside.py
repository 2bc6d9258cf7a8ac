"""Second chapter: environments, and what they change about who may see what.

Inside, access goes by credential: `token` is the one with which the caller asks. What one does
with environments is in `living.py`, what they change for objects in `homes.py`.
"""

from typing import Any

from tests.model import operations
from tests.model.model import ADMIN, NONE, OWNER, READ, WRITE

DAY = 86_400
LONGEST, REVIVAL = 30 * DAY, 7 * DAY
GONE = {"expired", "discarded"}
ALSO_PINNED = {"create", "update", "delete", "restore", "invite", "finish", "extend", "discard"}
ALSO_PINNED |= {"delegate", "stop"}


class Model(operations.Model):
    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.token = ""
        self.environments: dict[str, Any] = {}  # owner, scope, state, ttl, renewed, used, ends,
        self.closed: dict[str, str] = {}  # members, imports; closed: the environment of a scope

    def do(self, token: str, operation: str, *arguments: Any) -> str:
        self.token = token
        if self.works(token) and self.pin() and operation not in ALSO_PINNED:
            return "not_found"  # what a pinned credential may not do does not exist for it (5)
        answer = super().do(token, operation, *arguments)
        if answer == "ok":
            self.use(token, arguments[0])
        return answer

    def fall(self) -> None:
        super().fall()
        for one in self.environments.values():
            for over in self.line(one["owner"]):
                one["owner"] = self.heir(over)
                one["members"].pop(over, None)
                self.fallen.add("environment")
            one["members"].pop(one["owner"], None)  # who owns it stands there as its owner

    # --- where one works, by rulings 3 and 5

    def pin(self) -> str | None:
        return self.tokens[self.token]["pinned"]

    def current(self, token: str) -> str | None:
        return self.tokens[token]["pinned"] or self.tokens[token]["current"]

    def shop(self, token: str) -> str | None:  # where a delegate is editor
        who, above = self.tokens[token]["who"], self.tokens[token]["parent"]
        while above and self.tokens[above]["who"] == who:
            above = self.tokens[above]["parent"]
        return self.tokens[token]["pinned"] or (self.current(above) if above else None)

    # --- how long it lasts, by rulings 18, 38 and 67

    def life(self, env: str) -> str:
        one = self.environments[env]
        over = one["state"] != "discarded" and one["ends"] <= self.now
        return "expired" if over else one["state"]

    def use(self, token: str, name: Any) -> None:  # by naming it, its scope, or a thing inside
        home = self.objects[name]["home"] if name in self.objects else None
        env = home or self.closed.get(name, name)
        there = env in self.environments and self.life(env) not in GONE and self.seat(token, env)
        if there and self.now - self.environments[env]["used"] >= 60:
            self.note(env)

    def note(self, env: str) -> None:
        one = self.environments[env]
        ends = min(self.now + one["ttl"], one["renewed"] + LONGEST)
        one.update(used=self.now, ends=max(ends, one["ends"]))

    # --- what one's place there is worth, by rulings 5, 28, 37 and 47

    def seat(self, token: str, env: str) -> int:
        who, one = self.tokens[token]["who"], self.environments[env]
        if one["owner"] == who:
            return OWNER
        own = max(one["members"].get(side, NONE) for side in self.sides(who))
        if not self.people[who]["delegate"]:
            return own
        own = WRITE if self.shop(token) == env else own
        return min(own, self.seat(self.tokens[token]["parent"], env))

    def inside(self, env: str) -> int:
        there = self.pin() in {None, env} and self.life(env) not in GONE
        return self.seat(self.token, env) if there else NONE

    def environment(self, env: str) -> int:  # its owner sees it also when it is over
        owns = self.pin() in {None, env} and self.seat(self.token, env) == OWNER
        return OWNER if owns else self.inside(env)

    def scope(self, who: str, scope: str) -> int:
        if scope in self.closed:
            return min(self.inside(self.closed[scope]), READ)
        return NONE if self.pin() else super().scope(who, scope)

    def sight(self, who: str, thing: str) -> tuple[int, set[int]]:
        one = self.objects[thing]
        if one["home"] is None:
            return self._pinned(thing, *super().sight(who, thing))
        mine, have = one["owner"] == who, self.inside(one["home"])
        if have == NONE or (one["versions"][-1] is None and not mine):
            return NONE, set()
        if have > READ:  # what one made is one's own
            have = OWNER if mine else min(have, ADMIN)
        return have, set(range(1, len(one["versions"]) + 1))

    def _pinned(self, thing: str, have: int, seen: set[int]) -> tuple[int, set[int]]:
        """What is outside is there for a pinned credential if it is imported, at that version."""
        if (pin := self.pin()) is None:
            return have, seen
        version = self.environments[pin]["imports"].get(thing)
        there = have and version in seen and self.inside(pin)
        return (READ, {version}) if there else (NONE, set())

    def imports(self, who: str, env: str) -> dict[str, int]:
        """What of its imports is there for the caller: it reads the origin, now."""
        every = self.environments[env]["imports"].items()
        return {thing: version for thing, version in every if version in self.sight(who, thing)[1]}

    def fork_of(self, env: str, thing: str) -> str | None:
        there = {k: o for k, o in self.objects.items() if o["home"] == env and o["fork"]}
        live = [k for k, o in there.items() if o["fork"][0] == thing and o["versions"][-1]]
        return live[-1] if live else None
