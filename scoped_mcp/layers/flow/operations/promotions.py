"""Reading promotions: exactly what would become visible, to whom, and what waits for the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.environments import Environment
from scoped_mcp.layers.flow import logic, store
from scoped_mcp.layers.flow.model import (
    Channel,
    GetPromotion,
    ListPromotions,
    Promotion,
    PromotionPage,
    PromotionState,
    PromotionView,
)
from scoped_mcp.layers.flow.operations.views import view
from scoped_mcp.layers.flow.tables import promotions
from scoped_mcp.layers.objects import Object, sights
from scoped_mcp.layers.tenancy import Scope
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.gather import gather
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scoped_mcp.spine.caller import Proof
    from scoped_mcp.spine.tx import ReadTx
    from scoped_mcp.spine.way import Way

COUNTED = 100
"""How many waiting promotions whoami looks at."""
_COMPUTED = frozenset({PromotionState.EXPIRED, PromotionState.STALE})


@handles(
    GetPromotion,
    name="promotion.get",
    title="Read a promotion",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    pooled=True,
)
def get(cmd: GetPromotion, tx: ReadTx) -> PromotionView:
    """The trail names the picture that was read: a decision is about that one (ruling 40)."""
    one = tx.get(Promotion, cmd.id)
    tx.record.asked["picture"] = one.picture
    store.tell(tx, one)
    return view(tx, one)


@handles(
    ListPromotions,
    name="promotion.list",
    title="List promotions",
    effect=Effect.READ,
    needs={"channel": Access.READ},
)
def list_(cmd: ListPromotions, tx: ReadTx) -> PromotionPage:
    """Only what is visible, newest first. A page may hold fewer than `limit`: ask for the next."""
    found = tx.select(Promotion)
    if cmd.channel is not None:
        found = found.where(promotions.c.channel == tx.key(cmd.channel))
    if cmd.state is not None:
        written = [cmd.state, PromotionState.PENDING] if cmd.state in _COMPUTED else [cmd.state]
        found = found.where(promotions.c.state.in_([state.value for state in written]))
    if cmd.role == "mine":
        found = found.where(promotions.c.requester == tx.caller.key)
    if cmd.role == "to_review":
        found = found.where(
            store.for_review(tx),
            promotions.c.state == PromotionState.PENDING.value,
            promotions.c.expires_at > stamp(tx.now),
        )
    binding = [cmd.state, cmd.role, cmd.channel]
    page, cursor = tx.page(Promotion, found, cmd.limit, cmd.cursor, binding)
    _gather(tx, page)
    shown = [one for one in page if cmd.role != "to_review" or waits(tx, one)]
    views = [view(tx, one, full=False) for one in shown]
    items = tuple(one for one in views if cmd.state in {None, one.state})
    return PromotionPage(items=items, next_cursor=cursor)


def _gather(tx: ReadTx, page: Sequence[Promotion]) -> None:
    """Read at once what the promotions of a page name."""
    items = [item for one in page for item in one.items]
    named = [each for item in items for each in (item.object, item.target)]
    named += [each.object for one in page for each in one.depends_on]
    named += [each.object for one in page for each in one.landed or ()]
    sights(tx, gather(tx, Object, named))
    gather(tx, Channel, (one.channel for one in page))
    gather(tx, Environment, (one.environment for one in page))
    sides = [each.reviewer for one in page for each in one.reviews]
    identity.gather_principals(tx, [*sides, *(one.requester for one in page)])


def waits(tx: ReadTx, one: Promotion) -> bool:
    """Whether a promotion waits for a decision of the caller."""
    if store.state(tx, one) is not PromotionState.PENDING:
        return False
    me = store.party(tx, tx.caller.principal)
    if any(logic.same_side(me, store.party(tx, each.reviewer)) for each in one.reviews):
        return False
    channel = tx.get_known(Channel, one.channel)
    problem = logic.review_problem(
        me,
        [store.party(tx, one.requester)],
        agents_may_review=channel.agents_may_review,
        independent=channel.independent,
        agents_own=store.agents_own(tx, one.scope),
    )
    return problem is None


async def question(spine: Way, token: Proof, arguments: Mapping[str, Any]) -> str | None:
    """What a face is to ask its operator before this is requested; None where nothing is.

    Raises:
        UnauthenticatedError: the credential is missing, wrong, expired or revoked.
    """
    named, objects = arguments.get("channel"), arguments.get("objects")

    def ask(tx: ReadTx) -> str | None:
        one = tx.peek(Channel, named) if isinstance(named, str) else None
        if one is None or not tx.access(one) or not one.confirm or not isinstance(objects, list):
            return None
        scope = tx.get_known(Scope, one.owner)
        count = len(cast("list[object]", objects))
        return f"Ask to publish {count} objects in {quote(scope.name)} by {quote(one.name)}?"

    return await spine.look(ask, token)


def _waiting(tx: ReadTx) -> dict[str, Any]:
    """What whoami says: how many promotions wait for the caller, the oldest hundred counted."""
    found = store.awaiting(tx, store.reviewable(tx), COUNTED)
    _gather(tx, found)
    return {"reviews": sum(waits(tx, one) for one in found)}


ports.caller_sections.append(_waiting)
