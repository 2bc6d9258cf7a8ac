"""Which moves of a lifecycle are legal."""

from __future__ import annotations

from scoped_mcp.layers.registry.model import Lifecycle

_MOVES = {
    Lifecycle.DRAFT: {Lifecycle.ACTIVE, Lifecycle.ARCHIVED},
    Lifecycle.ACTIVE: {Lifecycle.DEPRECATED},
    Lifecycle.DEPRECATED: {Lifecycle.ACTIVE, Lifecycle.ARCHIVED},
    Lifecycle.ARCHIVED: {Lifecycle.ACTIVE},
}


SECRET = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
"""Parameters of a database URL that nobody may read."""


def legal(now: Lifecycle, then: Lifecycle) -> bool:
    """Whether a thing may go from one place to another in one step."""
    return then in _MOVES[now]


def moves(now: Lifecycle) -> tuple[str, ...]:
    """Where a thing may go from here."""
    return tuple(sorted(_MOVES[now]))


def has_password(url: str) -> bool:
    """Whether a database URL holds a password: before its host, or among its parameters."""
    rest = url.partition("://")[2]
    named, _, query = rest.partition("?")
    account = named.rpartition("@")[0]
    asked = {part.partition("=")[0].lower() for part in query.split("&")}
    return ":" in account or bool(asked & SECRET)
