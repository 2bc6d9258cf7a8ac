"""What the registry does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.clock import moment
from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.ids import KindId, OperationId
from scoped_mcp.layers.registry import logic, store
from scoped_mcp.layers.registry.model import (
    DeclaredOperation,
    GetRegistration,
    Kind,
    ListRegistrations,
    RegisterKinds,
    Registered,
    Registration,
    Registrations,
    SetLifecycle,
)
from scoped_mcp.layers.registry.tables import kinds, operations
from scoped_mcp.spine.declare import Access, Effect, catalogue, handles

if TYPE_CHECKING:
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
    return _view(tx, cmd.id)


@handles(
    ListRegistrations,
    name="registry.list",
    title="List kinds and operations",
    effect=Effect.READ,
    toolset="audit",
)
def list_(cmd: ListRegistrations, tx: ReadTx) -> Registrations:
    """Kinds and operations are public knowledge: a page of them, newest first."""
    kind, table = (Kind, kinds) if cmd.kind == "kind" else (DeclaredOperation, operations)
    found = tx.select(kind)
    if cmd.lifecycle is not None:
        found = found.where(table.c.lifecycle == cmd.lifecycle.value)
    binding = [cmd.kind, cmd.lifecycle, cmd.tag]
    things, cursor = tx.page(kind, found, cmd.limit, cmd.cursor, binding)
    shown = [t for t in things if cmd.tag is None or cmd.tag in t.tags]
    return Registrations(items=tuple(_view(tx, t.id) for t in shown), next_cursor=cursor)


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
)
def set_lifecycle(cmd: SetLifecycle, tx: WriteTx) -> Registration:
    """Legal moves only."""
    thing = tx.peek(Kind, cmd.id) or tx.peek(DeclaredOperation, cmd.id)
    if thing is None:
        message = "only kinds and operations have a lifecycle"
        raise InvalidError(message, hint="registry_list shows them; objects are deleted, scopes archived")
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
