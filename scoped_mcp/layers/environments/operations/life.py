"""The life of an environment: suspended, completed, revived, renamed, extended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.environments import logic, store
from scoped_mcp.layers.environments.model import (
    Environment,
    EnvironmentState,
    EnvironmentView,
    ExtendEnvironment,
    FinishEnvironment,
    RenameEnvironment,
)
from scoped_mcp.layers.environments.operations.spawning import require_lifetime
from scoped_mcp.layers.environments.operations.views import again, require_there, view
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx


@handles(
    FinishEnvironment,
    name="environment.finish",
    title="Finish an environment",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Environment: Access.ADMIN},
    idempotent=True,
    pinned=True,
    again=again,
)
def finish(cmd: FinishEnvironment, tx: WriteTx) -> EnvironmentView:
    """Legal moves only (ruling 67); what expired can be revived for a while (ruling 38)."""
    one = tx.get(Environment, cmd.id, Access.ADMIN)
    state, to = store.state(tx, one), EnvironmentState(cmd.state)
    if state == to:
        return view(tx, one)
    require_move(state, to)
    if state == logic.EXPIRED:
        _require_revivable(tx, one)
        one = one.but(renewed_at=tx.now)
    one = tx.put(one.but(state=to), event="activated" if to is EnvironmentState.ACTIVE else to)
    if state == logic.EXPIRED:
        store.restart(tx, one)
    return view(tx, one)


def require_move(state: str, to: EnvironmentState) -> None:
    """Refuse what is no legal move.

    Raises:
        ConflictError: it is none; names those that are.
    """
    if not logic.may_move(state, to):
        legal = ", ".join(sorted(logic.MOVES[state]))
        message = f"an environment that is {state} cannot become {to.value}"
        hint = (
            f"from here it can become {legal}" if legal else "environment_spawn() starts a new one"
        )
        raise ConflictError(message, hint=hint)


def _require_revivable(tx: ReadTx, one: Environment) -> None:
    if (tx.now - store.until(tx, one)).total_seconds() > tx.limits.revival_seconds:
        days = tx.limits.revival_seconds // 86_400
        message = f"the environment {quote(one.name)} expired more than {days} days ago"
        raise ConflictError(message, hint="environment_spawn() starts a new one")


@handles(
    RenameEnvironment,
    name="environment.rename",
    title="Rename an environment",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Environment: Access.ADMIN},
    toolset="scopes",
    idempotent=True,
    pinned=True,
    again=again,
)
def rename(cmd: RenameEnvironment, tx: WriteTx) -> EnvironmentView:
    """A new name, a new purpose, or both."""
    one = tx.get(Environment, cmd.id, Access.ADMIN)
    require_there(tx, one)
    changes: dict[str, object] = {}
    if cmd.name is not None and cmd.name != one.name:
        if store.named(tx, one.owner, cmd.name) is not None:
            message = f"you have an environment named {quote(cmd.name)}"
            raise ConflictError(message, hint="choose another name")
        changes["name"] = cmd.name
    if cmd.purpose is not None:
        changes["purpose"] = cmd.purpose
    return view(tx, tx.put(one.but(**changes), event="renamed"))


@handles(
    ExtendEnvironment,
    name="environment.extend",
    title="Extend an environment",
    effect=Effect.CHANGE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Environment: Access.ADMIN},
    toolset="scopes",
    pinned=True,
    again=again,
)
def extend(cmd: ExtendEnvironment, tx: WriteTx) -> EnvironmentView:
    """Use alone does not carry it beyond its longest life; this does."""
    one = tx.get(Environment, cmd.id, Access.ADMIN)
    require_there(tx, one)
    ttl = cmd.ttl_seconds or one.ttl_seconds
    require_lifetime(tx, ttl)
    one = tx.put(one.but(ttl_seconds=ttl, renewed_at=tx.now), event="extended")
    store.renew(tx, one)
    return view(tx, one)
