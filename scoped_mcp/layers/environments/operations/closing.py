"""The end of an environment: discarded by its owner, or swept when nobody revived it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.layers import identity
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import (
    CloseCredentials,
    Counted,
    DiscardEnvironment,
    Environment,
    EnvironmentState,
    EnvironmentView,
    SweepEnvironment,
    SweepEnvironments,
)
from scoped_mcp.layers.environments.operations.life import require_move
from scoped_mcp.layers.environments.operations.views import again, view
from scoped_mcp.layers.identity import Credential
from scoped_mcp.spine.declare import Access, Authority, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx, WriteTx

CREDENTIALS = 1_000
"""Live credentials pinned to one environment, so that closing it takes bounded time."""
AT_ONCE = 100


@handles(
    DiscardEnvironment,
    name="environment.discard",
    title="Discard an environment",
    effect=Effect.REVOKE,
    needs={"id": Access.ADMIN},
    on="id",
    writes={Environment: Access.ADMIN},
    destructive=True,
    pinned=True,
    again=again,
)
def discard(cmd: DiscardEnvironment, tx: WriteTx) -> EnvironmentView:
    """One change: what is inside is gone because of it, computed (ruling 39)."""
    one = tx.get(Environment, cmd.id, Access.ADMIN)
    require_move(store.state(tx, one), EnvironmentState.DISCARDED)
    return view(tx, _end(tx, one, cmd.reason))


def _end(tx: WriteTx, one: Environment, reason: str | None) -> Environment:
    pinned = identity.pinned_to(tx, one.id, CREDENTIALS)
    if pinned:
        ids = tuple(each.id for each in pinned)
        tx.run(CloseCredentials(id=one.id, credentials=ids), targets=ids)
    ended = one.but(state=EnvironmentState.DISCARDED)
    return tx.put(ended, reason=reason, event="discarded")


@handles(
    CloseCredentials,
    name="environment.close_credentials",
    title="Close an environment's credentials",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE, "credentials": Access.NONE},
    on="id",
    writes={Credential: Access.ADMIN},
    tool=False,
    authority=Authority.ENVIRONMENT,
)
def close_credentials(cmd: CloseCredentials, tx: WriteTx) -> Counted:
    """Truly revoked: they stay so when the discard is undone (ruling 39)."""
    for each in cmd.credentials:
        identity.end(tx, tx.get_known(Credential, each), "environment discarded")
    return Counted(things=len(cmd.credentials))


@handles(
    SweepEnvironments,
    name="environment.sweep",
    title="Sweep environments",
    effect=Effect.REVOKE,
    scope="root",
    tool=False,
)
def sweep(_cmd: SweepEnvironments, tx: WriteTx) -> Counted:
    """What is past its revival, some at a time; a second sweeper finds nothing left."""
    late = due(tx)
    for one in late:
        tx.run(SweepEnvironment(id=one.id), targets=[one.id])
    return Counted(things=len(late))


def due(tx: ReadTx) -> list[Environment]:
    """What there is to sweep."""
    before = tx.now - timedelta(seconds=tx.limits.revival_seconds)
    return store.overdue(tx, before, AT_ONCE)


@handles(
    SweepEnvironment,
    name="environment.sweep_one",
    title="Sweep an environment",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE},
    on="id",
    writes={Environment: Access.ADMIN},
    tool=False,
    authority=Authority.SWEEPER,
)
def sweep_one(cmd: SweepEnvironment, tx: WriteTx) -> Counted:
    """Discarded like any other, in an entry of its own."""
    _end(tx, tx.get_known(Environment, cmd.id), "expired")
    return Counted(things=1)


def _few_credentials(tx: WriteTx, entity: Entity, _content: bytes) -> None:
    """Bound what a discard has to revoke.

    Raises:
        ConflictError: so many credentials are pinned there already.
    """
    if not isinstance(entity, Credential) or entity.version != 1 or entity.environment is None:
        return
    if len(identity.pinned_to(tx, entity.environment, CREDENTIALS)) >= CREDENTIALS:
        message = f"{CREDENTIALS} live credentials are pinned to this environment"
        raise ConflictError(message, hint="end some with agent_stop or token_revoke first")


ports.entity_guards.append(_few_credentials)
ports.sweeps.append((due, SweepEnvironments))
