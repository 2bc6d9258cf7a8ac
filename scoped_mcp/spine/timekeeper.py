"""The time of a transaction: read after its order is taken, never behind the newest entry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import InternalError

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.kernel.clock import Clock

SLACK = timedelta(minutes=5)
_JUMPED = "this machine's clock jumped; writing has stopped"
_AHEAD = "the newest entry is ahead of this machine's clock; writing has stopped"


class Timekeeper:
    """Reads the clock and stops writing when it cannot be believed (ruling 55)."""

    def __init__(self, clock: Clock, *, own: bool = True) -> None:
        self._clock = clock
        self._own = own
        self._started = (clock.now(), clock.elapsed())
        self._settled = own

    def now(self, newest: datetime | None, theirs: datetime | None = None) -> datetime:
        """The time, or that of the newest entry where the clock lies a little behind it.

        Args:
            newest: When the newest entry was written.
            theirs: What the database's own clock shows, where it has one: it counts unless this
                process was given a clock to go by.

        Raises:
            InternalError: the wall clock jumped against the clock that never does, or the newest
                entry lies more than five minutes ahead.
        """
        now = self._clock.now() if self._own or theirs is None else theirs
        if not self._settled:
            self._settled = True
            self._started = (now, self._clock.elapsed())
        wall, elapsed = self._started
        drift = (now - wall) - timedelta(seconds=self._clock.elapsed() - elapsed)
        if abs(drift) > SLACK:
            raise _stopped(_JUMPED)
        if newest is None or newest <= now:
            return now
        if newest - now > SLACK:
            raise _stopped(_AHEAD)
        return newest


def _stopped(message: str) -> InternalError:
    return InternalError(message, hint="set this machine's clock right and restart the server")
