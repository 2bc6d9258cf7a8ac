"""Environments: spawned, read, listed, used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, InvalidError
from scoped_mcp.kernel.ids import EnvironmentId, MembershipId, ScopeId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import (
    Counted,
    EnterEnvironment,
    Environment,
    EnvironmentPage,
    EnvironmentView,
    GetEnvironment,
    ImportObjects,
    Invite,
    ListEnvironments,
    SpawnEnvironment,
    Template,
    TemplateState,
    UseEnvironment,
)
from scoped_mcp.layers.environments.operations.views import again, require_there, view
from scoped_mcp.layers.identity import Session
from scoped_mcp.layers.objects import CreateObject
from scoped_mcp.layers.tenancy import Membership, Role, Scope, ScopeKind
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

UNNAMED = "throwaway"


@handles(
    SpawnEnvironment,
    name="environment.spawn",
    title="Start an environment",
    effect=Effect.CREATE,
    needs={"template": Access.READ, "imports": Access.READ},
    writes={
        Environment: Access.NONE,
        Scope: Access.NONE,
        Membership: Access.NONE,
    },
    again=again,
)
def spawn(cmd: SpawnEnvironment, tx: WriteTx) -> EnvironmentView:
    """One transaction, in constant time: environment, isolation scope, its owner's place."""
    template = None if cmd.template is None else tx.get(Template, cmd.template)
    if template is not None and template.state is not TemplateState.ACTIVE:
        message = f"the template {quote(template.name)} is archived"
        raise ConflictError(message, hint="template_list shows those in use")
    asked = cmd.ttl_seconds or (template.ttl_seconds if template else None)
    purpose = cmd.purpose or (template.purpose if template else None)
    one = _found(tx, cmd, asked or tx.limits.environment_idle_seconds, purpose)
    if template is not None:
        _furnish(tx, one, template)
    if cmd.imports:
        tx.run(ImportObjects(id=one.id, objects=cmd.imports))
    return view(tx, one)


def _found(tx: WriteTx, cmd: SpawnEnvironment, ttl: int, purpose: str | None) -> Environment:
    """Make one, and make it the session's current one."""
    require_lifetime(tx, ttl)
    me, public_id = tx.caller.principal, tx.new_id(EnvironmentId)
    name = cmd.name or UNNAMED
    if cmd.name is not None and store.named(tx, me, name) is not None:
        message = f"you have an environment named {quote(name)}"
        raise ConflictError(message, hint="choose another name; environment_list shows yours")
    isolation = Scope(id=tx.new_id(ScopeId), name=name, owner=me, kind=ScopeKind.ENVIRONMENT)
    scope = tx.put(isolation)
    one = tx.put(
        Environment(
            id=public_id,
            name=name,
            owner=me,
            scope=scope.id,
            ttl_seconds=ttl,
            renewed_at=tx.now,
            purpose=purpose,
            template=cmd.template,
        ),
        event="spawned",
    )
    place = Membership(
        id=tx.new_id(MembershipId),
        scope=scope.id,
        principal=me,
        role=Role.OWNER,
        added_by=me,
        inside=True,
    )
    store.restart(tx, one)  # its clock begins
    tx.put(place)
    make_current(tx, one)
    tx.record.target, tx.record.owner, tx.record.scope = one.id, me, scope.id
    return one


def require_lifetime(tx: ReadTx, seconds: int) -> None:
    """Refuse a lifetime beyond the limit.

    Raises:
        InvalidError: it is.
    """
    longest = tx.limits.environment_seconds
    if seconds > longest:
        message = f"ttl_seconds is {seconds}, the limit is {longest}"
        raise InvalidError(message, hint=f"ask for at most {longest}; environment_extend renews it")


def make_current(tx: WriteTx, one: Environment) -> None:
    """The session works there from now on: an entry of its own, as this call may have opened it."""
    session = tx.get_known(Session, tx.caller.session or "")
    if session.environment != one.id:
        tx.run(EnterEnvironment(id=one.id))


@handles(
    EnterEnvironment,
    name="environment.enter",
    title="Enter an environment",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Session: Access.NONE},
    tool=False,
)
def enter(cmd: EnterEnvironment, tx: WriteTx) -> Counted:
    """Its session does, whatever else its principal runs."""
    session = tx.get_known(Session, tx.caller.session or "")
    tx.put(session.but(environment=cmd.id), event="moved")
    return Counted(things=1)


def _furnish(tx: WriteTx, one: Environment, template: Template) -> None:
    for seed in template.objects:
        tx.run(CreateObject(type=seed.type, data=seed.data, name=seed.name, environment=one.id))
    for seat in template.members:
        if seat.principal != tx.caller.principal:
            tx.run(Invite(id=one.id, principal=seat.principal, role=seat.role))


@handles(
    GetEnvironment,
    name="environment.get",
    title="Read an environment",
    effect=Effect.READ,
    needs={"id": Access.READ},
    on="id",
)
def get(cmd: GetEnvironment, tx: ReadTx) -> EnvironmentView:
    """With its members and imports for who is inside."""
    return view(tx, tx.get(Environment, cmd.id))


@handles(
    ListEnvironments,
    name="environment.list",
    title="List environments",
    effect=Effect.READ,
)
def list_(cmd: ListEnvironments, tx: ReadTx) -> EnvironmentPage:
    """Only what is visible, newest first; what is gone only where it is asked for."""
    query = store.in_state(tx, tx.select(Environment), cmd.state)
    page, cursor = tx.page(Environment, query, cmd.limit, cmd.cursor, [cmd.state])
    store.gather(tx, page)
    items = tuple(view(tx, one, full=False) for one in page)
    return EnvironmentPage(items=items, next_cursor=cursor)


@handles(
    UseEnvironment,
    name="environment.use",
    title="Work in an environment",
    effect=Effect.CHANGE,
    needs={"id": Access.READ},
    on="id",
    writes={Session: Access.NONE},
    idempotent=True,
    again=again,
)
def use(cmd: UseEnvironment, tx: WriteTx) -> EnvironmentView:
    """A convenience of the credential; it gives no right (ruling 3)."""
    one = tx.get(Environment, cmd.id)
    require_there(tx, one)
    make_current(tx, one)
    return view(tx, one)
