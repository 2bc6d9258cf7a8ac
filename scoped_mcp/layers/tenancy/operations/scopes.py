"""Scopes: created, read, listed, renamed, frozen, archived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError
from scoped_mcp.kernel.ids import MembershipId, ScopeId, urn
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.identity import ScopeRole
from scoped_mcp.layers.tenancy import logic, store
from scoped_mcp.layers.tenancy.model import (
    CreateScope,
    GetScope,
    ListScopes,
    Membership,
    MemberView,
    Role,
    Scope,
    ScopeKind,
    ScopePage,
    ScopeState,
    ScopeView,
    SetScopeState,
    UpdateScope,
)
from scoped_mcp.layers.tenancy.tables import scopes
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def state_of(tx: ReadTx, scope: str) -> ScopeState:
    """The state of a scope in force: what is above it counts."""
    key = tx.known_key(scope)
    return logic.state_of(key, tx.memo(("nodes", key), lambda: store.nodes_of(tx, [key])))


def require_open(tx: ReadTx, scope: Scope) -> None:
    """Refuse to add to what is frozen or archived.

    Raises:
        ConflictError: it is, by itself or from above.
    """
    state = state_of(tx, scope.id)
    if state is not ScopeState.ACTIVE:
        message = f"the scope {quote(scope.name)} is {state}: nothing is added or widened"
        raise ConflictError(message, hint="its admins make it active with scope_set_state")


def require_own(scope: Scope) -> None:
    """Refuse to treat an environment's scope as one of its own (ruling 37).

    Raises:
        InvalidError: it is an environment's.
    """
    if scope.kind is ScopeKind.ENVIRONMENT:
        message = "an environment's scope is closed: no children, shares, roles or state of its own"
        hint = "use environment_invite, environment_import and environment_finish instead"
        raise InvalidError(message, hint=hint)


def view(tx: ReadTx, scope: Scope, *, full: bool = True) -> ScopeView:
    """A scope as the caller may see it; members are for members and its administrators."""
    role, _ = store.role_in(tx, tx.known_key(scope.id), tx.caller.principal)
    inside = role is not None or tx.access(scope) >= Access.ADMIN
    listed = member_views(tx, scope.id) if full and inside else None
    owner = identity.heir(tx, scope.owner)
    offered = inside and scope.transfer_to != owner and tx.sees(scope.transfer_to)
    return ScopeView(
        id=scope.id,
        urn=urn(scope.KIND, tx.house.organisation, scope.id),
        name=scope.name,
        state=scope.state,
        effective_state=state_of(tx, scope.id),
        parent=scope.parent if tx.sees(scope.parent) else None,
        role=role,
        owner=owner if tx.sees(owner) else None,
        description=scope.description,
        members=listed,
        transfer_to=scope.transfer_to if offered else None,
        version=scope.version,
        created_at=cast("Any", scope.created_at),
    )


def member_views(tx: ReadTx, scope: str) -> tuple[MemberView, ...]:
    """The members of a scope, as far as the caller knows them."""
    found: list[MemberView] = []
    for one in store.members(tx, scope):
        if tx.sees(one.principal):
            known = tx.get_known(identity.Principal, one.principal)
            by = one.added_by if tx.sees(one.added_by) else None
            found.append(
                MemberView(
                    principal=one.principal,
                    name=known.name,
                    role=one.role,
                    expires_at=one.expires_at,
                    added_by=by,
                )
            )
    return tuple(found)


def again(tx: ReadTx, _cmd: object, earlier: Earlier) -> ScopeView:
    """The answer to a repetition: the scope as it is now."""
    return view(tx, tx.get(Scope, earlier.target))


@handles(
    CreateScope,
    name="scope.create",
    title="Create a scope",
    effect=Effect.CREATE,
    needs={"parent": Access.READ},
    writes={Scope: Access.NONE, Membership: Access.NONE},
    again=again,
)
def create(cmd: CreateScope, tx: WriteTx) -> ScopeView:
    """A tree of its own, or below a parent that its creator administers (ruling 31)."""
    if cmd.parent is not None:
        _require_parent(tx, tx.get(Scope, cmd.parent))
    _require_free(tx, cmd.name)
    me = tx.caller.principal
    scope = tx.put(
        Scope(
            id=tx.new_id(ScopeId),
            name=cmd.name,
            owner=me,
            parent=cmd.parent,
            description=cmd.description,
        )
    )
    tx.put(
        Membership(
            id=tx.new_id(MembershipId),
            scope=scope.id,
            principal=me,
            role=Role.OWNER,
            added_by=me,
        )
    )
    return view(tx, scope)


def _require_parent(tx: ReadTx, parent: Scope) -> None:
    require_own(parent)
    if parent.root:
        message = "the root scope has no children: it holds instance roles only"
        raise InvalidError(message, hint="leave parent out; the scope is then a tree of its own")
    tx.get(Scope, parent.id, Access.ADMIN)
    require_open(tx, parent)
    key = tx.known_key(parent.id)
    depth = len(logic.chain(key, store.nodes_of(tx, [key]))) + 1
    if depth > tx.limits.scope_depth:
        message = f"scopes nest at most {tx.limits.scope_depth} deep"
        raise InvalidError(message, hint="choose a parent further up")


def _require_free(tx: ReadTx, name: str) -> None:
    if store.named(tx, tx.caller.principal, name):
        message = f"you have a scope named {quote(name)}"
        raise ConflictError(message, hint="choose another name; scope_list shows yours")


@handles(
    GetScope,
    name="scope.get",
    title="Read a scope",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    scope="id",
)
def get(cmd: GetScope, tx: ReadTx) -> ScopeView:
    """With its members for who is inside."""
    return view(tx, tx.get(Scope, cmd.id))


@handles(
    ListScopes,
    name="scope.list",
    title="List scopes",
    effect=Effect.READ,
    needs={"parent": Access.READ},
)
def list_(cmd: ListScopes, tx: ReadTx) -> ScopePage:
    """Only what is visible, newest first."""
    found = tx.select(Scope).where(scopes.c.kind == ScopeKind.SCOPE.value)
    if cmd.state is None:
        found = found.where(scopes.c.state != ScopeState.ARCHIVED.value)
    else:
        found = found.where(scopes.c.state == cmd.state.value)
    if cmd.parent is not None:
        found = found.where(scopes.c.parent == tx.key(cmd.parent))
    page, cursor = tx.page(Scope, found, cmd.limit, cmd.cursor, [cmd.state, cmd.parent])
    store.gather_scopes(tx, page)
    return ScopePage(items=tuple(view(tx, one, full=False) for one in page), next_cursor=cursor)


@handles(
    UpdateScope,
    name="scope.update",
    title="Update a scope",
    effect=Effect.ADMIN,
    needs={"id": Access.ADMIN},
    on="id",
    scope="id",
    writes={Scope: Access.ADMIN},
    toolset="scopes",
    idempotent=True,
    again=again,
)
def update(cmd: UpdateScope, tx: WriteTx) -> ScopeView:
    """By those who hold a role in it: an inherited one freezes, archives, removes and lowers."""
    scope = tx.get(Scope, cmd.id, Access.ADMIN)
    role, _ = store.role_in(tx, tx.known_key(scope.id), tx.caller.principal)
    if role not in {Role.ADMIN, Role.OWNER}:
        message = "an inherited role does not rename a scope"
        raise DeniedError(message, hint="ask an admin of the scope itself")
    require_open(tx, scope)
    changes: dict[str, object] = {}
    if cmd.name is not None and cmd.name != scope.name:
        if any(tx.sees(taken.id) for taken in store.named(tx, scope.owner, cmd.name)):
            message = f"its owner has a scope named {quote(cmd.name)}"
            raise ConflictError(message, hint="choose another name")
        changes["name"] = cmd.name
    if cmd.description is not None:
        changes["description"] = cmd.description
    return view(tx, tx.put(scope.but(**changes), expected_version=cmd.expected_version))


@handles(
    SetScopeState,
    name="scope.set_state",
    title="Freeze or archive a scope",
    effect=Effect.ADMIN,
    needs={"id": Access.ADMIN},
    on="id",
    scope="id",
    writes={Scope: Access.ADMIN},
    toolset="scopes",
    destructive=True,
    idempotent=True,
    again=again,
)
def set_state(cmd: SetScopeState, tx: WriteTx) -> ScopeView:
    """One change of one scope; what is below it is frozen or archived with it, computed.

    An inherited role may freeze and archive, never widen (ruling 30).
    """
    scope = tx.get(Scope, cmd.id, Access.ADMIN)
    if scope.root:
        message = "the root scope stays active"
        raise InvalidError(message, hint="suspend principals instead")
    if scope.state is cmd.state:
        return view(tx, scope)
    role, _ = store.role_in(tx, tx.known_key(scope.id), tx.caller.principal)
    reviving = scope.state is ScopeState.ARCHIVED
    if reviving and role is not Role.OWNER:
        message = "only its owner brings an archived scope back"
        raise DeniedError(message, hint="ask the owner of the scope")
    if cmd.state is ScopeState.ACTIVE and role not in {Role.ADMIN, Role.OWNER}:
        message = "an inherited role takes away: it does not make a frozen scope active"
        raise DeniedError(message, hint="ask an admin of the scope itself")
    if reviving and store.named(tx, scope.owner, scope.name):
        message = f"there is another scope named {quote(scope.name)} by now"
        raise ConflictError(message, hint="rename that one first with scope_update")
    put = tx.put(scope.but(state=cmd.state), reason=cmd.reason, event=_verb(cmd.state))
    return view(tx, put)


def _verb(state: ScopeState) -> str:
    return "activated" if state is ScopeState.ACTIVE else state.value


def _scopes(tx: ReadTx) -> dict[str, Any]:
    """What whoami says of scopes: where one is a member oneself, in what role, added by whom."""
    found: list[ScopeRole] = []
    places = store.standing_memberships(tx, tx.caller.principal)
    store.gather_places(tx, places)
    for one in places:
        scope = tx.get_known(Scope, one.scope)
        role, _ = store.role_in(tx, tx.known_key(scope.id), tx.caller.principal)
        archived = state_of(tx, scope.id) is ScopeState.ARCHIVED
        if role is None or archived or not tx.access(scope):
            continue
        found.append(
            ScopeRole(
                id=scope.id,
                name=scope.name,
                role=role,
                expires_at=one.expires_at,
                added_by=one.added_by if tx.sees(one.added_by) else None,
            )
        )
    return {"scopes": tuple(found)}


ports.caller_sections.append(_scopes)
