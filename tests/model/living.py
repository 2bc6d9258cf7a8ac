"""What each operation on environments asks and changes."""

from typing import Any

from tests.model import inside
from tests.model.inside import GONE, LONGEST, REVIVAL
from tests.model.model import ADMIN, OWNER, READ, WRITE
from tests.model.operations import refuse, require

MOVES = {  # ruling 67
    "active": {"suspended", "completed", "discarded"},
    "suspended": {"active", "completed", "discarded"},
    "completed": {"active", "discarded"},
    "expired": {"active", "discarded"},
    "discarded": set[str](),
}


def merge(base: Any, ours: Any, theirs: Any) -> Any:  # key by key: one side may have changed it
    found = {}
    for key in base | ours | theirs:
        old, mine, other = base.get(key), ours.get(key), theirs.get(key)
        refuse("conflict", mine != old != other != mine)
        found[key] = mine if other == old else other
    return {key: value for key, value in found.items() if value is not None}


class Model(inside.Model):
    # --- environments

    def spawn(self, who: str, env: str, scope: str, ttl: int, things: list[str]) -> None:
        for thing in things:
            require(self.sight(who, thing)[0], READ)
        refuse("invalid", ttl > LONGEST)
        one = {"owner": who, "scope": scope, "state": "active", "members": {}, "imports": {}}
        one |= {"ttl": ttl, "renewed": self.now, "used": self.now, "ends": self.now + ttl}
        plan = self._import_plan(who, env, things)
        self.environments[env], self.closed[scope] = one, env
        self._import(env, plan)
        self.tokens[self.token]["current"] = env

    def enter(self, who: str, env: str) -> None:
        require(self.environment(env), READ)
        refuse("conflict", self.life(env) in GONE)
        self.tokens[self.token]["current"] = env

    def finish(self, who: str, env: str, state: str) -> None:
        require(self.environment(env), ADMIN)
        one, life = self.environments[env], self.life(env)
        if state != life:
            refuse("conflict", state not in MOVES[life])
            refuse("conflict", life == "expired" and self.now - one["ends"] > REVIVAL)
            one["state"] = state
            if life == "expired":
                one["renewed"] = self.now
                self.note(env)

    def extend(self, who: str, env: str, ttl: int) -> None:
        require(self.environment(env), ADMIN)
        refuse("conflict", self.life(env) in GONE)
        refuse("invalid", ttl > LONGEST)
        self.environments[env].update(ttl=ttl, renewed=self.now)
        self.note(env)

    def discard(self, who: str, env: str) -> None:
        require(self.environment(env), ADMIN)
        refuse("conflict", "discarded" not in MOVES[self.life(env)])
        self._end_environment(env)

    def sweep(self) -> None:
        for one in [one for one in self.objects.values() if one.get("fell")]:
            one["versions"].append(one["versions"][-1])  # only its owner's name changed (5)
            one["fell"] = False
        for env, one in self.environments.items():
            if self.life(env) == "expired" and one["ends"] + REVIVAL <= self.now:
                self._end_environment(env)
        self.fallen.clear()
        self.fall()

    def _end_environment(self, env: str) -> None:
        self.environments[env]["state"] = "discarded"
        for one in self.tokens.values():
            if one["pinned"] == env:
                one["ends"] = 0  # truly revoked (39)

    def invite(self, who: str, env: str, whom: str, role: int) -> None:
        have, one = self.environment(env), self.environments[env]
        above = who in self.sponsors(one["owner"]) and not self._agent(who)
        accepts = above and self._agent(one["owner"]) and whom not in one["members"]  # 36
        require(have, role if accepts and role else OWNER)
        refuse("not_found", role and self.knows(who, whom) < READ)
        refuse("invalid", whom == one["owner"])
        if not role:
            one["members"].pop(whom, None)  # taking away always works (21)
            return
        refuse("not_found", self.people[whom]["state"] != "active")
        side = whom in self.sponsors(one["owner"]) or one["owner"] in self.sponsors(whom)
        refuse("denied", self._agent(who) and self._agent(one["owner"]) and not side)  # 36
        refuse("conflict", self.life(env) != "active")
        one["members"][whom] = role

    def leave(self, who: str, scope: str) -> None:
        if scope not in self.closed:
            super().leave(who, scope)
            return
        require(self.scope(who, scope), READ)
        members = self.environments[self.closed[scope]]["members"]
        refuse("conflict", who not in members)
        del members[who]

    def meddle(self, who: str, scope: str, code: str) -> None:
        """Treat a closed scope as one of one's own (37)."""
        require(self.scope(who, scope), READ)
        refuse(code, when=True)

    # what it imports

    def bring(self, who: str, env: str, things: list[str]) -> None:
        require(self.environment(env), WRITE)
        for thing in things:
            require(self.sight(who, thing)[0], READ)
        refuse("conflict", self.life(env) != "active")
        self._import(env, self._import_plan(who, env, things))

    def _import_plan(self, who: str, env: str, things: list[str]) -> dict[str, Any]:
        """For each its version, its fork there, and what becomes of that."""
        plan = {}
        for thing in things:
            versions, newest = self.objects[thing]["versions"], max(self.sight(who, thing)[1])
            refuse("not_found", versions[-1] is None)
            refuse("invalid", self.objects[thing]["home"] == env)
            plan[thing] = newest, None, None
            if (fork := self.fork_of(env, thing)) and self.objects[fork]["fork"][1] != newest:
                base = versions[self.objects[fork]["fork"][1] - 1]
                mine, theirs = self.objects[fork]["versions"][-1], versions[newest - 1]
                plan[thing] = newest, fork, merge(base, mine, theirs)
        return plan

    def _import(self, env: str, plan: dict[str, Any]) -> None:
        for thing, (newest, fork, content) in plan.items():
            self.environments[env]["imports"][thing] = newest
            if fork:
                self.objects[fork]["fork"] = thing, newest
                self.objects[fork]["versions"].append(content)
