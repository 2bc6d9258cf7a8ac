"""One object: created, read, listed, changed, deleted, restored, and its history.

A handler is a plain function. Authentication, access, versions, registration, the trace and the
events are the spine's: nothing here could forget them. What `tx.select` and `tx.get` find is
what the caller sees; what `tx.put` writes, it may.

The words of a declaration stand in `spine/declare.py`. Tools, command line and the tests with
strangers follow from it: a new operation is a command in `model.py` and its handler here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel import canonical, documents
from scoped_mcp.kernel.canonical import NotCanonicalError
from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.ids import ObjectId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects import store
from scoped_mcp.layers.objects.model import (
    CreateObject,
    DeleteObject,
    GetObject,
    HistoryView,
    ListObjects,
    Object,
    ObjectHistory,
    ObjectPage,
    ObjectState,
    ObjectView,
    RestoreObject,
    TagObject,
    UpdateObject,
    VersionView,
)
from scoped_mcp.layers.objects.operations.views import at, newest, view, views
from scoped_mcp.layers.objects.tables import objects
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.refusals import absent
from scoped_mcp.spine.work import Work

if TYPE_CHECKING:
    from pydantic import JsonValue

    from scoped_mcp.kernel.documents import Place
    from scoped_mcp.layers.objects.model import Heading
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def again(tx: ReadTx, _cmd: object, earlier: Earlier) -> ObjectView:
    """The answer to a repetition: the object as it is now."""
    return view(tx, tx.get(Object, earlier.target))


@handles(
    CreateObject,
    name="object.create",
    beside=True,
    title="Create an object",
    effect=Effect.CREATE,
    needs={"environment": Access.WRITE},
    writes={Object: Access.NONE},
    pinned=True,
    again=again,
)
def create(cmd: CreateObject, tx: WriteTx) -> ObjectView:
    """Nothing is shared by default: only who is inside its environment sees it, or its creator."""
    _require_fits(tx, cmd.data)
    home = cast("Any", ports.home)(tx, cmd.environment)
    me = tx.caller.principal
    _require_free(tx, me, home, cmd.name)
    made = Object(
        id=tx.new_id(ObjectId), type=cmd.type, name=cmd.name, owner=me, home=home, data=cmd.data
    )
    return view(tx, tx.put(made))


@handles(
    GetObject,
    name="object.get",
    title="Read an object",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
)
def get(cmd: GetObject, tx: ReadTx) -> ObjectView:
    """At most what exists for the caller: a share starts at a version, or is pinned to one."""
    thing = tx.get(Object, cmd.id)
    sight = store.sight(tx, thing)
    if cmd.version is not None and cmd.as_of is not None:
        message = "`version` and `as_of` exclude each other"
        raise InvalidError(message, hint="send one of them")
    version: int | None = sight.newest(thing.version)
    if cmd.version is not None:
        version = cmd.version
    elif cmd.as_of is not None:
        version = store.version_as_of(tx, thing, cmd.as_of)
        if version is not None and not sight.shows(version):
            version = max((v for v in sight.pinned if v <= version), default=None)
    if version is None or not sight.shows(version):
        raise absent(cmd.id)
    found = store.shown_at(tx, thing, version)
    if found is None:
        raise absent(cmd.id)
    return at(tx, thing, found, full=cmd.detail == "full")


@handles(
    ListObjects,
    name="object.list",
    title="List objects",
    effect=Effect.READ,
    needs={"environment": Access.READ, "scope": Access.READ},
    scope="scope",
)
def list_(cmd: ListObjects, tx: ReadTx) -> ObjectPage:
    """Only what is visible, newest first."""
    found = tx.select(Object).where(objects.c.state == cmd.state.value)
    if cmd.type is not None:
        found = found.where(objects.c.type == cmd.type)
    for place in (cmd.scope, cmd.environment):
        if place is not None:
            found = found.where(cast("Any", ports.within)(tx, place))
    binding = [cmd.type, cmd.scope, cmd.environment, cmd.state]
    page, cursor = tx.page(Object, found, cmd.limit, cmd.cursor, binding)
    return ObjectPage(items=views(tx, page, full=cmd.detail == "full"), next_cursor=cursor)


@handles(
    UpdateObject,
    name="object.update",
    beside=True,
    title="Update an object",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Object: Access.WRITE},
    pinned=True,
    again=again,
)
def update(cmd: UpdateObject, tx: WriteTx) -> ObjectView:
    """A lost race is a conflict that says who and when; an import is forked, not changed."""
    # To see it is enough to ask: an import is read-only, and to change it makes a fork of it.
    fork = cast("Any", ports.fork)(tx, tx.get(Object, cmd.id), cmd.expected_version)
    thing = _there(tx, cmd.id, Access.WRITE) if fork is None else cast("Object", fork)
    if cmd.data is not None:
        data = cmd.data
    else:
        merged = documents.merge(thing.data, cmd.patch)
        data = merged if isinstance(merged, dict) else {}
    _require_fits(tx, data)
    expected = cmd.expected_version if fork is None else None
    return view(tx, tx.put(thing.but(data=data), expected_version=expected, reason=cmd.reason))


@handles(
    TagObject,
    name="object.tag",
    beside=True,
    title="Tag an object",
    effect=Effect.CHANGE,
    needs={"id": Access.WRITE},
    on="id",
    writes={Object: Access.WRITE},
    toolset="scopes",
    idempotent=True,
    pinned=True,
    again=again,
)
def tag(cmd: TagObject, tx: WriteTx) -> ObjectView:
    """Tags are part of the object: a version like any other."""
    thing = _there(tx, cmd.id, Access.WRITE)
    tags = tuple(dict.fromkeys(cmd.tags))
    return view(tx, tx.put(thing.but(tags=tags), expected_version=cmd.expected_version))


@handles(
    DeleteObject,
    name="object.delete",
    title="Delete an object",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Object: Access.ADMIN},
    destructive=True,
    pinned=True,
    again=again,
)
def delete(cmd: DeleteObject, tx: WriteTx) -> ObjectView:
    """A tombstone; every version stays."""
    thing = _there(tx, cmd.id, Access.ADMIN)
    seen = view(tx, thing, full=False)
    put = tx.put(
        thing.but(state=ObjectState.DELETED, transfer_to=None),
        expected_version=cmd.expected_version,
        reason=cmd.reason,
        event="deleted",
    )
    # A tombstone is its owner's alone to see: others get what they saw, and that it is gone.
    if identity.heir(tx, put.owner) == tx.caller.principal:
        return view(tx, put)
    gone = {"state": put.state, "version": put.version, "updated_at": put.updated_at}
    return seen.model_copy(update=gone)


@handles(
    RestoreObject,
    name="object.restore",
    title="Restore an object",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Object: Access.ADMIN},
    toolset="temporal",
    pinned=True,
    again=again,
)
def restore(cmd: RestoreObject, tx: WriteTx) -> ObjectView:
    """As it was before it was deleted; shares that still stand show it again."""
    thing = tx.get(Object, cmd.id, Access.ADMIN)
    if thing.state is ObjectState.ACTIVE:
        message = f"{quote(cmd.id)} is not deleted"
        raise ConflictError(message, hint="there is nothing to restore")
    _require_free(tx, thing.owner, thing.home, thing.name)
    back = thing.but(state=ObjectState.ACTIVE)
    return view(tx, tx.put(back, reason=cmd.reason, event="restored"))


@handles(
    ObjectHistory,
    name="object.history",
    title="History of an object",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    pooled=True,
)
def history(cmd: ObjectHistory, tx: ReadTx) -> HistoryView:
    """The versions that exist for the caller, and no word of the others."""
    thing = tx.get(Object, cmd.id)
    sight = store.sight(tx, thing)
    newest(tx, thing, sight)  # refused as absent, where no version exists for the caller
    first, last = cmd.from_version, cmd.to_version
    binding = [cmd.id, first, last]
    before = thing.version + 1 if last is None else max(last, first or 1) + 1
    if cmd.cursor is not None:
        before = int(tx.unseal(binding, cmd.cursor))
    found = store.history(tx, thing, sight, before, cmd.limit + 1)
    lowest = min(first or 1, last or first or 1)
    found = [one for one in found if one.version >= lowest]
    page = found[: cmd.limit]
    more = len(found) > cmd.limit
    return HistoryView(
        items=tuple(_version(tx, one) for one in page),
        next_cursor=tx.seal(binding, str(page[-1].version)) if more else None,
        diff=None if first is None or last is None else _diff(tx, thing, first, last),
    )


def _version(tx: ReadTx, one: Heading) -> VersionView:
    return VersionView(
        version=one.version,
        at=one.at,
        author=one.author if tx.sees(one.author) else None,
        reason=one.reason,
        state=one.state,
    )


def _diff(tx: ReadTx, thing: Object, first: int, last: int) -> tuple[dict[str, JsonValue], ...]:
    """Worked out where it holds nobody up; a version at which it was deleted is empty."""
    sight = store.sight(tx, thing)
    there: list[bool] = []
    for version in (first, last):
        one = store.heading_shown(tx, thing.id, version) if sight.shows(version) else None
        if one is None:
            message = f"there is no version {version} that you can see"
            raise InvalidError(message, hint="object_history without versions lists them")
        there.append(one.state is ObjectState.ACTIVE)

    def places() -> tuple[Place | None, ...]:
        found = zip((first, last), there, strict=True)
        return tuple(store.place_at(tx, thing.id, v) if active else None for v, active in found)

    work = Work(("difference", thing.id, first, last), documents.compare, places)
    return cast("tuple[dict[str, JsonValue], ...]", tx.work_out([work])[0])


def _there(tx: ReadTx, public_id: str, needs: Access) -> Object:
    """An object that is not deleted.

    Raises:
        ConflictError: its owner asks, and it is.
    """
    thing = tx.get(Object, public_id, needs)
    if thing.state is ObjectState.DELETED:
        message = f"{quote(public_id)} is deleted"
        raise ConflictError(message, hint=f'object_restore(id="{public_id}") brings it back')
    return thing


def _require_fits(tx: ReadTx, data: dict[str, JsonValue]) -> None:
    """Refuse data beyond the limits: the resulting state counts, not what was sent.

    Raises:
        InvalidError: it is too large or too deep; names the limit and its value.
    """
    try:
        size = len(canonical.encode(data, tx.limits.object_depth))
    except NotCanonicalError as error:
        message = f"the data {error.problem}"
        raise InvalidError(message, hint=f"the limit is {tx.limits.object_depth} levels") from None
    if size > tx.limits.object_bytes:
        message = f"the data is {size} bytes of JSON, the limit is {tx.limits.object_bytes}"
        raise InvalidError(message, hint="split it into several objects")


def _require_free(tx: WriteTx, owner: str, home: str | None, name: str | None) -> None:
    """Refuse a name that another active object of the owner has in that place.

    Raises:
        ConflictError: it is taken.
    """
    if name is None:
        return
    tx.alone()
    taken = store.named(tx, owner, home, name)
    if taken is not None:
        message = f"you have an object named {quote(name)}"
        update = f'object_update(id="{taken.id}", data=…)'
        raise ConflictError(message, hint=f"choose another name, or {update}")
