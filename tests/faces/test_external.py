"""External identities: what a JWT proves over HTTP, and what it never does."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from fastmcp.server.auth.providers.jwt import RSAKeyPair
from fastmcp.utilities.tests import asgi_server

from scoped_mcp import Scoped
from scoped_mcp.config import Settings
from scoped_mcp.faces.mcp import build
from tests.promises import promise

ISSUER, AUDIENCE = "https://login.example.com", "scoped"
KEYS = RSAKeyPair.generate()
OTHER = RSAKeyPair.generate()


def jwt(keys: RSAKeyPair = KEYS, **changes: Any) -> str:
    claims = {"sub": "carol", "issuer": ISSUER, "audience": AUDIENCE} | changes
    extra = claims.pop("additional_claims", None)
    return keys.create_token(
        subject=claims["sub"],
        issuer=claims["issuer"],
        audience=claims["audience"],
        expires_in_seconds=claims.get("expires_in_seconds", 600),
        additional_claims=extra,
    )


def settings(**more: Any) -> Settings:
    return Settings(
        oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_public_key=KEYS.public_key, **more
    )


async def house(tmp_path: Any) -> tuple[str, str]:
    url = f"sqlite:///{tmp_path}/scoped.db"
    return url, await Scoped.create(url, name="root")


async def link(scoped: Scoped, token: str) -> tuple[str, str]:
    root = await scoped.session(token)
    carol = await root.call("principal.create", {"name": "carol"})
    asked = {"principal": carol["id"], "issuer": ISSUER, "subject": "carol"}
    return carol["id"], (await root.call("identity.link", asked))["id"]


async def who(scoped: Scoped, token: str) -> str | None:
    """Whom the server takes a bearer for, or None where it turns it away."""
    async with asgi_server(build(scoped), stateless_http=True, json_response=True) as server:
        async with server.http_client() as http:
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            refused = await http.post("/mcp", json={}, headers=headers)
            if refused.status_code == httpx2.codes.UNAUTHORIZED:
                return None
        async with server.client(auth=token) as client:
            answer = await client.call_tool("whoami", raise_on_error=False)
        content = answer.structured_content or {}
        return content["principal"]["id"] if not answer.is_error else None


@promise("readme.jwt", "external.mapping")
async def test_a_linked_identity_is_its_principal_until_the_link_is_revoked(tmp_path: Any) -> None:
    url, token = await house(tmp_path)
    async with Scoped.open(url, settings=settings()) as scoped:
        carol, credential = await link(scoped, token)
        assert await who(scoped, jwt()) == carol
        await (await scoped.session(token)).call("token.revoke", {"id": credential})
        assert await who(scoped, jwt()) is None


@promise("readme.jwt", "identity.external")
@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": "mallory"},
        {"issuer": "https://evil.example.com"},
        {"audience": "another"},
        {"expires_in_seconds": -5},
        {"additional_claims": {"nbf": int(time.time()) + 86_400}},
        {"additional_claims": {"exp": "tomorrow"}},
        {"keys": OTHER},
    ],
    ids=["subject", "issuer", "audience", "expired", "not yet", "no time", "key"],
)
async def test_any_other_jwt_is_nobody(tmp_path: Any, wrong: dict[str, Any]) -> None:
    url, token = await house(tmp_path)
    async with Scoped.open(url, settings=settings()) as scoped:
        await link(scoped, token)
        assert await who(scoped, jwt(**wrong)) is None


async def test_without_an_issuer_no_jwt_is_anybody(tmp_path: Any) -> None:
    url, token = await house(tmp_path)
    async with Scoped.open(url) as scoped:
        await link(scoped, token)
        assert await who(scoped, jwt()) is None


@promise("identity.external")
async def test_a_first_sign_in_creates_a_user_only_where_the_setting_says_so(tmp_path: Any) -> None:
    url, _ = await house(tmp_path)
    async with Scoped.open(url, settings=settings()) as scoped:
        assert await who(scoped, jwt()) is None
    async with Scoped.open(url, settings=settings(oidc_create=True)) as scoped:
        first = await who(scoped, jwt())
        assert first is not None
        assert await who(scoped, jwt()) == first


@promise("identity.external")
async def test_the_settings_refuse_an_issuer_without_audience_or_key() -> None:
    with pytest.raises(ValueError, match="OIDC"):
        Settings(oidc_issuer=ISSUER, oidc_public_key=KEYS.public_key)
    with pytest.raises(ValueError, match="OIDC"):
        Settings(oidc_issuer=ISSUER, oidc_audience=AUDIENCE)
