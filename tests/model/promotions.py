"""The reference model of promotions: what each comes to, what stands in the scope, who sees what.

No SQL, no versions of entities, no trail: documents are flat, and merged key by key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Document = dict[str, int]
ADMINS = ("alice", "rita")
MEMBERS = ("alice", "rita", "bob", "bot", "viewer")
EVERYONE = (*MEMBERS, "root")
WEEK = 7 * 86_400


@dataclass
class Note:
    """Something in an environment of its owner's."""

    owner: str
    versions: list[Document]
    deleted: bool = False
    discarded: bool = False


@dataclass
class Copy:
    """Something in the scope: each version with the note and version it came from, None if gone."""

    original: str
    versions: list[tuple[Document, tuple[str, int]] | None]

    @property
    def live(self) -> bool:
        return self.versions[-1] is not None


@dataclass
class Promotion:
    """One note at one version on its way."""

    by: str
    note: str
    version: int
    target: str | None
    target_version: int | None
    result: Document
    channel: int
    expires: int
    state: str
    approved: set[str] = field(default_factory=set)
    copy: str | None = None
    before: int | None = None
    after: int = 0
    left: int = 0


def merge(base: Document, ours: Document, theirs: Document) -> tuple[Document, bool]:
    """Key by key, and whether both changed one."""
    result, clash = {}, False
    for key in {*base, *ours, *theirs}:
        old, mine, other = (side.get(key) for side in (base, ours, theirs))
        clash = clash or (mine != other and old not in (mine, other))
        value = other if mine == old else mine
        if value is not None:
            result[key] = value
    return result, clash


class Model:
    """What the product must agree with."""

    def __init__(self) -> None:
        self.now = 0
        self.channel, self.open, self.needed = 1, True, 1
        self.notes: dict[str, Note] = {}
        self.copies: dict[str, Copy] = {}
        self.promotions: dict[str, Promotion] = {}

    def request(self, who: str, name: str) -> Promotion | str:
        note = self.notes[name]
        if not self.open:
            return "conflict"
        if note.owner != who or note.discarded:
            return "not_found"
        if note.deleted:
            return "conflict"
        data, version = note.versions[-1], len(note.versions)
        target = next((k for k, c in self.copies.items() if c.original == name and c.live), None)
        expires, clash, at = self.now + WEEK, False, None
        if target is not None:
            copy = self.copies[target]
            at, there = len(copy.versions), copy.versions[-1]
            came = [v[1][1] for v in copy.versions if v is not None and v[1][0] == name]
            assert there is not None
            data, clash = merge(note.versions[came[-1] - 1], data, there[0])
        state = "conflicted" if clash else "pending"
        return Promotion(who, name, version, target, at, data, self.channel, expires, state)

    def state(self, one: Promotion) -> str:
        """Expired and stale are so from the moment on."""
        if one.state != "pending":
            return one.state
        if self.now >= one.expires:
            return "expired"
        note, copies = self.notes[one.note], self.copies
        gone = note.deleted or note.discarded
        if one.target is None:
            moved = any(c.original == one.note and c.live for c in copies.values())
        else:
            copy = copies[one.target]
            moved = not copy.live or len(copy.versions) != one.target_version
        closed = not self.open or self.channel != one.channel
        return "stale" if gone or moved or closed else "pending"

    def sees(self, who: str, one: Promotion) -> bool:
        published = one.state in {"applied", "reverted"} and who in MEMBERS
        return who == one.by or who in ADMINS or published

    def reads(self, who: str, one: Promotion) -> bool:
        """Whether it is told which note is behind: its owner, and reviewers while it waits."""
        note = self.notes[one.note]
        inside = who == note.owner and not note.discarded
        return inside or (who in ADMINS and self.state(one) == "pending")

    def review(  # noqa: PLR0911 - one answer a case
        self, who: str, one: Promotion, *, approves: bool
    ) -> str:
        if not self.sees(who, one):
            return "not_found"
        if who not in ADMINS:
            return "denied"
        if self.state(one) == "stale" and one.state == "pending":
            one.state = "stale"
            return "stale"
        if self.state(one) != "pending":
            return "conflict"
        if who == one.by:
            return "denied"
        if who in one.approved:
            return "conflict"
        if not approves:
            one.state = "rejected"
            return "rejected"
        one.approved.add(who)
        if len(one.approved) < self.needed:
            return "pending"
        one.state = "applied"
        return "applied"

    def land(self, one: Promotion, copy: str) -> None:
        """What was approved stands in the scope."""
        there = self.copies.setdefault(copy, Copy(one.note, []))
        one.copy, one.before = copy, len(there.versions) or None
        there.versions.append((one.result, (one.note, one.version)))
        one.after = one.left = len(there.versions)

    def withdraw(self, who: str, one: Promotion) -> str:
        if not self.sees(who, one):
            return "not_found"
        if who != one.by:
            return "denied"
        if self.state(one) != "pending":
            return "conflict"
        one.state = "withdrawn"
        return "withdrawn"

    def revert(self, who: str, one: Promotion) -> str:
        if not self.sees(who, one):
            return "not_found"
        if who not in ADMINS:
            return "denied"
        if one.state not in {"applied", "reverted"} or one.copy is None:
            return "conflict"
        versions = self.copies[one.copy].versions
        if versions[-1] != versions[one.left - 1]:
            return "conflict"
        version = one.before if one.state == "applied" else one.after
        versions.append(None if version is None else versions[version - 1])
        one.left = len(versions)
        one.state = "reverted" if one.state == "applied" else "applied"
        return one.state
