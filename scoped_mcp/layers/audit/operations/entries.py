"""Reading and verifying entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.clock import moment
from scoped_mcp.kernel.errors import DeniedError
from scoped_mcp.kernel.ids import parse_urn
from scoped_mcp.layers.audit import store
from scoped_mcp.layers.audit.model import (
    ChangeView,
    EntryDetail,
    EntryPage,
    EntryView,
    GetEntry,
    ListEntries,
    Problem,
    VerifyTrail,
    VerifyView,
)
from scoped_mcp.layers.objects import Object, sights
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.entity import kind_of
from scoped_mcp.spine.gather import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx


@handles(
    ListEntries,
    name="audit.list",
    title="Read the trail",
    effect=Effect.READ,
    needs={"about": Access.NONE, "principal": Access.NONE, "session": Access.NONE},
    pooled=True,
    trail=True,
)
def list_(cmd: ListEntries, tx: ReadTx) -> EntryPage:
    """Only what the caller may see, newest first. What it may not see is as if it were absent."""
    binding = cmd.model_dump(mode="json", exclude={"limit", "cursor"})
    before = None if cmd.cursor is None else tx.unseal(binding, cmd.cursor)
    if cmd.about is not None and not (tx.sees(cmd.about) or store.sees_all(tx)):
        return EntryPage(items=())
    below = None if before is None else store.position(tx, before)
    found = store.newest(tx, cmd, below, cmd.limit + 1)
    page = found[: cmd.limit]
    more = len(found) > cmd.limit
    _gather(tx, page)
    return EntryPage(
        items=tuple(EntryView(**shown(tx, row)) for row in page),
        next_cursor=tx.seal(binding, page[-1].public_id) if more else None,
    )


@handles(
    GetEntry,
    name="audit.get",
    title="Read an entry",
    effect=Effect.READ,
    needs={"id": Access.READ},
    toolset="audit",
    trail=True,
)
def get(cmd: GetEntry, tx: ReadTx) -> EntryDetail:
    """What was asked is for its actor and sponsors; its place in the chain for auditors.

    Who answers for the actor is for the same readers, sponsors and auditors, and nobody else: that
    a principal exists is known to all, whose it is only to itself, to them and to its admins, as in
    `principal_get`. Others who see an entry, because it is about their things, see who acted.
    """
    row = store.find(tx, cmd.id)
    body = cast("dict[str, Any]", canonical.decode(row.body))
    detail: dict[str, Any] = {}
    if store.sponsors_of(tx, body["principal"]) or _swept(tx, body):
        own = body["principal"] == tx.caller.principal
        asked = body["asked"] if own else _asked(tx, body["asked"])
        detail |= {"asked": asked, "client": body["client"], "trace": body["trace"]}
        detail["sponsors"] = tuple(body["sponsors"])
    if store.sees_all(tx):
        detail |= {
            "client": body["client"],
            "sponsors": tuple(body["sponsors"]),
            "chain": row.chain,
            "seq": row.seq,
            "hash": row.hash.hex(),
            "previous": body["prev"],
            "arguments": body["arguments"],
        }
    named = _resolved(tx, body["owner"]) and _resolved(tx, body["target"])
    if detail or named:
        detail["under"] = body["under"]
    owner = body["owner"] if named else None
    return EntryDetail(**shown(tx, row), **detail, owner=owner)


@handles(
    VerifyTrail,
    name="audit.verify",
    title="Verify the trail",
    effect=Effect.READ,
    scope="root",
    toolset="audit",
    pooled=True,
)
def verify(cmd: VerifyTrail, tx: ReadTx) -> VerifyView:
    """Chain and states; totals are for auditors (ruling 48)."""
    if not store.sees_all(tx):
        message = "verifying the trail is for auditors and owners of the root scope"
        raise DeniedError(message, hint="ask one of them, or read your own entries with audit_list")
    counted, finding = store.verify(tx, cmd.from_seq or 1, cmd.to_seq)
    problem = None
    if finding is not None:
        problem = Problem(
            seq=finding.seq,
            entry=finding.public_id,
            problem=cast("Any", finding.problem),
            detail=finding.detail,
        )
    return VerifyView(
        ok=finding is None,
        entries=counted.entries,
        versions=counted.versions,
        head=counted.head.hex(),
        problem=problem,
    )


def _swept(tx: ReadTx, body: dict[str, Any]) -> bool:
    """Whether the house closed something of the caller's: how is the caller's to know."""
    return bool(body["principal"] == tx.house.principal and body["owner"] == tx.caller.principal)


def _resolved(tx: ReadTx, public_id: str | None) -> bool:
    """Whether the resolved part of an entry may name this (rulings 34, 46 and 47).

    Root auditors read every trail; what is inside environments is for their members alone.
    """
    if public_id is None:
        return False
    return tx.sees(public_id) or (store.sees_all(tx) and not store.conceals(tx, public_id))


def _asked(tx: ReadTx, asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked, as sponsors may read it: without the ids of what is inside environments."""

    def hidden(value: object) -> bool:
        return isinstance(value, str) and store.conceals(tx, value) and not tx.sees(value)

    kept: dict[str, Any] = {}
    for name, value in asked.items():
        if isinstance(value, list):
            several = [each for each in cast("list[object]", value) if not hidden(each)]
            kept |= {name: several} if several else {}
        elif not hidden(value):
            kept[name] = value
    return kept


def _gather(tx: ReadTx, page: Sequence[Any]) -> None:
    """Read at once what the entries of a page name."""
    ids: dict[type[Entity], list[str]] = {}
    entries: list[str] = []
    for row in page:
        body = cast("dict[str, Any]", canonical.decode(row.body))
        named = [body[name] for name in ("principal", "session", "target", "scope", "parent")]
        for each in (*named, *(parse_urn(change["urn"])[2] for change in body["changes"])):
            bound = None if each is None else kind_of(each)
            if bound is not None:
                ids.setdefault(bound.kind, []).append(str(each))
            elif each is not None:
                entries.append(each)
    store.gather_entries(tx, entries)
    for kind, several in ids.items():
        found = gather(tx, kind, several)
        if kind is Object:
            sights(tx, cast("Any", found))


def shown(tx: ReadTx, row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of entries
    """What its reader may see of an entry: the same wherever it is read."""
    body = cast("dict[str, Any]", canonical.decode(row.body))
    own = store.sponsors_of(tx, body["principal"])
    changes: list[ChangeView] = []
    for change in body["changes"]:
        public_id = parse_urn(change["urn"])[2]
        if _resolved(tx, public_id):
            changes.append(
                ChangeView(
                    id=public_id,
                    urn=change["urn"],
                    from_version=change["from"],
                    to_version=change["to"],
                    digest=change["digest"],
                )
            )
    named = {
        name: body[name] if _resolved(tx, body[name]) else None
        for name in ("principal", "session", "target", "scope", "parent")
    }
    if own:
        named |= {"principal": body["principal"], "session": body["session"]}
    return {
        **named,
        "id": row.public_id,
        "at": moment(row.at),
        "operation": row.operation,
        "outcome": row.outcome,
        "code": body["code"],
        "rules": tuple(body["rules"]),
        "changes": tuple(changes),
        "face": body["face"],
    }
