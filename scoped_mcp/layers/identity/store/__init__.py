"""Queries of identity: who acts, who answers for whom, and who may see them."""

from scoped_mcp.layers.identity.store.access import instance_admin
from scoped_mcp.layers.identity.store.facts import (
    acting,
    alive,
    answered_for,
    by_name,
    delegators,
    edge,
    ended,
    enrolled,
    heirs_of,
    live_credentials,
    live_delegates,
    neighbours,
    ran_out,
    seen,
    session_of,
    sponsors,
    teams,
)

__all__ = [
    "acting",
    "alive",
    "answered_for",
    "by_name",
    "delegators",
    "edge",
    "ended",
    "enrolled",
    "heirs_of",
    "instance_admin",
    "live_credentials",
    "live_delegates",
    "neighbours",
    "ran_out",
    "seen",
    "session_of",
    "sponsors",
    "teams",
]
