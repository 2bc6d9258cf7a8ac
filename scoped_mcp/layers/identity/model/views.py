"""What identity answers."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import JsonValue

from scoped_mcp.spine.declare import View


class PrincipalRef(View):
    """A principal as others name it."""

    id: str
    name: str
    kind: str | None = None


class PrincipalView(View):
    """A principal. What follows `kind` is for itself, its sponsors and instance admins."""

    id: str
    name: str
    kind: str
    urn: str | None = None
    version: int | None = None
    state: str | None = None
    effective_state: str | None = None
    sponsor: PrincipalRef | None = None
    creator: str | None = None
    delegate: bool | None = None
    expires_at: datetime | None = None
    metadata: dict[str, JsonValue] | None = None
    created_at: datetime | None = None


class PrincipalPage(View):
    """A page of principals."""

    items: tuple[PrincipalView, ...]
    next_cursor: str | None = None


class TokenView(View):
    """A credential, never its token."""

    id: str
    principal: PrincipalRef
    state: str
    expires_at: datetime
    toolsets: tuple[str, ...]
    read_only: bool
    parent: str | None = None
    issuer: str | None = None
    created_at: datetime | None = None
    last_seen: datetime | None = None


class TokenPage(View):
    """A page of credentials."""

    items: tuple[TokenView, ...]
    next_cursor: str | None = None


class IssuedToken(TokenView):
    """A new credential with its token, shown this once."""

    token: str


class SessionView(View):
    """A session; the client is as it declared itself."""

    id: str
    credential: str
    principal: PrincipalRef
    client: str | None = None
    face: str | None = None
    state: str
    opened_at: datetime | None = None
    last_seen: datetime | None = None
    expires_at: datetime | None = None


class SessionPage(View):
    """A page of sessions."""

    items: tuple[SessionView, ...]
    next_cursor: str | None = None


class SessionRef(View):
    """The session of this call."""

    id: str
    client: str | None = None
    expires_at: datetime | None = None


class ScopeRole(View):
    """A scope that one is a member of."""

    id: str
    name: str
    role: str
    expires_at: datetime | None = None
    added_by: str | None = None


class DelegateRef(View):
    """A live delegate of one's own."""

    id: str
    name: str
    expires_at: datetime


class Waiting(View):
    """What waits for a decision of the caller."""

    reviews: int = 0
    transfers: tuple[str, ...] = ()


class Recovered(View):
    """A recovery of one's credentials by another."""

    at: datetime
    by: str | None = None


class EnvironmentRef(View):
    """The environment in which one works; `state` tells what happened to it."""

    fleeting: ClassVar[frozenset[str]] = frozenset({"expires_at"})

    id: str
    name: str
    state: str
    expires_at: datetime | None = None


class WhoAmIView(View):
    """Who calls, with what rights, and what waits."""

    principal: PrincipalRef
    sponsor: PrincipalRef | None = None
    session: SessionRef
    environment: EnvironmentRef | None = None
    scopes: tuple[ScopeRole, ...] = ()
    toolsets: tuple[str, ...]
    read_only: bool
    delegates: tuple[DelegateRef, ...] = ()
    limits: dict[str, int]
    waiting: Waiting
    recovered: Recovered | None = None


class DelegationView(View):
    """A sub-agent and its token, shown this once."""

    principal: PrincipalRef
    token: str
    credential: str
    expires_at: datetime
    environment: str | None = None
    toolsets: tuple[str, ...]
    read_only: bool


class RelationshipView(View):
    """A labelled edge between principals."""

    id: str
    source: str
    label: str
    target: str
    active: bool
    version: int


class PathView(View):
    """How one principal leads to another."""

    principal: PrincipalRef
    distance: int
    path: tuple[str, ...]


class LineageView(View):
    """Everyone above or below, nearest first."""

    items: tuple[PathView, ...]
    next_cursor: str | None = None
