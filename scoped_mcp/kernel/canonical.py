"""Canonical JSON (RFC 8785) and the digests over it.

`encode` refuses what cannot be kept exactly: NaN and infinities, integers beyond ±(2^53-1), lone
surrogates, NUL, and nesting beyond a depth (ruling 59). `orjson` serves where it is provably the
same as RFC 8785 — no floats, no character beyond the basic plane — and `rfc8785` elsewhere; a
property test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, cast

import orjson
import rfc8785
from pydantic import JsonValue

JsonDict = dict[str, JsonValue]

SAFE_INTEGER = 2**53 - 1
DEPTH = 80  # arguments hold data of depth 64 in an envelope of a few levels
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_BEYOND = re.compile(rb"[\xf0-\xf4]")  # UTF-16 order differs from code point order from here on
_LONG_INTEGER = re.compile(rb"[0-9]{16}")
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_PLAIN = frozenset({str, int, bool, type(None), dict, list})
_DICTS = frozenset({dict})
_BRANCHES = frozenset({dict, list})


class NotCanonicalError(ValueError):
    """A value that JSON cannot keep exactly; says where and what to send instead."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"at `{path[:64] or '/'}`: {problem}")
        self.path = path
        self.problem = problem


def encode(value: object, depth: int = DEPTH) -> bytes:
    """The canonical bytes of a JSON value.

    Raises:
        NotCanonicalError: the value cannot be kept exactly, or nests deeper than `depth`.
    """
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return _carefully(value, depth)
    if not _plain(value, depth) or b"\\u0000" in data:
        return _carefully(value, depth)
    if not data.isascii() and _BEYOND.search(data) is not None:
        return _carefully(value, depth)
    return data


def decode(data: bytes) -> JsonValue:
    """Read canonical bytes back.

    `1e16` is stored as `10000000000000000`: such literals come back as floats, so that encoding
    them again gives the same bytes.
    """
    if _LONG_INTEGER.search(data) is None:
        return cast("JsonValue", json.loads(data))
    return cast("JsonValue", json.loads(data, parse_int=_number))


def digest(salt: bytes, content: bytes) -> bytes:
    """SHA-256 over salt and content: who lacks the salt cannot guess small contents."""
    return hashlib.sha256(salt + content).digest()


def _carefully(value: object, depth: int) -> bytes:
    """The road that takes everything and says what is wrong; forty times as long."""
    _check(value, depth)
    try:
        return rfc8785.dumps(cast("Any", value))
    except RecursionError:
        nowhere, problem = "", "nests deeper than can be kept"
        raise NotCanonicalError(nowhere, problem) from None


def _number(literal: str) -> int | float:
    number = int(literal)
    return number if abs(number) <= SAFE_INTEGER else float(literal)


def _plain(value: object, depth: int) -> bool:
    """Whether it is text, integers, truth values and nothing, in dicts and lists, not too deep.

    `orjson` takes tuples for lists and NaN for null, and writes floats in its own way.
    """
    branches: list[Any] = [[value]]
    for _ in range(depth + 1):
        inner: list[Any] = []
        for branch in branches:
            children = branch.values() if type(branch) in _DICTS else branch
            kinds = set(map(type, children))
            if not (kinds <= _PLAIN or all(k in _PLAIN or issubclass(k, str) for k in kinds)):
                return False
            if not kinds.isdisjoint(_BRANCHES):
                inner.extend(child for child in children if type(child) in _BRANCHES)
        if not inner:
            return True
        branches = inner
    return False


def _check(value: object, depth: int) -> None:
    """Walk the value without recursion and name the first thing that JSON cannot keep."""
    stack: list[tuple[str, object, int]] = [("", value, 1)]
    while stack:
        path, node, level = stack.pop()
        if isinstance(node, dict):
            _check_level(path, level, depth)
            for key, child in cast("dict[object, object]", node).items():
                if not isinstance(key, str):
                    raise NotCanonicalError(path, "has a key that is not a string")
                _check_text(path, key)
                stack.append((f"{path}/{key}", child, level + 1))
        elif isinstance(node, list):
            _check_level(path, level, depth)
            children = cast("list[object]", node)
            stack.extend((f"{path}/{i}", child, level + 1) for i, child in enumerate(children))
        else:
            _check_leaf(path, node)


def _check_level(path: str, level: int, depth: int) -> None:
    if level > depth:
        raise NotCanonicalError(path, f"nests deeper than {depth} levels")


def _check_leaf(path: str, node: object) -> None:
    if isinstance(node, str):
        _check_text(path, node)
    elif isinstance(node, float) and not math.isfinite(node):
        raise NotCanonicalError(path, "is not a finite number; send it as a string")
    elif isinstance(node, int) and abs(node) > SAFE_INTEGER:
        raise NotCanonicalError(path, "is beyond ±(2^53-1); send it as a string")
    elif node is not None and not isinstance(node, (bool, int, float)):
        raise NotCanonicalError(path, "is not JSON")


def _check_text(path: str, text: str) -> None:
    if _NO_TEXT.search(text) is not None:  # one problem: a face may have to show one as the other
        raise NotCanonicalError(path, "contains a NUL character or a lone surrogate")
