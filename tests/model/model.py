"""Who may see what and do what with it, in plain dicts: what the product is held against.

Roles and access are numbers; times are seconds; a deletion is a version that is None. What each
operation asks of this and changes is in `operations.py`. Numbers in comments are rulings.
"""

from typing import Any

NONE, READ, WRITE, ADMIN, OWNER = range(5)
NOBODY, AUDITOR, VIEWER, CONTRIBUTOR, EDITOR, CHIEF, HOLDER = range(-1, 6)
WORTH = (READ, READ, READ, WRITE, ADMIN, OWNER, NONE)  # of a role; the last one is NOBODY's
LEVELS = {"read": READ, "write": WRITE, "admin": ADMIN}


def common(one: int, other: int) -> int:  # an auditor reads a trail that a viewer does not
    low, high = sorted((one, other))
    return NOBODY if low == AUDITOR and VIEWER <= high < CHIEF else low


class Model:
    def __init__(self, root: str) -> None:
        self.now, self.root = 0, root
        self.people: dict[str, Any] = {}  # kind, sponsor, delegate, state, by
        self.tokens: dict[str, Any] = {}  # who, parent, ends
        self.teams: set[tuple[str, str]] = set()  # member, team
        self.scopes: dict[str, Any] = {}  # parent, owner, state, offer, by
        self.places: dict[tuple[str, str], Any] = {}  # of scope and principal: role, ends
        self.objects: dict[str, Any] = {}  # owner, offer, versions
        self.fallen: set[str] = set()  # kinds of what an heir got and nobody wrote down
        self.shown: dict[tuple[str, str], Any] = {}  # of object and scope: level, since, pinned

    # --- who acts for whom, by rulings 4, 5 and 6

    def sponsors(self, who: str) -> list[str]:
        above = self.people[who]["sponsor"]
        return [above, *self.sponsors(above)] if above else []

    def delegators(self, who: str) -> list[str]:
        above = self.people[who]["sponsor"] if self.people[who]["delegate"] else None
        return [above, *self.delegators(above)] if above else []

    def acting(self, who: str) -> bool:
        return all(self.people[p]["state"] == "active" for p in (who, *self.sponsors(who)))

    def unspent(self, token: str | None) -> bool:
        one = self.tokens.get(token)
        return one is None or (one["ends"] > self.now and self.unspent(one["parent"]))

    def works(self, token: str | None) -> bool:
        one = self.tokens.get(token)
        there = one is None or (self.acting(one["who"]) and self.works(one["parent"]))
        return there and self.unspent(token)

    def over(self, who: str) -> bool:
        if not self.people[who]["delegate"]:
            return False
        held = any(t["who"] == who and self.unspent(k) for k, t in self.tokens.items())
        stopped = self.people[who]["state"] == "archived"
        return not held or stopped or self.over(self.delegators(who)[0])

    def heir(self, who: str) -> str:
        return self.heir(self.delegators(who)[0]) if self.over(who) else who

    def knows(self, who: str, whom: str) -> int:
        if who in self.sponsors(whom) or self.scope(who, self.root) >= ADMIN:
            return ADMIN
        return WRITE if who == whom else READ if self.people[whom]["state"] == "active" else NONE

    # --- who stands where, by rulings 5, 8, 21, 26 and 30

    def sides(self, who: str) -> set[str]:
        above = {t for m, t in self.teams if m == who and self.people[t]["state"] == "active"}
        return {who}.union(*(self.sides(team) for team in above))

    def place(self, scope: str, who: str) -> Any:
        one = self.places.get((scope, who))
        return one if one and (one["ends"] is None or one["ends"] > self.now) else None

    def made(self, scope: str, who: str) -> bool:  # or inherited
        return self.scopes[scope]["owner"] == who

    def own(self, who: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for scope in self.scopes:
            places = [p for side in self.sides(who) if (p := self.place(scope, side))]
            found[scope] = max((p["role"] for p in places), default=NOBODY)
        return found

    def roles(self, who: str) -> dict[str, int]:
        found = self.own(who)
        for above in self.delegators(who)[:1]:
            theirs = self.roles(above)
            found |= {s: common(r, theirs[s]) for s, r in found.items() if not self.made(s, who)}
        return found

    def chain(self, scope: str | None) -> list[str]:
        return [scope, *self.chain(self.scopes[scope]["parent"])] if scope else []

    def state(self, scope: str) -> str:
        states = {self.scopes[s]["state"] for s in self.chain(scope)}
        return next((s for s in ("archived", "frozen") if s in states), "active")

    def reach(self, who: str) -> dict[str, int]:  # 2 as a member, 1 from below
        found: dict[str, int] = dict.fromkeys(self.scopes, 0)
        for scope, role in self.own(who).items():
            if role > AUDITOR and self.state(scope) != "archived":
                found |= {s: max(found[s], 1) for s in self.chain(scope)} | {scope: 2}
        for above in self.delegators(who)[:1]:
            theirs = self.reach(above)
            found |= {s: min(r, theirs[s]) for s, r in found.items() if not self.made(s, who)}
        return found

    def standing(self, who: str, scope: str) -> tuple[int, int]:  # its role, and the best above
        roles = self.roles(who)
        above = {s: roles[s] for s in self.chain(scope)[1:]}
        counts = [r for s, r in above.items() if r == HOLDER or self.state(s) != "archived"]
        return roles[scope], max(counts, default=NOBODY)

    # --- who may do what, by rulings 26, 27, 30 and 33

    def scope(self, who: str, scope: str) -> int:
        (role, above), archived = self.standing(who, scope), self.state(scope) == "archived"
        have = max(WORTH[role], ADMIN if above >= CHIEF else NONE)
        if archived:
            return have if role == HOLDER or above >= CHIEF else NONE
        return max(have, READ) if self.reach(who)[scope] or self.offered(who, scope) else have

    def offered(self, who: str, scope: str) -> bool:
        one = self.scopes[scope]
        return one["offer"] == who and self.roles(self.heir(one["by"]))[scope] == HOLDER

    def sight(self, who: str, thing: str) -> tuple[int, set[int]]:  # access, versions
        one, have, seen = self.objects[thing], NONE, set[int]()
        newest = len(one["versions"])
        if one["owner"] == who:
            return OWNER, set(range(1, newest + 1))
        if one["versions"][-1] is None:
            return NONE, seen
        for (shown, scope), share in self.shown.items():
            if shown == thing and (reach := self.reach(who)[scope]):
                whole = reach == 2 and self.state(scope) == "active" and not share["pinned"]
                have = max(have, LEVELS[share["level"]] if whole else READ)
                first, last = share["pinned"] or share["since"], share["pinned"] or newest
                seen |= set(range(first, last + 1))
        return (max(have, READ), seen | {newest}) if one["offer"] == who else (have, seen)
