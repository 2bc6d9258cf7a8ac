"""Queries of identity: who answers for whom, and what works now."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select  # noqa: TID251 - rights are read before they are known

from scoped_mcp.kernel.clock import moment, stamp
from scoped_mcp.layers.identity import logic
from scoped_mcp.layers.identity.model import (
    Credential,
    CredentialState,
    Principal,
    PrincipalState,
    Relationship,
    Session,
)
from scoped_mcp.layers.identity.tables import credentials, principals, relationships, sessions
from scoped_mcp.layers.registry import organisations
from scoped_mcp.spine import entity
from scoped_mcp.spine.gather import gather
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among, keys
from scoped_mcp.storage.path import last_seen
from scoped_mcp.storage.path import registry as registered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from scoped_mcp.kernel.ids import EnvironmentId
    from scoped_mcp.spine.tx import ReadTx

for _kind, _table in (
    (Principal, principals),
    (Credential, credentials),
    (Session, sessions),
    (Relationship, relationships),
):
    entity.bind(_kind, _table)

_EPOCH = select(organisations.c.epoch)
OF_NOW = credentials.c.epoch == _EPOCH.scalar_subquery()
"""Credentials of another epoch are dead (ruling 24)."""
_SESSION = select(sessions.c.id).where(sessions.c.credential == bindparam("credential"))
_LIVE = (
    everything(Credential)
    .where(among(credentials.c.principal))
    .where(credentials.c.state == CredentialState.LIVE.value)
    .where(OF_NOW)
)
_PINNED = (
    everything(Credential)
    .where(credentials.c.environment == bindparam("environment"))
    .where(credentials.c.state == CredentialState.LIVE.value)
    .where(credentials.c.expires_at > bindparam("now"))
    .where(OF_NOW)
    .order_by(credentials.c.id)
    .limit(bindparam("limit"))
)
_UNENDED = (
    everything(Principal)
    .where(principals.c.sponsor == bindparam("sponsor"))
    .where(principals.c.delegate == 1)
    .where(principals.c.state.in_([PrincipalState.ACTIVE.value, PrincipalState.SUSPENDED.value]))
    .where(principals.c.expires_at.is_(None) | (principals.c.expires_at > bindparam("now")))
    .order_by(principals.c.id.desc())
)
_DIRECTLY = (
    select(principals.c.id, principals.c.kind)
    .where(principals.c.sponsor == bindparam("sponsor"))
    .cte("below", recursive=True)
)
_ANSWERED_FOR = select(
    _DIRECTLY.union_all(
        select(principals.c.id, principals.c.kind)
        .where(principals.c.sponsor == _DIRECTLY.c.id)
        .where(_DIRECTLY.c.kind != "user")
    ).c.id
)
_NAMED = (
    everything(Principal)
    .where(principals.c.name == bindparam("name"))
    .where(principals.c.state != PrincipalState.ARCHIVED.value)
    .order_by(principals.c.id.desc())
)
_LAST = _NAMED.limit(1)
_HOLDER = _NAMED.where(
    principals.c.expires_at.is_(None) | (principals.c.expires_at > bindparam("now"))
)
_USED = (
    select(sessions.c.id, registered.c.entry)
    .join_from(sessions, registered, registered.c.id == sessions.c.id)
    .where(sessions.c.principal == bindparam("principal"))
    .order_by(sessions.c.id.desc())
    .limit(1)
)
_EDGE = (
    everything(Relationship)
    .where(relationships.c.source == bindparam("source"))
    .where(relationships.c.label == bindparam("label"))
    .where(relationships.c.target == bindparam("target"))
)
_FROM = (
    everything(Relationship)
    .where(relationships.c.source == bindparam("principal"))
    .where(relationships.c.label == bindparam("label"))
    .where(relationships.c.active == 1)
)
_TO = (
    everything(Relationship)
    .where(relationships.c.target == bindparam("principal"))
    .where(relationships.c.label == bindparam("label"))
    .where(relationships.c.active == 1)
)
_SEEN_LAST = (
    select(sessions.c.credential, last_seen.c.at)
    .join_from(sessions, last_seen, last_seen.c.id == sessions.c.id)
    .where(among(sessions.c.credential))
)


def epoch(tx: ReadTx) -> int:
    """How often this database was restored; credentials of another epoch are dead (ruling 24)."""
    return tx.memo("epoch", lambda: int(tx.row(_EPOCH).epoch))


def alive(tx: ReadTx, credential: Credential) -> bool:
    """Whether a credential works now: its lifeline is computed, never copied (ruling 4)."""
    for link in lifeline(tx, credential):
        if not _holds(tx, link):
            return False
        principal = tx.peek(Principal, link.principal)
        if principal is None or not acting(tx, principal):
            return False
    return True


def lifeline(tx: ReadTx, credential: Credential) -> Iterator[Credential]:
    """A credential and every one above it."""
    link: Credential | None = credential
    while link is not None:
        yield link
        link = None if link.parent is None else tx.peek(Credential, link.parent)


def _holds(tx: ReadTx, one: Credential) -> bool:
    """Whether a credential by itself is unrevoked, unexpired and of this epoch."""
    unrevoked = one.state is CredentialState.LIVE and one.epoch == epoch(tx)
    return unrevoked and one.expires_at > tx.now


def acting(tx: ReadTx, principal: Principal) -> bool:
    """Whether a principal and every sponsor above it up to the first user is active (ruling 6)."""
    return all(p.state is PrincipalState.ACTIVE for p in (principal, *sponsors(tx, principal)))


def sponsors(tx: ReadTx, principal: Principal) -> Iterator[Principal]:
    """Who answers for a principal, nearest first, up to the first user."""
    while principal.sponsor is not None:
        above = tx.peek(Principal, principal.sponsor)
        if above is None:
            return
        yield above
        if above.kind == "user":
            return
        principal = above


def is_agent(tx: ReadTx, principal: Principal) -> bool:
    """Whether a principal counts as an agent (ruling 7)."""
    return logic.counts_as_agent(principal.kind, [p.kind for p in sponsors(tx, principal)])


def delegators(principal: Principal, above: list[Principal]) -> list[Principal]:
    """Whose delegate a principal is, nearest first."""
    found: list[Principal] = []
    for sponsor in above:
        if not principal.delegate:
            break
        found.append(sponsor)
        principal = sponsor
    return found


def live_credentials(tx: ReadTx, principal: str) -> list[Credential]:
    """The unrevoked credentials of a principal, whether or not they are in time."""
    return tx.entities(Credential, _LIVE, {"keys": keys([tx.known_key(principal)])})


def answered_for(tx: ReadTx, principal: str) -> tuple[int, ...]:
    """The keys of everyone a principal answers for, at any depth."""

    def below() -> tuple[int, ...]:
        found = tx.rows(_ANSWERED_FOR, {"sponsor": tx.key(principal)})
        return tuple(row.id for row in found)

    return tx.memo(("answered_for", principal), below)


def answers_for(tx: ReadTx, by: str, principal: str) -> bool:
    """Whether a principal answers for another: one of thousands is not looked for among them."""
    one = tx.peek(Principal, principal)
    return one is not None and any(above.id == by for above in sponsors(tx, one))


def ended(tx: ReadTx, delegate: Principal) -> bool:
    """Whether a delegate is over: archived, past its time, or without a working credential.

    A suspended delegate is not over: suspension comes back.
    """
    if delegate.state is PrincipalState.ARCHIVED:
        return True
    if delegate.expires_at is not None and delegate.expires_at <= tx.now:
        return True
    if delegate.sponsor is not None and tx.recalls(("delegates", delegate.sponsor)):
        return all(one.id != delegate.id for one in live_delegates(tx, delegate.sponsor))
    return not any(_works(tx, one) for one in live_credentials(tx, delegate.id))


def delegates(tx: ReadTx, principal: str) -> tuple[list[Principal], list[Principal]]:
    """The delegates of a principal that are not over, newest first; and those that are.

    Of these only the ones whose credentials alone ended them: of the others there are thousands.
    """

    def find() -> tuple[list[Principal], list[Principal]]:
        asked = {"sponsor": tx.key(principal), "now": stamp(tx.now)}
        found = tx.entities(Principal, _UNENDED, asked)
        live = {"keys": keys(tx.known_key(one.id) for one in found)}
        held = tx.entities(Credential, _LIVE, live) if found else []
        able = {one.principal for one in held if _works(tx, one)}
        return [p for p in found if p.id in able], [p for p in found if p.id not in able]

    return tx.memo(("delegates", principal), find)


def live_delegates(tx: ReadTx, principal: str) -> list[Principal]:
    """The delegates of a principal that are not over, newest first."""
    return delegates(tx, principal)[0]


def _works(tx: ReadTx, credential: Credential) -> bool:
    return all(_holds(tx, link) for link in lifeline(tx, credential))


def by_name(tx: ReadTx, name: str) -> Principal | None:
    """The principal of a name, archived ones aside; where it is free, who had it last."""
    now = holder(tx, name)
    if now is not None:
        return now
    found = tx.entities(Principal, _LAST, {"name": name})
    return found[0] if found else None


def holder(tx: ReadTx, name: str) -> Principal | None:
    """Who has a name now: a delegate that ended has it no more, for that is final."""
    found = tx.entities(Principal, _HOLDER, {"name": name, "now": stamp(tx.now)})
    return next((one for one in found if not (one.delegate and ended(tx, one))), None)


def enrolled(tx: ReadTx, principal: Principal) -> bool:
    """Whether a principal has authenticated in this epoch, and since it was last recovered."""
    row = tx.row(_USED, {"principal": tx.key(principal.id)})
    if row is None:
        return False
    session = tx.get_known(Session, tx.public_id(row.id))
    if tx.get_known(Credential, session.credential).epoch != epoch(tx):
        return False
    opened = session.created_at
    return principal.recovered_at is None or opened is None or opened > principal.recovered_at


def edge(tx: ReadTx, source: str, label: str, target: str) -> Relationship | None:
    """The relationship between two principals, active or not."""
    values = {"source": tx.key(source), "label": label, "target": tx.key(target)}
    found = tx.entities(Relationship, _EDGE, values)
    return found[0] if found else None


def neighbours(tx: ReadTx, principal: str, label: str, *, up: bool) -> list[str]:
    """Whom a principal leads to along a label, or who leads to it."""
    values = {"principal": tx.key(principal), "label": label}
    found = tx.entities(Relationship, _FROM if up else _TO, values)
    return [r.target if up else r.source for r in found]


def pinned_to(tx: ReadTx, environment: str, limit: int) -> list[Credential]:
    """The credentials that are pinned to an environment, unrevoked and in time."""
    values = {"environment": tx.key(environment), "now": stamp(tx.now), "limit": limit}
    return tx.entities(Credential, _PINNED, values)


def current(tx: ReadTx, credential: str) -> EnvironmentId | None:
    """The environment in which a credential works: pinned, or its session's current one."""
    one = tx.get_known(Credential, credential)
    if one.environment is not None:
        return one.environment
    key = session_of(tx, credential)
    return None if key is None else tx.get_known(Session, tx.public_id(key)).environment


def teams(tx: ReadTx, principal: str) -> frozenset[str]:
    """Every team a principal is a member of, directly or through teams."""
    return tx.memo(("teams", principal), lambda: _teams(tx, principal))


def _teams(tx: ReadTx, principal: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = [principal]
    while waiting:
        for team in neighbours(tx, waiting.pop(), "member_of", up=True):
            known = tx.peek(Principal, team)
            if team in found or known is None or known.kind != "team":
                continue
            if known.state is PrincipalState.ACTIVE:
                found.add(team)
                waiting.append(team)
    return frozenset(found)


def seen_last(tx: ReadTx, held: Sequence[Credential]) -> dict[str, datetime]:
    """When the sessions of credentials were last used, of those that were."""
    names = {tx.known_key(one.id): one.id for one in held}
    if not names:
        return {}
    rows = tx.rows(_SEEN_LAST, {"keys": keys(names)})
    return {names[row.credential]: moment(row.at) for row in rows}


def gather_principals(tx: ReadTx, ids: Iterable[str | None]) -> None:
    """Read some principals at once, and who answers for them."""
    found = gather(tx, Principal, ids)
    while found:
        found = gather(tx, Principal, (one.sponsor for one in found))


def gather_lifelines(tx: ReadTx, held: Sequence[Credential]) -> None:
    """Read at once what it takes to say whether credentials work, whose and by whom they are."""
    gather_principals(tx, (each for one in held for each in (one.principal, one.issuer)))
    while held:
        held = gather(tx, Credential, (one.parent for one in held))


def session_of(tx: ReadTx, credential: str) -> int | None:
    """The key of a credential's session."""
    row = tx.row(_SESSION, {"credential": tx.key(credential)})
    return None if row is None else row.id


def ran_out(tx: ReadTx, since: datetime, until: datetime) -> bool:
    """Whether a credential or delegate ran out between two moments."""
    between = {"since": stamp(since), "until": stamp(until + timedelta(microseconds=1))}
    return tx.row(_RAN_OUT, between) is not None


_RAN_OUT: Any = select(credentials.c.id).where(
    credentials.c.expires_at > bindparam("since"),
    credentials.c.expires_at <= bindparam("until"),
)
