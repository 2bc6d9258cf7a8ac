"""Verification: everything that can be recomputed is recomputed, in bounded memory (ruling 52).

1. entries in order: position, hash over the stored bytes, link to the entry before, every column
2. each entry's changes: the version rows it names, their digests over salt and content
3. versions, contents, registry and state rows: each accounted for by an entry, every column equal
4. the head: where the chain ends, and who changed anybody's rights last
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import bindparam, func, select  # noqa: TID251 - verification reads every row

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.errors import InvalidError, Outcome
from scoped_mcp.kernel.ids import parse_urn
from scoped_mcp.spine import entity, trace
from scoped_mcp.storage.path import chain_heads, entries, registry, version_contents, versions
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Select, Table

CHUNK = 500
ERASES = "object.erase"
"""The one operation whose entries explain why content is gone (ruling 49)."""
EPOCH = "house.begin_epoch"
"""The operation whose entry names the head that a restored copy goes on from."""
_ENTRIES = past_walls(
    select(entries)
    .where(entries.c.chain == trace.CHAIN, entries.c.seq > bindparam("after"))
    .order_by(entries.c.seq)
    .limit(CHUNK)
)
_KEY = select(registry.c.id).where(registry.c.public_id == bindparam("public_id"))
_CHANGED = past_walls(
    select(
        versions,
        registry.c.urn,
        version_contents.c.content,
        version_contents.c.salt,
        version_contents.c.erasure,
    )
    .join_from(versions, registry, registry.c.id == versions.c.id)
    .join(
        version_contents,
        (version_contents.c.id == versions.c.id)
        & (version_contents.c.version == versions.c.version),
        isouter=True,
    )
    .where(versions.c.entry == bindparam("entry"))
)
_REGISTERED = past_walls(
    select(registry, entries.c.seq)
    .join_from(registry, entries, entries.c.id == registry.c.entry, isouter=True)
    .where(registry.c.id > bindparam("after"))
    .order_by(registry.c.id)
    .limit(CHUNK)
)
_EARLIER = versions.alias()
_NEWEST = past_walls(
    select(
        versions.c.version,
        versions.c.entry,
        version_contents.c.content,
        select(_EARLIER.c.entry)
        .where(_EARLIER.c.id == bindparam("id"))
        .order_by(_EARLIER.c.version)
        .limit(1)
        .scalar_subquery()
        .label("first"),
    )
    .join_from(
        versions,
        version_contents,
        (version_contents.c.id == versions.c.id)
        & (version_contents.c.version == versions.c.version),
        isouter=True,
    )
    .where(versions.c.id == bindparam("id"))
    .order_by(versions.c.version.desc())
    .limit(1)
)
_COUNTS = [
    past_walls(select(func.count().label("n")).select_from(table))
    for table in (version_contents, versions)
]
_ERASURE = past_walls(select(entries.c.operation).where(entries.c.id == bindparam("id")))
_NAME = past_walls(
    select(entries.c.public_id).where(
        entries.c.chain == trace.CHAIN, entries.c.seq == bindparam("seq")
    )
)
_BESIDE = past_walls(
    select(entries.c.public_id, entries.c.seq)
    .where(entries.c.chain != trace.CHAIN, entries.c.seq > bindparam("after"))
    .order_by(entries.c.seq)
    .limit(1)
)


@cache
def _state_of(table: Table) -> Select[Any]:
    """The query for one row of a kind's table, made once: there are as many rows as things."""
    return past_walls(select(table).where(table.c.id == bindparam("id")))


class Finding(Exception):  # noqa: N818 - it is found, not raised at callers
    """The first thing that is wrong."""

    def __init__(self, seq: int, problem: str, detail: str, public_id: str | None = None) -> None:
        super().__init__(detail)
        self.seq = seq
        self.problem = problem
        self.detail = detail
        self.public_id = public_id


@dataclass
class Counted:
    """What was looked at."""

    entries: int = 0
    versions: int = 0
    head: bytes = trace.GENESIS
    authority: int = 0


class _Verifier:
    """One walk over a snapshot."""

    def __init__(self, rows: Any) -> None:  # noqa: ANN401 - anything with `rows`
        self._rows = rows
        self._keys: dict[str, int | None] = {}
        self.counted = Counted()
        self.last_at = ""

    def one(self, statement: Any, **values: object) -> Any:  # noqa: ANN401 - a query, a row
        found = self._rows.rows(statement, values)
        return found[0] if found else None

    def key(self, public_id: str) -> int | None:
        if public_id not in self._keys:
            if len(self._keys) > 50_000:  # noqa: PLR2004 - bounded memory
                self._keys.clear()
            row = self.one(_KEY, public_id=public_id)
            self._keys[public_id] = None if row is None else row.id
        return self._keys[public_id]

    def name(self, finding: Finding) -> None:
        """The entry that wrote what is wrong, where there is one."""
        if finding.public_id is None:
            row = self.one(_NAME, seq=finding.seq)
            finding.public_id = None if row is None else row.public_id

    def walk(self, first: int, last: int | None) -> None:
        """Step 1 and 2, in order of position."""
        expected, previous = first, trace.GENESIS
        if first > 1:
            before = self._rows.rows(_ENTRIES, {"after": first - 2})
            previous = before[0].hash if before else previous
        beside = self.one(_BESIDE, after=first - 1)
        for row in self.chained(first - 1):
            if last is not None and row.seq > last:
                return
            if beside is not None and row.seq >= beside.seq:
                break
            previous = self.entry(row, expected, previous)
            expected += 1
        if beside is not None and (last is None or beside.seq <= last):
            raise Finding(beside.seq, "edited", "it is not of this chain", beside.public_id)

    def chained(self, after: int) -> Iterator[Any]:
        """The entries behind a position, a chunk of them in memory at a time."""
        while rows := self._rows.rows(_ENTRIES, {"after": after}):
            yield from rows
            after = rows[-1].seq

    def entry(self, row: Any, expected: int, previous: bytes) -> bytes:  # noqa: ANN401 - a row
        """1: one entry. What its own bytes say of its place tells what happened to it."""
        if hashlib.sha256(row.body).digest() != row.hash:
            raise Finding(row.seq, "edited", "its bytes do not give its hash", row.public_id)
        body = cast("dict[str, Any]", canonical.decode(row.body))
        if body["seq"] != row.seq:
            raise Finding(row.seq, "reordered", "it was written at another position", row.public_id)
        if row.seq != expected:
            raise Finding(expected, "missing", f"the next entry is number {row.seq}")
        if body["prev"] != previous.hex():
            detail = "it does not follow the entry before it"
            raise Finding(row.seq, "inserted", detail, row.public_id)
        columns = trace.columns_of(body, self.key)
        for name, value in columns.items():
            if getattr(row, name) != value:
                detail = f"its column {name} is not what its bytes say"
                raise Finding(row.seq, "edited", detail, row.public_id)
        if body["operation"] == EPOCH and body["outcome"] == Outcome.DONE:
            self.continues(row, body)
        self.changes(row, body)
        self.counted.entries += 1
        self.counted.head = row.hash
        self.last_at = max(self.last_at, row.at)  # works that run side by side end in any order
        if body["authority"]:
            self.counted.authority = row.seq
        return bytes(row.hash)

    def continues(self, row: Any, body: dict[str, Any]) -> None:  # noqa: ANN401 - a row
        """1: the first entry of a restored copy names the head that it goes on from (ruling 24)."""
        asked = body["asked"]
        if (asked["seq"], asked["head"]) != (row.seq - 1, body["prev"]):
            detail = "it does not continue from the head that it names"
            raise Finding(row.seq, "edited", detail, row.public_id)

    def changes(self, row: Any, body: dict[str, Any]) -> None:  # noqa: ANN401 - a row
        """2: exactly the versions that the entry names, each with its digest."""
        named = {(c["urn"], c["to"]): c for c in body["changes"]}
        for found in self._rows.rows(_CHANGED, {"entry": row.id}):
            change = named.pop((found.urn, found.version), None)
            where = f"version {found.version} of {found.urn}"
            if change is None:
                raise Finding(row.seq, "state", f"{where} is not among its changes", row.public_id)
            if found.digest.hex() != change["digest"]:
                raise Finding(row.seq, "state", f"{where} has another digest", row.public_id)
            self.content(row, found, where)
            self.counted.versions += 1
        for urn, version in named:
            detail = f"version {version} of {urn} is gone"
            raise Finding(row.seq, "state", detail, row.public_id)

    def content(self, row: Any, found: Any, where: str) -> None:  # noqa: ANN401 - rows
        if found.erasure is not None:
            by = self.one(_ERASURE, id=found.erasure)
            erased = found.content is None and found.salt is None
            if by is None or by.operation != ERASES or not erased:
                raise Finding(row.seq, "state", f"nobody erased {where}", row.public_id)
            return
        if found.content is None or found.salt is None:
            raise Finding(row.seq, "state", f"the content of {where} is gone", row.public_id)
        if canonical.digest(found.salt, found.content) != found.digest:
            raise Finding(row.seq, "state", f"the content of {where} was edited", row.public_id)
        outer = cast("dict[str, Any]", canonical.decode(found.content))
        author = self.key(str(outer["author"]))
        if outer["at"] != row.at or author != row.principal:
            raise Finding(row.seq, "state", f"{where} is not this entry's", row.public_id)

    def registered(self) -> None:
        """3: every registry row has versions, and its state row is what the newest one says."""
        after = 0
        while rows := self._rows.rows(_REGISTERED, {"after": after}):
            for row in rows:
                self.thing(row)
            after = rows[-1].id

    def thing(self, row: Any) -> None:  # noqa: ANN401 - a registry row
        kind, _, public_id, _ = parse_urn(row.urn)
        bound = entity.kind_named(kind)
        newest = self.one(_NEWEST, id=row.id)
        seq = row.seq or 0
        whole = (row.kind, row.public_id) == (kind, public_id) and bound is not None
        if not whole or newest is None or newest.first != row.entry:
            raise Finding(seq, "state", f"the registry row of {row.urn} was edited")
        bound = cast("entity.Bound", bound)
        state = self.one(_state_of(bound.table), id=row.id)
        if state is None:
            raise Finding(seq, "state", f"the state of {row.urn} is gone")
        if (state.version, state.entry) != (newest.version, newest.entry):
            raise Finding(seq, "state", f"the state of {row.urn} is not at its newest version")
        if newest.content is not None:  # else it is erased: the trail says so
            self.columns(seq, row, state, entity.open_envelope(bound.kind, newest.content))

    def columns(self, seq: int, row: Any, state: Any, newest: Any) -> None:  # noqa: ANN401 - rows
        for name, value in entity.row_of(newest, self.key).items():
            if getattr(state, name) != value:
                detail = f"column {name} of {row.urn} is not what its newest version says"
                raise Finding(seq, "state", detail)

    def accounted(self) -> None:
        """3: no version, content or state row beyond what entries and registry account for."""
        contents, total = (self.one(count).n for count in _COUNTS)
        if total != self.counted.versions or contents != total:
            raise Finding(0, "state", "there are versions that no entry accounts for")
        for bound in entity.kinds():
            orphan = (
                select(bound.table.c.id)
                .join_from(bound.table, registry, registry.c.id == bound.table.c.id, isouter=True)
                .where(registry.c.id.is_(None) | (registry.c.kind != bound.kind.KIND))
            )
            if self.one(past_walls(orphan)) is not None:
                raise Finding(0, "state", f"a {bound.kind.KIND} stands without its registration")

    def reached(self, seq: int, last: int | None) -> None:
        """Of a range: no entry of it is gone from the end of the chain."""
        row = self.one(select(chain_heads))
        if row is not None and seq < (row.seq if last is None else min(last, row.seq)):
            raise Finding(seq + 1, "truncated", f"the chain ended at entry {row.seq}")

    def head(self, seq: int) -> None:
        """4: the chain ends where its head says."""
        row = self.one(select(chain_heads))
        if row is None or self.one(select(func.count().label("n")).select_from(chain_heads)).n != 1:
            raise Finding(seq, "truncated", "the head of the chain is gone")
        if row.seq > seq:
            raise Finding(seq + 1, "truncated", f"the chain ended at entry {row.seq}")
        whole = (row.chain, row.seq, row.hash, row.at, row.authority) == (
            trace.CHAIN,
            seq,
            self.counted.head,
            self.last_at,
            self.counted.authority,
        )
        if not whole:
            raise Finding(row.seq, "edited", "the head of the chain was edited")


def verify(
    rows: Any,  # noqa: ANN401 - anything with `rows`
    first: int = 1,
    last: int | None = None,
) -> tuple[Counted, Finding | None]:
    """Walk the whole database, or a range of its entries; the first thing that is wrong."""
    verifier = _Verifier(rows)
    try:
        verifier.walk(first, last)
        if first == 1 and last is None:
            verifier.head(verifier.counted.entries)
            verifier.registered()
            verifier.accounted()
        else:
            verifier.reached(first - 1 + verifier.counted.entries, last)
    except Finding as finding:
        verifier.name(finding)
        return verifier.counted, finding
    except (ValueError, KeyError, TypeError) as error:
        detail = f"it cannot be read: {type(error).__name__}"
        return verifier.counted, Finding(verifier.counted.entries + 1, "edited", detail)
    return verifier.counted, None


def require(rows: Any) -> Counted:  # noqa: ANN401 - anything with `rows`
    """Verify the whole database before there is anybody to ask for it: a copy that was restored.

    Raises:
        InvalidError: the message names the first bad entry and what is wrong with it.
    """
    counted, finding = verify(rows)
    if finding is None:
        return counted
    named = "" if finding.public_id is None else f" ({finding.public_id})"
    message = f"entry {finding.seq}{named} is bad ({finding.problem}): {finding.detail}"
    raise InvalidError(message, hint="restore from another backup")
