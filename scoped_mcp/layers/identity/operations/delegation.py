"""Delegation: a sub-agent of one's own, attenuated, on a lifeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import DeniedError, InvalidError
from scoped_mcp.kernel.ids import CredentialId, PrincipalId
from scoped_mcp.kernel.text import NAME_LENGTH, quote
from scoped_mcp.layers.identity import logic, store
from scoped_mcp.layers.identity.model import (
    Credential,
    Delegate,
    DelegationView,
    Principal,
    PrincipalState,
    PrincipalView,
    StopAgent,
)
from scoped_mcp.layers.identity.operations.credentials import end, expiry, mint, require_held
from scoped_mcp.layers.identity.operations.principals import again, ref, require_free, view
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import WriteTx


@handles(
    Delegate,
    name="agent.delegate",
    title="Make a sub-agent",
    effect=Effect.GRANT,
    needs={"environment": Access.READ},
    writes={Principal: Access.NONE, Credential: Access.NONE},
    pinned=True,
)
def delegate(cmd: Delegate, tx: WriteTx) -> DelegationView:
    """Everything about the token lies within the caller's own (rulings 4 and 5)."""
    caller = tx.caller
    name = f"{caller.name}/{cmd.name}"
    if "/" in cmd.name:
        message = f"{quote(cmd.name)} cannot name a delegate"
        raise InvalidError(message, hint="choose a name without `/`")
    if len(name) > NAME_LENGTH:
        message = f"with yours before it the name has {len(name)} characters of {NAME_LENGTH}"
        longest = NAME_LENGTH - len(caller.name) - 1
        raise InvalidError(message, hint=f"choose one of at most {longest} characters")
    toolsets = cmd.toolsets
    if toolsets is None:
        toolsets = ("core",) if caller.holds("core") else tuple(sorted(caller.toolsets))
    require_held(tx, toolsets)
    if len(caller.delegators) >= tx.limits.delegation_depth:
        message = f"delegation is {tx.limits.delegation_depth} levels deep, which is the limit"
        raise InvalidError(message, hint="do this step yourself")
    if len(store.live_delegates(tx, caller.principal)) >= tx.limits.delegates:
        message = f"you have {tx.limits.delegates} live delegates, which is the limit"
        raise InvalidError(message, hint="end one with agent_stop; whoami lists them")
    require_free(tx, name)
    ends = expiry(tx, cmd.ttl_seconds, tx.limits.delegation_seconds, caller.expires_at)
    principal = tx.put(
        Principal(
            id=tx.new_id(PrincipalId),
            name=name,
            kind="agent",
            sponsor=caller.principal,
            delegate=True,
            creator=caller.principal,
            expires_at=ends,
        )
    )
    credential, token = mint(
        tx,
        Credential(
            id=tx.new_id(CredentialId),
            principal=principal.id,
            parent=caller.credential,
            verifier="",
            expires_at=ends,
            toolsets=tuple(sorted(set(toolsets))),
            read_only=cmd.read_only or caller.read_only,
            environment=cmd.environment or caller.environment,
            issuer=caller.principal,
        ),
    )
    return DelegationView(
        principal=ref(tx, principal.id),
        token=token,
        credential=credential.id,
        expires_at=ends,
        environment=credential.environment,
        toolsets=logic.named(credential.toolsets),
        read_only=credential.read_only,
    )


@handles(
    StopAgent,
    name="agent.stop",
    title="End a sub-agent",
    effect=Effect.REVOKE,
    needs={"id": Access.READ},
    on="id",
    writes={Principal: Access.ADMIN, Credential: Access.ADMIN},
    destructive=True,
    idempotent=True,
    pinned=True,
    again=again,
)
def stop(cmd: StopAgent, tx: WriteTx) -> PrincipalView:
    """One's own delegate, at any depth; what hangs below it ends with it."""
    one = tx.get(Principal, cmd.id)
    above = store.delegators(one, list(store.sponsors(tx, one)))
    if tx.caller.principal not in {p.id for p in above}:
        message = f"{quote(one.name)} is not your delegate"
        hint = "whoami lists your delegates; principal_suspend stops others"
        raise DeniedError(message, hint=hint)
    held = store.live_credentials(tx, one.id)
    if any(tx.caller.environment not in {None, each.environment} for each in held):
        message = f"{quote(one.name)} works outside of the environment that you are pinned to"
        raise DeniedError(message, hint="stop it with a credential that is not pinned")
    for credential in held:
        end(tx, credential, "stopped")
    if one.state is not PrincipalState.ARCHIVED:
        one = tx.put(one.but(state=PrincipalState.ARCHIVED), event="stopped")
    return view(tx, one)
