"""Templates: what environments begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.kernel.ids import TemplateId, urn
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import (
    ArchiveTemplate,
    CreateTemplate,
    GetTemplate,
    ListTemplates,
    SeatView,
    Seed,
    SeedView,
    Template,
    TemplatePage,
    TemplateState,
    TemplateView,
    UpdateTemplate,
)
from scoped_mcp.layers.environments.operations.spawning import require_lifetime
from scoped_mcp.layers.environments.tables import templates
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scoped_mcp.layers.objects import NewObject
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def _view(tx: ReadTx, one: Template) -> TemplateView:
    owner = identity.heir(tx, one.owner)
    return TemplateView(
        id=one.id,
        urn=urn(one.KIND, tx.house.organisation, one.id),
        name=one.name,
        state=one.state,
        owner=owner if tx.sees(owner) else None,
        scope=one.scope if tx.sees(one.scope) else None,
        purpose=one.purpose,
        ttl_seconds=one.ttl_seconds,
        objects=tuple(SeedView(type=seed.type, name=seed.name) for seed in one.objects),
        members=tuple(
            SeatView(principal=seat.principal, role=seat.role)
            for seat in one.members
            if tx.sees(seat.principal)
        ),
        channels=tuple(each for each in one.channels if tx.sees(each)),
        access=tx.access(one).label,
        version=one.version,
        created_at=cast("Any", one.created_at),
    )


def _again(tx: ReadTx, _cmd: object, earlier: Earlier) -> TemplateView:
    return _view(tx, tx.get(Template, earlier.target))


def _seeds(things: Iterable[NewObject]) -> tuple[Seed, ...]:
    return tuple(Seed(type=each.type, data=each.data, name=each.name) for each in things)


def _require_free(tx: ReadTx, name: str) -> None:
    if store.template_named(tx, tx.caller.principal, name) is not None:
        message = f"you have a template named {quote(name)}"
        raise ConflictError(message, hint="choose another name; template_list shows yours")


@handles(
    CreateTemplate,
    name="template.create",
    title="Create a template",
    effect=Effect.CREATE,
    needs={"scope": Access.ADMIN, "channels": Access.READ},
    scope="scope",
    writes={Template: Access.NONE},
    toolset="templates",
    again=_again,
)
def create(cmd: CreateTemplate, tx: WriteTx) -> TemplateView:
    """Its owner's alone, or usable by the members of a scope that its owner administers."""
    _require_free(tx, cmd.name)
    if cmd.ttl_seconds is not None:
        require_lifetime(tx, cmd.ttl_seconds)
    return _view(
        tx,
        tx.put(
            Template(
                id=tx.new_id(TemplateId),
                name=cmd.name,
                owner=tx.caller.principal,
                scope=cmd.scope,
                purpose=cmd.purpose,
                ttl_seconds=cmd.ttl_seconds,
                objects=_seeds(cmd.objects),
                members=cmd.members,
                channels=cmd.channels,
            )
        ),
    )


@handles(
    GetTemplate,
    name="template.get",
    title="Read a template",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
    toolset="templates",
)
def get(cmd: GetTemplate, tx: ReadTx) -> TemplateView:
    """Without the data of its objects: a spawned environment shows it."""
    return _view(tx, tx.get(Template, cmd.id))


@handles(
    ListTemplates,
    name="template.list",
    title="List templates",
    effect=Effect.READ,
    needs={"scope": Access.READ},
    scope="scope",
    toolset="templates",
)
def list_(cmd: ListTemplates, tx: ReadTx) -> TemplatePage:
    """Only what is visible, newest first."""
    found = tx.select(Template).where(templates.c.state == cmd.state.value)
    if cmd.scope is not None:
        found = found.where(templates.c.scope == tx.key(cmd.scope))
    page, cursor = tx.page(Template, found, cmd.limit, cmd.cursor, [cmd.state, cmd.scope])
    return TemplatePage(items=tuple(_view(tx, one) for one in page), next_cursor=cursor)


@handles(
    UpdateTemplate,
    name="template.update",
    title="Update a template",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN, "channels": Access.READ},
    on="id",
    writes={Template: Access.ADMIN},
    toolset="templates",
    idempotent=True,
    again=_again,
)
def update(cmd: UpdateTemplate, tx: WriteTx) -> TemplateView:
    """A version like any other."""
    one = tx.get(Template, cmd.id, Access.ADMIN)
    if cmd.name is not None and cmd.name != one.name:
        _require_free(tx, cmd.name)
    if cmd.ttl_seconds is not None:
        require_lifetime(tx, cmd.ttl_seconds)
    given = {
        "name": cmd.name,
        "purpose": cmd.purpose,
        "ttl_seconds": cmd.ttl_seconds,
        "objects": None if cmd.objects is None else _seeds(cmd.objects),
        "members": cmd.members,
        "channels": cmd.channels,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return _view(tx, tx.put(one.but(**changes), expected_version=cmd.expected_version))


@handles(
    ArchiveTemplate,
    name="template.archive",
    title="Archive a template",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Template: Access.ADMIN},
    toolset="templates",
    destructive=True,
    idempotent=True,
    again=_again,
)
def archive(cmd: ArchiveTemplate, tx: WriteTx) -> TemplateView:
    """Environments that began with it stay."""
    one = tx.get(Template, cmd.id, Access.ADMIN)
    if one.state is TemplateState.ARCHIVED:
        return _view(tx, one)
    return _view(tx, tx.put(one.but(state=TemplateState.ARCHIVED), event="archived"))
