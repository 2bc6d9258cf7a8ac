"""Principals, credentials, sessions and the relationships between principals."""

from __future__ import annotations

import operator
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, JsonValue

from scoped_mcp.kernel.ids import (
    CredentialId,
    EnvironmentId,
    PrincipalId,
    RelationshipId,
    SessionId,
)
from scoped_mcp.spine.entity import Entity

TOOLSETS = frozenset(
    [
        "core",
        "scopes",
        "flow",
        "review",
        "audit",
        "temporal",
        "admin",
        "rules",
        "deployments",
        "secrets",
        "integrations",
        "connector",
        "events",
        "notifications",
        "scheduling",
        "contracts",
        "policies",
        "blobs",
        "settings",
        "search",
        "templates",
        "tiering",
        "portability",
        "all",
    ]
)
"""Every toolset a credential may hold; those that are not built yet are empty."""
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def _known_toolset(name: str) -> str:
    if name not in TOOLSETS:
        message = f"expected one of {', '.join(sorted(TOOLSETS))}"
        raise ValueError(message)
    return name


def _kind(text: str) -> str:
    if _KIND.fullmatch(text) is None:
        message = "expected a lower-case word of at most 32 characters, such as user or agent"
        raise ValueError(message)
    return text


Toolset = Annotated[str, AfterValidator(_known_toolset)]
PrincipalKind = Annotated[str, AfterValidator(_kind)]
Label = Annotated[str, AfterValidator(_kind)]
Toolsets = Annotated[tuple[Toolset, ...], Field(min_length=1, max_length=32)]


class PrincipalState(StrEnum):
    """Whether a principal may act."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ARCHIVED = "archived"


class Principal(Entity):
    """Anyone who acts.

    Attributes:
        kind: Free text; the house knows user, agent, service and team.
        sponsor: Who answers for it; users and teams have none.
        delegate: Whether its sponsor made it by delegation and holds its token.
        creator: Who created it.
        expires_at: When a delegate ends.
        recovered_at: When its credentials were last ended by a recovery.
        recovered_by: Who did that.
        suspended_by: Who suspended it; who answers for it does not undo what an admin did.
    """

    KIND: ClassVar[str] = "principal"
    AUTHORITY: ClassVar[bool] = True

    id: PrincipalId
    name: str
    kind: str
    state: PrincipalState = PrincipalState.ACTIVE
    sponsor: PrincipalId | None = None
    delegate: bool = False
    creator: PrincipalId | None = None
    expires_at: datetime | None = None
    metadata: dict[str, JsonValue] = {}
    recovered_at: datetime | None = None
    recovered_by: PrincipalId | None = None
    suspended_by: PrincipalId | None = None


class CredentialState(StrEnum):
    """Whether a credential was revoked. Expiry is computed."""

    LIVE = "live"
    REVOKED = "revoked"


class Credential(Entity):
    """What a token proves. The token itself is shown once and never stored.

    Attributes:
        parent: The credential it was delegated from; it lives no longer than that.
        verifier: Salt and SHA-256 of the secret, as hexadecimal text.
        external: For an external identity, which one: the mapping is the credential (ruling 10).
        environment: The one environment it is pinned to.
        epoch: In which epoch of the organisation it was issued; dead in any other (ruling 24).
    """

    KIND: ClassVar[str] = "credential"
    AUTHORITY: ClassVar[bool] = True

    id: CredentialId
    principal: PrincipalId
    parent: CredentialId | None = None
    verifier: str = Field(repr=False)
    external: str | None = None
    state: CredentialState = CredentialState.LIVE
    expires_at: datetime
    toolsets: tuple[str, ...] = ("core",)
    read_only: bool = False
    environment: EnvironmentId | None = None
    issuer: PrincipalId | None = None
    epoch: int = Field(default=0, exclude_if=operator.not_)


class Session(Entity):
    """A credential in use: opened by its first authenticated call.

    Attributes:
        environment: The current one, a convenience of the credential (ruling 3).
    """

    KIND: ClassVar[str] = "session"

    id: SessionId
    credential: CredentialId
    principal: PrincipalId
    client: str | None = None
    face: str = ""
    environment: EnvironmentId | None = None


class Relationship(Entity):
    """A labelled edge: `source` is `label` of `target`."""

    KIND: ClassVar[str] = "relationship"
    AUTHORITY: ClassVar[bool] = True

    id: RelationshipId
    source: PrincipalId
    label: str
    target: PrincipalId
    active: bool = True
