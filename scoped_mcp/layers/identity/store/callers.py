"""Step 1 of the path: a token becomes a caller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select  # noqa: TID251 - rights are read before they are known

from scoped_mcp.kernel.errors import UnauthenticatedError
from scoped_mcp.kernel.ids import SessionId
from scoped_mcp.layers import registry
from scoped_mcp.layers.identity import logic
from scoped_mcp.layers.identity.model import Credential, CredentialState, Principal, Session
from scoped_mcp.layers.identity.store.facts import OF_NOW, alive, delegators, lifeline, sponsors
from scoped_mcp.layers.identity.tables import credentials, sessions
from scoped_mcp.spine.caller import Caller, External
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.path import registry as registered

if TYPE_CHECKING:
    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.tx import ReadTx, WriteTx

_STANDING = (
    select(registry.organisations.c.epoch, sessions.c.id, registered.c.public_id)
    .join_from(
        registry.organisations,
        sessions,
        sessions.c.credential == bindparam("credential"),
        isouter=True,
    )
    .join(registered, registered.c.id == sessions.c.id, isouter=True)
)
_EXTERNAL = (
    everything(Credential)
    .where(credentials.c.external == bindparam("external"))
    .where(credentials.c.state == CredentialState.LIVE.value)
    .where(OF_NOW)
    .order_by(credentials.c.id.desc())
)


def authenticate(tx: ReadTx, proof: Proof) -> Caller:
    """A proof becomes a caller, or nobody. Same work and same words whatever is wrong.

    0. the organisation is here, and nobody suspended it
    1. the token has the shape of one, and its secret matches the stored verifier; or a face has
       verified an external identity that is linked to a principal
    2. the credential, and every one above it, is live, unexpired and of this epoch
    3. the principal, and every sponsor above it up to the first user, is active

    Raises:
        UnauthenticatedError: one of these does not hold.
        ConflictError: the organisation went elsewhere.
    """
    suspended, moved_to = registry.standing(tx)  # 0
    if moved_to is not None:
        raise registry.moved()
    credential = _proven(tx, proof) if isinstance(proof, str) else linked(tx, proof)  # 1
    standing = None if credential is None else _standing(tx, credential)
    if credential is None or suspended or not alive(tx, credential):  # 2, 3
        raise _nobody(tx, proof)
    caller = _caller(tx, credential, standing)
    if isinstance(proof, External) and proof.expires_at < credential.expires_at:
        return replace(caller, expires_at=proof.expires_at)
    return caller


def _nobody(tx: ReadTx, proof: Proof) -> UnauthenticatedError:
    """The one answer; a router is told whether another organisation is the one to ask."""
    message = "the credential is missing, wrong, expired or revoked"
    refusal = UnauthenticatedError(message, hint="ask whoever runs this server for a new token")
    tag = logic.tag_in(proof) if isinstance(proof, str) else None
    refusal.elsewhere = tag is not None and registry.by_tag(tx, tag) is not None
    return refusal


def _proven(tx: ReadTx, token: str) -> Credential | None:
    found = logic.split(token)
    public_id, secret = found if found is not None else ("", "")
    credential = None if found is None else tx.peek(Credential, public_id)
    verifier = credential.verifier if credential and credential.verifier else logic.NO_VERIFIER
    return credential if logic.matches(secret, verifier) else None


def linked(tx: ReadTx, proof: External) -> Credential | None:
    """The unrevoked credential that an external identity is (ruling 10)."""
    if proof.expires_at <= tx.now:
        return None
    name = logic.external_name(proof.issuer, proof.subject)
    found = tx.entities(Credential, _EXTERNAL, {"external": name})
    return found[0] if found else None


def _standing(tx: ReadTx, credential: Credential) -> Any:  # noqa: ANN401 - a row
    """Epoch and session in one look: step 1 of every call needs both."""
    found = tx.row(_STANDING, {"credential": tx.known_key(credential.id)})
    tx.memo("epoch", lambda: found.epoch)
    return found


def _caller(tx: ReadTx, credential: Credential, standing: Any) -> Caller:  # noqa: ANN401 - a row
    principal = tx.get_known(Principal, credential.principal)
    above = list(sponsors(tx, principal))
    session = standing.public_id
    return Caller(
        principal=principal.id,
        key=tx.known_key(principal.id),
        kind=principal.kind,
        name=principal.name,
        credential=credential.id,
        credential_key=tx.known_key(credential.id),
        session=None if session is None else SessionId(session),
        session_key=standing.id,
        sponsors=tuple(p.id for p in above),
        delegators=tuple(p.id for p in delegators(principal, above)),
        agent=logic.counts_as_agent(principal.kind, [p.kind for p in above]),
        toolsets=frozenset(credential.toolsets),
        read_only=credential.read_only,
        environment=credential.environment,
        expires_at=credential.expires_at,
        ends_at=min(link.expires_at for link in lifeline(tx, credential)),
        epoch=credential.epoch,
    )


def open_session(tx: WriteTx, caller: Caller, origin: Origin) -> Caller:
    """The first authenticated call of a credential opens its session."""
    assert caller.credential is not None  # noqa: S101 - only the house has none
    session = tx.put(
        Session(
            id=tx.new_id(SessionId),
            credential=caller.credential,
            principal=caller.principal,
            client=origin.declared,
            face=origin.face,
        )
    )
    return replace(caller, session=session.id, session_key=tx.key(session.id))


ports.authenticate = authenticate
ports.open_session = open_session
ports.session = Session
