"""Promotions beside their model: after each call everybody sees the same, at every step."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scoped_mcp import Scoped, ScopedError, Session
from tests.conftest import FixedClock
from tests.grounds import SQLITE, Ground
from tests.model.promotions import ADMINS, EVERYONE, MEMBERS, Model, Note, Promotion

DAY = 86_400
ROLES = {"rita": "admin", "bob": "contributor", "bot": "contributor", "viewer": "viewer"}
who = st.sampled_from(EVERYONE)
which = st.integers(0, 99)
keys, values = st.sampled_from("abc"), st.integers(1, 3)


def one_of(many: Any, number: int) -> Any:
    return list(many)[number % len(many)]


class Machine(RuleBasedStateMachine):
    """Every rule is one call of both."""

    ground: Ground = SQLITE

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.model, self.clock = Model(), FixedClock()
        self.folder = tempfile.TemporaryDirectory()
        self.loop.run_until_complete(self.furnish())

    async def furnish(self) -> None:
        self.url = self.ground.place(Path(self.folder.name))
        token = await Scoped.create(self.url, name="root", clock=self.clock)
        self.house = Scoped.open(self.url, clock=self.clock)
        self.scoped = await self.house.__aenter__()
        self.people: dict[str, Session] = {"root": await self.scoped.session(token)}
        self.homes: dict[str, str] = {}
        for name in MEMBERS:
            kind = "agent" if name == "bot" else "user"
            asked = {"name": name, "kind": kind, "toolsets": ["all"], "ttl_seconds": 300 * DAY}
            made = await self.people["root"].call("token.issue", asked)
            self.people[name] = await self.scoped.session(made["token"])
            if name == "alice":
                scope = await self.people["alice"].call("scope.create", {"name": "team"})
                self.scope = scope["id"]
            else:
                place = {"scope": self.scope, "principal": made["principal"]["id"]}
                await self.people["alice"].call("scope.add_member", place | {"role": ROLES[name]})
        ends = {"target": {"kind": "scope", "id": self.scope}}
        ends |= {"source": {"kind": "any_environment"}, "name": "in"}
        self.channel = (await self.people["alice"].call("channel.create", ends))["id"]

    def call(self, name: str, operation: str, arguments: dict[str, Any]) -> Any:
        """A view, or the code of the refusal."""
        try:
            return self.loop.run_until_complete(self.people[name].call(operation, arguments))
        except ScopedError as error:
            return error.code.value

    def teardown(self) -> None:
        if hasattr(self, "scoped"):
            try:
                assert self.call("root", "audit.verify", {})["ok"]
            finally:
                self.loop.run_until_complete(self.house.__aexit__(None, None, None))
                self.loop.close()
                self.ground.forget(self.url)
                self.folder.cleanup()

    @rule(by=st.sampled_from(["alice", "rita", "bob", "bot"]), key=keys, value=values)
    def write(self, by: str, key: str, value: int) -> None:
        if by not in self.homes:
            spawned = self.call(by, "environment.spawn", {"ttl_seconds": 30 * DAY})
            self.homes[by] = spawned["id"]
        asked = {"type": "note", "data": {key: value}, "environment": self.homes[by]}
        made = self.call(by, "object.create", asked)
        self.model.notes[made["id"]] = Note(by, [{key: value}])

    @precondition(lambda self: self.model.notes)
    @rule(number=which, key=keys, value=values)
    def edit(self, number: int, key: str, value: int) -> None:
        name, note = one_of(self.model.notes.items(), number)
        if note.deleted or note.discarded:
            return
        self.call(note.owner, "object.update", {"id": name, "patch": {key: value}})
        note.versions.append(note.versions[-1] | {key: value})

    @precondition(lambda self: self.model.notes)
    @rule(number=which, whole=st.integers(0, 5))
    def give_up(self, number: int, whole: int) -> None:
        name, note = one_of(self.model.notes.items(), number)
        if note.discarded or note.deleted:
            return
        if whole:
            self.call(note.owner, "object.delete", {"id": name})
            note.deleted = True
            return
        self.call(note.owner, "environment.discard", {"id": self.homes.pop(note.owner)})
        for other in self.model.notes.values():
            other.discarded = other.discarded or other.owner == note.owner

    @precondition(lambda self: self.model.notes)
    @rule(by=who, number=which, own=st.integers(0, 4))
    def request(self, by: str, number: int, own: int) -> None:
        name, note = one_of(self.model.notes.items(), number)
        by = note.owner if own else by
        answer = self.call(by, "promotion.request", {"objects": [name], "channel": self.channel})
        if by in {"root", "viewer"}:
            refusals = {"root": {"not_found"}, "viewer": {"denied", "conflict"}}
            assert answer in refusals[by]
            return
        expected = self.model.request(by, name)
        if isinstance(expected, str):
            assert answer == expected
            return
        assert answer["state"] == expected.state
        self.model.promotions[answer["id"]] = expected

    def asked(self, number: int) -> tuple[str, Promotion]:
        return one_of(self.model.promotions.items(), number)

    @precondition(lambda self: self.model.promotions)
    @rule(by=st.sampled_from([*ADMINS, *ADMINS, *EVERYONE]), number=which, no=st.integers(0, 5))
    def review(self, by: str, number: int, no: int) -> None:
        public_id, one = self.asked(number)
        seen = self.call(by, "promotion.get", {"id": public_id})
        picture = {} if isinstance(seen, str) else {"picture": seen["picture"]}
        decision = {"id": public_id, "decision": "approve" if no else "reject"}
        answer = self.call(by, "promotion.review", decision | picture)
        expected = self.model.review(by, one, approves=bool(no))
        assert (answer if isinstance(answer, str) else answer["state"]) == expected
        if expected == "applied":
            self.model.land(one, answer["objects"][0]["published"])

    @precondition(lambda self: self.model.promotions)
    @rule(by=who, number=which, own=st.booleans(), back=st.booleans())
    def take_back(self, by: str, number: int, own: bool, back: bool) -> None:
        public_id, one = self.asked(number)
        by = (one.by if back else "rita") if own else by
        verb = "withdraw" if back else "revert"
        answer = self.call(by, f"promotion.{verb}", {"id": public_id})
        expected = self.model.withdraw(by, one) if back else self.model.revert(by, one)
        assert (answer if isinstance(answer, str) else answer["state"]) == expected

    @precondition(lambda self: any(c.live for c in self.model.copies.values()))
    @rule(number=which, key=keys, value=values)
    def change_what_is_published(self, number: int, key: str, value: int) -> None:
        live = {k: c for k, c in self.model.copies.items() if c.live}
        name, copy = one_of(live.items(), number)
        self.call("alice", "object.update", {"id": name, "patch": {key: value}})
        data, source = copy.versions[-1] or ({}, ("", 0))
        copy.versions.append((data | {key: value}, source))

    @rule(what=st.sampled_from(["one", "two", "close"]))
    def change_the_channel(self, what: str) -> None:
        model = self.model
        model.channel += 1
        if what == "close" or not model.open:
            state = "closed" if model.open else "active"
            model.open = not model.open
            self.call("alice", "channel.set_state", {"id": self.channel, "state": state})
            return
        model.needed = 1 if what == "one" else 2
        self.call("alice", "channel.update", {"id": self.channel, "approvals": model.needed})

    @precondition(lambda self: self.model.now < 20 * DAY)  # no environment expires
    @rule(days=st.sampled_from([1, 3]))
    def time_passes(self, days: int) -> None:
        self.clock.advance(days * DAY)
        self.model.now += days * DAY

    @invariant()
    def everybody_sees_the_same(self) -> None:
        if not hasattr(self, "people") or "viewer" not in self.people:
            return
        model = self.model
        there = {k: c.versions[-1][0] for k, c in model.copies.items() if c.versions[-1]}
        for name in EVERYONE:
            asked = {"scope": self.scope, "detail": "full", "limit": 100}
            page = self.call(name, "object.list", asked)
            if name == "root":
                assert page == "not_found"
            else:
                assert {one["id"]: one["data"] for one in page["items"]} == there
            listed = self.call(name, "promotion.list", {"limit": 100})["items"]
            states = {one["id"]: one["state"] for one in listed}
            seen = {k: p for k, p in model.promotions.items() if model.sees(name, p)}
            assert states == {k: model.state(p) for k, p in seen.items()}
            behind = {one["id"]: "object" in one["objects"][0] for one in listed}
            assert behind == {k: model.reads(name, p) for k, p in seen.items()}


def play(ground: Ground, examples: int, steps: int) -> None:
    machine: Any = type("Machine", (Machine,), {"ground": ground})
    times = settings(max_examples=examples, stateful_step_count=steps)
    run_state_machine_as_test(machine, settings=times)


def test_promotions_and_their_model_agree(ground: Ground) -> None:
    play(ground, *((5, 30) if ground is SQLITE else (2, 30)))


@pytest.mark.slow
@pytest.mark.sqlite  # on PostgreSQL the short form is enough: the rules are the same code
def test_promotions_and_their_model_agree_at_length() -> None:
    play(SQLITE, 4, 40)
