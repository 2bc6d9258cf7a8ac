"""Text that people and models read: names, notes, and quoting what a caller sent."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

from scoped_mcp.kernel.errors import InvalidError

NAME_LENGTH = 200
NOTE_LENGTH = 2_000
QUOTED = 64
# The shape of a token: nothing of this shape is ever stored or repeated (ruling 9).
TOKEN = re.compile(rb"smcp_[a-z2-7]{16}_[a-z2-7]{20}")
_TOKEN_TEXT = re.compile(r"smcp_\w*")
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # needed by scripts and emoji, harmless in order
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


def _plain(text: str) -> str:
    if any(unicodedata.category(c) in _FORBIDDEN and c not in _JOINERS for c in text):
        msg = "contains a control character or a text direction override"
        raise ValueError(msg)
    if not text.strip():
        msg = "is blank"
        raise ValueError(msg)
    return text


def _readable(text: str) -> str:
    controls = any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in text)
    if controls or _BIDI.search(text) is not None:
        msg = "contains a control character or a text direction override"
        raise ValueError(msg)
    return text


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=NAME_LENGTH), AfterValidator(_plain)
]
"""One line that a person reads: at most 200 characters, no control or bidi characters."""

Note = Annotated[str, StringConstraints(max_length=NOTE_LENGTH), AfterValidator(_readable)]
"""A reason or description: at most 2,000 characters, several lines allowed."""


_NAME: TypeAdapter[str] = TypeAdapter(Name)


def require_name(text: str, whose: str) -> str:
    """A name that an operator gave, before anything is made under it.

    Raises:
        InvalidError: it is none.
    """
    try:
        return _NAME.validate_python(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        message = f"the name of {whose} is not right: {problem[:1].lower()}{problem[1:]}"
        hint = f"a name is one line of 1 to {NAME_LENGTH} characters, none of them a control"
        raise InvalidError(message, hint=hint) from None


def quote(text: str) -> str:
    """At most 64 characters of what the caller sent, escaped, in backticks, never a token."""
    safe = _TOKEN_TEXT.sub("smcp_…", text)[:QUOTED]
    escaped = safe.encode("unicode_escape").decode().replace("`", "'")
    return f"`{escaped[:QUOTED]}`"
