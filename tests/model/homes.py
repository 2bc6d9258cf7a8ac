"""What environments change for objects, shares and credentials."""

from typing import Any

from tests.model import living
from tests.model.inside import DAY, GONE
from tests.model.model import ADMIN, OWNER, READ, WRITE
from tests.model.operations import refuse, require

A_NEW_ONE = "a new one"


class Model(living.Model):
    def create(
        self, who: str, thing: str, content: Any, asked: str | None, made: tuple[str, str] | None
    ) -> None:
        """It lands where `made` says: an environment and its scope."""
        env, scope = made or (None, None)
        home = self._home(who, asked)
        if home == A_NEW_ONE:
            self.spawn(who, str(env), str(scope), DAY, [])
            home = env
        assert home == env
        super().create(who, thing, content)
        self.objects[thing] |= {"home": home, "fork": None}

    def _home(self, who: str, asked: str | None) -> str | None:
        """Where a new thing lands, by rulings 3, 5 and 36."""
        here = asked or self.pin()
        if here:
            require(self.environment(here), WRITE)
        elif self._agent(who):
            mine, theirs = self.current(self.token), self.shop(self.token)
            if mine and self.seat(self.token, mine) >= WRITE:
                here = mine  # also where that is over: the refusal says so (38)
            elif (
                theirs and self.life(theirs) not in GONE and self.seat(self.token, theirs) >= WRITE
            ):
                here = theirs
            else:
                return A_NEW_ONE
        refuse("conflict", here and self.life(here) != "active")
        return here

    def update(
        self, who: str, thing: str, content: Any, expected: int | None, made: str | None
    ) -> None:
        require(self.sight(who, thing)[0], READ)
        here = self.current(self.token)
        known = self.environments[here]["imports"].get(thing) if here else None
        if here and known and self.seat(self.token, here) >= WRITE:
            refuse("conflict", self.life(here) != "active" or self.fork_of(here, thing))
            refuse("conflict", expected not in {None, known})
            refuse("not_found", known not in self.sight(who, thing)[1])
            fork = {"owner": who, "offer": None, "versions": [content]}
            self.objects[str(made)] = fork | {"home": here, "fork": (thing, known)}
            self.use(self.token, here)
        else:
            self._keep(thing, self._there(who, thing, WRITE))
            super().update(who, thing, content, expected)
            assert made in {None, thing}

    def _keep(self, thing: str, _allowed: Any) -> None:
        """Nobody adds or edits inside what is not active; taking away works (21)."""
        home = self.objects[thing]["home"]
        refuse("conflict", home and self.life(home) != "active")

    def restore(self, who: str, thing: str) -> None:
        self._keep(thing, require(self.sight(who, thing)[0], ADMIN))
        super().restore(who, thing)

    def offer(self, who: str, thing: str, to: str | None) -> None:
        require(self.sight(who, thing)[0], OWNER)
        require(READ if to is None else self.knows(who, to), READ)
        self._there(who, thing, OWNER)
        refuse("invalid", to and self.objects[thing]["home"])
        self._keep(thing, None)
        super().offer(who, thing, to)

    def accept(self, who: str, thing: str) -> None:
        require(self.sight(who, thing)[0], READ)
        refuse("denied", self.objects[thing]["offer"] == who and self._agent(who))  # 36
        super().accept(who, thing)

    def share(self, who: str, thing: str, scope: str, *how: Any) -> None:
        require(self.sight(who, thing)[0], OWNER)
        require(self.scope(who, scope), READ)
        refuse("invalid", self.objects[thing]["home"])
        super().share(who, thing, scope, *how)

    def stop(self, who: str, whom: str) -> None:
        require(self.knows(who, whom), READ)
        held = {one["pinned"] for one in self.tokens.values() if one["who"] == whom and one["ends"]}
        refuse("denied", self.pin() and held - {self.pin()})
        super().stop(who, whom)

    def delegate(
        self, who: str, whom: str, parent: str, token: str, ends: int, pinned: str | None
    ) -> None:
        require(self.environment(pinned) if pinned else READ, READ)
        super().delegate(who, whom, parent, token, ends)
        self.tokens[token]["pinned"] = pinned or self.pin()

    def issue(
        self, who: str, parent: str, token: str, ends: int, pinned: str | None = None
    ) -> None:
        require(self.environment(pinned) if pinned else READ, READ)
        super().issue(who, parent, token, ends)
        self.tokens[token] |= {"pinned": pinned or self.tokens[parent]["pinned"], "current": None}
