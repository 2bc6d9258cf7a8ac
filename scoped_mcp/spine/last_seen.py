"""When sessions were last used, to the minute: not state, no version, no trace (ruling 18)."""

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
REMEMBERED = 10_000  # a bound on memory, not on sessions
_NEW = upsert(last_seen)
_SEEN = _NEW.on_conflict_do_update(index_elements=["id"], set_={"at": _NEW.excluded.at})


class LastSeen:
    """Writes down each session once a minute, for one house."""

    def __init__(self) -> None:
        self._noted: dict[str, datetime] = {}

    def note(self, tx: WriteTx) -> None:
        """The caller's session is in use."""
        session, now = tx.caller.session, tx.now
        if session is None or now - self._noted.get(session, now - EVERY) < EVERY:
            return
        if len(self._noted) > REMEMBERED:
            self._noted.clear()
        self._noted[session] = now
        values = {"id": tx.caller.session_key, "at": stamp(now)}
        tx._context.conn.send(_SEEN, values)  # noqa: SLF001 - the spine writes what handlers cannot
