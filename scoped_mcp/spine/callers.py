"""Step 1 of the path: whom a token names, remembered while nobody's rights change.

Whatever decides about a token — its credential and those above it, its principal and its sponsors,
the epoch — cannot change without raising the authority number (ruling 54), which every transaction
reads once its order is taken. While that is the number under which a token was authenticated, and
nothing it depends on has run out, to read the same rows again would find the same caller.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from scoped_mcp.spine.authorise import UNKNOWN
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.steps import unauthenticated
from scoped_mcp.spine.tx import WriteTx

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.caller import Caller, Proof
    from scoped_mcp.spine.parse import Request

REMEMBERED = 4_096


class _Known(NamedTuple):
    caller: Caller
    authority: int
    until: datetime


class Callers:
    """Tells whom tokens name, and remembers it by a hash of each, for one house."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    def enter(self, tx: WriteTx, request: Request, authority: int) -> tuple[Caller, int | None]:
        """The caller of a request, its session open; and where it was found anew, the number.

        Args:
            tx: The transaction.
            request: What came, with its token.
            authority: The authority number as this transaction read it.

        Raises:
            UnauthenticatedError: the credential is missing, wrong, expired or revoked.
        """
        if ports.authenticate is None or ports.open_session is None or ports.session is None:
            raise unauthenticated()
        token, context = cast("Proof", request.token), tx._context  # noqa: SLF001 - part of the spine
        known = self._known.get(_name(token)) if isinstance(token, str) else None
        if known is not None and known.authority == authority and tx.now < known.until:
            context.keys.update(known.caller.keys)
            return known.caller, None
        caller = context.caller = ports.authenticate(tx, token)
        if caller.session is None:
            opening = replace(UNKNOWN, name="session.open", writes={ports.session: Access.NONE})
            opener = WriteTx(context, opening, tx.record)
            caller = ports.open_session(opener, caller, request.origin)
        return caller, authority

    def keep(self, token: Proof, caller: Caller, authority: int) -> None:
        """Remember a caller that was found anew under this number.

        INVARIANT: the transaction that read both is committed. The numbers of one that was lost
        come again, and mean something else.
        """
        if not isinstance(token, str) or caller.ends_at is None:
            return  # a verified identity ends by itself
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[_name(token)] = _Known(caller, authority, caller.ends_at)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
