"""Room 6. Nothing happens without a trace.

One entry for every operation and every refusal, chained by SHA-256; a follow of the trail is one
when it is opened and one when it is closed. Who may see which is decided here; the entries
themselves are written by the spine, and verified here from their exact bytes.
"""

from scoped_mcp.layers.audit.model import (
    EntryView,
    FollowTrail,
    GetEntry,
    ListEntries,
    LookTrail,
    UnfollowTrail,
    VerifyTrail,
    VerifyView,
)
from scoped_mcp.layers.audit.operations import get, list_, verify
from scoped_mcp.layers.audit.store import require
from scoped_mcp.layers.audit.store import verify as recompute

__all__ = [
    "EntryView",
    "FollowTrail",
    "GetEntry",
    "ListEntries",
    "LookTrail",
    "UnfollowTrail",
    "VerifyTrail",
    "VerifyView",
    "get",
    "list_",
    "recompute",
    "require",
    "verify",
]
