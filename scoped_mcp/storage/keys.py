"""The key of a house: 32 random bytes in a file that its owner alone reads, never in a database."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import InvalidError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


def make(path: Path, key: bytes = b"") -> None:
    """A new key, unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(key or secrets.token_bytes(KEY_BYTES))


def read(path: Path, *, beside: bool) -> bytes:
    """The key; one lost beside its file is made anew: cursors end, and `recover` asks for it.

    Raises:
        InvalidError: it is not here, and other hosts may have it: theirs and ours must be one.
    """
    if not beside and not path.exists():
        message = f"the key file `{path}` is missing"
        hint = "copy it from the host that ran `scoped-mcp init`, or name it by SCOPED_MCP_KEY_FILE"
        raise InvalidError(message, hint=hint)
    make(path)
    return path.read_bytes()
