"""The product and the model are asked the same, again and again, and everybody sees the same.

After every call some of the principals, by turns, list what they see and look at one object and one
scope; at the end of a run every second of them looks at everything, in every way there is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.grounds import SQLITE, Ground
from tests.model.beside import DAY, TEAMS, Start, found
from tests.model.model import HOLDER
from tests.model.moves import ABSENT, MOST, Moves, keys, one_of, which
from tests.promises import promise

lasting = st.sampled_from([None, None, None, 600, 7_200, 40 * DAY])
levels = st.sampled_from(["read", "write", "admin"])
ways = st.sampled_from(["live", "live", "history", 1, 2, 3])


class Machine(Moves):
    """Every rule is one call of both."""

    @initialize()
    def begin(self) -> None:
        self.furnish()

    def teardown(self) -> None:
        try:
            places = [*self.model.scopes, *self.model.environments]
            self.look(list(self.model.objects), places, whole=True)
            for token in self.model.tokens:
                expected = "ok" if self.model.works(token) else "unauthenticated"
                answer = self.call(token, "whoami", {})
                assert (answer if isinstance(answer, str) else "ok") == expected
            self.loop.run_until_complete(self.addresses())
        finally:
            self.close()

    @invariant()
    def everybody_sees_the_same(self) -> None:
        if not self.changed:
            return
        self.changed, number = False, next(self.numbers)
        things = [one_of(self.model.objects, number)] if self.model.objects else []
        places = [one_of(self.model.scopes, number)]
        if self.model.environments:
            places.append(one_of(self.model.environments, number))
        self.look(things, places, whole=False)

    # --- whom and what a call is about

    def scope_at(self, number: int) -> str:
        mine = [s for s in self.model.scopes if s != self.model.root]
        return self.model.root if number % 40 == 39 else one_of(mine, number)

    def owner_of(self, number: int, thing: str) -> str:
        """Mostly the owner, else who sees it."""
        seeing = [who for who, t in self.watchers().items() if self.expected(t, thing) != ABSENT]
        return self.actor(number, self.model.objects[thing]["owner"], others=seeing)

    def holder_of(self, number: int, scope: str) -> str:
        """Mostly who owns it, else who sees it."""
        live = self.watchers()
        seeing = [who for who, t in live.items() if self.model.scope(self.with_(t), scope)]
        return self.actor(number, self.model.scopes[scope]["owner"], others=seeing)

    def delegates(self) -> list[str]:
        return [k for k, one in self.model.people.items() if one["delegate"]]

    # --- objects

    @precondition(lambda self: len(self.model.objects) < MOST)
    @rule(by=which, where=which)
    def create(self, by: int, where: int) -> None:
        env = self.room_at(where) if where % 2 else None
        self.make_object(self.dweller(by, env) if env else self.actor(by), env)

    @rule(by=which, thing=which, key=keys, expected=st.sampled_from([None, None, None, 1, 2]))
    def update(self, by: int, thing: int, key: str, expected: int | None) -> None:
        name = one_of(self.model.objects, thing)
        self.edit(self.owner_of(by, name), name, key, expected)

    @rule(by=which, thing=which)
    def delete_or_restore(self, by: int, thing: int) -> None:
        gone = [k for k, o in self.model.objects.items() if o["versions"][-1] is None]
        name = one_of(gone if gone and thing % 2 else self.model.objects, thing)
        verb = "restore" if thing % 2 else "delete"
        self.both(self.owner_of(by, name), f"object.{verb}", {"id": name}, verb, name)

    @rule(by=which, thing=which, to=which)
    def offer(self, by: int, thing: int, to: int) -> None:
        name = one_of(self.model.objects, thing)
        whom = None if to % 8 == 0 else one_of(self.model.people, to)
        asked = {"id": name, "to": whom}
        self.both(self.owner_of(by, name), "object.transfer", asked, "offer", name, whom)

    @precondition(lambda self: any(o["offer"] for o in self.model.objects.values()))
    @rule(by=which, thing=which)
    def accept(self, by: int, thing: int) -> None:
        offered = {k: o["offer"] for k, o in self.model.objects.items() if o["offer"]}
        name = one_of(offered, thing)
        token = self.actor(by, offered[name], others=self.watchers())
        self.both(token, "object.transfer_accept", {"id": name}, "accept", name)

    # --- shares

    @rule(by=which, thing=which, where=which, level=levels, how=ways)
    def share(self, by: int, thing: int, where: int, level: str, how: int | str) -> None:
        name = one_of(self.model.objects, thing)
        token = self.owner_of(by, name)
        who = self.model.tokens[token]["who"]
        places = [s for s, role in self.model.roles(who).items() if role > 1]
        scope = one_of(places, where) if places and where % 4 else self.scope_at(where)
        self.share_object(token, name, scope, "read" if isinstance(how, int) else level, how)

    @rule(by=which, thing=which, where=which, level=levels, how=ways)
    def share_again(self, by: int, thing: int, where: int, level: str, how: int | str) -> None:
        self.share(by, thing, where, level, how)

    @rule(by=which, pair=which, thing=which, where=which)
    def unshare(self, by: int, pair: int, thing: int, where: int) -> None:
        name, scope = one_of(self.model.objects, thing), self.scope_at(where)
        odd = [(t, s) for t, s in self.model.shown if self.is_odd(t, s)]  # where it went wrong
        if self.model.shown and pair % 6:
            name, scope = one_of(odd if odd and pair % 2 else self.model.shown, pair // 2)
        token = (self.holder_of if by % 3 else self.owner_of)(by // 3, scope if by % 3 else name)
        asked = {"object": name, "scope": scope}
        self.both(token, "object.unshare", asked, "unshare", name, scope)

    def is_odd(self, thing: str, scope: str) -> bool:
        """Whether its owner does not see where it is shown, or what is shown there is frozen."""
        owner = self.model.heir(self.model.objects[thing]["owner"])
        return not self.model.scope(owner, scope) or self.model.state(scope) != "active"

    # --- scopes

    @precondition(lambda self: len(self.model.scopes) < MOST)
    @rule(by=which, below=which)
    def found(self, by: int, below: int) -> None:
        parent = self.scope_at(below) if below % 4 else None
        self.make_scope(self.holder_of(by, parent) if parent else self.actor(by), parent)

    @rule(by=which, where=which, state=st.sampled_from(["active", "frozen", "archived"]))
    def turn(self, by: int, where: int, state: str) -> None:
        off = [k for k, s in self.model.scopes.items() if s["state"] != "active"]
        scope = one_of(off, where) if off and where % 3 else self.scope_at(where)
        asked = {"id": scope, "state": state}
        self.both(self.holder_of(by, scope), "scope.set_state", asked, "turn", scope, state)

    @rule(by=which, where=which, to=which)
    def offer_scope(self, by: int, where: int, to: int) -> None:
        scope = self.scope_at(where)
        whom = None if to % 8 == 0 else one_of(self.model.people, to)
        asked = {"id": scope, "to": whom}
        self.both(self.holder_of(by, scope), "scope.transfer", asked, "offer_scope", scope, whom)

    @precondition(lambda self: any(s["offer"] for s in self.model.scopes.values()))
    @rule(by=which, where=which)
    def accept_scope(self, by: int, where: int) -> None:
        offered = {k: s["offer"] for k, s in self.model.scopes.items() if s["offer"]}
        scope = one_of(offered, where)
        token = self.actor(by, offered[scope], others=self.watchers())
        self.both(token, "scope.transfer_accept", {"id": scope}, "accept_scope", scope)

    # --- members

    @rule(by=which, where=which, whom=which, role=st.integers(0, HOLDER), lasts=lasting)
    def add(self, by: int, where: int, whom: int, role: int, lasts: int | None) -> None:
        scope = self.scope_at(where)
        if scope != self.model.root:  # roles in the instance are another story
            person = one_of(self.model.people, whom)
            self.add_member(self.holder_of(by, scope), scope, person, role, lasts)

    @rule(by=which, where=which, whom=which, role=st.integers(0, HOLDER), lasts=lasting)
    def change(self, by: int, where: int, whom: int, role: int, lasts: int | None) -> None:
        scope, person = one_of(self.model.places, where)
        if scope != self.model.root:
            self.add_member(self.holder_of(by, scope), scope, person, role, lasts)

    @rule(by=which, place=which)
    def remove(self, by: int, place: int) -> None:
        scope, person = one_of(self.model.places, place)
        asked = {"scope": scope, "principal": person}
        token = self.holder_of(by, scope)
        self.both(token, "scope.remove_member", asked, "remove", scope, person)

    @rule(by=which, place=which)
    def leave(self, by: int, place: int) -> None:
        scope, person = one_of(self.model.places, place)
        self.both(self.actor(by, person), "scope.leave", {"id": scope}, "leave", scope)

    # --- principals and their credentials

    @rule(seconds=st.sampled_from([60, 1_800, 5_400, 5_400, 2 * DAY]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds
        self.model.fall()
        self.changed = True

    @precondition(lambda self: len(self.delegates()) < MOST // 2)
    @rule(by=which, lasts=st.sampled_from([600, 7_200, 20 * DAY, 20 * DAY]), where=which)
    def delegate(self, by: int, lasts: int, where: int) -> None:
        token = self.actor(by, *self.delegates())
        if len(self.model.delegators(self.model.tokens[token]["who"])) < 4:
            env = self.room_at(where) if where % 3 == 0 else None
            self.make_delegate(token, lasts, env)

    @rule(by=which, lasts=st.sampled_from([7_200, 20 * DAY]), where=which)
    def issue(self, by: int, lasts: int, where: int) -> None:
        env = self.room_at(where) if where % 3 == 0 else None
        self.make_token(self.actor(by, *self.delegates()), lasts, env)

    @rule(by=which, what=which)
    def revoke(self, by: int, what: int) -> None:
        lent = [k for k, one in self.model.tokens.items() if one["parent"]]
        name = one_of(lent if what % 8 else self.model.tokens, what)
        who = self.model.tokens[name]["who"]
        token = self.actor(by, who, *self.model.sponsors(who))
        self.both(token, "token.revoke", {"id": name}, "revoke", name)

    @rule(by=which, whom=which)
    def stop_or_archive(self, by: int, whom: int) -> None:
        person = one_of(self.delegates() if whom % 8 else self.model.people, whom)
        if whom % 3 or not self.model.people[person]["delegate"]:
            token = self.actor(by, *self.model.delegators(person), others=[person])
            self.both(token, "agent.stop", {"id": person}, "stop", person)
        else:
            token = self.actor(by, self.start.names["root"], *self.model.sponsors(person))
            self.both(token, "principal.archive", {"id": person}, "move", person, "archived")

    @precondition(lambda self: set(self.delegates()) & self.watchers().keys())
    @rule(by=which, whom=which, what=which)
    def leave_something(self, by: int, whom: int, what: int) -> None:
        """A delegate makes things; it ends, or one above it; everybody looks; it is swept."""
        live = self.watchers()
        person = one_of([d for d in self.delegates() if d in live], whom)
        token = live[person]
        if what % 3 == 0 and len(self.model.scopes) < MOST:
            scope = self.make_scope(token, None)
            for number in (what, what // 3)[: what % 4]:
                member = one_of(self.model.people, number)
                if scope in self.model.scopes:
                    self.add_member(token, scope, member, number % (HOLDER + 1), None)
        elif what % 3 == 1 and len(self.live_rooms()) < MOST:
            self.make_environment(token, 20 * DAY, [])
        if len(self.model.objects) < MOST:
            self.make_object(token)
        above = self.model.delegators(person)
        ending = one_of([person, *above[:-1]], by // 4)
        over = self.model.delegators(ending)[0]
        if by % 4:
            token = self.actor(by, over)
            self.both(token, "agent.stop", {"id": ending}, "stop", ending)
        else:
            token = self.actor(by, self.start.names["root"])
            self.both(token, "principal.archive", {"id": ending}, "move", ending, "archived")
        if what % 5:
            self.everybody_sees_the_same()
            self.sweep()

    @precondition(lambda self: set(self.delegates()) & self.watchers().keys())
    @rule(by=which, whom=which, what=which)
    def leave_more(self, by: int, whom: int, what: int) -> None:
        self.leave_something(by, whom, what)

    @rule(by=which, whom=which)
    def suspend_or_resume(self, by: int, whom: int) -> None:
        off = [k for k, one in self.model.people.items() if one["state"] == "suspended"]
        person = one_of(off if off and whom % 4 else self.model.people, whom)
        verb, state = ("resume", "active") if whom % 4 else ("suspend", "suspended")
        likely = [self.start.names["root"], *self.model.sponsors(person)]
        token = self.actor(by, *likely, others=[person])
        self.both(token, f"principal.{verb}", {"id": person}, "move", person, state)

    @rule(by=which, whom=which, team=which)
    def relate(self, by: int, whom: int, team: int) -> None:
        person, into = one_of(self.model.people, whom), self.start.names[one_of(TEAMS, team)]
        self.relation("relate", self.actor(by, self.start.names["root"]), person, into)

    @precondition(lambda self: self.model.teams)
    @rule(by=which, pair=which)
    def unrelate(self, by: int, pair: int) -> None:
        person, team = one_of(sorted(self.model.teams), pair)
        self.relation("unrelate", self.actor(by, self.start.names["root"], person), person, team)

    def relation(self, verb: str, token: str, person: str, team: str) -> None:
        asked = {"source": person, "label": "member_of", "target": team}
        self.both(token, f"principal.{verb}", asked, verb, person, team)


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Ground], Start]:
    return cache(lambda ground: asyncio.run(found(ground, tmp_path_factory.mktemp("model"))))


@pytest.fixture
def start(ground: Ground, starts: Callable[[Ground], Start]) -> Start:
    return starts(ground)


def play(
    start: Start,
    examples: int,
    steps: int,
    chance: int | None = None,
    kind: type[Machine] = Machine,
) -> None:
    every, seldom = (2, 7) if chance is None else (2, 13)
    machine: Any = type("Machine", (kind,), {"start": start, "every": every, "seldom": seldom})
    if chance is not None:
        machine = seed(chance)(machine)
    times = settings(max_examples=examples, stateful_step_count=steps)
    run_state_machine_as_test(machine, settings=times)


@promise("identity.step_one", "scopes.agree", "scopes.deep")
@pytest.mark.both
@pytest.mark.parametrize("half", [1, 2])  # both cores work until the end
def test_the_product_answers_as_the_model_does(
    ground: Ground,
    start: Start,
    half: int,  # noqa: ARG001 - each draws for itself
) -> None:
    play(start, *((20, 30) if ground is SQLITE else (1, 25)))


@pytest.mark.postgresql
def test_the_product_answers_as_the_model_does_on_postgresql_too(start: Start) -> None:
    play(start, 2, 50, secrets.randbelow(2**30))


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("part", range(4))
def test_the_product_answers_as_the_model_does_for_long(start: Start, part: int) -> None:
    """200 examples in all, in parts that run side by side; none of them plays another's."""
    chance = 4 * secrets.randbelow(2**30) + part
    print(f"the seed of this part is {chance}")  # noqa: T201 - shown where it fails
    play(start, 50, 50, chance)
