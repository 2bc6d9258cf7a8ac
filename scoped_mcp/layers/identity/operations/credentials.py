"""Credentials and sessions: issued, listed, revoked, recovered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from scoped_mcp.kernel.ids import CredentialId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.identity import logic, store
from scoped_mcp.layers.identity.model import (
    AddPrincipal,
    BreakGlass,
    Credential,
    CredentialState,
    IssuedToken,
    IssueToken,
    ListSessions,
    ListTokens,
    Principal,
    PrincipalState,
    PrincipalView,
    Recover,
    RevokeSession,
    RevokeToken,
    Session,
    SessionPage,
    SessionView,
    TokenPage,
    TokenView,
)
from scoped_mcp.layers.identity.operations.principals import again, ref, view
from scoped_mcp.layers.identity.tables import credentials, sessions
from scoped_mcp.spine.declare import Access, Effect, handles
from scoped_mcp.spine.gather import gather

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def mint(tx: WriteTx, credential: Credential) -> tuple[Credential, str]:
    """Put a credential with a fresh secret; the token is returned once and never stored."""
    secret = logic.secret_of(tx.random(logic.SECRET_BYTES), tx.house.organisation)
    verifier = logic.verifier_of(secret, tx.random(logic.SALT_BYTES))
    put = _of_now(tx, credential.but(verifier=verifier), "issued")
    return put, logic.token_of(put.id, secret)


def put_link(tx: WriteTx, credential: Credential) -> Credential:
    """Put a credential that an external identity is; it has no secret."""
    return _of_now(tx, credential, "linked")


def _of_now(tx: WriteTx, credential: Credential, event: str) -> Credential:
    """INVARIANT: one that came about in any other way would be of the first epoch, and dead."""
    return tx.put(credential.but(epoch=store.epoch(tx)), event=event)


def token_view(tx: ReadTx, one: Credential) -> TokenView:
    """A credential without its token."""
    return _token(tx, one, store.seen_last(tx, [one]))


def _token(tx: ReadTx, one: Credential, used: Mapping[str, datetime]) -> TokenView:
    return TokenView(
        id=one.id,
        principal=ref(tx, one.principal),
        state=_state(tx, one),
        expires_at=one.expires_at,
        toolsets=logic.named(one.toolsets),
        read_only=one.read_only,
        parent=one.parent if tx.sees(one.parent) else None,
        issuer=one.issuer if tx.sees(one.issuer) else None,
        created_at=one.created_at,
        last_seen=used.get(one.id),
    )


def _state(tx: ReadTx, one: Credential) -> str:
    if one.state is CredentialState.REVOKED or one.epoch != store.epoch(tx):
        return "revoked"
    if one.expires_at <= tx.now:
        return "expired"
    return "live" if store.alive(tx, one) else "suspended"


def issued(tx: ReadTx, credential: Credential, token: str) -> IssuedToken:
    """The one answer that shows a token."""
    return IssuedToken(**dict(token_view(tx, credential)), token=token)


def expiry(tx: ReadTx, seconds: int, longest: int, cap: datetime | None) -> datetime:
    """When a credential ends: within the limit, and not after the one it comes from.

    Raises:
        InvalidError: it would live longer than the limit allows.
    """
    if seconds > longest:
        message = f"ttl_seconds is {seconds}, the limit is {longest}"
        raise InvalidError(message, hint=f"ask for at most {longest} seconds")
    ends = tx.now + timedelta(seconds=seconds)
    return ends if cap is None else min(ends, cap)


def require_held(tx: ReadTx, toolsets: tuple[str, ...]) -> None:
    """Refuse toolsets that the caller's own credential does not hold (ruling 5).

    Raises:
        DeniedError: one is not held.
    """
    if not tx.caller.house and not logic.holds(tx.caller.toolsets, toolsets):
        message = "you can only hand on toolsets that you hold"
        held = ", ".join(logic.named(tx.caller.toolsets))
        raise DeniedError(message, hint=f"choose among {held}")


@handles(
    IssueToken,
    name="token.issue",
    title="Issue a token",
    effect=Effect.GRANT,
    needs={"principal": Access.NONE, "environment": Access.READ},
    on="principal",
    scope="root",
    writes={Credential: Access.NONE},
    toolset="admin",
)
def issue(cmd: IssueToken, tx: WriteTx) -> IssuedToken:
    """Enrolment, not impersonation (ruling 1).

    1. for itself, always, within the credential it asks with
    2. for another, by who administers it, until it has first authenticated
    """
    principal = _for_whom(tx, cmd)
    require_held(tx, cmd.toolsets)
    own = principal.id == tx.caller.principal
    require_enrolable(tx, principal)
    cap = tx.caller.expires_at if own else principal.expires_at
    credential = Credential(
        id=tx.new_id(CredentialId),
        principal=principal.id,
        parent=tx.caller.credential if own else None,
        verifier="",
        expires_at=expiry(tx, cmd.ttl_seconds, tx.limits.token_seconds, cap),
        toolsets=tuple(sorted(set(cmd.toolsets))),
        read_only=cmd.read_only or (own and tx.caller.read_only),
        environment=cmd.environment or (tx.caller.environment if own else None),
        issuer=tx.caller.principal,
    )
    return issued(tx, *mint(tx, credential))


def require_enrolable(tx: WriteTx, principal: Principal) -> None:
    """Refuse to give somebody a credential who has one, or to whom the caller may not.

    Raises:
        DeniedError: it has authenticated before, or it is not the caller's to enrol.
        InvalidError: it does not act by itself.
        ConflictError: it is not active.
    """
    if principal.id != tx.caller.principal:
        tx.get(Principal, principal.id, Access.ADMIN)
        if principal.kind == "team":
            message = "a team does not act by itself"
            raise InvalidError(message, hint="issue tokens for its members")
        if principal.delegate:  # another token would hang on no lifeline (ruling 4)
            message = f"{quote(principal.name)} is a delegate and has the token it was made with"
            raise DeniedError(message, hint="end it with agent_stop and delegate again")
        if store.enrolled(tx, principal):
            message = f"{quote(principal.name)} has its own credential already"
            hint = "it issues its own; if it is lost, principal_recover allows a new one"
            raise DeniedError(message, hint=hint)
        if tx.caller.agent and not store.is_agent(tx, principal):
            message = "agents enrol agents only"
            raise DeniedError(message, hint="ask your sponsor")
    if principal.state is not PrincipalState.ACTIVE:
        message = f"{quote(principal.name)} is {principal.state}"
        raise ConflictError(message, hint="resume it first")


def _for_whom(tx: WriteTx, cmd: IssueToken) -> Principal:
    if cmd.principal is not None:
        return tx.get(Principal, cmd.principal)
    name = cmd.name or ""
    found = store.by_name(tx, name)
    if found is None or not tx.sees(found.id):
        made = tx.run(AddPrincipal(name=name, kind=cmd.kind or "agent"))
        return tx.get_known(Principal, made.id)
    if cmd.kind is not None and cmd.kind != found.kind:
        message = f"{quote(name)} exists and is of kind `{found.kind}`"
        raise ConflictError(message, hint="leave kind out, or choose another name")
    return found


@handles(
    ListTokens,
    name="token.list",
    title="List credentials",
    effect=Effect.READ,
    needs={"principal": Access.NONE},
    toolset="admin",
)
def list_(cmd: ListTokens, tx: ReadTx) -> TokenPage:
    """A page, newest first."""
    found = tx.select(Credential)
    if cmd.principal is not None:
        found = found.where(credentials.c.principal == tx.key(cmd.principal))
    page, cursor = tx.page(Credential, found, cmd.limit, cmd.cursor, [cmd.principal])
    store.gather_lifelines(tx, page)
    used = store.seen_last(tx, page)
    return TokenPage(items=tuple(_token(tx, one, used) for one in page), next_cursor=cursor)


def _as_it_is(tx: ReadTx, _cmd: RevokeToken, earlier: Earlier) -> TokenView:
    return token_view(tx, tx.get(Credential, earlier.target))


@handles(
    RevokeToken,
    name="token.revoke",
    title="Revoke a credential",
    effect=Effect.REVOKE,
    needs={"id": Access.ADMIN},
    on="id",
    scope="root",
    writes={Credential: Access.ADMIN},
    toolset="admin",
    destructive=True,
    idempotent=True,
    again=_as_it_is,
)
def revoke(cmd: RevokeToken, tx: WriteTx) -> TokenView:
    """What was delegated from it dies with it: computed at step 1."""
    one = tx.get(Credential, cmd.id, Access.ADMIN)
    return token_view(tx, end(tx, one, cmd.reason))


def end(tx: WriteTx, one: Credential, reason: str | None) -> Credential:
    """Revoke one credential; nothing happens when it is revoked."""
    if one.state is CredentialState.REVOKED:
        return one
    return tx.put(one.but(state=CredentialState.REVOKED), reason=reason, event="revoked")


@handles(
    ListSessions,
    name="session.list",
    title="List sessions",
    effect=Effect.READ,
    needs={"principal": Access.NONE},
    toolset="admin",
)
def list_sessions(cmd: ListSessions, tx: ReadTx) -> SessionPage:
    """A page, newest first."""
    found = tx.select(Session)
    if cmd.principal is not None:
        found = found.where(sessions.c.principal == tx.key(cmd.principal))
    page, cursor = tx.page(Session, found, cmd.limit, cmd.cursor, [cmd.principal])
    held = gather(tx, Credential, (one.credential for one in page))
    store.gather_lifelines(tx, held)
    used = store.seen_last(tx, held)
    return SessionPage(items=tuple(_session(tx, one, used) for one in page), next_cursor=cursor)


def _session_as_it_is(tx: ReadTx, _cmd: RevokeSession, earlier: Earlier) -> SessionView:
    return _session_alone(tx, tx.get(Session, earlier.target))


@handles(
    RevokeSession,
    name="session.revoke",
    title="End a session",
    effect=Effect.REVOKE,
    needs={"id": Access.ADMIN},
    on="id",
    scope="root",
    writes={Credential: Access.ADMIN},
    toolset="admin",
    destructive=True,
    idempotent=True,
    again=_session_as_it_is,
)
def revoke_session(cmd: RevokeSession, tx: WriteTx) -> SessionView:
    """A session is its credential in use: ending it revokes the credential (ruling 2)."""
    one = tx.get(Session, cmd.id, Access.ADMIN)
    end(tx, tx.get_known(Credential, one.credential), cmd.reason)
    return _session_alone(tx, one)


def _session_alone(tx: ReadTx, one: Session) -> SessionView:
    credential = tx.get_known(Credential, one.credential)
    return _session(tx, one, store.seen_last(tx, [credential]))


def _session(tx: ReadTx, one: Session, used: Mapping[str, datetime]) -> SessionView:
    credential = tx.get_known(Credential, one.credential)
    return SessionView(
        id=one.id,
        credential=one.credential,
        principal=ref(tx, one.principal),
        client=one.client,
        face=one.face,
        state=_state(tx, credential),
        opened_at=one.created_at,
        last_seen=used.get(one.credential),
        expires_at=credential.expires_at,
    )


@handles(
    Recover,
    name="principal.recover",
    title="Recover a principal",
    effect=Effect.GRANT,
    needs={"id": Access.ADMIN},
    on="id",
    scope="root",
    instance=Access.ADMIN,
    writes={Principal: Access.ADMIN, Credential: Access.ADMIN},
    toolset="admin",
    destructive=True,
    again=again,
)
def recover(cmd: Recover, tx: WriteTx) -> PrincipalView:
    """Ends every credential, then opens enrolment again; shown to the principal (ruling 1)."""
    return view(tx, _recover(tx, tx.get(Principal, cmd.id, Access.ADMIN), cmd.reason))


@handles(
    BreakGlass,
    name="principal.break_glass",
    title="Recover as operator",
    effect=Effect.GRANT,
    scope="root",
    writes={Principal: Access.NONE, Credential: Access.NONE},
    tool=False,
)
def break_glass(cmd: BreakGlass, tx: WriteTx) -> IssuedToken:
    """The operator has database and key file at hand: it recovers and enrols in one step."""
    principal = store.by_name(tx, cmd.name)
    # INVARIANT: an ended delegate never comes back: what it owned is its delegator's for good.
    if (
        principal is None
        or principal.kind == "team"
        or principal.delegate
        or (principal.id == tx.house.principal)
    ):
        message = f"nobody named {quote(cmd.name)} can be recovered"
        raise NotFoundError(message, hint="name an existing user, agent or service")
    recovered = _recover(tx, principal, "operator recovery")
    credential = Credential(
        id=tx.new_id(CredentialId),
        principal=recovered.id,
        verifier="",
        expires_at=expiry(tx, tx.limits.token_seconds, tx.limits.token_seconds, None),
        toolsets=("all",),
        issuer=tx.caller.principal,
    )
    return issued(tx, *mint(tx, credential))


def _recover(tx: WriteTx, principal: Principal, reason: str | None) -> Principal:
    for one in store.live_credentials(tx, principal.id):
        end(tx, one, reason)
    return tx.put(
        principal.but(
            recovered_at=tx.now, recovered_by=tx.caller.principal, state=PrincipalState.ACTIVE
        )
        if tx.caller.house
        else principal.but(recovered_at=tx.now, recovered_by=tx.caller.principal),
        reason=reason,
        event="recovered",
    )
