"""Merge patches and differences, as their RFCs say."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoped_mcp.kernel import canonical, documents
from tests.promises import promise

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -0.0, 1e16, 1e-7])
    | st.sampled_from(["", "a", "~", "/", "~1", "é", "\U0001f600"])
)
KEY = st.sampled_from(["a", "b", "", "~", "/", "~0", "a/b", "0", "-"])
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=12,
)
OBJECT = st.dictionaries(KEY, JSON, max_size=5)

RFC_7386 = [  # Appendix A
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


def _applied(before: Any, operations: Any) -> bytes:
    plain = json.loads(json.dumps(before))
    return canonical.encode(jsonpatch.apply_patch(plain, list(operations)))


class TestMerging:
    @promise("patch.null")
    @pytest.mark.parametrize(("target", "patch", "result"), RFC_7386)
    def test_the_examples_of_the_rfc(self, target: Any, patch: Any, result: Any) -> None:
        assert documents.merge(target, patch) == result

    @given(JSON, JSON)
    def test_merging_twice_is_merging_once_and_changes_neither(
        self, target: Any, patch: Any
    ) -> None:
        kept = canonical.encode([target, patch])
        once = documents.merge(target, patch)
        assert canonical.encode(documents.merge(once, patch)) == canonical.encode(once)
        assert canonical.encode([target, patch]) == kept

    @given(OBJECT)
    def test_an_empty_patch_changes_nothing(self, target: Any) -> None:
        assert documents.merge(target, {}) == target


class TestDifferences:
    @given(OBJECT, OBJECT)
    def test_applied_it_gives_the_other_document_to_the_byte(self, before: Any, after: Any) -> None:
        operations = documents.difference(before, after)
        assert _applied(before, operations) == canonical.encode(after)

    @given(OBJECT)
    def test_between_equals_there_is_none(self, one: Any) -> None:
        assert documents.difference(one, json.loads(json.dumps(one))) == ()

    @pytest.mark.parametrize(
        ("before", "after", "operations"),
        [
            ([1, 2, 3], [1, 9, 2, 3], [{"op": "add", "path": "/a/1", "value": 9}]),
            ([1, 9, 2, 3], [1, 2, 3], [{"op": "remove", "path": "/a/1"}]),
            ([1, {"b": 1}], [1, {"b": 2}], [{"op": "replace", "path": "/a/1/b", "value": 2}]),
            ([1, 1], [1, 1, 1], [{"op": "add", "path": "/a/2", "value": 1}]),
            ([[1]], [[]], [{"op": "remove", "path": "/a/0/0"}]),
        ],
    )
    def test_of_an_array_what_is_equal_at_both_ends_is_left_out(
        self, before: Any, after: Any, operations: Any
    ) -> None:
        assert list(documents.difference({"a": before}, {"a": after})) == operations

    @pytest.mark.parametrize("change", [{"a": True}, {"a": 1}, {"a": [1]}, {"a": [True]}])
    def test_true_is_not_one(self, change: dict[str, Any]) -> None:
        for other in ({"a": True}, {"a": 1}, {"a": [1]}, {"a": [True]}, {"a": [True, 1]}):
            found = documents.difference(change, other)
            assert _applied(change, found) == canonical.encode(other)

    @promise("slow.arrays")
    @settings(max_examples=10)
    @given(st.integers(2_001, 2_010), st.integers(0, 9), st.booleans())
    def test_a_long_array_is_one_value(self, length: int, last: int, nested: bool) -> None:
        first, second = list(range(length)), [*range(length), last]
        before: Any = {"x": [{"long": first}] if nested else first}
        after: Any = {"x": [{"long": second}] if nested else second}
        found = documents.difference(before, after)
        assert len(found) == 1
        assert found[0]["op"] == "replace"
        assert _applied(before, found) == canonical.encode(after)

    @promise("slow.diffs")
    def test_a_large_document_is_compared_as_deep_as_a_small_one(self) -> None:
        before = {"same": "x" * 1_000_000, "a": {"deep": 1}, "gone": 1}
        after = {"same": "x" * 1_000_000, "a": {"deep": 2}, "new/~": 1}
        assert documents.difference(before, after) == (
            {"op": "replace", "path": "/a/deep", "value": 2},
            {"op": "remove", "path": "/gone"},
            {"op": "add", "path": "/new~1~0", "value": 1},
        )


def _at(document: Any) -> documents.Place:
    return canonical.encode({"state": {"data": document}}), ("state", "data")


class TestLanding:
    """What is worked out in another process, from bytes to bytes."""

    @given(OBJECT, OBJECT)
    def test_what_is_new_comes_as_it_is(self, ours: Any, theirs: Any) -> None:
        landed = documents.land(None, _at(ours), _at(theirs), None)
        assert landed.content == canonical.encode(ours)
        assert _applied(theirs, landed.difference) == landed.content
        assert documents.land(None, _at(ours), None, None).difference == documents.compare(
            None, _at(ours)
        )

    @given(OBJECT, OBJECT, OBJECT)
    def test_what_is_merged_differs_from_what_is_there_by_its_difference(
        self, base: Any, ours: Any, theirs: Any
    ) -> None:
        landed = documents.land(_at(base), _at(ours), _at(theirs), _at({"/none": "ours"}))
        merged = documents.merge3(base, ours, theirs, {"/none": "ours"})
        assert landed.content == canonical.encode(merged.value)
        assert landed.conflicts == merged.conflicts
        assert landed.unused == merged.unused == ("/none",)
        assert _applied(theirs, landed.difference) == landed.content

    def test_two_large_documents_take_time_that_grows_with_them(self) -> None:
        """By what is done, not by the clock: no item is compared with every other."""
        before = {"rows": [{"n": n} for n in range(2_000)]}
        after = {"rows": [{"n": n + 1} for n in range(2_000)]}
        assert len(documents.difference(before, after)) == 2_000
