"""Who calls, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scoped_mcp.kernel.text import quote

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.kernel.ids import CredentialId, EnvironmentId, PrincipalId, SessionId


@dataclass(frozen=True)
class Origin:
    """Where a request came in. What the client says of itself identifies nothing (ruling 2).

    Attributes:
        face: The face: mcp, cli, python.
        client: Name and version as the client declared them.
        source: The network address, for counting failed authentications.
        trace: A W3C trace id (32 hex digits), or None.
        key: The caller's idempotency key, or None.
        confirmed: Whether the face asked who sits before it, who agreed; never an approval.
    """

    face: str = "python"
    client: str | None = None
    source: str = "local"
    trace: str | None = None
    key: str | None = None
    confirmed: bool = False

    @property
    def declared(self) -> str | None:
        """The client as the trail may keep it: short, one line, without a credential."""
        return None if self.client is None else quote(self.client)[1:-1]


@dataclass(frozen=True)
class External:
    """An identity that a face has verified: no text that a client sends can become one.

    Attributes:
        issuer: Who vouches for it (`iss`).
        subject: Whom it names there (`sub`).
        expires_at: When the proof ends; credentials that it leads to end no later for this call.
    """

    issuer: str
    subject: str
    expires_at: datetime


Proof = str | External
"""What a face hands over as proof of who calls: a token, or a verified external identity."""


@dataclass(frozen=True)
class Caller:
    """The authenticated principal of one request, read in its transaction.

    Attributes:
        sponsors: Who answers for it, nearest first, up to the first user.
        delegators: Those of them whose delegate it is, nearest first.
        agent: Whether it counts as an agent (ruling 7).
        toolsets: What its credential may use; "all" means every toolset.
        epoch: In which epoch of the organisation its credential was issued.
        house: Whether it is the house itself, which no credential can be.
    """

    principal: PrincipalId
    key: int
    kind: str
    name: str
    credential: CredentialId | None = None
    credential_key: int = 0
    session: SessionId | None = None
    session_key: int | None = None
    sponsors: tuple[PrincipalId, ...] = ()
    delegators: tuple[PrincipalId, ...] = ()
    agent: bool = False
    toolsets: frozenset[str] = frozenset({"core"})
    read_only: bool = False
    environment: EnvironmentId | None = None
    expires_at: datetime | None = None
    epoch: int = 0
    house: bool = False

    def holds(self, toolset: str) -> bool:
        """Whether its credential shows this toolset."""
        return "all" in self.toolsets or toolset in self.toolsets
