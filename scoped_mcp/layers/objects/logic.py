"""Pure JSON: merge patches (RFC 7386), differences (RFC 6902) and the three-way merge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

import jsonpatch

from scoped_mcp.kernel import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        path = "/" + _escaped(key)
        if key not in after:
            operations.append({"op": "remove", "path": path})
        elif key not in before:
            operations.append({"op": "add", "path": path, "value": after[key]})
        elif canonical.encode(before[key]) != canonical.encode(after[key]):
            operations.append({"op": "replace", "path": path, "value": after[key]})
    return tuple(operations)


def _escaped(key: str) -> str:
    """A member's name as one step of a JSON pointer: RFC 6901 §3."""
    return key.replace("~", "~0").replace("/", "~1")


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


class Absent(Enum):
    """What stands where a document has no member: null is a value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Conflict:
    """One path that both sides changed, each in its own way.

    Attributes:
        path: A JSON pointer (RFC 6901).
        base: What stood there before both.
    """

    path: str
    base: JsonValue | Absent
    ours: JsonValue | Absent
    theirs: JsonValue | Absent


@dataclass(frozen=True)
class Merged:
    """What a three-way merge came to.

    Attributes:
        value: The merged document; at the path of a conflict it is as it was before both.
        conflicts: What both sides changed and nothing resolved, in the order of the paths.
        unused: Resolutions of paths where there is no conflict.
    """

    value: dict[str, JsonValue]
    conflicts: tuple[Conflict, ...]
    unused: tuple[str, ...] = ()


@dataclass
class _Merging:
    resolutions: Mapping[str, JsonValue]
    conflicts: list[Conflict] = field(default_factory=lambda: [])
    used: set[str] = field(default_factory=set[str])


def merge3(
    base: dict[str, JsonValue],
    ours: dict[str, JsonValue],
    theirs: dict[str, JsonValue],
    resolutions: Mapping[str, JsonValue] | None = None,
) -> Merged:
    """Bring two changed documents together again, member by member.

    What one side changed is taken; the same change on both sides is one change. Arrays are one
    value, and a change of a member overlaps every change inside it, its deletion included
    (ruling 45). Takes time linear in the size of the three.

    Args:
        base: What both sides started from.
        ours: The one side.
        theirs: The other.
        resolutions: For paths in conflict: "ours", "theirs", or `{"value": …}`.
    """
    merging = _Merging(resolutions or {})
    value = _members("", base, ours, theirs, merging)
    unused = tuple(sorted(merging.resolutions.keys() - merging.used))
    return Merged(value, tuple(merging.conflicts), unused)


def _members(
    path: str,
    base: dict[str, JsonValue],
    ours: dict[str, JsonValue],
    theirs: dict[str, JsonValue],
    merging: _Merging,
) -> dict[str, JsonValue]:
    result: dict[str, JsonValue] = {}
    for key in sorted({*base, *ours, *theirs}):
        sides = (base.get(key, ABSENT), ours.get(key, ABSENT), theirs.get(key, ABSENT))
        value = _member(f"{path}/{_escaped(key)}", *sides, merging)
        if not isinstance(value, Absent):
            result[key] = value
    return result


def _member(
    path: str,
    base: JsonValue | Absent,
    ours: JsonValue | Absent,
    theirs: JsonValue | Absent,
    merging: _Merging,
) -> JsonValue | Absent:
    """One member: only what is an object three times is looked into, so nothing is seen twice."""
    if isinstance(base, dict) and isinstance(ours, dict) and isinstance(theirs, dict):
        return cast("JsonValue", _members(path, base, ours, theirs, merging))
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    chosen = merging.resolutions.get(path)
    if chosen is None:
        merging.conflicts.append(Conflict(path, base, ours, theirs))
        return base
    merging.used.add(path)
    if isinstance(chosen, dict):
        return chosen["value"]
    return ours if chosen == "ours" else theirs


def _same(one: JsonValue | Absent, other: JsonValue | Absent) -> bool:
    """Whether two members are stored as the same bytes: `true` is not 1, and 1.0 is."""
    if isinstance(one, Absent) or isinstance(other, Absent):
        return one is other
    return one is other or canonical.encode(one) == canonical.encode(other)
