"""Publishing: in one entry of its own, in the channel's right, all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel import documents
from scoped_mcp.kernel.ids import AnyId, ObjectId, PlacementId, StageId
from scoped_mcp.layers import environments
from scoped_mcp.layers.environments import Environment
from scoped_mcp.layers.flow import store
from scoped_mcp.layers.flow.model import (
    ApplyPromotion,
    ExpirePromotion,
    Landed,
    Placement,
    Promotion,
    PromotionState,
    PromotionView,
    Stage,
    Step,
    SweepPromotions,
    SweptView,
    TurnPromotion,
)
from scoped_mcp.layers.flow.operations.views import view
from scoped_mcp.layers.objects import Object, ObjectState, Published, at_version
from scoped_mcp.spine.declare import Access, Authority, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.layers.flow.store import Landing
    from scoped_mcp.spine.tx import ReadTx, WriteTx

AT_ONCE = 100
"""How many promotions one sweep writes down."""


def targets(one: Promotion) -> frozenset[str]:
    """What applying or reverting a promotion may change in the channel's right (ruling 12)."""
    changed = [item.target or item.object for item in one.items if item.target or item.moves]
    landed = [one.object for one in one.landed]
    return frozenset([*changed, *landed, *(step.placement for step in one.steps)])


@handles(
    ApplyPromotion,
    name="promotion.apply",
    title="Publish what was approved",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Object: Access.WRITE, Promotion: Access.NONE, Placement: Access.NONE},
    tool=False,
    authority=Authority.CHANNEL,
)
def apply(cmd: ApplyPromotion, tx: WriteTx) -> PromotionView:
    """A copy of exactly what was pinned, owned by the scope itself (ruling 32)."""
    one = tx.get_known(Promotion, cmd.id)
    store.tell(tx, one)
    landed: list[Landed] = []
    steps: list[Step] = []
    for item, found in zip(one.items, store.land(tx, store.pinned(one)), strict=True):
        if found is None:  # nothing erases between the decision and here
            message = f"{item.object} has no content"
            raise TypeError(message)
        landed.append(_publish(tx, one, found))
        if one.target.startswith("stg_"):
            steps.append(_place(tx, landed[-1].object, StageId(one.target)))
    done = one.but(state=PromotionState.APPLIED, landed=tuple(landed), steps=tuple(steps))
    done = tx.put(done, event="applied")
    let_go(tx, done)
    return view(tx, done, full=False)


def _publish(tx: WriteTx, one: Promotion, landing: Landing) -> Landed:
    """One object: a new one, a new version of what it changes, or only a new stage."""
    item, thing = landing.item, landing.thing
    if item.moves:
        return Landed(object=thing.id, before=item.version, after=item.version, now=item.version)
    source = Published(promotion=AnyId(one.id), object=thing.id, version=item.version)
    before = None if item.target is None else tx.get_known(Object, item.target)
    data = documents.read((landing.landed.content, ()))
    if before is None:
        before = Object(
            id=tx.new_id(ObjectId),
            type=thing.type,
            name=thing.name,
            owner=one.scope,
            data=data,
            tags=thing.tags,
            original=thing.id,
        )
    put = tx.put(before.but(data=data, published_from=source), reason=one.note, event="published")
    return Landed(object=put.id, before=before.version or None, after=put.version, now=put.version)


def _place(tx: WriteTx, thing: ObjectId, public_id: StageId) -> Step:
    """At the stage that the channel leads to, whatever stage it was at."""
    stage = tx.get_known(Stage, public_id)
    known = store.placement(tx, thing, stage.pipeline) or Placement(
        id=tx.new_id(PlacementId), owner=stage.owner, object=thing, pipeline=stage.pipeline
    )
    put = tx.put(known.but(stage=stage.id, wanted=None), event="moved")
    return Step(placement=put.id, before=known.version or None, after=put.version, now=put.version)


def let_go(tx: WriteTx, one: Promotion) -> None:
    """What is decided no longer stops the clock of its environment (ruling 38)."""
    home = None if one.environment is None else tx.get_known(Environment, one.environment)
    if home is None or not environments.is_open(tx, home):
        return
    if not store.pending_from(tx, home.id):
        environments.restart(tx, home)


@handles(
    TurnPromotion,
    name="promotion.turn",
    title="Undo or redo a promotion",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Object: Access.WRITE, Promotion: Access.NONE, Placement: Access.NONE},
    tool=False,
    authority=Authority.CHANNEL,
)
def turn(cmd: TurnPromotion, tx: WriteTx) -> PromotionView:
    """Everything that it changed is as before, or as it was published: as new versions."""
    one = tx.get_known(Promotion, cmd.id)
    store.tell(tx, one)
    back = one.state is PromotionState.APPLIED
    done = one.but(
        state=PromotionState.REVERTED if back else PromotionState.APPLIED,
        landed=tuple(_turn_object(tx, each, cmd.reason, back=back) for each in one.landed),
        steps=tuple(_turn_place(tx, each, back=back) for each in one.steps),
    )
    put = tx.put(done, reason=cmd.reason, event="reverted" if back else "reapplied")
    return view(tx, put, full=False)


def _turn_object(tx: WriteTx, each: Landed, reason: str | None, *, back: bool) -> Landed:
    if each.before == each.after:
        return each  # only its stage changed
    now = tx.get_known(Object, each.object)
    version = each.before if back else each.after
    there = None if version is None else at_version(tx, now, version)
    then = now.but(state=ObjectState.DELETED) if there is None else there
    put = tx.put(
        then.but(version=now.version), reason=reason, event="reverted" if back else "reapplied"
    )
    return each.model_copy(update={"now": put.version})


def _turn_place(tx: WriteTx, each: Step, *, back: bool) -> Step:
    now = tx.get_known(Placement, each.placement)
    version = each.before if back else each.after
    there = None if version is None else store.placement_at(tx, now, version)
    then = now.but(stage=None, wanted=None) if there is None else there
    put = tx.put(then.but(version=now.version), event="moved")
    return each.model_copy(update={"now": put.version})


@handles(
    SweepPromotions,
    name="promotion.sweep",
    title="Sweep promotions",
    effect=Effect.REVOKE,
    scope="root",
    tool=False,
)
def sweep(_cmd: SweepPromotions, tx: WriteTx) -> SweptView:
    """They were dead at their second; now it is written down. Who comes second finds none."""
    late = due(tx)
    for one in late:
        tx.run(ExpirePromotion(id=one.id), targets=[one.id])
    return SweptView(things=len(late))


def due(tx: ReadTx) -> list[Promotion]:
    """What there is to write down, some at a time."""
    return store.due(tx, AT_ONCE)


@handles(
    ExpirePromotion,
    name="promotion.expire",
    title="Let a promotion expire",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE},
    on="id",
    writes={Promotion: Access.ADMIN},
    tool=False,
    authority=Authority.SWEEPER,
)
def expire(cmd: ExpirePromotion, tx: WriteTx) -> SweptView:
    """In an entry of its own, for who asked and for its scope."""
    one = tx.get_known(Promotion, cmd.id)
    store.tell(tx, one)
    tx.put(one.but(state=PromotionState.EXPIRED), event="expired")
    return SweptView(things=1)


ports.sweeps.append((due, SweepPromotions))
