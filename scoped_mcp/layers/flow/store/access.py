"""Who may see and do what with channels, promotions and pipelines: one by one, and as a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, exists, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.layers import environments, identity, tenancy
from scoped_mcp.layers.environments import Environment
from scoped_mcp.layers.flow import logic
from scoped_mcp.layers.flow.model import (
    Channel,
    Pipeline,
    Placement,
    Promotion,
    PromotionState,
    Stage,
)
from scoped_mcp.layers.flow.tables import channels, pipelines, placements, promotions, stages
from scoped_mcp.layers.objects import Object, objects
from scoped_mcp.layers.tenancy import Role, Scope
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.ports import decides, filters, pins, ports, seen
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import one_of
from scoped_mcp.storage.walls import anything, told, wall

if TYPE_CHECKING:
    from scoped_mcp.kernel.ids import PrincipalId
    from scoped_mcp.spine.tx import ReadTx

PUBLIC = frozenset({PromotionState.APPLIED, PromotionState.REVERTED})
"""What has been published is known to the members of its scope."""


def administers(tx: ReadTx, scope: str, principal: str) -> bool:
    """Whether a principal is an admin of the scope itself: an inherited role widens nothing."""
    role, _ = tenancy.role_in(tx, tx.known_key(scope), principal)
    return role in {Role.ADMIN, Role.OWNER}


def requests(tx: ReadTx, channel: Channel, principal: str) -> bool:
    """Whether a principal may ask for a promotion: a contributor of the target, if named at all."""
    named = not channel.requesters or principal in channel.requesters
    return named and tenancy.contributes(tx, channel.owner, principal)


def reviews(tx: ReadTx, channel: Channel, principal: str) -> bool:
    """Whether a principal reviews what goes through: an admin of the target, or who is named.

    Who is named reviews while it sees the target's data, by itself or in a team.
    """
    if not channel.reviewers:
        return administers(tx, channel.owner, principal)
    sides = {principal, *identity.teams(tx, principal)}
    where = tenancy.standing_of(tx, principal)
    return bool(sides & set(channel.reviewers)) and tx.key(channel.owner) in where.direct


def agents_own(tx: ReadTx, scope: str) -> bool:
    """Whether a scope is an agent's: what flows into it takes a user's approval (ruling 36)."""
    owner = identity.heir(tx, tx.get_known(Scope, scope).owner)
    return identity.is_agent(tx, tx.get_known(identity.Principal, owner))


def party(tx: ReadTx, principal: PrincipalId | str) -> logic.Party:
    """A principal with those who answer for it."""
    one = tx.get_known(identity.Principal, principal)
    above = list(identity.sponsors(tx, one))
    last = (above or [one])[-1]
    return logic.Party(
        (one.id, *(each.id for each in above)),
        user=last.kind == "user",
        agent=identity.is_agent(tx, one),
    )


def reviewable(tx: ReadTx) -> list[int]:
    """The channels that the caller reviews, closed ones too."""

    def find() -> list[int]:
        query = everything(Channel).where(one_of(channels.c.owner, sorted(_readable(tx))))
        found = tx.entities(Channel, query)
        me = tx.caller.principal
        return [tx.known_key(one.id) for one in found if reviews(tx, one, me)]

    return tx.memo("channels to review", find)


def for_review(tx: ReadTx) -> ColumnElement[bool]:
    """The promotions that go through them, as a filter."""
    return one_of(promotions.c.channel, reviewable(tx))


def _readable(tx: ReadTx) -> frozenset[int]:
    """The scopes whose channels the caller sees: those whose data it sees, or that it runs."""

    def find() -> frozenset[int]:
        where = tenancy.standing_of(tx, tx.caller.principal)
        return where.direct | where.above | frozenset(_run(tx))

    return tx.memo("scopes with channels", find)


def _run(tx: ReadTx) -> frozenset[int]:
    return tx.memo("scopes run", lambda: frozenset(tenancy.administered(tx)))


def _of_scope(tx: ReadTx, scope: str) -> Access:
    key = tx.known_key(scope)
    if key in _run(tx):
        return Access.ADMIN
    return Access.READ if key in _readable(tx) else Access.NONE


@decides(Channel)
@decides(Pipeline)
@decides(Stage)
def of_scope(tx: ReadTx, one: Channel | Pipeline | Stage) -> Access:
    """ADMIN for who administers its scope, READ for who sees the data there."""
    return _of_scope(tx, one.owner)


@filters(Channel)
def channels_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    return one_of(channels.c.owner, sorted(_readable(tx)))


@filters(Pipeline)
def pipelines_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    return one_of(pipelines.c.owner, sorted(_readable(tx)))


@filters(Stage)
def stages_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    return one_of(stages.c.owner, sorted(_readable(tx)))


@decides(Placement)
def placement(tx: ReadTx, one: Placement) -> Access:
    """For who sees the object and its scope."""
    return min(_of_scope(tx, one.owner), tx.access_to(one.object))


@filters(Placement)
def placements_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    things = select(objects.c.id).where(seen(tx, Object))
    places = one_of(placements.c.owner, sorted(_readable(tx)))
    return and_(places, placements.c.object.in_(things))


wall(
    promotions,
    and_(
        or_(anything("free"), told(promotions.c.environment, "pinned")),
        or_(
            told(promotions.c.requester, "mine"),
            told(promotions.c.scope, "governs"),
            told(promotions.c.channel, "reviews"),
            exists(
                select(environments.environments.c.id)
                .where(environments.environments.c.id == promotions.c.environment)
                .where(environments.shown())
            ),
            and_(
                promotions.c.state.in_([state.value for state in sorted(PUBLIC)]),
                told(promotions.c.scope, "reads"),
            ),
        ),
    ),
    kind=Promotion.KIND,
)


@decides(Promotion)
def promotion(tx: ReadTx, one: Promotion) -> Access:
    """OWNER for who asked, ADMIN for admins of the scope itself; READ for its reviewers.

    READ also for those inside its environment, and for the scope's members once it is published.
    """
    if identity.heir(tx, one.requester) == tx.caller.principal:
        return Access.OWNER
    if administers(tx, one.scope, tx.caller.principal):
        return Access.ADMIN
    published = one.state in PUBLIC and tx.key(one.scope) in _members(tx)
    inside = one.environment is not None and tx.sees(one.environment)
    if published or inside or tx.key(one.channel) in reviewable(tx):
        return Access.READ
    return Access.NONE


@filters(Promotion)
def promotions_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    own = _governed(tx)
    inside = select(environments.environments.c.id).where(seen(tx, Environment))
    if tx.caller.environment is not None:
        inside = inside.where(environments.environments.c.id == tx.key(tx.caller.environment))
    return or_(
        one_of(promotions.c.requester, _mine(tx)),
        one_of(promotions.c.scope, own),
        for_review(tx),
        promotions.c.environment.in_(inside),
        and_(
            promotions.c.state.in_([state.value for state in PUBLIC]),
            one_of(promotions.c.scope, sorted(_members(tx))),
        ),
    )


def _governed(tx: ReadTx) -> list[int]:
    roles = tenancy.standing_of(tx, tx.caller.principal).roles
    return sorted(k for k, role in roles.items() if role in {Role.ADMIN, Role.OWNER})


def _mine(tx: ReadTx) -> tuple[int, ...]:
    return (tx.caller.key, *identity.heirs_of(tx, tx.caller.principal))


def _members(tx: ReadTx) -> frozenset[int]:
    where = tenancy.standing_of(tx, tx.caller.principal)
    return where.direct | where.above


@pins(Promotion, lambda tx: promotions.c.environment == _pinned(tx))
def pinned_promotion(tx: ReadTx, one: Promotion) -> bool:
    """Those out of the environment to which a credential is pinned."""
    return one.environment == tx.caller.environment


@pins(Channel, lambda tx: or_(channels.c.source.is_(None), channels.c.source.in_(_ends(tx))))
def pinned_channel(tx: ReadTx, one: Channel) -> bool:
    """Those open to it."""
    return one.source is None or tx.key(one.source) in _ends(tx)


def _pinned(tx: ReadTx) -> int:
    return tx.key(tx.caller.environment or "") or 0


def _ends(tx: ReadTx) -> list[int]:
    one = tx.peek(Environment, tx.caller.environment or "")
    template = None if one is None or one.template is None else tx.key(one.template)
    return [key for key in (_pinned(tx), template) if key]


ports.keys["governs"] = _governed
ports.keys["reviews"] = reviewable
