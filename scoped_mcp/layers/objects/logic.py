"""Pure JSON: merge patches (RFC 7386) and differences (RFC 6902)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import jsonpatch

from scoped_mcp.kernel import canonical

if TYPE_CHECKING:
    from pydantic import JsonValue

LONG_ARRAY = 2_000
"""Longer arrays are one value in a difference (ruling 17)."""
LARGE = 65_536
"""Larger documents are compared member by member: nothing slow runs beside the database."""


def merge(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Apply a merge patch: RFC 7386 §2, without recursion deeper than the patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def difference(
    before: dict[str, JsonValue], after: dict[str, JsonValue]
) -> tuple[dict[str, JsonValue], ...]:
    """The RFC 6902 operations that lead from one document to the other."""
    size = len(canonical.encode(before)) + len(canonical.encode(after))
    if size > LARGE:
        return _by_member(before, after)
    arrays: dict[str, JsonValue] = {}
    operations = jsonpatch.make_patch(_fold(before, arrays), _fold(after, arrays)).patch
    return tuple(_unfold(op, arrays) for op in operations)


def _by_member(
    before: dict[str, JsonValue], after: dict[str, JsonValue]
) -> tuple[dict[str, JsonValue], ...]:
    operations: list[dict[str, JsonValue]] = []
    for key in sorted({*before, *after}):
        path = "/" + key.replace("~", "~0").replace("/", "~1")
        if key not in after:
            operations.append({"op": "remove", "path": path})
        elif key not in before:
            operations.append({"op": "add", "path": path, "value": after[key]})
        elif canonical.encode(before[key]) != canonical.encode(after[key]):
            operations.append({"op": "replace", "path": path, "value": after[key]})
    return tuple(operations)


def _fold(value: JsonValue, arrays: dict[str, JsonValue]) -> JsonValue:
    """Stand a mark in for every long array, so that comparing them is comparing marks."""
    if isinstance(value, list):
        if len(value) <= LONG_ARRAY:
            return [_fold(item, arrays) for item in value]
        mark = "\x00" + hashlib.sha256(canonical.encode(value)).hexdigest()
        arrays[mark] = value
        return mark
    if isinstance(value, dict):
        return {key: _fold(item, arrays) for key, item in value.items()}
    return value


def _unfold(operation: dict[str, JsonValue], arrays: dict[str, JsonValue]) -> dict[str, JsonValue]:
    value = operation.get("value")
    return {**operation, "value": _restore(value, arrays)} if "value" in operation else operation


def _restore(value: JsonValue, arrays: dict[str, JsonValue]) -> JsonValue:
    if isinstance(value, str):
        return arrays.get(value, value)
    if isinstance(value, list):
        return [_restore(item, arrays) for item in value]
    if isinstance(value, dict):
        return {key: _restore(item, arrays) for key, item in value.items()}
    return value
