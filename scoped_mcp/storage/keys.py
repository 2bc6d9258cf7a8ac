"""The key of a house: 32 random bytes in a file that its owner alone reads, never in a database."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import copies

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


def make(path: Path, key: bytes = b"") -> None:
    """A new key, unless there is one: it is there whole or not at all, also for who looks now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key or secrets.token_bytes(KEY_BYTES))
        copies.land(fresh, path)
    except InvalidError:  # somebody else was faster, and theirs is the key
        return
    finally:
        fresh.unlink(missing_ok=True)


def read(path: Path, *, beside: bool) -> bytes:
    """The key; one lost beside its file is made anew: cursors end, and `recover` asks for it.

    Raises:
        InvalidError: it is not here, and other hosts may have it: theirs and ours must be one. Or
            it is no key: with an empty one anybody could seal a cursor.
    """
    if not beside and not path.exists():
        message = f"the key file `{path}` is missing"
        hint = "copy it from the host that ran `scoped-mcp init`, or name it by SCOPED_MCP_KEY_FILE"
        raise InvalidError(message, hint=hint)
    make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        message = f"the key file `{path}` holds {len(key)} bytes, a key has {KEY_BYTES}"
        again = "delete it: a new one is made, and cursors end" if beside else "copy it again"
        raise InvalidError(message, hint=f"put back the key that was there, or {again}")
    return key
