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
        identity.Principal(id=tx.new_id(PrincipalId), name=cmd.name, kind="user", creator=house.id)
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


def able_owners(tx: ReadTx, scope: str) -> dict[str, set[str]]:
    """The owners of a scope that can act by themselves, each with whose suspension stops it.

    A delegate's place is worth its delegator's, a team acts through others, and the house does
    nothing that it is asked for: none of them can stay behind alone.
    """
    found: dict[str, set[str]] = {}
    for one in store.owners(tx, scope):
        principal = tx.get_known(identity.Principal, one.principal)
        above = [principal, *identity.sponsors(tx, principal)]
        active = all(p.state is identity.PrincipalState.ACTIVE for p in above)
        itself = not principal.delegate and principal.kind != "team"
        if active and itself and principal.id != tx.house.principal:
            found[one.principal] = {p.id for p in above}
    return found


def who_recovers(tx: ReadTx) -> tuple[str, ...]:
    """The names with which an operator gets back in: those who own the root scope."""
    owners = able_owners(tx, tx.house.root)
    return tuple(sorted(tx.get_known(identity.Principal, one).name for one in owners))


def keep_an_owner(tx: WriteTx, entity: Entity, _content: bytes) -> None:
    """The last active root owner stays (ruling 6).

    Raises:
        ConflictError: no active owner of the root scope would be left.
    """
    if not isinstance(entity, identity.Principal) or entity.version == 1 or tx.caller.house:
        return
    if entity.state is identity.PrincipalState.ACTIVE:
        return
    able = able_owners(tx, tx.house.root)
    if able and all(entity.id in stopping for stopping in able.values()):
        message = "the last active owner of the root scope stays"
        raise ConflictError(message, hint="give the root scope another owner first")


def make_nobody_more(tx: WriteTx, entity: Entity, _content: bytes) -> None:
    """Nobody becomes somebody who holds more in the root scope than they do (ruling 1).

    Raises:
        DeniedError: whom the caller recovers, enrols or puts into a team would hold more.
    """
    subject = _made(tx, entity)
    if subject is None or tx.caller.house:
        return
    if not logic.holds(_root_role(tx, tx.caller.principal), _root_role(tx, subject)):
        message = "nobody recovers, enrols or makes who holds more than they do"
        raise DeniedError(message, hint="ask an owner of the root scope, or the operator")


def _made(tx: ReadTx, entity: Entity) -> str | None:
    """Whose place in the root scope this change could give to somebody."""
    if isinstance(entity, identity.Credential):
        new = entity.version == 1 and entity.principal != tx.caller.principal
        return entity.principal if new else None
    if isinstance(entity, identity.Relationship):
        return entity.target if entity.active and entity.label == "member_of" else None
    if isinstance(entity, identity.Principal) and entity.version > 1:
        before = tx.get_known(identity.Principal, entity.id)
        return None if before.recovered_at == entity.recovered_at else entity.id
    return None


ports.entity_guards += [keep_an_owner, make_nobody_more]
