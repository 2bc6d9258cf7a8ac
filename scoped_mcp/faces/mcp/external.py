"""External identity over HTTP: JWTs of one issuer, verified before they prove anything.

1. the signature is the issuer's, by its key or its JWKS (FastMCP's `JWTVerifier`)
2. issuer and audience are the configured ones, and not optional
3. `exp` is there and ahead, `nbf` behind (RFC 9068 §4; FastMCP lets a token without `exp` pass)
4. (`iss`, `sub`) is all that is taken from it: whom that names here, and with what rights, is read
   from the linked credential in the operation's transaction (ruling 10)
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastmcp.server.auth.providers.jwt import JWTVerifier

from scoped_mcp.spine.caller import External

if TYPE_CHECKING:
    from scoped_mcp.config import Settings

SUBJECT_LENGTH = 255
JWT_PARTS = 3
logging.getLogger("fastmcp.server.auth").setLevel(logging.ERROR)  # it logs what tokens claim


class ExternalIdentities:
    """Whom a JWT names, if the settings name an issuer to believe."""

    def __init__(self, settings: Settings) -> None:
        self.create = settings.oidc_create
        self._issuer = settings.oidc_issuer
        self._verifier = None
        if settings.oidc_issuer is not None:
            self._verifier = JWTVerifier(
                issuer=settings.oidc_issuer,
                audience=settings.oidc_audience,
                jwks_uri=settings.oidc_jwks_uri,
                public_key=settings.oidc_public_key,
                algorithm=settings.oidc_algorithm,
            )

    async def proof(self, token: str) -> External | None:
        """The verified identity behind a JWT; None for anything else."""
        if self._verifier is None or self._issuer is None or token.count(".") != JWT_PARTS - 1:
            return None
        access = await self._verifier.load_access_token(token)  # 1, 2
        if access is None:
            return None
        claims = access.claims
        subject, ends, begins = claims.get("sub"), claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(ends, (int, float)) or not isinstance(begins, (int, float)):
            return None
        if begins > time.time() or ends <= time.time():  # 3
            return None
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH:
            return None
        return External(self._issuer, subject, datetime.fromtimestamp(ends, UTC))  # 4
