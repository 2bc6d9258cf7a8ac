"""Deciding: approve, reject, withdraw, revert. A decision is about one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity, tenancy
from scoped_mcp.layers.flow import logic, store
from scoped_mcp.layers.flow.model import (
    ApplyPromotion,
    Channel,
    Decider,
    Placement,
    Promotion,
    PromotionState,
    PromotionView,
    RevertPromotion,
    Review,
    ReviewPromotion,
    TurnPromotion,
    WithdrawPromotion,
)
from scoped_mcp.layers.flow.operations.applying import let_go, targets
from scoped_mcp.layers.flow.operations.channels import require_admin
from scoped_mcp.layers.flow.operations.views import again, contents, view
from scoped_mcp.layers.objects import Object, at_version
from scoped_mcp.layers.tenancy import Scope
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

PERSONS = frozenset({"cli", "console"})
"""Faces that a person sits before."""


@handles(
    ReviewPromotion,
    name="promotion.review",
    title="Review a promotion",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Promotion: Access.READ},
    toolset="review",
    prepare=contents,
    again=again,
)
def review(cmd: ReviewPromotion, tx: WriteTx) -> PromotionView:
    """One decision of one reviewer about one picture (rulings 40 to 42).

    1. the caller reviews this channel, through this face
    2. it is still to be decided; what the world has overtaken is said to be stale
    3. the caller is on nobody's side who asked or wrote, and has not decided yet
    4. the decision is about the picture that there is
    5. the last approval: who asked and who approved still may, and it is applied
    """
    one = tx.get(Promotion, cmd.id)
    store.tell(tx, one)
    channel = tx.get_known(Channel, one.channel)
    _require_reviewer(tx, channel)  # 1
    if _overtaken(tx, one):  # 2
        return _stale(tx, one)
    _require_other_side(tx, channel, one)  # 3
    _require_picture(tx, one, cmd.picture)  # 4
    made = Review(
        reviewer=tx.caller.principal,
        decision=cmd.decision,
        comment=cmd.comment,
        at=tx.now,
        picture=one.picture,
        via=tx.origin.face,
    )
    one = one.but(reviews=(*one.reviews, made))
    if cmd.decision == "reject":
        return _settle(tx, one, PromotionState.REJECTED, cmd.comment)
    tenancy.require_open(tx, tx.get_known(Scope, one.scope))
    if _approvals(tx, one) < one.needed:
        return view(tx, tx.put(one, reason=cmd.comment, event="reviewed"))
    if not _all_still_may(tx, channel, one):  # 5
        return _stale(tx, one)
    one = tx.put(one.but(state=PromotionState.APPROVED), reason=cmd.comment, event="approved")
    tx.run(ApplyPromotion(id=one.id), targets=targets(one))
    return view(tx, tx.get_known(Promotion, one.id))


def _require_reviewer(tx: ReadTx, channel: Channel) -> None:
    if not store.reviews(tx, channel, tx.caller.principal):
        message = "you do not review what goes through this channel"
        raise DeniedError(message, hint='channel_list shows where you may "review"')
    if channel.decide is Decider.PERSON and (tx.origin.face not in PERSONS or tx.caller.agent):
        message = "this channel is decided by a person, not in a model's session"
        raise DeniedError(message, hint="on the command line: scoped-mcp review")


def _overtaken(tx: ReadTx, one: Promotion) -> bool:
    """Whether the world has moved since it was asked for.

    Raises:
        ConflictError: it is decided, or nobody decided it in time.
    """
    state = store.state(tx, one)
    if state is PromotionState.STALE and one.state is PromotionState.PENDING:
        return True
    if state is not PromotionState.PENDING:
        message = f"this promotion is {state}: there is nothing to decide"
        raise ConflictError(message, hint='promotion_list(role="to_review") shows what is')
    return False


def _stale(tx: WriteTx, one: Promotion) -> PromotionView:
    """Void: answered as it is, not refused, so that the trail says who found out."""
    return _settle(tx, one, PromotionState.STALE, None)


def _settle(
    tx: WriteTx, one: Promotion, state: PromotionState, reason: str | None
) -> PromotionView:
    put = tx.put(one.but(state=state), reason=reason, event=state.value)
    let_go(tx, put)
    return view(tx, put)


def _require_other_side(tx: ReadTx, channel: Channel, one: Promotion) -> None:
    me = store.party(tx, tx.caller.principal)
    problem = logic.review_problem(
        me,
        [store.party(tx, each) for each in _wrote(tx, one)],
        agents_may_review=channel.agents_may_review,
        independent=channel.independent,
        agents_own=store.agents_own(tx, one.scope),
    )
    if problem is not None:
        raise DeniedError(problem, hint="leave it to another reviewer of the channel")
    if any(logic.same_side(me, store.party(tx, each.reviewer)) for each in one.reviews):
        message = "you or your side reviewed this already"
        raise ConflictError(message, hint=f'promotion_get(id="{one.id}") shows who else has to')


def _wrote(tx: ReadTx, one: Promotion) -> list[str]:
    """Who asked for a promotion, and everybody who wrote what it would publish."""
    found: list[str] = [one.requester]
    for item in one.items:
        thing = store.thing_of(tx, item)
        found += [] if thing is None else store.authors(tx, thing, item.base)
    return list(dict.fromkeys(found))


def _require_picture(tx: ReadTx, one: Promotion, given: str | None) -> None:
    """A decision is about what its reviewer has seen, and nothing else (ruling 40)."""
    seen = given or store.seen_picture(tx, one)
    if seen is None:
        message = "you have not read what you decide about"
        raise ConflictError(message, hint=f'promotion_get(id="{one.id}"), then decide')
    if seen != one.picture:
        message = f"that is another picture; this promotion's is {one.picture}"
        hint = f'look again with promotion_get(id="{one.id}") and send its picture'
        raise ConflictError(message, hint=hint, retry=True)


def _approvals(tx: ReadTx, one: Promotion) -> int:
    who = [store.party(tx, each.reviewer) for each in one.reviews]
    return logic.parties(who)


def _all_still_may(tx: ReadTx, channel: Channel, one: Promotion) -> bool:
    """Whether who asked and who approved could do so now (ruling 42)."""
    if not store.requests(tx, channel, one.requester) or not _acts(tx, one.requester):
        return False
    return all(
        store.reviews(tx, channel, each.reviewer) and _acts(tx, each.reviewer)
        for each in one.reviews
    )


def _acts(tx: ReadTx, principal: str) -> bool:
    known = tx.get_known(identity.Principal, principal)
    return identity.acting(tx, known) and not identity.ended(tx, known)


@handles(
    WithdrawPromotion,
    name="promotion.withdraw",
    title="Withdraw a promotion",
    effect=Effect.REVOKE,
    needs={"id": Access.OWNER},
    on="id",
    writes={Promotion: Access.OWNER},
    toolset="flow",
    destructive=True,
    pinned=True,
    prepare=contents,
    again=again,
)
def withdraw(cmd: WithdrawPromotion, tx: WriteTx) -> PromotionView:
    """By who asked, as long as it is not decided."""
    one = tx.get(Promotion, cmd.id, Access.OWNER)
    store.tell(tx, one)
    state = store.state(tx, one)
    if not logic.may_move(state, PromotionState.WITHDRAWN):
        message = f"this promotion is {state}: there is nothing to withdraw"
        raise ConflictError(message, hint='promotion_list(role="mine") shows what is pending')
    return _settle(tx, one, PromotionState.WITHDRAWN, cmd.reason)


@handles(
    RevertPromotion,
    name="promotion.revert",
    title="Undo or redo a promotion",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    toolset="flow",
    destructive=True,
    prepare=contents,
    again=again,
)
def revert(cmd: RevertPromotion, tx: WriteTx) -> PromotionView:
    """The opposite change, now, by an admin of the target; then it can be redone (ruling 23)."""
    one = tx.get(Promotion, cmd.id)
    store.tell(tx, one)
    require_admin(tx, one.scope)
    back = one.state is PromotionState.APPLIED
    after = PromotionState.REVERTED if back else PromotionState.APPLIED
    if not logic.may_move(one.state, after):
        message = f"this promotion is {one.state}: there is nothing to revert"
        raise ConflictError(message, hint='promotion_list(state="applied") shows what can be')
    if not back or any(each.before is not None for each in one.landed):
        tenancy.require_open(tx, tx.get_known(Scope, one.scope))
    _require_unmoved(tx, one)
    tx.run(TurnPromotion(id=one.id, reason=cmd.reason), targets=targets(one))
    return view(tx, tx.get_known(Promotion, one.id))


def _require_unmoved(tx: ReadTx, one: Promotion) -> None:
    """Refuse to undo what something was built on: everything stands as it was left."""
    for each in one.landed:
        thing = tx.get_known(Object, each.object)
        left = at_version(tx, thing, each.now)
        if left is thing:
            continue
        if left is None or left.model_dump() != thing.model_dump():
            message = f"{quote(each.object)} was changed since, to version {thing.version}"
            hint = f'object_history(id="{each.object}") shows by whom; undo that first'
            raise ConflictError(message, hint=hint)
    for step in one.steps:
        place = tx.get_known(Placement, step.placement)
        stood = store.placement_at(tx, place, step.now)
        if stood is None or stood.model_dump() != place.model_dump():
            message = "an object has moved to another stage since"
            raise ConflictError(message, hint="stage_move it back first")
