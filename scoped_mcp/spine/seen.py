"""Last use of sessions: not state, so no version and no trace (ruling 18)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.storage.path import last_seen
from scoped_mcp.storage.types import upsert

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.tx import WriteTx

EVERY = timedelta(minutes=1)
REMEMBERED = 10_000
_NEW = upsert(last_seen)
_SEEN = _NEW.on_conflict_do_update(index_elements=["id"], set_={"at": _NEW.excluded.at})


class LastSeen:
    """Writes when a session was last used, at most once a minute."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}

    def note(self, tx: WriteTx) -> None:
        """The caller's session is in use."""
        session, now = tx.caller.session, tx.now
        if session is None or now - self._at.get(session, now - EVERY) < EVERY:
            return
        if len(self._at) > REMEMBERED:  # a bound on memory, not on sessions
            self._at.clear()
        self._at[session] = now
        tx.derive(_SEEN, {"id": tx.caller.session_key, "at": stamp(now)})

    def forget(self) -> None:
        """What was noted may be gone with its transaction: note it anew."""
        self._at.clear()
