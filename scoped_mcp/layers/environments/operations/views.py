"""An environment as its caller may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.kernel.ids import urn
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity, objects, tenancy
from scoped_mcp.layers.environments import logic, store
from scoped_mcp.layers.environments.model import (
    Environment,
    EnvironmentState,
    EnvironmentView,
    ImportView,
)
from scoped_mcp.layers.identity import EnvironmentRef, Session
from scoped_mcp.layers.objects import Object
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx


def current(tx: ReadTx) -> str | None:
    """The caller's current environment: where it is pinned, or what its session uses."""
    if tx.caller.environment is not None:
        return tx.caller.environment
    session = None if tx.caller.session is None else tx.peek(Session, tx.caller.session)
    return None if session is None else session.environment


def view(tx: ReadTx, one: Environment, *, full: bool = True) -> EnvironmentView:
    """One environment; its imports only where it is read by itself."""
    there, owner = store.is_open(tx, one), identity.heir(tx, one.owner)
    return EnvironmentView(
        id=one.id,
        urn=urn(one.KIND, tx.house.organisation, one.id),
        name=one.name,
        state=store.state(tx, one),
        owner=owner if tx.sees(owner) else None,
        scope=one.scope,
        expires_at=_expires_at(tx, one, used=full),
        ttl_seconds=one.ttl_seconds,
        purpose=one.purpose,
        template=one.template if tx.sees(one.template) else None,
        objects=store.size(tx, one) if there else 0,
        members=tenancy.member_views(tx, one.scope) if there else (),
        imports=_imports(tx, one) if full and there else None,
        access=tx.access(one).label,
        current=one.id == current(tx),
        version=one.version,
        created_at=cast("Any", one.created_at),
    )


def _expires_at(tx: ReadTx, one: Environment, *, used: bool) -> datetime:
    """When it expires if nobody uses it again, or would have; reading one is a use of it."""
    return store.until_used(tx, one) if used and store.is_open(tx, one) else store.until(tx, one)


def _imports(tx: ReadTx, one: Environment) -> tuple[ImportView, ...]:
    """What is imported, for who may read the origin now (ruling 28)."""
    found: list[ImportView] = []
    for each in store.imports_of(tx, one.id):
        seen = objects.sight(tx, tx.get_known(Object, each.object))
        if seen.access and seen.shows(each.pinned):
            fork = objects.fork_of(tx, each.object, one.scope)
            name = None if fork is None else fork.id
            found.append(ImportView(object=each.object, version=each.pinned, fork=name))
    return tuple(found)


def again(tx: ReadTx, _cmd: object, earlier: Earlier) -> EnvironmentView:
    """The answer to a repetition: the environment as it is now."""
    return view(tx, tx.get(Environment, earlier.target))


def require_active(tx: ReadTx, one: Environment) -> None:
    """Refuse to add to or edit what is not active.

    Raises:
        ConflictError: it is suspended, completed, expired or discarded; says what to do.
    """
    state = store.state(tx, one)
    if state == EnvironmentState.ACTIVE:
        return
    message = f"the environment {quote(one.name)} is {state}: nobody adds or edits"
    hint = f'environment_finish(id="{one.id}", state="active"), or environment_spawn() a new one'
    if not logic.may_move(state, EnvironmentState.ACTIVE):
        hint = "environment_spawn() starts a new one"
    raise ConflictError(message, hint=hint)


def require_there(tx: ReadTx, one: Environment) -> None:
    """Refuse what is expired or discarded.

    Raises:
        ConflictError: it is.
    """
    if not store.is_open(tx, one):
        state = store.state(tx, one)
        hint = f'environment_finish(id="{one.id}", state="active") revives what expired'
        if not logic.may_move(state, EnvironmentState.ACTIVE):
            hint = "environment_spawn() starts a new one"
        message = f"the environment {quote(one.name)} is {state}"
        raise ConflictError(message, hint=hint)


def _section(tx: ReadTx) -> dict[str, Any]:
    """What whoami says: where one works, and what became of it."""
    name = current(tx)
    one = None if name is None else tx.peek(Environment, name)
    if one is None or not store.place(tx, one):
        return {}
    ref = EnvironmentRef(
        id=one.id, name=one.name, state=store.state(tx, one), expires_at=store.until(tx, one)
    )
    return {"environment": ref}


ports.caller_sections.append(_section)
