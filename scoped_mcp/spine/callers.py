"""Whom a token names, remembered while nobody's rights change.

Whatever decides about a token — its credential and those above it, its principal and its sponsors —
cannot change without raising the authority number (ruling 54), which every transaction reads once
its order is taken. While that is the number under which a token was authenticated, and nothing it
depends on has run out, to read the same rows again would find the same caller.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.caller import Caller, Proof
    from scoped_mcp.spine.tx import ReadTx

REMEMBERED = 4_096


class _Known(NamedTuple):
    caller: Caller
    authority: int
    until: datetime


class Callers:
    """Remembers callers by a hash of their token, for one house."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    def known(self, token: Proof, tx: ReadTx, authority: int) -> Caller | None:
        """Whom authentication would find in this transaction, which read this number."""
        known = self._known.get(_name(token)) if isinstance(token, str) else None
        if known is None or known.authority != authority or tx.now >= known.until:
            return None
        tx.know(known.caller.keys)
        return known.caller

    def keep(self, token: Proof, caller: Caller, authority: int) -> None:
        """Remember a caller that was authenticated under this number.

        INVARIANT: the transaction that read both is committed. The numbers of one that was lost
        come again, and mean something else.
        """
        if not isinstance(token, str) or caller.session is None or caller.ends_at is None:
            return  # a verified identity ends by itself; the first call of a token opens a session
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[_name(token)] = _Known(caller, authority, caller.ends_at)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
