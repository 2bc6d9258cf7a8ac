"""Many objects at once: one transaction, one entry with children, all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.objects.model import (
    CreateObject,
    CreateObjects,
    DeleteObject,
    DeleteObjects,
    Object,
    ObjectList,
    ObjectView,
    UpdateObject,
    UpdateObjects,
)
from scoped_mcp.layers.objects.operations.views import view
from scoped_mcp.spine import repeat
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scoped_mcp.layers.objects.model import NewObject
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def _now(tx: ReadTx, ids: Iterable[str], needs: Access = Access.READ) -> ObjectList:
    return ObjectList(items=tuple(view(tx, tx.get(Object, one, needs)) for one in ids))


def _made(tx: ReadTx, cmd: CreateObjects, earlier: Earlier) -> ObjectList:
    return _now(tx, repeat.made(tx, Object, earlier, len(cmd.objects)))


def _changed(tx: ReadTx, cmd: UpdateObjects, _earlier: Earlier) -> ObjectList:
    return _now(tx, (change.id for change in cmd.changes), Access.WRITE)


def _deleted(tx: ReadTx, cmd: DeleteObjects, _earlier: Earlier) -> ObjectList:
    return _now(tx, cmd.objects)


@handles(
    CreateObjects,
    name="object.create_many",
    beside=True,
    title="Create objects",
    effect=Effect.CREATE,
    needs={"environment": Access.WRITE},
    toolset="scopes",
    pinned=True,
    again=_made,
)
def create(cmd: CreateObjects, tx: WriteTx) -> ObjectList:
    """Each takes the path of its own."""
    _require_few(tx, cmd.objects)
    _require_names(cmd.objects)
    made = [
        tx.run(CreateObject(type=o.type, data=o.data, name=o.name, environment=cmd.environment))
        for o in cmd.objects
    ]
    return ObjectList(items=tuple(made))


@handles(
    UpdateObjects,
    name="object.update_many",
    beside=True,
    title="Update objects",
    effect=Effect.CHANGE,
    toolset="scopes",
    pinned=True,
    again=_changed,
)
def update(cmd: UpdateObjects, tx: WriteTx) -> ObjectList:
    """Each takes the path of its own."""
    _require_few(tx, cmd.changes)
    _require_different([change.id for change in cmd.changes])
    made: dict[str, ObjectView] = {}
    # In one order for all, or two at once would each wait for what the other has changed.
    for change in sorted(cmd.changes, key=lambda one: one.id):
        made[change.id] = tx.run(
            UpdateObject(
                id=change.id,
                data=change.data,
                patch=change.patch,
                expected_version=change.expected_version,
                reason=cmd.reason,
            )
        )
    return ObjectList(items=tuple(made[change.id] for change in cmd.changes))


@handles(
    DeleteObjects,
    name="object.delete_many",
    title="Delete objects",
    effect=Effect.CHANGE,
    needs={"objects": Access.ADMIN},
    toolset="scopes",
    destructive=True,
    pinned=True,
    again=_deleted,
)
def delete(cmd: DeleteObjects, tx: WriteTx) -> ObjectList:
    """Each takes the path of its own."""
    _require_few(tx, cmd.objects)
    _require_different(list(cmd.objects))
    made = [tx.run(DeleteObject(id=one, reason=cmd.reason)) for one in cmd.objects]
    return ObjectList(items=tuple(made))


def _require_names(objects: Sequence[NewObject]) -> None:
    """Refuse a name given twice, before one of the two is made: nobody would ever see that.

    Raises:
        ConflictError: one is.
    """
    given = [one.name for one in objects if one.name is not None]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        message = f"two of the objects are named {quote(twice)}"
        raise ConflictError(message, hint="give each a name of its own, or none")


def _require_few(tx: ReadTx, things: Sequence[object]) -> None:
    if len(things) > tx.limits.bulk:
        message = f"{len(things)} objects at once, the limit is {tx.limits.bulk}"
        raise InvalidError(message, hint="send them in several calls")


def _require_different(ids: list[str]) -> None:
    if len(set(ids)) < len(ids):
        message = "an object is named twice"
        raise InvalidError(message, hint="name each object once")
