"""One tree of refusals.

    ScopedError(code, message, hint, retry, entry)
    ├── UnauthenticatedError   unauthenticated   who you are could not be established
    ├── NotFoundError          not_found         absent, or invisible to you: one answer
    ├── DeniedError            denied            visible, but not yours to do
    ├── InvalidError           invalid           the request itself is wrong
    ├── ConflictError          conflict          the world has moved; look again, then retry
    ├── LimitedError           limited           too much, too fast
    └── InternalError          internal          our fault; the id in it finds it in the log

Messages are lower case, without a full stop; what the caller sent stands in backticks, at most 64
characters of it. `hint` says the next call to try.
"""

from __future__ import annotations

import traceback
from enum import StrEnum


class Code(StrEnum):
    """The seven codes that every face maps to its own words."""

    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND = "not_found"
    DENIED = "denied"
    INVALID = "invalid"
    CONFLICT = "conflict"
    LIMITED = "limited"
    INTERNAL = "internal"


class Outcome(StrEnum):
    """How an operation ended, as the trail names it."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"


_DENIED = frozenset({Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.DENIED, Code.LIMITED})


def outcome_of(code: Code) -> Outcome:
    """`denied` for what the caller may not, `failed` for what could not be (ruling 46)."""
    return Outcome.DENIED if code in _DENIED else Outcome.FAILED


class ScopedError(Exception):
    """A refusal that says what to do next.

    Attributes:
        code: One of the seven codes.
        message: What went wrong; safe to show to the caller.
        hint: The next call to try.
        retry: Whether the same call may succeed later.
        entry: The public id of the trace entry of this refusal, once traced.
        elsewhere: Whether another house of this server may be the one to ask; for its router alone.
    """

    code: Code = Code.INTERNAL

    def __init__(self, message: str, *, hint: str = "", retry: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry = retry
        self.entry: str | None = None
        self.elsewhere = False

    def __str__(self) -> str:
        """Code, message and hint on one line."""
        return f"{self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class UnauthenticatedError(ScopedError):
    """who you are could not be established."""

    code = Code.UNAUTHENTICATED


class NotFoundError(ScopedError):
    """absent, or invisible to you: one answer."""

    code = Code.NOT_FOUND


class DeniedError(ScopedError):
    """visible, but not yours to do."""

    code = Code.DENIED


class InvalidError(ScopedError):
    """the request itself is wrong."""

    code = Code.INVALID


class ConflictError(ScopedError):
    """the world has moved; look again, then retry."""

    code = Code.CONFLICT


class LimitedError(ScopedError):
    """too much, too fast."""

    code = Code.LIMITED


class InternalError(ScopedError):
    """our fault; the id in the message finds it in the log."""

    code = Code.INTERNAL


def outline(error: BaseException) -> str:
    """What a log may say of an error and its causes: types and places.

    Messages are left out: those of drivers, parsers and handlers quote what somebody stored.
    """
    lines: list[str] = []
    one: BaseException | None = error
    while one is not None:
        lines.append(type(one).__name__)
        frames = traceback.extract_tb(one.__traceback__)
        lines += [f"  {f.filename}:{f.lineno} in {f.name}" for f in frames]
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\n".join(lines)
