"""Canonical JSON: the same bytes as RFC 8785, or a refusal that says where."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.canonical import DEPTH, SAFE_INTEGER, NotCanonicalError
from tests.promises import promise

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
numbers = st.integers(-SAFE_INTEGER, SAFE_INTEGER) | st.floats(
    allow_nan=False, allow_infinity=False
)
leaves = st.none() | st.booleans() | numbers | text
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5)
)

FLOATS = [1e16, 1e21, 1e20, 5e-7, 1e-6, -0.0, 0.0, 1.5, 2.0**53, 1e15, 9007199254740991.0, 5e-324]
KEYS = {"\U0001f600": 1, "\ufb33": 2, "\u20ac": 3, "\r": 4, "1": 5, "\u0080": 6, "\u00f6": 7}


def nested(levels: int, kind: str = "list") -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value] if kind == "list" else {"k": value}
    return value


@promise("numbers.bytes")
@given(values)
@example(FLOATS)
@example(KEYS)
@example({"\U0001f600": 1.5, "\uffff": 2})
@example(["\\u0000", '"]}', "\x7f", "\u2028", "\x1f", "1.5", "1234567890123456"])
@example([SAFE_INTEGER, -SAFE_INTEGER, True, 10**15])
def test_the_bytes_are_those_of_rfc_8785(value: object) -> None:
    assert canonical.encode(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@promise("numbers.bytes")
@given(values)
@example(FLOATS)
@example(KEYS)
def test_encoding_what_was_decoded_gives_the_same_bytes(value: object) -> None:
    once = canonical.encode(value)
    assert canonical.encode(canonical.decode(once)) == once


@given(values)
def test_what_comes_back_is_equal(value: object) -> None:
    assert canonical.decode(canonical.encode(value)) == value


@pytest.mark.parametrize("value", FLOATS)
def test_a_float_keeps_its_value(value: float) -> None:
    back = canonical.decode(canonical.encode([value]))
    assert back == [value]


def test_keys_stand_in_utf_16_order_as_rfc_8785_3_2_3_asks() -> None:
    order = list(json.loads(canonical.encode(KEYS)))
    assert order == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@promise("numbers.kept")
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, math.nan]}, "/a/1"),
        ({"a": math.inf}, "/a"),
        ([-math.inf], "/0"),
        ({"a": {"b": 2**53}}, "/a/b"),
        ([0, -(2**53)], "/1"),
        ([10**400], "/0"),
        ({"a": "x\ud800"}, "/a"),
        ({"a": {"\udfff": 1}}, "/a"),
        ({"a": "x\x00"}, "/a"),
        ({"a": {"x\x00": 1}}, "/a"),
        ({"a": {1, 2}}, "/a"),
        ({"a": b"bytes"}, "/a"),
        (math.nan, ""),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place(value: object, path: str) -> None:
    with pytest.raises(NotCanonicalError) as refused:
        canonical.encode(value)
    assert refused.value.path == path


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_depth_is_counted_exactly(kind: str) -> None:
    canonical.encode(nested(64, kind), 64)
    with pytest.raises(NotCanonicalError):
        canonical.encode(nested(65, kind), 64)


def test_brackets_in_strings_are_no_depth() -> None:
    value = ["[" * 100, '"' + "{" * 100, "\\" + "[" * 100]
    assert canonical.decode(canonical.encode(value, 2)) == value


def test_many_siblings_are_no_depth() -> None:
    value = [[] for _ in range(200)]
    assert canonical.decode(canonical.encode(value, 2)) == value


@pytest.mark.parametrize("levels", [DEPTH + 1, 5_000, 200_000])
def test_depth_beyond_any_stack_is_refused_and_not_a_crash(levels: int) -> None:
    with pytest.raises(NotCanonicalError):
        canonical.encode(nested(levels))


def test_depth_is_refused_on_the_careful_road_too() -> None:
    with pytest.raises(NotCanonicalError):
        canonical.encode([1.5, nested(65)], 64)


def test_what_the_encoder_cannot_reach_is_refused_whatever_depth_is_allowed() -> None:
    with pytest.raises(NotCanonicalError):
        canonical.encode(nested(200_000), 10**6)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotCanonicalError):
        canonical.encode(value)


@pytest.mark.parametrize("key", [1, None, True, b"k", (1,)])
@pytest.mark.parametrize("number", [1, 1.5])  # the fast road and the careful one
def test_a_key_that_is_not_a_string_is_refused_on_either_road(key: object, number: float) -> None:
    with pytest.raises(NotCanonicalError):
        canonical.encode({"a": {key: number}})


class Name(str):
    """Text all the same."""

    __slots__ = ()


# What Python's encoder takes for JSON beside what is JSON.
loose = st.recursive(
    leaves | st.builds(Name, text) | st.just(b"bytes"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(text | st.builds(Name, text), inner, max_size=4)
        | st.dictionaries(st.integers(0, 9) | st.none() | st.booleans(), inner, max_size=4)
    ),
)


def is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_json(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(is_json, value))
    return value is None or isinstance(value, (str, bool, int, float))


@promise("numbers.kept")
@given(loose)
@example({1: "a"})
@example({"a": (1, 2)})
@example({"a": {True: []}})
@example([[], [(1,)]])
def test_both_roads_take_json_and_nothing_else(value: object) -> None:
    if is_json(value):
        assert canonical.encode(value) == rfc8785.dumps(value)  # type: ignore[arg-type]
    else:
        with pytest.raises(NotCanonicalError):
            canonical.encode(value)


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {b"k": 1}, {(1,): 1}])
def test_keys_that_json_cannot_have_are_refused(value: object) -> None:
    with pytest.raises(NotCanonicalError):
        canonical.encode(value)


def test_one_salt_two_contents_and_one_content_two_salts_differ() -> None:
    digests = {canonical.digest(s, c) for s in (b"s", b"t") for c in (b"a", b"b")}
    assert len(digests) == 4
    assert {len(d) for d in digests} == {32}
