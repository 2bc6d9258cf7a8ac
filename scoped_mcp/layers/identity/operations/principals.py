"""Principals: created, read, renamed, suspended, resumed, archived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.canonical import NotCanonicalError
from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError
from scoped_mcp.kernel.ids import PrincipalId, urn
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.identity import logic, store
from scoped_mcp.layers.identity.model import (
    AddPrincipal,
    ArchivePrincipal,
    GetPrincipal,
    ListPrincipals,
    Principal,
    PrincipalPage,
    PrincipalRef,
    PrincipalState,
    PrincipalView,
    Resume,
    Suspend,
    UpdatePrincipal,
)
from scoped_mcp.layers.identity.tables import principals
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from pydantic import JsonValue

    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


METADATA_BYTES = 16_384


def _small(tx: ReadTx, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Metadata that may be kept: each page of principals, and each look at one, reads it.

    Raises:
        InvalidError: it is too large; names the limit and its value.
    """
    try:
        size = len(canonical.encode(metadata, tx.limits.object_depth))
    except NotCanonicalError as error:
        message = f"the metadata {error.problem}"
        raise InvalidError(message, hint="nest it less deep") from None
    if size > METADATA_BYTES:
        message = f"the metadata is {size} bytes of JSON, the limit is {METADATA_BYTES}"
        raise InvalidError(message, hint="keep it in an object, and name that in the metadata")
    return metadata


def ref(tx: ReadTx, public_id: str) -> PrincipalRef:
    """A principal as views name it."""
    one = tx.get_known(Principal, public_id)
    return PrincipalRef(id=one.id, name=one.name, kind=one.kind)


def view(tx: ReadTx, one: Principal) -> PrincipalView:
    """A principal as this caller may see it: the rest is for itself, sponsors and admins."""
    if tx.access(one) < Access.WRITE:
        return PrincipalView(id=one.id, name=one.name, kind=one.kind)
    state = PrincipalState.ACTIVE if store.acting(tx, one) else PrincipalState.SUSPENDED
    archived = one.state is PrincipalState.ARCHIVED
    return PrincipalView(
        id=one.id,
        name=one.name,
        kind=one.kind,
        urn=urn(one.KIND, tx.house.organisation, one.id),
        version=one.version,
        state=one.state,
        effective_state=one.state if archived else state,
        sponsor=None if one.sponsor is None else ref(tx, one.sponsor),
        creator=one.creator if tx.sees(one.creator) else None,
        delegate=one.delegate,
        expires_at=one.expires_at,
        metadata=one.metadata,
        created_at=one.created_at,
    )


def again(tx: ReadTx, _cmd: object, earlier: Earlier) -> PrincipalView:
    """The answer to a repetition: the principal as it is now."""
    return view(tx, tx.get(Principal, earlier.target))


def require_free(tx: ReadTx, name: str) -> None:
    """Refuse a name that another principal has.

    Raises:
        ConflictError: it is taken.
    """
    if store.holder(tx, name) is not None:
        message = f"the name {quote(name)} is taken"
        raise ConflictError(message, hint="choose another name, or use the principal that has it")


@handles(
    AddPrincipal,
    name="principal.create",
    title="Create a principal",
    effect=Effect.ADMIN,
    scope="root",
    instance=Access.ADMIN,
    writes={Principal: Access.NONE},
    toolset="admin",
    again=again,
)
def add(cmd: AddPrincipal, tx: WriteTx) -> PrincipalView:
    """Its creator answers for it, unless it stands for itself."""
    require_free(tx, cmd.name)
    if tx.caller.agent and cmd.kind != "agent":
        message = "agents create agents only"
        raise DeniedError(message, hint='call again with kind="agent", or ask your sponsor')
    if "/" in cmd.name:
        message = "a name with `/` is a delegate's"
        raise InvalidError(message, hint="choose a name without `/`, or use agent_delegate")
    alone = cmd.kind in logic.STANDING_ALONE
    one = Principal(
        id=tx.new_id(PrincipalId),
        name=cmd.name,
        kind=cmd.kind,
        sponsor=None if alone else tx.caller.principal,
        creator=tx.caller.principal,
        metadata=_small(tx, cmd.metadata),
    )
    return view(tx, tx.put(one))


@handles(
    GetPrincipal,
    name="principal.get",
    title="Read a principal",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    toolset="admin",
)
def get(cmd: GetPrincipal, tx: ReadTx) -> PrincipalView:
    """Name and kind for all."""
    return view(tx, tx.get(Principal, cmd.id))


@handles(
    ListPrincipals,
    name="principal.list",
    title="List principals",
    effect=Effect.READ,
    scope="root",
    instance=Access.ADMIN,
    toolset="admin",
)
def list_(cmd: ListPrincipals, tx: ReadTx) -> PrincipalPage:
    """A page, newest first."""
    found = tx.select(Principal)
    if cmd.state is not None:
        found = found.where(principals.c.state == cmd.state.value)
    if cmd.kind is not None:
        found = found.where(principals.c.kind == cmd.kind)
    if cmd.name is not None:
        found = found.where(principals.c.name == cmd.name)
    binding = [cmd.state, cmd.kind, cmd.name]
    page, cursor = tx.page(Principal, found, cmd.limit, cmd.cursor, binding)
    return PrincipalPage(items=tuple(view(tx, one) for one in page), next_cursor=cursor)


@handles(
    UpdatePrincipal,
    name="principal.update",
    title="Update a principal",
    effect=Effect.ADMIN,
    needs={"id": Access.WRITE},
    on="id",
    scope="root",
    writes={Principal: Access.WRITE},
    toolset="admin",
    idempotent=True,
    again=again,
)
def update(cmd: UpdatePrincipal, tx: WriteTx) -> PrincipalView:
    """Names are chosen by admins; metadata by the principal too."""
    one = tx.get(Principal, cmd.id, Access.WRITE)
    changes: dict[str, object] = {}
    if cmd.name is not None and cmd.name != one.name:
        tx.get(Principal, cmd.id, Access.ADMIN)
        if one.delegate or "/" in cmd.name:
            message = "a delegate's name is its delegator's and `/`"
            raise InvalidError(message, hint="choose a name without `/`; delegates keep theirs")
        require_free(tx, cmd.name)
        changes["name"] = cmd.name
    if cmd.metadata is not None:
        changes["metadata"] = _small(tx, cmd.metadata)
    return view(tx, tx.put(one.but(**changes), expected_version=cmd.expected_version))


@handles(
    Suspend,
    name="principal.suspend",
    title="Suspend a principal",
    effect=Effect.REVOKE,
    needs={"id": Access.ADMIN},
    on="id",
    scope="root",
    writes={Principal: Access.ADMIN},
    toolset="admin",
    destructive=True,
    idempotent=True,
    again=again,
)
def suspend(cmd: Suspend, tx: WriteTx) -> PrincipalView:
    """One fact of one principal; what hangs below it is computed (ruling 6)."""
    return _move(tx, cmd.id, PrincipalState.SUSPENDED, cmd.reason)


@handles(
    Resume,
    name="principal.resume",
    title="Resume a principal",
    effect=Effect.GRANT,
    needs={"id": Access.ADMIN},
    on="id",
    scope="root",
    writes={Principal: Access.ADMIN},
    toolset="admin",
    idempotent=True,
    again=again,
)
def resume(cmd: Resume, tx: WriteTx) -> PrincipalView:
    """Exactly what suspension took comes back."""
    return _move(tx, cmd.id, PrincipalState.ACTIVE, None)


@handles(
    ArchivePrincipal,
    name="principal.archive",
    title="Archive a principal",
    effect=Effect.REVOKE,
    needs={"id": Access.ADMIN},
    on="id",
    scope="root",
    writes={Principal: Access.ADMIN},
    toolset="admin",
    destructive=True,
    idempotent=True,
    again=again,
)
def archive(cmd: ArchivePrincipal, tx: WriteTx) -> PrincipalView:
    """The end of a principal; its trail stays."""
    return _move(tx, cmd.id, PrincipalState.ARCHIVED, cmd.reason)


def _move(tx: WriteTx, public_id: str, state: PrincipalState, reason: str | None) -> PrincipalView:
    one = tx.get(Principal, public_id, Access.ADMIN)
    if one.state is PrincipalState.ARCHIVED:
        message = f"{quote(one.name)} is archived"
        raise ConflictError(message, hint="create a new principal under another name")
    if one.state is state:
        return view(tx, one)
    if state is PrincipalState.ACTIVE:
        _require_may_resume(tx, one)
    by = tx.caller.principal if state is PrincipalState.SUSPENDED else None
    verb = {"active": "resumed"}.get(state, state.value)
    return view(tx, tx.put(one.but(state=state, suspended_by=by), reason=reason, event=verb))


def _require_may_resume(tx: ReadTx, one: Principal) -> None:
    by = one.suspended_by
    mine = by == tx.caller.principal or (by is not None and answers_for(tx, by))
    if not mine and not store.instance_admin(tx):
        message = f"{quote(one.name)} was suspended by somebody you do not answer for"
        raise DeniedError(message, hint="ask an administrator of the organisation")


def answers_for(tx: ReadTx, principal: str) -> bool:
    """Whether the caller answers for a principal."""
    return store.answers_for(tx, tx.caller.principal, principal)
