"""The founding of a house, and what keeps its root scope in good hands."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError
from scoped_mcp.kernel.ids import CredentialId, MembershipId, PrincipalId
from scoped_mcp.layers import identity
from scoped_mcp.layers.registry import Organisation
from scoped_mcp.layers.tenancy import logic, store
from scoped_mcp.layers.tenancy.model import FirstView, FoundHouse, Membership, Role, Scope
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx, WriteTx

NEW = Access.NONE


@handles(
    FoundHouse,
    name="house.found",
    title="Found a house",
    effect=Effect.ADMIN,
    needs={"organisation": NEW, "house": NEW, "root": NEW},
    writes={
        Organisation: NEW,
        identity.Principal: NEW,
        identity.Credential: NEW,
        Scope: NEW,
        Membership: NEW,
    },
    tool=False,
)
def found(cmd: FoundHouse, tx: WriteTx) -> FirstView:
    """One transaction, one entry: before it there is nothing, after it a house with an owner."""
    house = tx.put(identity.Principal(id=cmd.house, name="house", kind="service"))
    first = tx.put(
        identity.Principal(
            id=tx.new_id(PrincipalId), name=cmd.name, kind="user", creator=house.id
        )
    )
    root = tx.put(Scope(id=cmd.root, name="root", owner=first.id, root=True))
    tx.put(Organisation(id=cmd.organisation, house=house.id, root=root.id))
    tx.put(
        Membership(
            id=tx.new_id(MembershipId),
            scope=root.id,
            principal=first.id,
            role=Role.OWNER,
            added_by=house.id,
        )
    )
    _, token = identity.mint(
        tx,
        identity.Credential(
            id=tx.new_id(CredentialId),
            principal=first.id,
            verifier="",
            expires_at=tx.now + timedelta(seconds=tx.limits.token_seconds),
            toolsets=("all",),
            issuer=house.id,
        ),
    )
    return FirstView(principal=first.id, root=root.id, token=token)


def _root_role(tx: ReadTx, principal: str) -> Role | None:
    return store.role_in(tx, tx.known_key(tx.house.root), principal)[0]


def active_root_owners(tx: ReadTx) -> set[str]:
    """The root owners that can act."""
    found: set[str] = set()
    for one in store.owners(tx, tx.house.root):
        principal = tx.get_known(identity.Principal, one.principal)
        if principal.state is identity.PrincipalState.ACTIVE:
            found.add(one.principal)
    return found


def keep_an_owner(tx: WriteTx, entity: Entity, _content: bytes) -> None:
    """The last active root owner stays, and nobody recovers who holds more (rulings 1 and 6).

    Raises:
        ConflictError: no active owner of the root scope would be left.
        DeniedError: the principal to recover holds more in the root scope than the caller.
    """
    if not isinstance(entity, identity.Principal) or entity.version == 1 or tx.caller.house:
        return
    stopped = entity.state is not identity.PrincipalState.ACTIVE
    if stopped and active_root_owners(tx) == {entity.id}:
        message = "the last active owner of the root scope stays"
        raise ConflictError(message, hint="give the root scope another owner first")
    before = tx.get_known(identity.Principal, entity.id)
    if before.recovered_at != entity.recovered_at:
        mine, theirs = _root_role(tx, tx.caller.principal), _root_role(tx, entity.id)
        if theirs is not None and (mine is None or logic.RANK[mine] < logic.RANK[theirs]):
            message = "nobody recovers who holds more than they do"
            raise DeniedError(message, hint="ask an owner of the root scope, or the operator")


ports.entity_guards.append(keep_an_owner)
