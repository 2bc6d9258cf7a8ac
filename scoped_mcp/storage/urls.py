"""URLs of databases, taken apart and put together again without a change to what stands in them.

What the standard library makes of one differs from what libpq reads: it drops the `//` before an
absent host, and writes a space as `+`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def joined(parts: SplitResult) -> str:
    """The URL of these parts."""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


def without(query: str, *names: str) -> str:
    """A URL's query without these."""
    words = [word for word in query.split("&") if word]
    return "&".join(word for word in words if unquote(word.partition("=")[0]) not in names)
