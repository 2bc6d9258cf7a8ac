"""Pure decisions of flow: moves, who may review, what a picture is of, which way things can go.

(asked) ──► pending ──► approved ──► applied ⇄ reverted
   │           ├──► rejected · withdrawn · expired · stale
   └──► conflicted · failed
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scoped_mcp.kernel import canonical
from scoped_mcp.layers.flow.model import Check, PromotionState, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pydantic import JsonValue

    from scoped_mcp.layers.flow.model import Item

_S = PromotionState
MOVES: dict[PromotionState, frozenset[PromotionState]] = {
    _S.PENDING: frozenset({_S.APPROVED, _S.REJECTED, _S.WITHDRAWN, _S.EXPIRED, _S.STALE}),
    _S.APPROVED: frozenset({_S.APPLIED}),
    _S.APPLIED: frozenset({_S.REVERTED}),
    _S.REVERTED: frozenset({_S.APPLIED}),
}
"""Where a promotion may go from a state; from the others nowhere."""
ROUTES, HOPS, LOOKS = 20, 8, 2_000
_SECRETS = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50})"
    ),
    "a token of Slack": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20}"),
}


def may_move(before: PromotionState, after: PromotionState) -> bool:
    """Whether a promotion may go from one state to another."""
    return after in MOVES.get(before, frozenset())


def state_now(
    state: PromotionState, expires_at: datetime, now: datetime, *, moved: bool
) -> PromotionState:
    """The state in force: what is pending is dead at its second, and void once the world moved."""
    if state is not _S.PENDING:
        return state
    if now >= expires_at:
        return _S.EXPIRED
    return _S.STALE if moved else state


def state_asked(
    checks: Iterable[Check], needed: int, *, conflicted: bool, moved: bool
) -> PromotionState:
    """What a request comes to: what cannot land is answered so at once."""
    if moved:
        return _S.STALE
    if conflicted:
        return _S.CONFLICTED
    if any(check.outcome == "failed" for check in checks):
        return _S.FAILED
    return _S.PENDING if needed else _S.APPROVED


@dataclass(frozen=True)
class Party:
    """A principal and who answers for it, as deciding about reviews needs it.

    Attributes:
        chain: Itself and those above it up to the first user, nearest first.
        user: Whether that chain ends in a user.
        agent: Whether it counts as an agent (ruling 7).
    """

    chain: tuple[str, ...]
    user: bool
    agent: bool

    @property
    def principal(self) -> str:
        """Who it is."""
        return self.chain[0]

    @property
    def own(self) -> frozenset[str]:
        """Itself and its chain below the first user: who counts as one party with it."""
        return frozenset(self.chain[:-1] if self.user and len(self.chain) > 1 else self.chain)


def same_side(one: Party, other: Party) -> bool:
    """Whether two count as the same party: a chain in common below the first user."""
    return bool(one.own & other.own)


def review_problem(
    reviewer: Party,
    wrote: Iterable[Party],
    *,
    agents_may_review: bool,
    independent: bool,
    agents_own: bool,
) -> str | None:
    """Why somebody may not review what others asked for and wrote, or None where it may (41).

    1. an agent only where the channel says so, and never into what an agent owns (ruling 36)
    2. nobody of the same side, nor whom one of them answers for
    3. where the channel wants independence, nobody with the same user above
    """
    if reviewer.agent and agents_own:
        return "what flows into an agent's scope is reviewed by users"
    if reviewer.agent and not agents_may_review:
        return "this channel is not reviewed by agents"
    for one in wrote:
        if same_side(reviewer, one) or one.principal in reviewer.chain:
            return "nobody reviews what they or their side asked for or wrote"
        if independent and set(reviewer.chain) & set(one.chain):
            return "this channel wants reviewers who do not answer for who wrote it"
    return None


def parties(reviewers: Sequence[Party]) -> int:
    """How many parties some reviewers are: one that several hold is one (ruling 1)."""
    counted: list[Party] = []
    for one in reviewers:
        if not any(same_side(one, other) for other in counted):
            counted.append(one)
    return len(counted)


def picture(  # noqa: PLR0913 - a picture is of everything
    channel: str,
    channel_version: int,
    scope: str,
    target: str,
    items: Sequence[Item],
    contents: Sequence[bytes],
) -> str:
    """The digest of all that would land, for whom, through which channel version (ruling 40)."""
    shown = {
        "channel": [channel, channel_version],
        "audience": [scope, target],
        "objects": [
            [item.model_dump(mode="json"), hashlib.sha256(content).hexdigest()]
            for item, content in zip(items, contents, strict=True)
        ],
    }
    return hashlib.sha256(canonical.encode(shown)).hexdigest()


def resolutions_of(given: Mapping[str, JsonValue], public_id: str) -> dict[str, JsonValue]:
    """What was decided about one object: by path alone, or by its id and path, which goes first."""
    every = {path: choice for path, choice in given.items() if not path.startswith("obj_")}
    own = {
        path.removeprefix(public_id): choice
        for path, choice in given.items()
        if path.startswith(public_id)
    }
    return every | own


def checked(name: str, problems: Sequence[str]) -> Check:
    """What a check found: it passed, or the first problem and how many more there are."""
    if not problems:
        return Check(name=name, outcome="passed")
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return Check(name=name, outcome="failed", detail=f"{problems[0]}{more}")


def secret_in(data: bytes) -> str | None:
    """What of the shape of a secret some content holds; the value itself is never repeated."""
    return next((name for name, shape in _SECRETS.items() if shape.search(data)), None)


@dataclass(frozen=True)
class Place:
    """Somewhere a thing can be: an environment, a scope, a stage.

    Attributes:
        template: What an environment was made from.
        scope: The scope that a stage is of: what is there is in the scope, too.
    """

    id: str
    template: str | None = None
    scope: str | None = None


@dataclass(frozen=True)
class Edge:
    """A channel as finding ways needs it; `source` is None for any environment."""

    channel: str
    source: str | None
    target: Place


def fits(source: str | None, place: Place) -> bool:
    """Whether a channel from this source is open to what is at a place."""
    if source is None:
        return place.id.startswith("env_")
    return source in {place.id, place.template, place.scope}


def kind_of(source: str | None) -> SourceKind:
    """The kind of a source, told by its id."""
    if source is None:
        return SourceKind.ANY_ENVIRONMENT
    return _BY_PREFIX[source[:3]]


_BY_PREFIX = {
    "env": SourceKind.ENVIRONMENT,
    "tpl": SourceKind.TEMPLATE,
    "scp": SourceKind.SCOPE,
    "stg": SourceKind.STAGE,
}


def routes(edges: Sequence[Edge], start: Sequence[Place], goal: str | None) -> list[list[Edge]]:
    """The shortest ways from some places to one, or the shortest to every other within reach.

    No way comes to a place twice; at most 20 ways of at most 8 channels, found in bounded time.
    """
    found: list[list[Edge]] = []
    reached: set[str] = set()
    waiting: deque[tuple[Place, list[Edge]]] = deque((place, []) for place in start)
    looked = 0
    while waiting and len(found) < ROUTES and looked < LOOKS:
        at, way = waiting.popleft()
        been = {one.id for one in start} | {edge.target.id for edge in way}
        for edge in (e for e in edges if fits(e.source, at) and e.target.id not in been):
            looked += 1
            fresh = edge.target.id not in reached
            there = fresh if goal is None else goal in {edge.target.id, edge.target.scope}
            if there:
                found.append([*way, edge])
            if len(way) + 1 < HOPS and (fresh if goal is None else not there):
                waiting.append((edge.target, [*way, edge]))
            reached.add(edge.target.id)
    return found[:ROUTES]


def stage_problem(order: Sequence[str], at: str | None, wanted: str) -> str | None:
    """Why an object that stands at a stage may not enter another, or None: one step, or back."""
    here = -1 if at is None else order.index(at)
    there = order.index(wanted)
    if there == here:
        return "it stands at this stage already"
    if there > here + 1:
        return "stages are entered one after the other"
    return None


def takes_approval(order: Sequence[str], at: str | None, wanted: str, approvals: int) -> bool:
    """Whether entering a stage takes approvals: going back takes none."""
    return approvals > 0 and (at is None or order.index(wanted) > order.index(at))
