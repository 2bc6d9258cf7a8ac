"""Time and chance, both handed in so that tests and non-interference can hold them still."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """Aware UTC time of day."""
        ...

    def elapsed(self) -> float:
        """Seconds that count sleep and never jump."""
        ...


class SystemClock:
    """The machine's clocks: the wall clock, and CLOCK_BOOTTIME where there is one."""

    def now(self) -> datetime:
        """Aware UTC time of day."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds since boot, sleep included (macOS: CLOCK_MONOTONIC counts sleep too)."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Entropy(Protocol):
    """Where randomness comes from: one stream per caller (ruling 68)."""

    def draw(self, stream: str, size: int) -> bytes:
        """`size` random bytes from the named stream."""
        ...


class SystemEntropy:
    """The operating system's generator; streams make no difference."""

    def draw(self, stream: str, size: int) -> bytes:  # noqa: ARG002 - the protocol names it
        """`size` random bytes."""
        return secrets.token_bytes(size)


@lru_cache(maxsize=256)  # a transaction writes its one moment in a dozen places
def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits: text order is time order."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment(text: str) -> datetime:
    """Read what `stamp` wrote."""
    return datetime.fromisoformat(text)
