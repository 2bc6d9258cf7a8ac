"""Pure JSON: merge patches (RFC 7386), differences (RFC 6902) and the three-way merge.

What is slow of it runs in another process (ruling 17), which imports this and nothing above it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

from scoped_mcp.kernel import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

LONG_ARRAY = 2_000
"""Longer arrays are one value in a difference (ruling 17)."""


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
    """The RFC 6902 operations that lead from one document to the other.

    Members are compared by name and items by place, what is equal at both ends of an array left
    out: in time that grows with the documents, where searching for what was moved grew with the
    square of them.
    """
    found: list[dict[str, JsonValue]] = []
    _members_differ("", before, after, found)
    return tuple(found)


def _differ(
    path: str, before: JsonValue, after: JsonValue, found: list[dict[str, JsonValue]]
) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        _members_differ(path, before, after, found)
        return
    if (
        isinstance(before, list)
        and isinstance(after, list)
        and max(len(before), len(after)) <= LONG_ARRAY
    ):
        _items_differ(path, before, after, found)
    elif not same(before, after):
        found.append({"op": "replace", "path": path, "value": after})


def _members_differ(
    path: str,
    before: dict[str, JsonValue],
    after: dict[str, JsonValue],
    found: list[dict[str, JsonValue]],
) -> None:
    for key in sorted(before.keys() | after.keys()):
        at = f"{path}/{_escaped(key)}"
        if key not in after:
            found.append({"op": "remove", "path": at})
        elif key not in before:
            found.append({"op": "add", "path": at, "value": after[key]})
        else:
            _differ(at, before[key], after[key], found)


def _items_differ(
    path: str, before: list[JsonValue], after: list[JsonValue], found: list[dict[str, JsonValue]]
) -> None:
    """Items at the same place, and then what one has more: from the end, so that places stay."""
    first, last, shorter = 0, 0, min(len(before), len(after))
    if len(before) != len(after):
        while first < shorter and same(before[first], after[first]):
            first += 1
        while last < shorter - first and same(before[-1 - last], after[-1 - last]):
            last += 1
    for at in range(first, shorter - last):
        _differ(f"{path}/{at}", before[at], after[at], found)
    gone = range(len(before) - last - 1, shorter - last - 1, -1)
    found.extend({"op": "remove", "path": f"{path}/{at}"} for at in gone)
    more = range(shorter - last, len(after) - last)
    found.extend({"op": "add", "path": f"{path}/{at}", "value": after[at]} for at in more)


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are stored as the same bytes: `true` is not 1, and 1.0 is."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _escaped(key: str) -> str:
    """A member's name as one step of a JSON pointer: RFC 6901 §3."""
    return key.replace("~", "~0").replace("/", "~1")


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
    for key in sorted(base.keys() | ours.keys() | theirs.keys()):
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
    if isinstance(one, Absent) or isinstance(other, Absent):
        return one is other
    return one is other or same(one, other)


Place = tuple[bytes, tuple[str, ...]]
"""Where a document stands: the canonical bytes that hold it, and the names of the members on the
way to it."""


@dataclass(frozen=True)
class Landed:
    """What one document becomes where another stands.

    Attributes:
        content: Its canonical bytes.
        difference: What leads there from what stands there now.
        conflicts: What both changed and nothing resolved.
        unused: Resolutions of paths that are not in conflict.
    """

    content: bytes
    difference: tuple[dict[str, JsonValue], ...]
    conflicts: tuple[Conflict, ...] = ()
    unused: tuple[str, ...] = ()


def land(
    base: Place | None, ours: Place, theirs: Place | None, resolutions: Place | None
) -> Landed:
    """Put a document where another stands, merged with it where there is a base."""
    there, one = read(theirs), read(ours)
    if base is None:
        return Landed(canonical.encode(one), difference(there, one))
    merged = merge3(read(base), one, there, read(resolutions))
    content = canonical.encode(merged.value)
    return Landed(content, difference(there, merged.value), merged.conflicts, merged.unused)


def compare(before: Place | None, after: Place | None) -> tuple[dict[str, JsonValue], ...]:
    """The difference between two documents, where None stands for an empty one."""
    return difference(read(before), read(after))


def read(place: Place | None) -> dict[str, JsonValue]:
    """A document out of the bytes that hold it."""
    if place is None:
        return {}
    content, way = place
    found = canonical.decode(content)
    for name in way:
        found = cast("dict[str, JsonValue]", found)[name]
    return cast("dict[str, JsonValue]", found)
