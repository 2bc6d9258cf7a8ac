"""Channels: made, changed and closed by who administers what they lead into."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError
from scoped_mcp.kernel.ids import AnyId, ChannelId, urn
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import tenancy
from scoped_mcp.layers.environments import Environment, Template
from scoped_mcp.layers.flow import logic, store
from scoped_mcp.layers.flow.model import (
    Channel,
    ChannelPage,
    ChannelState,
    ChannelView,
    CreateChannel,
    EndView,
    ListChannels,
    May,
    SetChannelState,
    Stage,
    UpdateChannel,
)
from scoped_mcp.layers.flow.tables import channels
from scoped_mcp.layers.tenancy import Scope
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx, WriteTx

_NAMED: dict[str, type[Entity]] = {
    "env": Environment,
    "tpl": Template,
    "scp": Scope,
    "stg": Stage,
}


def view(tx: ReadTx, one: Channel) -> ChannelView:
    """A channel as the caller may see it, and what it may do with it."""
    return ChannelView(
        id=one.id,
        urn=urn(one.KIND, tx.house.organisation, one.id),
        name=one.name,
        source=end(tx, one.source),
        target=end(tx, one.target),
        allowed_types=one.allowed_types,
        approvals=one.approvals,
        reviewers=tuple(p for p in one.reviewers if tx.sees(p)),
        requesters=tuple(p for p in one.requesters if tx.sees(p)),
        agents_may_review=one.agents_may_review,
        independent=one.independent,
        decide=one.decide,
        max_bytes=one.max_bytes,
        confirm=one.confirm,
        state=one.state,
        may=may(tx, one),
        version=one.version,
        created_at=cast("datetime", one.created_at),
    )


def may(tx: ReadTx, one: Channel) -> tuple[May, ...]:
    """What the caller may do with a channel."""
    me, active = tx.caller.principal, one.state is ChannelState.ACTIVE
    agents = not tx.caller.agent or (one.agents_may_review and not store.agents_own(tx, one.owner))
    found: dict[May, bool] = {
        "request": active and store.requests(tx, one, me),
        "review": active and agents and store.reviews(tx, one, me),
        "admin": store.administers(tx, one.owner, me),
    }
    return tuple(word for word, allowed in found.items() if allowed)


def end(tx: ReadTx, public_id: str | None) -> EndView:
    """One end of a channel; what it is called only for who may see it (ruling 34)."""
    kind = logic.kind_of(public_id)
    if public_id is None or not tx.sees(public_id):
        return EndView(kind=kind)
    name = getattr(tx.peek(_NAMED[public_id[:3]], public_id), "name", None)
    return EndView(kind=kind, id=public_id, name=name)


def again(tx: ReadTx, _cmd: object, earlier: Earlier) -> ChannelView:
    """The answer to a repetition: the channel as it is now."""
    return view(tx, tx.get(Channel, earlier.target))


@handles(
    CreateChannel,
    name="channel.create",
    title="Open a channel",
    effect=Effect.GRANT,
    needs={"reviewers": Access.READ, "requesters": Access.READ},
    writes={Channel: Access.NONE},
    toolset="flow",
    again=again,
)
def create(cmd: CreateChannel, tx: WriteTx) -> ChannelView:
    """It belongs to the scope that it leads into, whose own admins make it."""
    scope = _scope_of(tx, cmd.target.id)
    require_admin(tx, scope.id)
    tenancy.require_open(tx, scope)
    if cmd.source.id is not None:
        _source(tx, cmd.source.id)
    if cmd.source.id == cmd.target.id:
        message = "a channel does not lead back to where it comes from"
        raise InvalidError(message, hint="name another source or target")
    _require_free(tx, scope.id, cmd.name)
    _require_reviewed(tx, scope.id, cmd.approvals)
    one = Channel(
        id=tx.new_id(ChannelId),
        owner=scope.id,
        source=cmd.source.id,
        target=cmd.target.id,
        **cmd.model_dump(exclude={"source", "target"}),
    )
    return view(tx, tx.put(one))


def _scope_of(tx: ReadTx, target: AnyId) -> Scope:
    """The scope that a channel to this target belongs to."""
    if target.startswith("stg_"):
        return tx.get_known(Scope, tx.get(Stage, target).owner)
    scope = tx.get(Scope, target)
    tenancy.require_own(scope)
    if scope.root:
        message = "nothing is published in the root scope: it holds instance roles only"
        raise InvalidError(message, hint="create a scope for it with scope_create")
    return scope


def _source(tx: ReadTx, source: AnyId) -> None:
    """Refuse what the caller cannot see, and what nothing flows out of."""
    found = tx.get(_NAMED[source[:3]], source)
    if isinstance(found, Scope):
        tenancy.require_own(found)
        if found.root:
            message = "nothing is shown in the root scope: it holds instance roles only"
            raise InvalidError(message, hint="name another scope as the source")


def require_admin(tx: ReadTx, scope: str) -> None:
    """Refuse who does not administer a scope itself: an inherited role opens nothing (ruling 30).

    Raises:
        DeniedError: the caller does not.
    """
    if not store.administers(tx, scope, tx.caller.principal):
        message = "this needs the role admin or owner in the target scope itself"
        raise DeniedError(message, hint="scope_get names its members: ask one of its admins")


def _require_free(tx: ReadTx, scope: str, name: str) -> None:
    taken = store.channel_named(tx, scope, name)
    if taken is not None:
        message = f"the scope has a channel named {quote(name)}"
        raise ConflictError(
            message, hint=f'choose another name, or channel_update(id="{taken.id}")'
        )


def _require_reviewed(tx: ReadTx, scope: str, approvals: int) -> None:
    if approvals == 0 and store.agents_own(tx, scope):
        message = "a channel into a scope that an agent owns takes a user's approval"
        raise InvalidError(message, hint="send approvals=1 or more")


@handles(
    UpdateChannel,
    name="channel.update",
    title="Change a channel",
    effect=Effect.GRANT,
    needs={"id": Access.ADMIN, "reviewers": Access.READ, "requesters": Access.READ},
    on="id",
    writes={Channel: Access.ADMIN},
    toolset="flow",
    idempotent=True,
    again=again,
)
def update(cmd: UpdateChannel, tx: WriteTx) -> ChannelView:
    """A changed channel voids what was asked of it before (ruling 40)."""
    one = tx.get(Channel, cmd.id, Access.ADMIN)
    require_admin(tx, one.owner)
    tenancy.require_open(tx, tx.get_known(Scope, one.owner))
    changes = cmd.model_dump(exclude={"id", "expected_version"}, exclude_none=True)
    if changes.get("name", one.name) != one.name:
        _require_free(tx, one.owner, changes["name"])
    _require_reviewed(tx, one.owner, changes.get("approvals", one.approvals))
    return view(tx, tx.put(one.but(**changes), expected_version=cmd.expected_version))


@handles(
    SetChannelState,
    name="channel.set_state",
    title="Close or open a channel",
    effect=Effect.ADMIN,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Channel: Access.ADMIN},
    toolset="flow",
    destructive=True,
    idempotent=True,
    again=again,
)
def set_state(cmd: SetChannelState, tx: WriteTx) -> ChannelView:
    """Closing always works, from above too (rulings 21 and 30); opening is the scope's own."""
    one = tx.get(Channel, cmd.id, Access.ADMIN)
    if one.state is cmd.state:
        return view(tx, one)
    if cmd.state is ChannelState.ACTIVE:
        require_admin(tx, one.owner)
        tenancy.require_open(tx, tx.get_known(Scope, one.owner))
        _require_free(tx, one.owner, one.name)
        _require_reviewed(tx, one.owner, one.approvals)
    event = "opened" if cmd.state is ChannelState.ACTIVE else "closed"
    return view(tx, tx.put(one.but(state=cmd.state), reason=cmd.reason, event=event))


@handles(
    ListChannels,
    name="channel.list",
    title="List channels",
    effect=Effect.READ,
    needs={"target": Access.READ, "environment": Access.READ},
)
def list_(cmd: ListChannels, tx: ReadTx) -> ChannelPage:
    """Those into scopes whose data the caller sees, newest first."""
    found = tx.select(Channel).where(channels.c.state == cmd.state.value)
    if cmd.target is not None:
        key = tx.known_key(cmd.target)
        found = found.where((channels.c.target == key) | (channels.c.owner == key))
    if cmd.environment is not None:
        home = tx.get(Environment, cmd.environment)
        ends = [tx.known_key(one) for one in (home.id, home.template) if one is not None]
        found = found.where(channels.c.source.is_(None) | channels.c.source.in_(ends))
    binding = [cmd.target, cmd.environment, cmd.state]
    page, cursor = tx.page(Channel, found, cmd.limit, cmd.cursor, binding)
    return ChannelPage(items=tuple(view(tx, one) for one in page), next_cursor=cursor)
