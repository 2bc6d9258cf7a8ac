"""External identity: the mapping from (issuer, subject) is the credential (ruling 10)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.kernel.ids import CredentialId, PrincipalId
from scoped_mcp.layers import registry
from scoped_mcp.layers.identity import logic, store
from scoped_mcp.layers.identity.model import (
    Credential,
    EnrolExternal,
    LinkIdentity,
    Principal,
    TokenView,
)
from scoped_mcp.layers.identity.operations.credentials import (
    expiry,
    put_link,
    require_enrolable,
    require_held,
    token_view,
)
from scoped_mcp.layers.identity.operations.principals import require_free
from scoped_mcp.spine import repeat
from scoped_mcp.spine.caller import External
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def _require_unlinked(tx: ReadTx, issuer: str, subject: str) -> None:
    """Refuse an identity that leads to somebody already.

    Raises:
        ConflictError: it does.
    """
    far = tx.now + timedelta(days=1)
    if store.linked(tx, External(issuer, subject, far)) is not None:
        message = "this external identity is linked to a principal"
        raise ConflictError(message, hint="revoke that link with token_revoke first")


def _as_it_is(tx: ReadTx, _cmd: LinkIdentity, earlier: Earlier) -> TokenView:
    (made,) = repeat.made(tx, Credential, earlier)
    return token_view(tx, tx.get(Credential, made))


@handles(
    LinkIdentity,
    name="identity.link",
    title="Link an external identity",
    effect=Effect.GRANT,
    needs={"principal": Access.READ},
    on="principal",
    scope="root",
    instance=Access.ADMIN,
    writes={Credential: Access.NONE},
    toolset="admin",
    again=_as_it_is,
)
def link(cmd: LinkIdentity, tx: WriteTx) -> TokenView:
    """Enrolment, as with a token: for itself, or for who has not authenticated yet.

    By instance admins alone, for themselves too: nothing here proves whose identity it is, and
    whoever links a stranger's would turn that stranger's sign-ins into its own. Who comes in with
    an identity, which would prove it, is linked to it already.
    """
    principal = tx.get(Principal, cmd.principal)
    require_held(tx, cmd.toolsets)
    require_enrolable(tx, principal)
    _require_unlinked(tx, cmd.issuer, cmd.subject)
    own = principal.id == tx.caller.principal
    cap = tx.caller.expires_at if own else principal.expires_at
    credential = Credential(
        id=tx.new_id(CredentialId),
        principal=principal.id,
        parent=tx.caller.credential if own else None,
        verifier="",
        external=logic.external_name(cmd.issuer, cmd.subject),
        expires_at=expiry(tx, cmd.ttl_seconds, tx.limits.token_seconds, cap),
        toolsets=tuple(sorted(set(cmd.toolsets))),
        read_only=cmd.read_only,
        issuer=tx.caller.principal,
    )
    return token_view(tx, put_link(tx, credential))


@handles(
    EnrolExternal,
    name="identity.enrol_external",
    title="Enrol at first sign-in",
    effect=Effect.GRANT,
    scope="root",
    writes={Principal: Access.NONE, Credential: Access.NONE},
    tool=False,
)
def enrol(cmd: EnrolExternal, tx: WriteTx) -> TokenView:
    """Just-in-time creation, where the operator has switched it on: a user with core tools."""
    if registry.standing(tx)[0]:
        message = "the organisation is suspended"
        raise ConflictError(message, hint="ask whoever runs this server")
    _require_unlinked(tx, cmd.issuer, cmd.subject)
    require_free(tx, cmd.name)
    principal = tx.put(
        Principal(
            id=tx.new_id(PrincipalId),
            name=cmd.name,
            kind="user",
            creator=PrincipalId(tx.house.principal),
        )
    )
    credential = Credential(
        id=tx.new_id(CredentialId),
        principal=principal.id,
        verifier="",
        external=logic.external_name(cmd.issuer, cmd.subject),
        expires_at=expiry(tx, tx.limits.token_seconds, tx.limits.token_seconds, None),
        issuer=PrincipalId(tx.house.principal),
    )
    return token_view(tx, put_link(tx, credential))
