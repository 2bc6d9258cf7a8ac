"""Merge patches and differences, as their RFCs say."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoped_mcp.kernel import canonical
from scoped_mcp.layers.objects import logic
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
        assert logic.merge(target, patch) == result

    @given(JSON, JSON)
    def test_merging_twice_is_merging_once_and_changes_neither(
        self, target: Any, patch: Any
    ) -> None:
        kept = canonical.encode([target, patch])
        once = logic.merge(target, patch)
        assert canonical.encode(logic.merge(once, patch)) == canonical.encode(once)
        assert canonical.encode([target, patch]) == kept

    @given(OBJECT)
    def test_an_empty_patch_changes_nothing(self, target: Any) -> None:
        assert logic.merge(target, {}) == target


class TestDifferences:
    @given(OBJECT, OBJECT)
    def test_applied_it_gives_the_other_document_to_the_byte(self, before: Any, after: Any) -> None:
        operations = logic.difference(before, after)
        assert _applied(before, operations) == canonical.encode(after)

    @given(OBJECT)
    def test_between_equals_there_is_none(self, one: Any) -> None:
        assert logic.difference(one, json.loads(json.dumps(one))) == ()

    @given(OBJECT, OBJECT)
    def test_member_by_member_leads_there_too(self, before: Any, after: Any) -> None:
        """What large documents are compared by."""
        assert _applied(before, logic._by_member(before, after)) == canonical.encode(after)

    @pytest.mark.parametrize("change", [{"a": True}, {"a": 1}, {"a": [1]}, {"a": [True]}])
    def test_true_is_not_one(self, change: dict[str, Any]) -> None:
        for other in ({"a": True}, {"a": 1}, {"a": [1]}, {"a": [True]}, {"a": [True, 1]}):
            found = logic.difference(change, other)
            assert _applied(change, found) == canonical.encode(other)

    @promise("slow.arrays")
    @settings(max_examples=10)
    @given(st.integers(2_001, 2_010), st.integers(0, 9), st.booleans())
    def test_a_long_array_is_one_value(self, length: int, last: int, nested: bool) -> None:
        first, second = list(range(length)), [*range(length), last]
        before: Any = {"x": [{"long": first}] if nested else first}
        after: Any = {"x": [{"long": second}] if nested else second}
        found = logic.difference(before, after)
        assert len(found) == 1
        assert found[0]["op"] == "replace"
        assert _applied(before, found) == canonical.encode(after)

    def test_a_large_document_is_compared_by_members(self) -> None:
        before = {"same": "x" * logic.LARGE, "a": {"deep": 1}, "gone": 1}
        after = {"same": "x" * logic.LARGE, "a": {"deep": 2}, "new/~": 1}
        assert logic.difference(before, after) == (
            {"op": "replace", "path": "/a", "value": {"deep": 2}},
            {"op": "remove", "path": "/gone"},
            {"op": "add", "path": "/new~1~0", "value": 1},
        )
