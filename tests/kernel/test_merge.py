"""The three-way merge: what one side changed is kept, what both changed is said (ruling 45)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.documents import ABSENT, Conflict, merge3
from tests.kernel.test_documents import JSON, OBJECT

same = canonical.encode


@st.composite
def edits(draw: st.DrawFn, of: dict[str, Any]) -> dict[str, Any]:
    """A document with some members changed, added or removed, at any depth."""
    result: dict[str, Any] = {}
    for key, value in of.items():
        kind = draw(st.sampled_from(["keep", "keep", "change", "remove", "into"]))
        if kind == "into" and isinstance(value, dict):
            result[key] = draw(edits(value))
        elif kind == "change":
            result[key] = draw(JSON)
        elif kind != "remove":
            result[key] = value
    return result | draw(st.dictionaries(st.sampled_from(["a", "new", "b"]), JSON, max_size=1))


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    base = draw(OBJECT)
    return base, draw(edits(base)), draw(edits(base))


def at(document: Any, path: str) -> Any:
    """What stands at a JSON pointer, read the plain way."""
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(document, dict) or key not in document:
            return ABSENT
        document = document[key]
    return document


def leaves(document: Any, path: str = "") -> dict[str, Any]:
    """Every path at which something other than a filled object stands."""
    if not isinstance(document, dict) or not document:
        return {path: document}
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= leaves(value, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    return found


def equal(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return same(one) == same(other)


@given(histories())
def test_what_only_one_side_changed_is_taken_whole(documents: Any) -> None:
    base, ours, theirs = documents
    for merged, wanted in (
        (merge3(base, ours, base), ours),
        (merge3(base, base, theirs), theirs),
        (merge3(base, ours, json.loads(json.dumps(ours))), ours),
    ):
        assert same(merged.value) == same(wanted)
        assert merged.conflicts == ()


@given(histories())
def test_exchanging_the_sides_exchanges_the_conflicts_and_nothing_else(documents: Any) -> None:
    base, ours, theirs = documents
    one, other = merge3(base, ours, theirs), merge3(base, theirs, ours)
    assert same(one.value) == same(other.value)
    assert one.conflicts == tuple(
        Conflict(c.path, c.base, c.theirs, c.ours) for c in other.conflicts
    )


@given(histories())
def test_nothing_that_a_side_changed_is_lost(documents: Any) -> None:
    """Every member of a side that is not as before is in the result or in a conflict above it."""
    base, ours, theirs = documents
    merged = merge3(base, ours, theirs)
    clashing = [c.path for c in merged.conflicts]
    for side in (ours, theirs):
        for path in {**leaves(side), **leaves(base)}:
            if not path or equal(at(base, path), at(side, path)):
                continue
            if any(path == c or path.startswith(f"{c}/") for c in clashing):
                continue
            mine, result = at(side, path), at(merged.value, path)
            if isinstance(mine, dict) and isinstance(result, dict):
                continue  # looked into: its own members are compared
            assert equal(mine, result), path


@given(histories())
def test_a_conflict_shows_what_stands_on_all_three_sides(documents: Any) -> None:
    base, ours, theirs = documents
    merged = merge3(base, ours, theirs)
    for found in merged.conflicts:
        for shown, document in (
            (found.base, base),
            (found.ours, ours),
            (found.theirs, theirs),
            (found.base, merged.value),
        ):
            assert equal(shown, at(document, found.path))
        assert not equal(found.ours, found.theirs)
        assert not equal(found.base, found.ours)
        assert not equal(found.base, found.theirs)


@given(histories(), st.sampled_from(["ours", "theirs", {"value": 7}]))
def test_a_resolved_conflict_is_none(documents: Any, choice: Any) -> None:
    first = merge3(*documents)
    chosen = {found.path: choice for found in first.conflicts}
    merged = merge3(*documents, chosen)
    assert merged.conflicts == ()
    assert merged.unused == ()
    for found in first.conflicts:
        wanted = 7 if isinstance(choice, dict) else getattr(found, choice)
        assert equal(at(merged.value, found.path), wanted)


@given(histories())
def test_the_three_documents_stay_as_they_were(documents: Any) -> None:
    before = same(list(documents))
    merge3(*documents)
    assert same(list(documents)) == before


CASES = [
    ({"a": 1}, {"a": 2}, {"a": 3}, ["/a"]),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": 5}, ["/a"]),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, {}, ["/a"]),
    ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, {"a": {"b": 1, "c": 2}}, []),
    ({"a": [1]}, {"a": [1, 2]}, {"a": [0, 1]}, ["/a"]),
    ({}, {"a": {"b": 1}}, {"a": {"c": 1}}, ["/a"]),
    ({}, {"a": {"b": 1}}, {"a": {"b": 1}}, []),
    ({"a": 1}, {}, {}, []),
    ({"a": None}, {}, {"a": 1}, ["/a"]),
    ({"a": 0}, {"a": True}, {"a": 1}, ["/a"]),
    ({"a/~": {"": 1}}, {"a/~": {"": 2}}, {"a/~": {"": 3}}, ["/a~1~0/"]),
]


@pytest.mark.parametrize(("base", "ours", "theirs", "paths"), CASES)
def test_what_overlaps_is_a_conflict_at_the_path_of_the_wider_change(
    base: Any, ours: Any, theirs: Any, paths: list[str]
) -> None:
    assert [found.path for found in merge3(base, ours, theirs).conflicts] == paths


def test_deleting_against_editing_says_that_nothing_is_there() -> None:
    (found,) = merge3({"a": 1}, {}, {"a": None}).conflicts
    assert (found.base, found.ours, found.theirs) == (1, ABSENT, None)


def test_a_resolution_of_what_does_not_conflict_is_named() -> None:
    merged = merge3({"a": 1}, {"a": 2}, {"a": 1}, {"/a": "theirs", "/b": "ours"})
    assert merged.value == {"a": 2}
    assert merged.unused == ("/a", "/b")
