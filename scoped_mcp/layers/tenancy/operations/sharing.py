"""Sharing: an object is shown in a scope by its owner, and taken back by owner or admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import ProjectionId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.objects import Object, ObjectState
from scoped_mcp.layers.tenancy import logic, store
from scoped_mcp.layers.tenancy.model import (
    Place,
    Projection,
    Role,
    Scope,
    ShareObject,
    ShareView,
    UnshareObject,
)
from scoped_mcp.layers.tenancy.operations.scopes import require_open, require_own
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def contributes(tx: ReadTx, scope: str, principal: str) -> bool:
    """Whether a principal may show its objects in a scope: contributor or more, by itself."""
    role, _ = store.role_in(tx, tx.known_key(scope), principal)
    return role is not None and logic.RANK[role] >= logic.RANK[Role.CONTRIBUTOR]


def _as_it_is(tx: ReadTx, cmd: ShareObject | UnshareObject, _earlier: Earlier) -> ShareView:
    known = store.projection(tx, cmd.object, cmd.scope)
    return _view(tx.get(Projection, "" if known is None else known.id))


@handles(
    ShareObject,
    name="object.share",
    title="Share an object",
    effect=Effect.GRANT,
    needs={"object": Access.OWNER, "scope": Access.READ},
    on="object",
    scope="scope",
    writes={Projection: Access.READ},
    idempotent=True,
    again=_as_it_is,
)
def share(cmd: ShareObject, tx: WriteTx) -> ShareView:
    """From the version current when it was made, unless with history (rulings 26 and 27)."""
    thing = tx.get(Object, cmd.object, Access.OWNER)
    scope = tx.get(Scope, cmd.scope)
    require_own(scope)
    if thing.home is not None:
        message = "what lives in an environment leaves it through a channel"
        hint = f'promotion_request(objects=["{thing.id}"], channel=…); channel_list shows which'
        raise InvalidError(message, hint=hint)
    if thing.state is ObjectState.DELETED:
        message = f"{quote(thing.id)} is deleted"
        raise ConflictError(message, hint=f'object_restore(id="{thing.id}") brings it back')
    if scope.root:
        message = "nothing is shown in the root scope: it holds instance roles only"
        raise InvalidError(message, hint="create a scope for it with scope_create")
    if not contributes(tx, scope.id, tx.caller.principal):
        message = "sharing needs the role contributor or more in the scope"
        raise DeniedError(message, hint="ask an admin of the scope for that role")
    since = _versions(cmd, thing)
    known = store.projection(tx, thing.id, scope.id)
    shown = None if known is None or known.state is not Place.ACTIVE else known
    if shown is not None and shown.since is not None and since is not None:
        since = min(shown.since, since)
    if shown is None or _widens(shown, cmd, since):
        require_open(tx, scope)  # taking away always works (ruling 21)
    if known is None:
        known = Projection(
            id=tx.new_id(ProjectionId),
            object=thing.id,
            scope=scope.id,
            access=cmd.access,
            shared_by=tx.caller.principal,
        )
    put = tx.put(
        known.but(
            access=cmd.access,
            state=Place.ACTIVE,
            since=since,
            pinned=cmd.pin_version,
            shared_by=tx.caller.principal,
        ),
        event="shared",
    )
    return _view(put)


def _widens(shown: Projection, cmd: ShareObject, since: int | None) -> bool:
    """Whether a share allows more than one that stands, or shows other versions."""
    if logic.LEVEL[cmd.access] > logic.LEVEL[shown.access]:
        return True
    if shown.since is None:
        return cmd.pin_version != shown.pinned
    return (cmd.pin_version or since or 0) < shown.since


def _versions(cmd: ShareObject, thing: Object) -> int | None:
    """From which version on: None where one is pinned."""
    if cmd.pin_version is None:
        return 1 if cmd.history else thing.version
    if cmd.access != "read" or cmd.history:
        message = "a pinned share is `read` and shows that version alone"
        hint = "leave pin_version out, or send access `read` without history"
        raise InvalidError(message, hint=hint)
    if cmd.pin_version > thing.version:
        message = f"there is no version {cmd.pin_version}"
        raise InvalidError(message, hint=f"the newest version is {thing.version}")
    return None


@handles(
    UnshareObject,
    name="object.unshare",
    title="Unshare an object",
    effect=Effect.REVOKE,
    needs={"object": Access.NONE, "scope": Access.NONE},
    on="object",
    scope="scope",
    writes={Projection: Access.READ},
    destructive=True,
    idempotent=True,
    again=_as_it_is,
)
def unshare(cmd: UnshareObject, tx: WriteTx) -> ShareView:
    """Taking away always works (ruling 21), by whoever may.

    By its owner, also where the scope is not there for it any more; by ADMIN on it through that
    scope, frozen or not; by admins of the scope or above it.
    """
    known = store.projection(tx, cmd.object, cmd.scope)
    have, there = tx.access_to(cmd.object), tx.access_to(cmd.scope)
    administers = there >= Access.ADMIN
    standing = known is not None and known.state is Place.ACTIVE
    if there < Access.READ and not (have is Access.OWNER and standing):
        message = f"there is no {quote(cmd.scope)} that you can see"
        raise NotFoundError(message, hint="scope_list shows what you can see")
    if have < Access.READ and not (administers and standing):
        message = f"there is no {quote(cmd.object)} that you can see"
        raise NotFoundError(message, hint="object_list shows what you can see")
    through = known is not None and standing and _through(tx, known)
    if have < Access.ADMIN and not administers and not through:
        message = "unsharing needs admin access to the object or the scope"
        raise DeniedError(message, hint="ask its owner or an admin of the scope")
    if known is None or not standing:
        message = f"{quote(cmd.object)} is not shown in this scope"
        raise NotFoundError(message, hint="object_get names the scopes in which it is shown")
    if have < Access.OWNER and not administers and not through:
        message = "your admin access comes through another scope"
        raise DeniedError(message, hint="unshare it from that scope, or ask its owner")
    return _view(tx.put(known.but(state=Place.ENDED), event="unshared"))


def _through(tx: ReadTx, shown: Projection) -> bool:
    """Whether it gives the caller ADMIN as a member; a frozen scope takes nothing of that away."""
    if shown.access != "admin":
        return False
    return tx.known_key(shown.scope) in store.standing_of(tx, tx.caller.principal).direct


def _view(one: Projection) -> ShareView:
    return ShareView(
        object=one.object,
        scope=one.scope,
        access=one.access,
        state=one.state,
        since=one.since,
        pinned=one.pinned,
        version=one.version,
    )
