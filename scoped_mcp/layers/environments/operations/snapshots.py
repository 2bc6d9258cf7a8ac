"""Snapshots: an environment as it was, and brought back, all of it or nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.ids import SnapshotId
from scoped_mcp.layers import identity, objects, tenancy
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import (
    Counted,
    Environment,
    EnvironmentView,
    Invite,
    Kept,
    ListSnapshots,
    RestoreObjects,
    RestoreSnapshot,
    Seat,
    Snapshot,
    SnapshotPage,
    SnapshotView,
    TakeSnapshot,
)
from scoped_mcp.layers.environments.operations.heirs import settle
from scoped_mcp.layers.environments.operations.life import require_there
from scoped_mcp.layers.environments.operations.views import require_active, view
from scoped_mcp.layers.environments.tables import snapshots
from scoped_mcp.layers.objects import Object, ObjectState
from scoped_mcp.spine import repeat
from scoped_mcp.spine.declare import Access, Authority, Effect, handles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def _view(one: Snapshot) -> SnapshotView:
    return SnapshotView(
        id=one.id,
        environment=one.environment,
        name=one.name,
        digest=one.digest,
        objects=len(one.objects),
        members=len(one.members),
        created_at=cast("Any", one.created_at),
    )


def _again(tx: ReadTx, _cmd: object, earlier: Earlier) -> SnapshotView:
    (made,) = repeat.made(tx, Snapshot, earlier)
    return _view(tx.get(Snapshot, made))


def _restored(tx: ReadTx, _cmd: object, earlier: Earlier) -> EnvironmentView:
    return view(tx, tx.get(Environment, tx.get(Snapshot, earlier.target).environment))


def _digest(
    title: str, purpose: str | None, members: Iterable[Seat], things: Iterable[Object]
) -> str:
    """SHA-256 over the canonical bytes of all that a restore brings back."""
    content = {
        "name": title,
        "purpose": purpose,
        "members": [[each.principal, each.role] for each in members],
        "objects": [[each.id, each.type, each.name, list(each.tags), each.data] for each in things],
    }
    return hashlib.sha256(canonical.encode(content)).hexdigest()


def _seats(tx: ReadTx, one: Environment) -> tuple[Seat, ...]:
    """The members beside the owner, in the order of their ids."""
    owner = identity.heir(tx, one.owner)
    found = (each for each in tenancy.members(tx, one.scope) if each.principal != owner)
    seats = [Seat(principal=each.principal, role=cast("Any", each.role.value)) for each in found]
    return tuple(sorted(seats, key=lambda seat: seat.principal))


@handles(
    TakeSnapshot,
    name="environment.snapshot",
    title="Take a snapshot",
    effect=Effect.CREATE,
    needs={"id": Access.WRITE},
    on="id",
    writes={Snapshot: Access.NONE},
    toolset="temporal",
    pinned=True,
    again=_again,
)
def take(cmd: TakeSnapshot, tx: WriteTx) -> SnapshotView:
    """Versions are kept anyway: a snapshot names them."""
    one = tx.get(Environment, cmd.id, Access.WRITE)
    require_there(tx, one)
    if store.size(tx, one) > tx.limits.snapshot_objects:
        message = f"a snapshot holds at most {tx.limits.snapshot_objects} objects"
        raise InvalidError(message, hint="delete what is not needed, or use several environments")
    things, members = store.inside(tx, one, live=True), _seats(tx, one)
    public_id = tx.new_id(SnapshotId)
    return _view(
        tx.put(
            Snapshot(
                id=public_id,
                environment=one.id,
                name=cmd.name or "snapshot",
                title=one.name,
                purpose=one.purpose,
                members=members,
                objects=tuple(Kept(object=each.id, version=each.version) for each in things),
                digest=_digest(one.name, one.purpose, members, things),
            ),
            event="taken",
        )
    )


@handles(
    ListSnapshots,
    name="environment.snapshot_list",
    title="List snapshots",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    toolset="temporal",
)
def list_(cmd: ListSnapshots, tx: ReadTx) -> SnapshotPage:
    """Newest first."""
    found = tx.select(Snapshot).where(snapshots.c.environment == tx.key(cmd.id))
    page, cursor = tx.page(Snapshot, found, cmd.limit, cmd.cursor, [cmd.id])
    return SnapshotPage(items=tuple(_view(one) for one in page), next_cursor=cursor)


@handles(
    RestoreSnapshot,
    name="environment.restore",
    title="Restore a snapshot",
    effect=Effect.CHANGE,
    needs={"snapshot": Access.OWNER},
    on="snapshot",
    writes={Environment: Access.OWNER},
    toolset="temporal",
    destructive=True,
    pinned=True,
    again=_restored,
)
def restore(cmd: RestoreSnapshot, tx: WriteTx) -> EnvironmentView:
    """Everything that was there has a new version; what came since is deleted.

    1. the snapshot, and every version that it names, is what was kept
    2. objects as they were; those made since get a tombstone
    3. members as they were, who is not so now invited again (ruling 23)
    """
    kept = tx.get(Snapshot, cmd.snapshot, Access.OWNER)
    one = settle(tx, tx.get(Environment, kept.environment, Access.OWNER))
    require_active(tx, one)
    inside = [each.id for each in store.inside(tx, one, live=False)]
    tx.run(RestoreObjects(snapshot=kept.id), targets=inside)  # 1, 2
    members, there = {seat.principal for seat in kept.members}, _seats(tx, one)
    for seat in there:  # 3
        if seat.principal not in members:
            tx.run(Invite(id=one.id, principal=seat.principal, role="none"))
    for seat in kept.members:
        if seat not in there and seat.principal != one.owner:  # to whom it may have fallen since
            tx.run(Invite(id=one.id, principal=seat.principal, role=seat.role))
    one = tx.put(one.but(name=kept.title, purpose=kept.purpose), event="restored")
    return view(tx, one)


@handles(
    RestoreObjects,
    name="environment.restore_objects",
    title="Restore the objects of a snapshot",
    effect=Effect.CHANGE,
    needs={"snapshot": Access.NONE},
    on="snapshot",
    writes={Object: Access.ADMIN},
    tool=False,
    authority=Authority.ROLLBACK,
)
def restore_objects(cmd: RestoreObjects, tx: WriteTx) -> Counted:
    """Tombstones of others come back too: that is what undoing is."""
    kept = tx.get_known(Snapshot, cmd.snapshot)
    one = tx.get_known(Environment, kept.environment)
    now = {each.id: each for each in store.inside(tx, one, live=False)}
    then = _intact(tx, kept, now)
    for public_id, current in now.items():
        before = then.get(public_id)
        if before is not None:
            state = {"type": before.type, "name": before.name, "tags": before.tags}
            back = current.but(**state, data=before.data, state=ObjectState.ACTIVE)
            tx.put(back, reason=f"snapshot {kept.id}", event="restored")
        elif current.state is ObjectState.ACTIVE:
            gone = current.but(state=ObjectState.DELETED, transfer_to=None)
            tx.put(gone, reason=f"snapshot {kept.id}", event="deleted")
    return Counted(things=len(then))


def _intact(tx: ReadTx, kept: Snapshot, now: dict[Any, Object]) -> dict[Any, Object]:
    """The objects as they were.

    Raises:
        ConflictError: the snapshot or a version it names is not what was kept.
    """
    then: dict[Any, Object] = {}
    for each in kept.objects:
        before = now.get(each.object)
        found = None if before is None else objects.at_version(tx, before, each.version)
        if found is not None and tx.intact(each.object, each.version):
            then[each.object] = found
    whole = tx.intact(kept.id, kept.version) and len(then) == len(kept.objects)
    ordered = [then[each.object] for each in kept.objects if each.object in then]
    if not whole or _digest(kept.title, kept.purpose, kept.members, ordered) != kept.digest:
        message = "the snapshot is not what was kept; nothing was restored"
        raise ConflictError(message, hint="tell an auditor: audit_verify names what was changed")
    return then
