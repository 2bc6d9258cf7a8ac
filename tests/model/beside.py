"""The product and the model side by side: opened, furnished, and called alike."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from scoped_mcp import Scoped, ScopedError
from tests.conftest import FixedClock
from tests.grounds import Ground
from tests.model.homes import Model
from tests.model.model import HOLDER

DAY = 86_400
ROLES = ("auditor", "viewer", "contributor", "editor", "admin", "owner")
LIVES = {"alice": 300 * DAY, "bob": 300 * DAY, "carol": 3 * DAY, "robot": 300 * DAY}
TEAMS = ("crew", "guild")
NOTHING = "scp_zzzzzzzzzzzzzzzz"
READS = {"object.get", "object.list", "object.history", "environment.get", "scope.get"}


@dataclass(frozen=True)
class Start:
    """A founded house with users, an agent and teams."""

    ground: Ground
    url: str
    tokens: dict[str, tuple[str, str]]  # name → credential, token
    names: dict[str, str]


async def found(ground: Ground, folder: Path) -> Start:
    clock, url = FixedClock(), ground.place(folder)
    first = await Scoped.create(url, name="root", clock=clock)
    async with Scoped.open(url, clock=clock) as scoped:
        root = await scoped.session(first)
        me = await root.call("whoami")
        held = await root.call("token.list", {})
        names = {"root": me["principal"]["id"], "the root scope": me["scopes"][0]["id"]}
        tokens = {"root": (held["items"][0]["id"], first)}
        for name, seconds in LIVES.items():
            kind = "agent" if name == "robot" else "user"
            asked = {"name": name, "kind": kind, "ttl_seconds": seconds, "toolsets": ["all"]}
            made = await root.call("token.issue", asked)
            names[name] = made["principal"]["id"]
            tokens[name] = (made["id"], made["token"])
            await scoped.session(made["token"])
        for name in TEAMS:
            made = await root.call("principal.create", {"name": name, "kind": "team"})
            names[name] = made["id"]
    return Start(ground, url, tokens, names)


def model_of(start: Start) -> Model:
    """What the model knows of it."""
    names = start.names
    model = Model(names["the root scope"])
    for name in ("root", *LIVES, *TEAMS):
        kind = "agent" if name == "robot" else "team" if name in TEAMS else "user"
        one = {"kind": kind, "sponsor": None, "delegate": False, "state": "active", "by": None}
        model.people[names[name]] = one
        if name not in TEAMS:
            ends = LIVES.get(name, 365 * DAY)
            token = {"who": names[name], "parent": None, "ends": ends}
            token |= {"pinned": None, "current": None}
            model.tokens[start.tokens[name][0]] = token
    model.people[names["robot"]]["sponsor"] = names["root"]
    root = {"parent": None, "owner": names["root"], "state": "active", "offer": None, "by": None}
    model.scopes[model.root] = root
    model.places[model.root, names["root"]] = {"role": HOLDER, "ends": None}
    return model


class Beside(RuleBasedStateMachine):
    """One run: a house of its own, its model, and one event loop."""

    start: Start

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.AsyncExitStack()
        place = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        ground, self.clock = self.start.ground, FixedClock()
        self.url = ground.copy(self.start.url, place)
        self.stack.callback(ground.forget, self.url)
        opened = Scoped.open(self.url, clock=self.clock)
        self.scoped = self.loop.run_until_complete(self.stack.enter_async_context(opened))
        self.model = model_of(self.start)
        self.secrets = dict(self.start.tokens.values())  # credential → token
        self.numbers = count(1)
        self.changed = True  # since everybody looked

    def close(self) -> None:
        self.loop.run_until_complete(self.stack.aclose())
        self.loop.close()

    # --- calls

    async def ask(self, token: str, operation: str, arguments: dict[str, Any]) -> Any:
        """The answer, or the code of the refusal."""
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            view = await self.scoped.spine.call(operation, given, self.secrets[token])
        except ScopedError as error:
            return str(error.code)
        if operation in READS:
            named = [given.get(name) for name in ("id", "scope", "environment")]
            self.model.use(token, next((one for one in named if one), None))
        return view.as_json()

    def call(self, token: str, operation: str, arguments: dict[str, Any]) -> Any:
        return self.loop.run_until_complete(self.ask(token, operation, arguments))

    def both(
        self, token: str, operation: str, arguments: dict[str, Any], same: str, *given: Any
    ) -> None:
        """Done by both, or refused by both with the same code."""
        self.agreed(self.call(token, operation, arguments), token, same, *given)

    def agreed(self, answer: Any, token: str, same: str, *given: Any) -> bool:
        """Whether both did it; they have to agree."""
        code = answer if isinstance(answer, str) else "ok"
        assert (same, code) == (same, self.model.do(token, same, *given))
        self.changed |= code == "ok"
        return code == "ok"

    # --- what makes ids

    def make_object(self, token: str, where: str | None = None) -> str:
        content = {"n": next(self.numbers)}
        asked = {"type": "note", "data": content, "environment": where}
        answer = self.call(token, "object.create", asked)
        made = of(answer, "id")
        self.agreed(answer, token, "create", made, content, where, self.landed(token, answer))
        return made

    def landed(self, token: str, answer: Any) -> tuple[str, str] | None:
        """The environment that an answer names, and its scope."""
        env = None if isinstance(answer, str) else answer.get("environment")
        if env is None:
            return None
        known = self.model.environments.get(env)
        if known:
            return env, known["scope"]
        return env, of(self.call(token, "environment.get", {"id": env}), "scope")

    def edit(self, token: str, thing: str, key: str, expected: int | None) -> None:
        """One key of what it is now, or of what the caller has of it."""
        newest = self.model.objects[thing]["versions"][-1] or {}
        content = newest | {key: next(self.numbers)}
        asked = {"id": thing, "data": content, "expected_version": expected}
        answer = self.call(token, "object.update", asked)
        made = None if isinstance(answer, str) else answer["id"]
        self.agreed(answer, token, "update", thing, content, expected, made)

    def make_environment(self, token: str, ttl: int, things: list[str]) -> str:
        asked = {"ttl_seconds": ttl, "imports": things}
        answer = self.call(token, "environment.spawn", asked)
        made, scope = of(answer, "id"), of(answer, "scope")
        self.agreed(answer, token, "spawn", made, scope, ttl, things)
        return made

    def make_scope(self, token: str, parent: str | None) -> str:
        asked = {"name": f"scope {next(self.numbers)}", "parent": parent}
        answer = self.call(token, "scope.create", asked)
        made = of(answer, "id")
        self.agreed(answer, token, "found", made, parent)
        return made

    def make_delegate(self, token: str, seconds: int, pinned: str | None = None) -> str:
        asked = {"name": f"d{next(self.numbers)}", "ttl_seconds": seconds, "toolsets": ["all"]}
        asked["environment"] = pinned
        answer = self.call(token, "agent.delegate", asked)
        made, whom = of(answer, "credential"), of(answer, "principal", "id")
        ends = self.model.now + seconds
        if self.agreed(answer, token, "delegate", whom, token, made, ends, pinned):
            self.secrets[made] = answer["token"]
        return made

    def make_token(self, token: str, seconds: int, pinned: str | None = None) -> None:
        who = self.model.tokens[token]["who"]
        asked = {"principal": who, "ttl_seconds": seconds, "toolsets": ["all"]}
        asked["environment"] = pinned
        answer = self.call(token, "token.issue", asked)
        made = of(answer, "id")
        ends = self.model.now + seconds
        if self.agreed(answer, token, "issue", token, made, ends, pinned):
            self.secrets[made] = answer["token"]

    def add_member(self, token: str, scope: str, whom: str, role: int, lasts: int | None) -> None:
        ends = moment = None
        if lasts is not None:
            ends = self.model.now + lasts
            moment = (self.clock.now() + timedelta(seconds=lasts)).isoformat()
        asked = {"scope": scope, "principal": whom, "role": ROLES[role], "expires_at": moment}
        self.both(token, "scope.add_member", asked, "add", scope, whom, role, ends)

    def share_object(self, token: str, thing: str, scope: str, level: str, how: int | str) -> None:
        pinned = how if isinstance(how, int) else None
        since = 1 if how == "history" else None
        asked = {"object": thing, "scope": scope, "access": level, "pin_version": pinned}
        asked["history"] = True if since else None
        self.both(token, "object.share", asked, "share", thing, scope, level, pinned, since)

    # --- who does it, and with what

    def watchers(self) -> dict[str, str]:
        """Everybody who can act, each with one credential."""
        model = self.model
        return {one["who"]: token for token, one in model.tokens.items() if model.works(token)}

    def watching(self) -> list[str]:
        """One credential of everybody, and one for each environment in which one is pinned."""
        model = self.model
        live = [token for token in model.tokens if model.works(token)]
        return list({(model.tokens[t]["who"], model.tokens[t]["pinned"]): t for t in live}.values())

    def actor(self, number: int, *likely: str, others: Iterable[str] = ()) -> str:
        """A credential: mostly of who is likely or of others concerned, sometimes anybody's."""
        mode, number = number % 20, number // 20
        live, others = self.watchers(), [who for who in others if who]
        heirs = [self.model.heir(who) for who in likely if who]
        chosen = heirs if mode < 11 else others if mode < 17 else []
        tokens = [live[who] for who in chosen if who in live]
        if not tokens:
            tokens = list(self.model.tokens if mode > 18 else live.values())
        return tokens[number % len(tokens)]

    def furnish(self) -> None:
        """A house in use: a tree of scopes, members of every role, things shown in every way."""
        names, token = self.start.names, {k: t for k, (t, _) in self.start.tokens.items()}
        for who, team in (("carol", "crew"), ("crew", "guild")):
            asked = {"source": names[who], "label": "member_of", "target": names[team]}
            given = (names[who], names[team])
            self.both(token["root"], "principal.relate", asked, "relate", *given)
        helper = self.make_delegate(token["alice"], 20 * DAY)
        helping = self.model.tokens[helper]["who"]
        hall = self.make_scope(token["alice"], None)
        room = self.make_scope(token["alice"], hall)
        shed = self.make_scope(token["bob"], None)
        self.make_scope(helper, None)
        members = [(hall, "bob", 4, None), (hall, "guild", 1, None), (room, "robot", 2, DAY)]
        for scope, who, role, lasts in members:
            self.add_member(token["alice"], scope, names[who], role, lasts)
        self.add_member(token["alice"], hall, helping, 3, None)
        self.add_member(token["bob"], shed, names["alice"], 2, 7_200)
        self.add_member(token["bob"], shed, names["carol"], 0, None)
        shown = [(token["alice"], hall, "admin", "live"), (token["bob"], hall, "write", "history")]
        shown += [(token["alice"], room, "read", 1), (token["bob"], hall, "read", "live")]
        for by, scope, level, how in shown:
            thing = self.make_object(by)
            self.edit(by, thing, "n", None)
            self.share_object(by, thing, scope, level, how)
        self.furnish_inside(token, helper, thing)

    def furnish_inside(self, token: dict[str, str], helper: str, thing: str) -> None:
        """Environments: of a user with members and an import, of agents, one that soon expires."""
        names = self.start.names
        bench = self.make_environment(token["alice"], 20 * DAY, [thing])
        for whom, role in (("bob", "editor"), ("guild", "viewer")):
            self.invite(token["alice"], bench, names[whom], role)
        self.edit(token["alice"], thing, "a", None)  # forks it
        self.make_object(token["bob"], bench)
        self.make_object(token["robot"])
        self.make_object(helper)
        self.make_environment(token["bob"], 7_200, [thing])
        self.make_delegate(token["bob"], 20 * DAY, bench)

    def invite(self, token: str, env: str, whom: str, role: str) -> None:
        asked = {"id": env, "principal": whom, "role": role}
        level = {"none": 0, "viewer": 1, "editor": 2}[role]
        self.both(token, "environment.invite", asked, "invite", env, whom, level)


def of(answer: Any, *path: str) -> str:
    """What stands there, or the id of nothing in a refusal."""
    if isinstance(answer, str):
        return NOTHING
    for name in path:
        answer = answer[name]
    return answer
