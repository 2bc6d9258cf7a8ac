r"""What the SDK's JSON parser does not take is mended, so that the spine refuses it in our words.

The parser refuses the whole message — in its own words over HTTP, without an answer over stdio —
for three things that JSON's grammar allows: half of a surrogate pair (`"\ud800"`), numbers of some
thousand digits, and deep nesting. Each becomes, at the same length, something else that is
refused for the same reason: NUL, a shorter integer beyond 2^53, nesting just beyond the limit.
What is not JSON at all stays as it is. What is JSON and no message is refused by the SDK with all
that pydantic has to say of it, over HTTP; that is told in a sentence of ours.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from mcp_types import INVALID_REQUEST
from pydantic_core import from_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENVELOPE = 5  # the message, its params, and what the spine allows arguments beyond the data
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_DIGITS = re.compile(
    rb"(?<![0-9.eE+])(?<![eE]-)[0-9]{4300,}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"  # not a fraction's
)
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_MANY_DIGITS = b"0" * 4_300
_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([\[{])|([\]}])', re.DOTALL)

_AT_LENGTH = b'"message":"Validation error'
_NO_MESSAGE = "the body is no JSON-RPC 2.0 message: send one request or notification"
_IN_SHORT = json.dumps(
    {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": _NO_MESSAGE}}
).encode()


def mended(message: bytes, object_depth: int) -> bytes:
    """The message, or one of the same length that parses and that the spine will refuse.

    Args:
        message: A JSON-RPC message as it came.
        object_depth: How deep the data of an object may nest.
    """
    # INVARIANT: what is kept of the nesting is beyond what the spine takes; less would be stored.
    depth = object_depth + _ENVELOPE + 1
    deep = message.count(b"[") + message.count(b"{") > depth
    if not (deep or _SURROGATE.search(message) or _has_many_digits(message)) or _parses(message):
        return message
    flat = _flattened(message, depth) if deep else message
    short = _DIGITS.sub(lambda run: b"9" * 20 + b" " * (len(run[0]) - 20), flat)
    for tried in (flat, short, _SURROGATE.sub(rb"\\u0000", short)):
        if _parses(tried):
            return tried
    return message


def _has_many_digits(message: bytes) -> bool:
    """Many in a row: a search for a run of digits would take seven times as long."""
    return len(message) > len(_MANY_DIGITS) and _MANY_DIGITS in message.translate(_ZEROS)


def _parses(message: bytes) -> bool:
    try:
        from_json(message)
    except ValueError:
        return False
    return True


def _flattened(message: bytes, depth: int) -> bytes:
    """The message with blanks for what stands in brackets below a depth, if they are closed."""
    kept: list[bytes] = []
    level = done = 0
    for bracket in _BRACKETS.finditer(message):
        if bracket[1]:
            level += 1
            if level == depth:
                kept.append(message[done : bracket.end()])
                done = bracket.end()
        elif bracket[2]:
            if level == depth:
                kept.append(b" " * (bracket.start() - done))
                done = bracket.start()
            level -= 1
    return b"".join([*kept, message[done:]])


class Mender:
    """ASGI: bodies are mended as they are read, so after the caller was let in.

    A body is held back until it is whole, as the SDK holds it, unless it outgrows the limit, when
    the SDK is left to refuse it.
    """

    def __init__(self, app: ASGIApp, *, object_depth: int, request_bytes: int) -> None:
        self._app = app
        self._object_depth = object_depth
        self._request_bytes = request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with a way to read its body that mends it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        whole = False

        async def read() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            parts: list[bytes] = []
            size, more = 0, True
            while more and size <= self._request_bytes:
                message = await receive()
                if message["type"] != "http.request":  # the caller is gone
                    return message
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = message.get("more_body", False)
            whole = True
            body = b"".join(parts)
            if not more:
                body = mended(body, self._object_depth)
            return {"type": "http.request", "body": body, "more_body": more}

        await self._app(scope, read, _short(send))


def _short(send: Send) -> Send:
    """The way of an answer out, on which a refusal in pydantic's words becomes one in ours."""
    held: Message | None = None

    async def told(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.BAD_REQUEST:
            held = message
            return
        if held is not None:
            start, held = held, None
            if _AT_LENGTH in message.get("body", b""):
                message = {**message, "body": _IN_SHORT}
                length = (b"content-length", str(len(_IN_SHORT)).encode())
                others = [one for one in start["headers"] if one[0].lower() != length[0]]
                start = {**start, "headers": [*others, length]}
            await send(start)
        await send(message)

    return told
