"""Secrets that sing wherever they turn up, whole or in part, plain or encoded."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

WINDOW = 12  # characters of a canary in a row are enough to hear it
CLIENT = ("httpx", "httpcore")
"""What the test speaks through logs what it says itself."""
LOGGERS = (
    *("uvicorn", "uvicorn.error", "fastmcp", "mcp", "aiosqlite", "asyncio"),
    *("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool"),
)
"""Those with a level of their own, and those that ask theirs when an engine is made."""


class Canaries:
    """One secret a place; hears any part of any of them."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        self._windows: dict[str, str] = {}

    def plant(self, place: str) -> str:
        """The secret of a place: chance, around what every encoding writes in its own way."""
        noise = hashlib.sha256(place.encode()).hexdigest()
        secret = f'{noise[:15]}é"{noise[15:30]}/{noise[30:45]}'
        self.watch(place, secret)
        return secret

    def watch(self, place: str, secret: str) -> None:
        """Hear a secret that somebody else made."""
        self.places.add(place)
        for form in forms(secret):
            for at in range(len(form) - WINDOW + 1):
                self._windows[form[at : at + WINDOW]] = place

    def heard(self, text: str) -> set[str]:
        """The places of which something stands in a text."""
        parts = {text[at : at + WINDOW] for at in range(len(text) - WINDOW + 1)}
        return {self._windows[part] for part in parts if part in self._windows}


def forms(secret: str) -> Iterator[str]:
    """A secret as encodings write it, wherever in a longer text it begins."""
    raw, escaped = secret.encode(), json.dumps(secret)[1:-1]
    yield from (secret, escaped, json.dumps(escaped)[1:-1], repr(secret)[1:-1], repr(raw)[2:-1])
    yield from (quote(secret, safe=""), quote(secret), quote_plus(secret))
    for text in (raw, escaped.encode()):
        yield from (text.hex(), text.hex().upper())
        for before in range(3):
            encoded = base64.b64encode(b"-" * before + text)[4 if before else 0 : -4].decode()
            yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


class Ear(logging.Handler):
    """Hears every record whole: its message, its arguments, its error."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(CLIENT):
            self.lines.append((record.name, f"{self.format(record)} {record.__dict__!r}"))


@contextlib.contextmanager
def listening() -> Iterator[Ear]:
    """Every log there is, turned up before the server starts: what it then hushes stays hushed."""
    ear = Ear()
    loggers = [logging.getLogger(name) for name in ("", *LOGGERS)]
    before = [(one, one.level, one.handlers[:], one.propagate) for one in loggers]
    for one in loggers:
        one.setLevel(logging.DEBUG)
        one.propagate = True
    loggers[0].addHandler(ear)
    try:
        yield ear
    finally:
        for one, level, handlers, propagate in before:
            one.setLevel(level)
            one.handlers, one.propagate = handlers, propagate
