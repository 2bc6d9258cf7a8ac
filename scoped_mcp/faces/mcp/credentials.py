"""From a credential to a caller, for every transport; and where a call came from.

HTTP hands over a bearer token, stdio the token of its settings. Both go to `Credentials.caller`.
Its answer opens the door only: each operation authenticates the token again in its own transaction,
so a revocation bites the very next call whatever is remembered here.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any, cast

from fastmcp.server.auth import AccessToken, TokenVerifier
from fastmcp.server.dependencies import fastmcp_request_ctx, get_access_token, get_http_request
from pydantic import BaseModel

from scoped_mcp.kernel.errors import ScopedError, UnauthenticatedError
from scoped_mcp.layers import identity
from scoped_mcp.spine.caller import Origin

if TYPE_CHECKING:
    from scoped_mcp.faces.mcp.external import ExternalIdentities
    from scoped_mcp.spine.caller import Proof
    from scoped_mcp.spine.way import Way

REMEMBERED_SECONDS = 1.0
REMEMBERED = 1_024
TEXT_LENGTH = 200
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


class KnownToken(AccessToken):
    """FastMCP's token, with the proof that the spine takes for it."""

    proof: Any


class Credentials:
    """The one function from a credential to a caller.

    Args:
        spine: The one path.
        external: Whom JWTs name; None where tokens of the house are the only ones.
        token: The credential of a transport that carries none (stdio); None for HTTP.
    """

    def __init__(
        self,
        spine: Way,
        external: ExternalIdentities | None = None,
        token: str | None = None,
    ) -> None:
        self._spine = spine
        self._external = external
        self._token = token
        self._known: dict[bytes, tuple[float, AccessToken]] = {}

    async def caller(self, token: str) -> AccessToken:
        """Whose token this is.

        A good answer is remembered for a second, to spare each request of a burst one read. A
        failure is counted and traced.

        Raises:
            UnauthenticatedError: the credential is missing, wrong, expired or revoked.
        """
        name = hashlib.sha256(token.encode(errors="replace")).digest()
        now = time.monotonic()
        until, known = self._known.get(name, (now, None))
        if known is not None and until > now:
            return known
        if self._spine.turned_away(token, _source()):  # before a signature or a row is looked at
            raise _unknown()
        proof = await self._proof(token)
        try:
            house, principal, credential = await self._verify(proof)
        except UnauthenticatedError:
            self._known.pop(name, None)
            await self._spine.refused(token, origin())
            raise
        # All three name the caller: FastMCP binds whatever it keeps of a client to them.
        access = KnownToken(
            token=token,
            proof=proof,
            client_id=credential,
            scopes=[],
            subject=principal,
            claims={"iss": house},
        )
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[name] = (now + REMEMBERED_SECONDS, access)
        return access

    def proof(self) -> Proof:
        """What the current request proves; empty, which no credential is, without a token."""
        access = get_access_token()
        if isinstance(access, KnownToken):
            return cast("Proof", access.proof)
        return access.token if access is not None else self._token or ""

    def house(self) -> str:
        """The organisation of the current request's caller; empty where a transport has but one."""
        access = get_access_token()
        return str(access.claims["iss"]) if isinstance(access, KnownToken) else ""

    async def _proof(self, token: str) -> Proof:
        external = None if self._external is None else await self._external.proof(token)
        return token if external is None else external

    async def _verify(self, proof: Proof) -> tuple[str, str, str]:
        """Whom a proof names; at a first sign-in it is enrolled, where the operator allows that."""
        try:
            return await identity.verify(self._spine, proof)
        except UnauthenticatedError:
            if isinstance(proof, str) or self._external is None or not self._external.create:
                raise
        enrol = identity.EnrolExternal(
            name=f"external {proof.subject}"[:TEXT_LENGTH],
            issuer=proof.issuer,
            subject=proof.subject,
        )
        try:
            await self._spine.run_as_house(enrol, "mcp")
        except ScopedError as error:
            raise UnauthenticatedError(error.message, hint=error.hint) from error
        return await identity.verify(self._spine, proof)


class BearerVerifier(TokenVerifier):
    """HTTP's way to `Credentials.caller`: whom it does not know gets 401 and WWW-Authenticate."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller behind a bearer token, or None."""
        try:
            return await self._credentials.caller(token)
        except UnauthenticatedError:
            return None


def _unknown() -> UnauthenticatedError:
    message = "the credential is missing, wrong, expired or revoked"
    return UnauthenticatedError(message, hint="ask whoever runs this server for a new token")


def origin() -> Origin:
    """Where the current request came from. What the client says of itself identifies nothing."""
    request = fastmcp_request_ctx.get()
    meta = (request.meta if request is not None else None) or {}
    return Origin(
        face="mcp",
        client=_client(),
        source=_source(),
        trace=_trace(meta.get("traceparent")),
        key=_key(meta.get("scoped-mcp/key")),
    )


def _source() -> str:
    try:
        client = get_http_request().client
    except RuntimeError:
        return "local"  # stdio
    return client.host if client is not None else "unknown"


def _client() -> str | None:
    """Name and version as declared; over HTTP handshake clients declare none (ruling 66)."""
    request = fastmcp_request_ctx.get()
    params = request.session.client_params if request is not None else None
    if params is None:
        return None
    declared = f"{params.client_info.name} {params.client_info.version}"
    return "".join(c for c in declared if c.isprintable())[:TEXT_LENGTH].strip() or None


def _trace(traceparent: object) -> str | None:
    """The trace id of a W3C Trace Context header (§3.2), or None where it is not one."""
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return found.group(1) if found is not None else None


def _key(key: object) -> str | None:
    """The idempotency key.

    One that is too long, or no text, becomes its digest: were it dropped, a retry would act twice.
    """
    if key is None or (isinstance(key, str) and 0 < len(key) <= TEXT_LENGTH):
        return key
    return hashlib.sha256(json.dumps(_plain(key), sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
