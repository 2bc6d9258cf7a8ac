"""Cursors: where a list goes on, bound to who asked for what (ruling 68)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from scoped_mcp.kernel.errors import InvalidError

_MAC = 16


def seal(secret: bytes, binding: bytes, position: str) -> str:
    """A cursor that only the same caller, operation and filters can use again."""
    tag = _tag(secret, binding, position.encode())
    return base64.urlsafe_b64encode(tag + position.encode()).decode().rstrip("=")


def unseal(secret: bytes, binding: bytes, cursor: str) -> str:
    """The position in a cursor.

    Raises:
        InvalidError: the cursor was forged, or made for another caller or other filters.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, TypeError):
        raw = b""
    tag, position = raw[:_MAC], raw[_MAC:]
    if not hmac.compare_digest(tag, _tag(secret, binding, position)):
        message = "the cursor does not belong to this list"
        raise InvalidError(message, hint="call again without cursor to start from the first page")
    return position.decode()


def _tag(secret: bytes, binding: bytes, position: bytes) -> bytes:
    return hmac.new(secret, binding + b"\x00" + position, hashlib.sha256).digest()[:_MAC]
