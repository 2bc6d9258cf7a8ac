"""The labelled graph between principals: teams, supervision, whatever an organisation names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import RelationshipId
from scoped_mcp.layers.identity import logic, store
from scoped_mcp.layers.identity.model import (
    Ancestors,
    Descendants,
    LineageView,
    PathView,
    Principal,
    Relate,
    Relationship,
    RelationshipView,
    Unrelate,
)
from scoped_mcp.layers.identity.operations.principals import ref
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx

DEEPEST = 64


def _as_it_is(tx: ReadTx, cmd: Relate | Unrelate, _earlier: Earlier) -> RelationshipView:
    known = store.edge(tx, cmd.source, cmd.label, cmd.target)
    return _view(tx.get(Relationship, "" if known is None else known.id))


@handles(
    Relate,
    name="principal.relate",
    title="Relate two principals",
    effect=Effect.GRANT,
    needs={"source": Access.READ, "target": Access.READ},
    on="source",
    scope="root",
    instance=Access.ADMIN,
    writes={Relationship: Access.ADMIN},
    toolset="admin",
    idempotent=True,
    again=_as_it_is,
)
def relate(cmd: Relate, tx: WriteTx) -> RelationshipView:
    """Nobody leads to itself along a hierarchical label; nobody puts itself into a team."""
    if cmd.source == cmd.target:
        message = "a principal has no relationship to itself"
        raise InvalidError(message, hint="name two principals")
    team = cmd.label == "member_of" and tx.get_known(Principal, cmd.target).kind == "team"
    if team and _own_side(tx, cmd.source):
        message = "nobody puts themselves, their sponsors or their agents into a team"
        raise DeniedError(message, hint="ask another instance admin")
    if cmd.label in logic.HIERARCHICAL and cmd.source in _reach(
        tx, cmd.target, cmd.label, DEEPEST, up=True
    ):
        message = f"this would make a circle of `{cmd.label}`"
        raise ConflictError(message, hint="end the opposite relationship first")
    known = store.edge(tx, cmd.source, cmd.label, cmd.target)
    if known is None:
        known = Relationship(
            id=tx.new_id(RelationshipId), source=cmd.source, label=cmd.label, target=cmd.target
        )
    elif known.active:
        return _view(known)
    return _view(tx.put(known.but(active=True)))


def _own_side(tx: ReadTx, source: str) -> bool:
    caller = tx.caller
    sides = {caller.principal, *caller.sponsors}
    return source in sides or store.answers_for(tx, caller.principal, source)


@handles(
    Unrelate,
    name="principal.unrelate",
    title="End a relationship",
    effect=Effect.REVOKE,
    needs={"source": Access.READ, "target": Access.READ},
    on="source",
    scope="root",
    writes={Relationship: Access.READ},
    toolset="admin",
    idempotent=True,
    again=_as_it_is,
)
def unrelate(cmd: Unrelate, tx: WriteTx) -> RelationshipView:
    """By instance admins, and by the source itself: anyone may leave."""
    if cmd.source != tx.caller.principal and not store.instance_admin(tx):
        message = "only instance admins end others' relationships"
        raise DeniedError(message, hint="ask an administrator of the organisation")
    known = store.edge(tx, cmd.source, cmd.label, cmd.target)
    if known is None:
        message = "there is no such relationship"
        raise NotFoundError(message, hint="principal_ancestors shows what there is")
    return _view(tx.put(known.but(active=False), event="ended") if known.active else known)


@handles(
    Ancestors,
    name="principal.ancestors",
    title="Principals above",
    effect=Effect.READ,
    needs={"id": Access.WRITE},
    on="id",
    toolset="admin",
)
def ancestors(cmd: Ancestors, tx: ReadTx) -> LineageView:
    """Nearest first, with the path."""
    return _lineage(tx, _reach(tx, cmd.id, cmd.label, cmd.depth, up=True))


@handles(
    Descendants,
    name="principal.descendants",
    title="Principals below",
    effect=Effect.READ,
    needs={"id": Access.WRITE},
    on="id",
    toolset="admin",
)
def descendants(cmd: Descendants, tx: ReadTx) -> LineageView:
    """Nearest first, with the path."""
    return _lineage(tx, _reach(tx, cmd.id, cmd.label, cmd.depth, up=False))


def _reach(
    tx: ReadTx, start: str, label: str, depth: int, *, up: bool
) -> dict[str, tuple[str, ...]]:
    """Who can be reached, each with the shortest path to it."""
    found: dict[str, tuple[str, ...]] = {}
    edge: list[tuple[str, tuple[str, ...]]] = [(start, (start,))]
    for _ in range(depth):
        further: list[tuple[str, tuple[str, ...]]] = []
        for at, path in edge:
            for other in store.neighbours(tx, at, label, up=up):
                if other not in found and other != start:
                    found[other] = (*path, other)
                    further.append((other, found[other]))
        edge = further
    return found


def _lineage(tx: ReadTx, found: dict[str, tuple[str, ...]]) -> LineageView:
    seen = {k: path for k, path in found.items() if all(tx.sees(one) for one in path)}
    return LineageView(
        items=tuple(
            PathView(principal=ref(tx, one), distance=len(path) - 1, path=path)
            for one, path in seen.items()
        )
    )


def _view(one: Relationship) -> RelationshipView:
    return RelationshipView(
        id=one.id,
        source=one.source,
        label=one.label,
        target=one.target,
        active=one.active,
        version=one.version,
    )
