"""Who may see and do what with principals, credentials, sessions and relationships.

Active principals are known inside an organisation (ruling 8). A principal's credentials and
sessions are its own, its sponsors' and instance admins' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, true

from scoped_mcp.layers.identity.model import (
    Credential,
    Principal,
    PrincipalState,
    Relationship,
    Session,
)
from scoped_mcp.layers.identity.store.facts import answered_for, answers_for
from scoped_mcp.layers.identity.tables import credentials, principals, relationships, sessions
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import decides, filters, pins
from scoped_mcp.storage.among import one_of

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx


def instance_admin(tx: ReadTx) -> bool:
    """Whether the caller administers the root scope."""
    return tx.caller.house or tx.access_to(tx.house.root) >= Access.ADMIN


def _answers_for(tx: ReadTx, principal: str) -> bool:
    return answers_for(tx, tx.caller.principal, principal)


def _mine(tx: ReadTx) -> tuple[int, ...]:
    return (tx.caller.key, *answered_for(tx, tx.caller.principal))


@decides(Principal)
def principal(tx: ReadTx, one: Principal) -> Access:
    """ADMIN for instance admins and sponsors, WRITE for itself, READ for all while it is active."""
    if one.id == tx.house.principal:  # nobody speaks for the house, or changes it
        return Access.READ
    if instance_admin(tx) or _answers_for(tx, one.id):
        return Access.ADMIN
    if one.id == tx.caller.principal:
        return Access.WRITE
    return Access.READ if one.state is PrincipalState.ACTIVE else Access.NONE


@filters(Principal)
def principals_seen(tx: ReadTx) -> ColumnElement[bool]:
    """What lists show: all are known by id, but only instance admins list them (ruling 8)."""
    if instance_admin(tx):
        return true()
    return one_of(principals.c.id, _mine(tx))


@decides(Credential)
@decides(Session)
def own(tx: ReadTx, thing: Credential | Session) -> Access:
    """ADMIN for the principal itself, its sponsors and instance admins; nothing for others."""
    mine = thing.principal == tx.caller.principal
    if mine or instance_admin(tx) or _answers_for(tx, thing.principal):
        return Access.ADMIN
    return Access.NONE


@filters(Credential)
def credentials_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    if instance_admin(tx):
        return true()
    return one_of(credentials.c.principal, _mine(tx))


@filters(Session)
def sessions_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    if instance_admin(tx):
        return true()
    return one_of(sessions.c.principal, _mine(tx))


@decides(Relationship)
def relationship(tx: ReadTx, one: Relationship) -> Access:
    """ADMIN for instance admins; READ for both ends and who answers for them."""
    if instance_admin(tx):
        return Access.ADMIN
    ends = (one.source, one.target)
    mine = tx.caller.principal in ends or any(_answers_for(tx, end) for end in ends)
    return Access.READ if mine else Access.NONE


@filters(Relationship)
def relationships_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    if instance_admin(tx):
        return true()
    mine = _mine(tx)
    return one_of(relationships.c.source, mine) | one_of(relationships.c.target, mine)


@pins(Principal, lambda _tx: true())
def pinned_principal(_tx: ReadTx, _one: Principal) -> bool:
    """Who is there is known inside an organisation (ruling 8)."""
    return True


@pins(Credential, lambda tx: credentials.c.environment == tx.key(tx.caller.environment or ""))
def pinned_credential(tx: ReadTx, one: Credential) -> bool:
    """It and those of its delegates, which are pinned there too: so that it can end them."""
    return one.environment == tx.caller.environment


@pins(Session, lambda tx: sessions.c.id == tx.caller.session_key)
def pinned_session(tx: ReadTx, one: Session) -> bool:
    """Its own."""
    return one.id == tx.caller.session
