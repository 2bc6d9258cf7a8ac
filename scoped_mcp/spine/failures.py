"""Failed authentications: counted per source and minute, one entry a window (ruling 51)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.caller import Proof

_REMEMBERED = 4_096


class Failures:
    """Counts what failed, and turns a flood of it away before it reaches the database.

    Only tokens that have failed before are turned away unseen: a good token behind the same
    address is never refused. What is kept of a token is a hash of it.
    """

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._windows: OrderedDict[str, list[int]] = OrderedDict()  # source → minute, total, untold
        self._bad: OrderedDict[bytes, int] = OrderedDict()  # hash of a bad token → minute

    def flooded(self, token: Proof, source: str, now: datetime) -> bool:
        """Whether this source has failed too often this minute, and this very token among it."""
        if not self._bad:
            return False
        window = self._windows.get(source)
        if window is None or window[0] != _minute(now) or window[1] < self._a_minute:
            return False
        if self._bad.get(_hash(token)) != _minute(now):
            return False
        window[1] += 1
        window[2] += 1
        return True

    def counted(self, token: Proof, source: str, now: datetime) -> bool:
        """Count one failure without the database, where this window's entry is written already."""
        window = self._windows.get(source)
        if window is None or window[0] != _minute(now):
            return False
        self.count(token, source, now)
        return True

    def count(self, token: Proof | None, source: str, now: datetime) -> int:
        """Count one failure; how many an entry must tell of now, or 0 when one was just written."""
        minute = _minute(now)
        self._bad[_hash(token or "")] = minute
        window = self._windows.setdefault(source, [minute - 1, 0, 0])
        self._windows.move_to_end(source)
        _trim(self._bad)
        _trim(self._windows)
        window[2] += 1
        if window[0] == minute:
            window[1] += 1
            return 0
        told = window[2]
        window[:] = [minute, 1, 0]
        return told


def _minute(now: datetime) -> int:
    return int(now.timestamp() // 60)


def _hash(token: Proof) -> bytes:
    text = token if isinstance(token, str) else f"{token.issuer}\n{token.subject}"
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _trim(table: OrderedDict[str, list[int]] | OrderedDict[bytes, int]) -> None:
    while len(table) > _REMEMBERED:
        table.popitem(last=False)
