"""What the registry does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.clock import moment
from scoped_mcp.kernel.errors import ConflictError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import KindId, OperationId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.registry import logic, store
from scoped_mcp.layers.registry.model import (
    BeginEpoch,
    DeclaredOperation,
    EpochView,
    FindRegistration,
    GetRegistration,
    Kind,
    ListRegistrations,
    Organisation,
    Registered,
    RegisterKinds,
    Registration,
    Registrations,
    SetLifecycle,
)
from scoped_mcp.spine.declare import Access, Effect, catalogue, handles
from scoped_mcp.spine.entity import kind_named

if TYPE_CHECKING:
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


@handles(
    RegisterKinds,
    name="registry.register",
    title="Register declarations",
    effect=Effect.ADMIN,
    scope="root",
    writes={Kind: Access.NONE, DeclaredOperation: Access.NONE},
    tool=False,
)
def register(_cmd: RegisterKinds, tx: WriteTx) -> Registered:
    """Two processes that start at once meet here one after the other: the second finds nothing."""
    new_kinds, new_operations = store.missing(tx)
    for name in sorted(new_kinds):
        tx.put(Kind(id=tx.new_id(KindId), name=name))
    for name in sorted(new_operations):
        declared = catalogue[name]
        tx.put(
            DeclaredOperation(
                id=tx.new_id(OperationId),
                name=name,
                effect=declared.effect,
                toolset=declared.toolset,
            )
        )
    return Registered(registered=len(new_kinds) + len(new_operations))


@handles(
    BeginEpoch,
    name="house.begin_epoch",
    title="Begin a new epoch",
    effect=Effect.REVOKE,
    scope="root",
    writes={Organisation: Access.NONE},
    tool=False,
)
def begin_epoch(cmd: BeginEpoch, tx: WriteTx) -> EpochView:
    """One change, whatever the number of credentials: step 1 refuses those of another epoch.

    The head is the one that was verified, or somebody has written since.
    """
    head = store.head(tx)
    if (cmd.seq, cmd.head) != (head.seq, head.hash):
        message = "the trail went on while it was being verified"
        raise ConflictError(message, hint="stop whatever writes to this database, and try again")
    before = tx.get_known(Organisation, tx.house.organisation)
    after = tx.put(before.but(epoch=before.epoch + 1, continues=head), event="restored")
    return EpochView(epoch=after.epoch, seq=head.seq, head=head.hash)


@handles(
    GetRegistration,
    name="registry.get",
    title="Look up a registration",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    toolset="audit",
)
def get(cmd: GetRegistration, tx: ReadTx) -> Registration:
    """What an id names, for those who may see the thing itself."""
    if tx.key(cmd.id) is None:
        message = f"{quote(cmd.id)} names an entry of the trail, which registers others"
        raise InvalidError(message, hint=f'audit_get(id="{cmd.id}") reads it')
    return _view(tx, cmd.id)


@handles(
    FindRegistration,
    name="registry.find",
    title="Look up a URN",
    effect=Effect.READ,
    toolset="audit",
)
def find(cmd: FindRegistration, tx: ReadTx) -> Registration:
    """For those who may see the thing itself."""
    public_id = store.named(tx, cmd.urn)
    if public_id is None or not tx.sees(public_id):
        message = f"there is no {quote(cmd.urn)} that you can see"
        raise NotFoundError(message, hint="list what you can see, or ask its owner to share it")
    return _view(tx, public_id)


@handles(
    ListRegistrations,
    name="registry.list",
    title="List what is registered",
    effect=Effect.READ,
    needs={"registered_by": Access.NONE},
    toolset="audit",
)
def list_(cmd: ListRegistrations, tx: ReadTx) -> Registrations:
    """A page of one kind, newest first."""
    bound = kind_named(cmd.kind)
    if bound is None:
        message = f"there is no kind {quote(cmd.kind)}"
        raise InvalidError(message, hint='registry_list(kind="kind") lists the kinds')
    found = tx.select(bound.kind)
    if cmd.lifecycle is not None:
        if "lifecycle" not in bound.columns:
            message = "only kinds and operations have a lifecycle"
            raise InvalidError(message, hint="leave lifecycle out")
        found = found.where(bound.table.c.lifecycle == cmd.lifecycle.value)
    if cmd.registered_by is not None:
        if not tx.sees(cmd.registered_by):
            return Registrations(items=())
        found = found.where(store.registered_by(tx, bound.table, cmd.registered_by))
    binding = [cmd.kind, cmd.lifecycle, cmd.tag, cmd.registered_by]
    things, cursor = tx.page(bound.kind, found, cmd.limit, cmd.cursor, binding)
    shown = [t for t in things if cmd.tag is None or cmd.tag in getattr(t, "tags", ())]
    return Registrations(items=tuple(_view(tx, t.id) for t in shown), next_cursor=cursor)


def _as_it_is(tx: ReadTx, _cmd: SetLifecycle, earlier: Earlier) -> Registration:
    return _view(tx, earlier.target)


@handles(
    SetLifecycle,
    name="registry.set_lifecycle",
    title="Set a lifecycle",
    effect=Effect.ADMIN,
    needs={"id": Access.READ},
    on="id",
    scope="root",
    instance=Access.ADMIN,
    writes={Kind: Access.READ, DeclaredOperation: Access.READ},
    toolset="admin",
    idempotent=True,
    again=_as_it_is,
)
def set_lifecycle(cmd: SetLifecycle, tx: WriteTx) -> Registration:
    """Legal moves only."""
    thing = tx.peek(Kind, cmd.id) or tx.peek(DeclaredOperation, cmd.id)
    if thing is None:
        message = "only kinds and operations have a lifecycle"
        hint = "registry_list shows them; objects are deleted, scopes archived"
        raise InvalidError(message, hint=hint)
    if not logic.legal(thing.lifecycle, cmd.lifecycle):
        message = f"`{thing.name}` is {thing.lifecycle} and cannot become {cmd.lifecycle}"
        hint = f"from here it may become {' or '.join(logic.moves(thing.lifecycle))}"
        raise ConflictError(message, hint=hint)
    tx.put(thing.but(lifecycle=cmd.lifecycle))
    return _view(tx, cmd.id)


def _view(tx: ReadTx, public_id: str) -> Registration:
    row = store.registration(tx, public_id)
    thing = tx.peek(Kind, public_id) or tx.peek(DeclaredOperation, public_id)
    by = tx.public_id(row.principal)
    return Registration(
        id=public_id,
        urn=row.urn,
        kind=row.kind,
        registered_at=moment(row.at),
        registered_by=by if tx.sees(by) else None,
        name=None if thing is None else thing.name,
        lifecycle=None if thing is None else thing.lifecycle,
        tags=() if thing is None else thing.tags,
    )
