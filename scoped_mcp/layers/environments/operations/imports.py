"""Imports: pinned references that give nobody access; importing again rebases (ruling 28)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel import documents
from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.ids import ImportId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import objects
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import (
    Environment,
    EnvironmentView,
    Import,
    ImportObjects,
)
from scoped_mcp.layers.environments.operations.views import again, require_active, view
from scoped_mcp.layers.objects import Fork, Object, ObjectState
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.refusals import absent
from scoped_mcp.spine.work import Work

if TYPE_CHECKING:
    from scoped_mcp.kernel.documents import Place
    from scoped_mcp.kernel.ids import ObjectId
    from scoped_mcp.spine.tx import ReadTx, WriteTx
    from scoped_mcp.spine.work import Prepared


def _ahead(cmd: ImportObjects, tx: ReadTx) -> Prepared:
    """The merges of what is imported again and has a fork here."""
    one, found = tx.get(Environment, cmd.id, Access.WRITE), list[Work]()
    for public_id in dict.fromkeys(cmd.objects):
        thing = tx.get(Object, public_id)
        pinned = objects.sight(tx, thing).newest(thing.version)
        fork = objects.fork_of(tx, thing.id, one.scope)
        before = None if fork is None else fork.forked_from
        if fork is not None and before is not None and _rebases(tx, thing, pinned, before.version):
            found.append(_rebasing(tx, thing, pinned, fork, before.version))
    return found


@handles(
    ImportObjects,
    name="environment.import",
    title="Import objects",
    effect=Effect.CHANGE,
    needs={"id": Access.WRITE, "objects": Access.READ},
    on="id",
    writes={Import: Access.NONE, Object: Access.WRITE},
    idempotent=True,
    prepare=_ahead,
    again=again,
)
def import_(cmd: ImportObjects, tx: WriteTx) -> EnvironmentView:
    """Each at the newest version that exists for the caller."""
    one = tx.get(Environment, cmd.id, Access.WRITE)
    require_active(tx, one)
    if len(store.imports_of(tx, one.id)) + len(cmd.objects) > tx.limits.imports:
        message = f"an environment imports at most {tx.limits.imports} objects"
        raise InvalidError(message, hint="spawn another environment for the rest")
    for public_id in dict.fromkeys(cmd.objects):
        _import(tx, one, public_id)
    return view(tx, one)


def _import(tx: WriteTx, one: Environment, public_id: ObjectId) -> None:
    thing = tx.get(Object, public_id)
    if thing.state is ObjectState.DELETED:
        raise absent(public_id)
    if thing.home == one.scope:
        message = f"{quote(public_id)} lives in this environment"
        raise InvalidError(message, hint="import what is outside; what is inside is there")
    pinned = objects.sight(tx, thing).newest(thing.version)
    fork = objects.fork_of(tx, thing.id, one.scope)
    if fork is not None:
        _rebase(tx, thing, pinned, fork)
    known = store.imported(tx, one.id, thing.id)
    if known is None:
        name = tx.new_id(ImportId)
        known = Import(id=name, environment=one.id, object=thing.id, pinned=pinned)
    elif known.active and known.pinned == pinned:
        return
    tx.put(known.but(pinned=pinned, active=True), event="imported")


def _rebases(tx: ReadTx, thing: Object, pinned: int, base: int) -> bool:
    """Whether a fork of one version is to be brought to another: both still have content."""
    if base == pinned:
        return False
    return all(objects.heading_at(tx, thing.id, version) for version in (base, pinned))


def _rebasing(tx: ReadTx, thing: Object, pinned: int, fork: Object, base: int) -> Work:
    def load() -> tuple[Place | None, ...]:
        theirs = objects.place_at(tx, thing.id, pinned)
        ours = objects.place_at(tx, fork.id, fork.version)
        return objects.place_at(tx, thing.id, base), ours, theirs, None

    about = ("rebase", thing.id, base, pinned, fork.id, fork.version)
    return Work(about, documents.land, load)


def _rebase(tx: WriteTx, thing: Object, pinned: int, fork: Object) -> None:
    """Bring what changed outside into the fork.

    Raises:
        ConflictError: both changed the same; names the paths.
    """
    before = fork.forked_from
    if before is None or not _rebases(tx, thing, pinned, before.version):
        return
    (merged,) = tx.work_out([_rebasing(tx, thing, pinned, fork, before.version)])
    if merged.conflicts:
        paths = ", ".join(quote(each.path) for each in merged.conflicts[:5])
        message = f"the fork and {quote(thing.id)} both changed {paths}"
        hint = (
            f'object_get(id="{thing.id}") shows theirs: object_update(id="{fork.id}", patch=…) to '
            "agree on these paths and import again, or send `resolutions` with promotion_request"
        )
        raise ConflictError(message, hint=hint)
    tx.put(
        fork.but(
            data=documents.read((merged.content, ())),
            forked_from=Fork(object=thing.id, version=pinned),
        ),
        event="rebased",
    )
