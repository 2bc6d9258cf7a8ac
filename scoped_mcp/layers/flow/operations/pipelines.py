"""Pipelines: stages in order, and the way of objects through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError
from scoped_mcp.kernel.ids import PipelineId, PlacementId, StageId, urn
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import tenancy
from scoped_mcp.layers.flow import logic, store
from scoped_mcp.layers.flow.model import (
    Agreement,
    ApproveStage,
    CreatePipeline,
    ListPipelines,
    MoveToStage,
    Pipeline,
    PipelinePage,
    PipelineView,
    Placement,
    PlacementView,
    RequestStage,
    Stage,
    StageView,
    Wanted,
)
from scoped_mcp.layers.flow.operations.channels import require_admin
from scoped_mcp.layers.flow.tables import pipelines
from scoped_mcp.layers.objects import Object, ObjectState
from scoped_mcp.layers.tenancy import Scope
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def view(tx: ReadTx, one: Pipeline, thing: str | None = None) -> PipelineView:
    """A pipeline with its stages, and where a thing stands in it."""
    known = None if thing is None else store.placement(tx, thing, one.id)
    stages = [tx.get_known(Stage, each) for each in one.stages]
    return PipelineView(
        id=one.id,
        urn=urn(one.KIND, tx.house.organisation, one.id),
        name=one.name,
        scope=one.owner,
        stages=tuple(StageView(id=s.id, name=s.name, approvals=s.approvals) for s in stages),
        placement=None if known is None else _placement(tx, known),
        version=one.version,
        created_at=cast("datetime", one.created_at),
    )


def _placement(tx: ReadTx, one: Placement) -> PlacementView:
    wanted = one.wanted
    if wanted is None:
        return PlacementView(
            id=one.id,
            object=one.object,
            pipeline=one.pipeline,
            stage=one.stage,
            version=one.version,
        )
    return PlacementView(
        id=one.id,
        object=one.object,
        pipeline=one.pipeline,
        stage=one.stage,
        wanted=wanted.stage,
        requester=wanted.requester if tx.sees(wanted.requester) else None,
        approved_by=tuple(a.principal for a in wanted.approvals if tx.sees(a.principal)),
        needed=tx.get_known(Stage, wanted.stage).approvals,
        version=one.version,
    )


def again(tx: ReadTx, cmd: MoveToStage | RequestStage, _earlier: Earlier) -> PlacementView:
    """The answer to a repetition: the place as it is now."""
    stage = tx.get(Stage, cmd.stage)
    known = store.placement(tx, tx.get(Object, cmd.object).id, stage.pipeline)
    return _placement(tx, tx.get(Placement, "" if known is None else known.id))


def _approved_again(tx: ReadTx, _cmd: object, earlier: Earlier) -> PlacementView:
    return _placement(tx, tx.get(Placement, earlier.target))


def _pipeline_again(tx: ReadTx, _cmd: object, earlier: Earlier) -> PipelineView:
    return view(tx, tx.get(Pipeline, earlier.target))


@handles(
    CreatePipeline,
    name="pipeline.create",
    title="Create a pipeline",
    effect=Effect.ADMIN,
    needs={"scope": Access.READ},
    scope="scope",
    writes={Pipeline: Access.NONE, Stage: Access.NONE},
    toolset="flow",
    again=_pipeline_again,
)
def create(cmd: CreatePipeline, tx: WriteTx) -> PipelineView:
    """By the admins of the scope itself."""
    scope = tx.get(Scope, cmd.scope)
    tenancy.require_own(scope)
    require_admin(tx, scope.id)
    tenancy.require_open(tx, scope)
    if scope.root:
        message = "the root scope holds instance roles only: it has no objects"
        raise InvalidError(message, hint="name another scope")
    taken = store.pipeline_named(tx, scope.id, cmd.name)
    if taken is not None:
        message = f"the scope has a pipeline named {quote(cmd.name)}"
        raise ConflictError(message, hint="choose another name; pipeline_list shows them")
    ids = tuple(tx.new_id(StageId) for _ in cmd.stages)
    one = Pipeline(id=tx.new_id(PipelineId), name=cmd.name, owner=scope.id, stages=ids)
    one = tx.put(one)
    for position, (public_id, given) in enumerate(zip(ids, cmd.stages, strict=True)):
        tx.put(
            Stage(
                id=public_id,
                name=given.name,
                owner=scope.id,
                pipeline=one.id,
                position=position,
                approvals=given.approvals,
            )
        )
    return view(tx, one)


@handles(
    ListPipelines,
    name="pipeline.list",
    title="List pipelines",
    effect=Effect.READ,
    needs={"scope": Access.READ, "object": Access.READ},
    scope="scope",
    toolset="flow",
)
def list_(cmd: ListPipelines, tx: ReadTx) -> PipelinePage:
    """Those of scopes whose data the caller sees, newest first."""
    found = tx.select(Pipeline)
    if cmd.scope is not None:
        found = found.where(pipelines.c.owner == tx.key(cmd.scope))
    binding = [cmd.scope, cmd.object]
    page, cursor = tx.page(Pipeline, found, cmd.limit, cmd.cursor, binding)
    return PipelinePage(items=tuple(view(tx, one, cmd.object) for one in page), next_cursor=cursor)


@handles(
    MoveToStage,
    name="stage.move",
    title="Move into a stage",
    effect=Effect.CHANGE,
    needs={"object": Access.WRITE, "stage": Access.READ},
    writes={Placement: Access.READ},
    toolset="flow",
    again=again,
)
def move(cmd: MoveToStage, tx: WriteTx) -> PlacementView:
    """In order, or back; a stage that takes approvals is asked for instead."""
    known, stage, order = _on_the_way(tx, cmd.object, cmd.stage)
    if logic.takes_approval(order, known.stage, stage.id, stage.approvals):
        message = f"the stage {quote(stage.name)} takes {stage.approvals} approvals"
        hint = f'stage_request(object="{cmd.object}", stage="{stage.id}")'
        raise ConflictError(message, hint=hint)
    put = tx.put(known.but(stage=stage.id, wanted=None), reason=cmd.reason, event="moved")
    return _placement(tx, put)


@handles(
    RequestStage,
    name="stage.request",
    title="Ask for a stage",
    effect=Effect.CHANGE,
    needs={"object": Access.WRITE, "stage": Access.READ},
    writes={Placement: Access.READ},
    toolset="flow",
    again=again,
)
def request(cmd: RequestStage, tx: WriteTx) -> PlacementView:
    """For the version that there is: a changed object is asked for anew."""
    known, stage, order = _on_the_way(tx, cmd.object, cmd.stage)
    if not logic.takes_approval(order, known.stage, stage.id, stage.approvals):
        message = f"the stage {quote(stage.name)} takes no approval"
        hint = f'stage_move(object="{cmd.object}", stage="{stage.id}")'
        raise ConflictError(message, hint=hint)
    wanted = Wanted(
        stage=stage.id,
        version=tx.get_known(Object, cmd.object).version,
        requester=tx.caller.principal,
    )
    put = tx.put(known.but(wanted=wanted), reason=cmd.reason, event="requested")
    return _placement(tx, put)


def _on_the_way(tx: WriteTx, public_id: str, to: str) -> tuple[Placement, Stage, tuple[str, ...]]:
    """Where an object stands in the pipeline of a stage that it may enter next.

    Raises:
        DeniedError: the caller does not contribute to the scope.
        InvalidError: the object is not in the scope, or the stage is not next.
        ConflictError: the object is deleted, or the scope takes nothing.
    """
    thing, stage = tx.get(Object, public_id, Access.WRITE), tx.get(Stage, to)
    tenancy.require_open(tx, tx.get_known(Scope, stage.owner))
    if not tenancy.contributes(tx, stage.owner, tx.caller.principal):
        message = "moving takes the role contributor or more in the scope"
        raise DeniedError(message, hint="ask an admin of the scope for that role")
    if thing.state is ObjectState.DELETED:
        message = f"{quote(public_id)} is deleted"
        raise ConflictError(message, hint=f'object_restore(id="{public_id}") brings it back')
    if not store.lies_in(tx, thing, stage.owner):
        message = f"{quote(public_id)} is not in the scope of this pipeline"
        raise InvalidError(message, hint=f'flow_routes(start="{public_id}", to="{to}")')
    order = tx.get_known(Pipeline, stage.pipeline).stages
    known = store.placement(tx, thing.id, stage.pipeline) or Placement(
        id=tx.new_id(PlacementId), owner=stage.owner, object=thing.id, pipeline=stage.pipeline
    )
    problem = logic.stage_problem(order, known.stage, stage.id)
    if problem is not None:
        raise InvalidError(problem, hint=f'pipeline_list(object="{public_id}") shows where it is')
    return known, stage, order


@handles(
    ApproveStage,
    name="stage.approve",
    title="Approve a stage",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Placement: Access.READ},
    toolset="review",
    again=_approved_again,
)
def approve(cmd: ApproveStage, tx: WriteTx) -> PlacementView:
    """By admins of the scope who are on nobody's side that asked or wrote."""
    one = tx.get(Placement, cmd.id)
    require_admin(tx, one.owner)
    tenancy.require_open(tx, tx.get_known(Scope, one.owner))
    wanted, thing = one.wanted, tx.get(Object, one.object)
    if wanted is None or thing.version != wanted.version:
        message = "no stage was asked for, for the version that there is"
        raise ConflictError(message, hint=f'stage_request(object="{one.object}", stage=…)')
    me = store.party(tx, tx.caller.principal)
    _require_other_side(tx, me, thing, wanted)
    made = Agreement(principal=tx.caller.principal, at=tx.now)
    agreed = wanted.model_copy(update={"approvals": (*wanted.approvals, made)})
    who = [store.party(tx, each.principal) for each in agreed.approvals]
    standing = [each for each in who if store.administers(tx, one.owner, each.principal)]
    if logic.parties(standing) < tx.get_known(Stage, wanted.stage).approvals:
        put = tx.put(one.but(wanted=agreed), reason=cmd.reason, event="approved")
    else:
        put = tx.put(one.but(stage=wanted.stage, wanted=None), reason=cmd.reason, event="moved")
    return _placement(tx, put)


def _require_other_side(tx: ReadTx, me: logic.Party, thing: Object, wanted: Wanted) -> None:
    problem = logic.review_problem(
        me,
        [store.party(tx, each) for each in (wanted.requester, *store.authors(tx, thing))],
        agents_may_review=True,
        independent=False,
        agents_own=store.agents_own(tx, tx.get_known(Stage, wanted.stage).owner),
    )
    if problem is not None:
        raise DeniedError(problem, hint="leave it to another admin of the scope")
    if any(logic.same_side(me, store.party(tx, a.principal)) for a in wanted.approvals):
        message = "you or your side approved this already"
        raise ConflictError(message, hint="another admin of the scope has to")
