"""What each operation asks of the model and what it changes there; its answer is a code."""

from typing import Any

from tests.model import model
from tests.model.model import (
    ADMIN,
    AUDITOR,
    CHIEF,
    CONTRIBUTOR,
    HOLDER,
    LEVELS,
    NOBODY,
    OWNER,
    READ,
    WRITE,
)


class Refused(Exception):  # noqa: N818 - an answer
    """The code of a refusal."""


def refuse(code: str, when: Any) -> None:
    if when:
        raise Refused(code)


def require(have: int, needs: int) -> None:
    refuse("not_found", have < READ)
    refuse("denied", have < needs)


def outlives(ends: int | None, held: int | None) -> bool:
    return held is not None and (ends is None or ends > held)


class Model(model.Model):
    def do(self, token: str, operation: str, *arguments: Any) -> str:
        """The code of the answer; the dicts have changed if it is "ok"."""
        try:
            refuse("unauthenticated", not self.works(token))
            getattr(self, operation)(self.tokens[token]["who"], *arguments)
        except Refused as refused:
            return refused.args[0]
        self.fall()
        return "ok"

    # --- what ended delegates leave: their heir's at once, whenever it is written down (5)

    def line(self, owner: str) -> list[str]:  # who has ended, from an owner up to its heir
        return [owner, *self.line(self.delegators(owner)[0])] if self.over(owner) else []

    def fall(self) -> None:
        for one in self.objects.values():
            if over := self.line(one["owner"]):
                one.update(owner=self.heir(over[0]), fell=True)
                self.fallen.add("object")
                self._end_offer(one)
        for scope, one in self.scopes.items():
            over, heir = self.line(one["owner"]), self.heir(one["owner"])
            if over and (self.place(scope, over[0]) or {}).get("role") == HOLDER:
                for gone in over:
                    self.places.pop((scope, gone), None)
                self.places[scope, heir] = {"role": HOLDER, "ends": None}
                one.update(owner=heir)
                self._end_offer(one)
                self.fallen.add("scope")

    def _end_offer(self, one: Any) -> None:
        if one["offer"] == one["owner"]:
            one["offer"] = None

    # --- objects

    def create(self, who: str, thing: str, content: Any) -> None:
        self.objects[thing] = {"owner": who, "offer": None, "versions": [content]}

    def _there(self, who: str, thing: str, needs: int) -> Any:
        require(self.sight(who, thing)[0], needs)
        refuse("conflict", self.objects[thing]["versions"][-1] is None)
        return self.objects[thing]

    def update(self, who: str, thing: str, content: Any, expected: int | None) -> None:
        one = self._there(who, thing, WRITE)
        refuse("conflict", expected not in {None, len(one["versions"])})
        one["versions"].append(content)

    def delete(self, who: str, thing: str) -> None:
        one = self._there(who, thing, ADMIN)
        one["versions"].append(None)
        one["offer"] = None

    def restore(self, who: str, thing: str) -> None:
        require(self.sight(who, thing)[0], ADMIN)
        versions = self.objects[thing]["versions"]
        refuse("conflict", versions[-1] is not None)
        versions.append([v for v in versions if v is not None][-1])

    def offer(self, who: str, thing: str, to: str | None) -> None:
        require(self.sight(who, thing)[0], OWNER)
        require(READ if to is None else self.knows(who, to), READ)
        one = self._there(who, thing, OWNER)
        refuse("invalid", to == one["owner"])
        one["offer"] = to
        one["versions"].append(one["versions"][-1])

    def accept(self, who: str, thing: str) -> None:
        one = self.objects[thing]
        require(self.sight(who, thing)[0], READ)
        refuse("not_found", one["offer"] != who)
        refuse("denied", self._agent(who))
        one.update(owner=who, offer=None, fell=False)
        one["versions"].append(one["versions"][-1])
        for scope in [s for t, s in self.shown if t == thing]:
            if self.roles(who)[scope] < CONTRIBUTOR:
                del self.shown[thing, scope]

    # --- shares

    def share(
        self, who: str, thing: str, scope: str, level: str, pinned: int | None, since: int | None
    ) -> None:
        require(self.sight(who, thing)[0], OWNER)
        require(self.scope(who, scope), READ)
        newest = len(self._there(who, thing, OWNER)["versions"])
        refuse("invalid", scope == self.root)
        refuse("denied", self.roles(who)[scope] < CONTRIBUTOR)
        refuse("invalid", pinned and pinned > newest)
        starts = [since or newest, *([s] if (s := self._since(thing, scope)) else [])]
        since = None if pinned else min(starts)
        one = {"level": level, "since": since, "pinned": pinned}
        widens = self._widens(self.shown.get((thing, scope)), one)
        refuse("conflict", self.state(scope) != "active" and widens)
        self.shown[thing, scope] = one

    def _widens(self, was: dict[str, Any] | None, one: dict[str, Any]) -> bool:
        if was is None or LEVELS[one["level"]] > LEVELS[was["level"]]:
            return True
        if was["pinned"]:
            return bool(one["pinned"] != was["pinned"])
        return bool((one["pinned"] or one["since"]) < was["since"])

    def _since(self, thing: str, scope: str) -> int | None:
        return (self.shown.get((thing, scope)) or {}).get("since")

    def unshare(self, who: str, thing: str, scope: str) -> None:
        """The owner always may, also where it sees the scope no more (21); ADMIN through it."""
        share, there = self.shown.get((thing, scope)), self.scope(who, scope)
        have = self.sight(who, thing)[0]
        refuse("not_found", there < READ and not (have == OWNER and share))
        refuse("not_found", have < READ and not (there >= ADMIN and share))
        through = share and share["level"] == "admin" and self.reach(who)[scope] == 2
        may = have == OWNER or there >= ADMIN or through
        refuse("denied", not may and (share or have < ADMIN))
        refuse("not_found", not share)
        del self.shown[thing, scope]

    # --- scopes

    def found(self, who: str, scope: str, parent: str | None) -> None:
        if parent is not None:
            require(self.scope(who, parent), READ)
            refuse("invalid", parent == self.root)
            require(self.scope(who, parent), ADMIN)
            refuse("conflict", self.state(parent) != "active")
        one = {"parent": parent, "owner": who, "state": "active", "offer": None, "by": None}
        self.scopes[scope] = one
        self.places[scope, who] = {"role": HOLDER, "ends": None}

    def turn(self, who: str, scope: str, state: str) -> None:
        require(self.scope(who, scope), ADMIN)
        refuse("invalid", scope == self.root)
        one = self.scopes[scope]
        revives = one["state"] == "archived" != state
        refuse("denied", revives and self.roles(who)[scope] != HOLDER)
        widens = one["state"] != state == "active"
        refuse("denied", widens and self.roles(who)[scope] < CHIEF)  # 30
        one["state"] = state

    def offer_scope(self, who: str, scope: str, to: str | None) -> None:
        require(self.scope(who, scope), OWNER)
        require(READ if to is None else self.knows(who, to), READ)
        refuse("invalid", scope == self.root)
        refuse("conflict", to is not None and self.state(scope) != "active")
        refuse("invalid", to == self.heir(self.scopes[scope]["owner"]))
        self.scopes[scope].update(offer=to, by=who if to else None)

    def accept_scope(self, who: str, scope: str) -> None:
        require(self.scope(who, scope), READ)
        refuse("not_found", not self.offered(who, scope))
        refuse("conflict", self.state(scope) != "active")
        one = self.scopes[scope]
        before = self.place(scope, one["owner"])
        if before and before["role"] == HOLDER:
            before["role"] = CHIEF
        one.update(owner=who, offer=None, by=None)
        self.places[scope, who] = {"role": HOLDER, "ends": None}

    # --- members

    def add(self, who: str, scope: str, whom: str, role: int, ends: int | None) -> None:
        require(self.scope(who, scope), READ)
        refuse("not_found", self.people[whom]["state"] != "active")
        place = self.place(scope, whom)
        before = place["role"] if place else NOBODY
        longer = place is not None and outlives(ends, place["ends"])
        gives = longer or before == NOBODY or model.common(role, before) != role
        refuse("denied", not self._grants(who, scope, before, role, gives=gives))
        granters = (who, *self.delegators(who)) if gives else ()
        refuse("denied", any(outlives(ends, self._until(scope, g)) for g in granters))
        refuse("denied", not self._own_side(who, scope, whom))
        refuse("conflict", gives and self.state(scope) != "active")
        refuse("invalid", role == HOLDER and ends is not None)
        lost = before == HOLDER != role
        refuse("conflict", lost and not self._owners(scope) - {whom})
        self.places[scope, whom] = {"role": role, "ends": ends}

    def _grants(self, who: str, scope: str, before: int, after: int, *, gives: bool) -> bool:
        """Nobody grants more than they hold, nor touches who holds more; inherited lowers (30)."""
        role, above = self.standing(who, scope)
        held = role if role >= CHIEF else above if above >= CHIEF and not gives else NOBODY
        return held >= max(before, after)

    def _owners(self, scope: str) -> set[str]:
        """Who can stay behind alone (33)."""
        acting = {p for p, one in self.people.items() if not one["delegate"] and self.acting(p)}
        held = {p for p in acting if (self.place(scope, p) or {}).get("role") == HOLDER}
        return {p for p in held if self.people[p]["kind"] != "team"}

    def _until(self, scope: str, who: str) -> int | None:
        places = [p for side in self.sides(who) if (p := self.place(scope, side))]
        ends = [p["ends"] for p in places if p["role"] >= CHIEF]
        return None if None in ends else max(ends, default=None)

    def _own_side(self, who: str, scope: str, whom: str) -> bool:
        """Into an agent's scope agents bring its delegates and who answers for it (36)."""
        owner = self.heir(self.scopes[scope]["owner"])
        if not (self._agent(who) and self._agent(owner)):
            return True
        return whom in {owner, *self.sponsors(owner)} or owner in self.sponsors(whom)

    def _agent(self, who: str) -> bool:
        return "agent" in {self.people[p]["kind"] for p in (who, *self.sponsors(who))}

    def remove(self, who: str, scope: str, whom: str) -> None:
        require(self.scope(who, scope), READ)
        role = (self.place(scope, whom) or {}).get("role", AUDITOR)
        may = who == whom or self._grants(who, scope, role, role, gives=False)
        refuse("denied", not may)
        refuse("not_found", not self.place(scope, whom))
        self._end(scope, whom)

    def leave(self, who: str, scope: str) -> None:
        require(self.scope(who, scope), READ)
        refuse("conflict", not self.place(scope, who))
        self._end(scope, who)

    def _end(self, scope: str, whom: str) -> None:
        owner = self.places[scope, whom]["role"] == HOLDER
        refuse("conflict", owner and not self._owners(scope) - {whom})
        del self.places[scope, whom]

    # --- principals and their credentials

    def delegate(self, who: str, whom: str, parent: str, token: str, ends: int) -> None:
        one = {"kind": "agent", "sponsor": who, "delegate": True, "state": "active", "by": None}
        self.people[whom] = one
        self.issue(whom, parent, token, ends)

    def issue(self, who: str, parent: str, token: str, ends: int) -> None:
        ends = min(ends, self.tokens[parent]["ends"])
        self.tokens[token] = {"who": who, "parent": parent, "ends": ends}

    def revoke(self, who: str, token: str) -> None:
        whose = self.tokens[token]["who"]
        refuse("not_found", who != whose and self.knows(who, whose) < ADMIN)
        self.tokens[token]["ends"] = 0

    def stop(self, who: str, whom: str) -> None:
        require(self.knows(who, whom), READ)
        refuse("denied", who not in self.delegators(whom))
        for one in self.tokens.values():
            if one["who"] == whom:
                one["ends"] = 0
        self.people[whom]["state"] = "archived"

    def move(self, who: str, whom: str, state: str) -> None:
        one, chief = self.people[whom], self.scope(who, self.root) >= ADMIN
        require(self.knows(who, whom), ADMIN)
        refuse("conflict", one["state"] == "archived")
        if one["state"] != state:
            mine = one["by"] == who or who in (self.sponsors(one["by"]) if one["by"] else ())
            refuse("denied", state == "active" and not mine and not chief)
            left = {o for o in self._owners(self.root) if whom not in (o, *self.sponsors(o))}
            refuse("conflict", state != "active" and not left)
            one.update(state=state, by=who if state == "suspended" else None)

    def relate(self, who: str, member: str, team: str) -> None:
        refuse("denied", self.scope(who, self.root) < ADMIN)
        require(min(self.knows(who, member), self.knows(who, team)), READ)
        refuse("invalid", member == team)
        side = {who, *self.sponsors(who)}
        refuse("denied", member in side or who in self.sponsors(member))
        refuse("conflict", member in self._teams_above(team))
        self.teams.add((member, team))

    def _teams_above(self, who: str) -> set[str]:
        above = {t for m, t in self.teams if m == who}
        return above.union(*(self._teams_above(team) for team in above))

    def unrelate(self, who: str, member: str, team: str) -> None:
        require(min(self.knows(who, member), self.knows(who, team)), READ)
        refuse("denied", who != member and self.scope(who, self.root) < ADMIN)
        self.teams.discard((member, team))
