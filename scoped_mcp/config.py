"""Settings: read once from the environment, frozen, validated; for `app.py` and faces."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, cast

import platformdirs
from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scoped_mcp.kernel.limits import Limits
from scoped_mcp.kernel.text import quote


def data_folder() -> Path:
    """`scoped-mcp` under the user's data folder."""
    return platformdirs.user_data_path("scoped-mcp", appauthor=False)


def default_database() -> str:
    """`scoped.db` in there."""
    return f"sqlite:///{data_folder() / 'scoped.db'}"


def _limits(given: object) -> object:
    """Limits by their names: one that is misspelt would silently be the default."""
    if not isinstance(given, dict):
        return given
    known = {field.name for field in fields(Limits)}
    for name, value in cast("dict[str, Any]", given).items():
        if name not in known:
            message = f"there is no limit {quote(name)}; there are {', '.join(sorted(known))}"
            raise ValueError(message)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            message = f"`{name}` is a whole number above 0"
            raise ValueError(message)
    return cast("object", given)


class Settings(BaseSettings):
    """What the environment says: `SCOPED_MCP_DB`, `SCOPED_MCP_TOKEN`, and so on.

    Attributes:
        db: URL of the database.
        token: The caller's credential.
        key_file: Where the server's key is; by default beside the database file, or for
            PostgreSQL in the data folder: every host that serves it needs the same.
        data_folder: Where what has no other place is kept.
        limits: Limits, as JSON: `SCOPED_MCP_LIMITS='{"bulk": 50}'`.
        oidc_issuer: The issuer whose JWTs are accepted over HTTP; needs an audience and a key.
        oidc_audience: The audience that such a JWT must name.
        oidc_jwks_uri: Where the issuer's keys are; or `oidc_public_key`, one key in PEM.
        oidc_create: Whether a first sign-in creates a user; off, an admin links identities.
        open_organisations: How many organisations beside the home stay open in a process.
        allowed_hosts: Host names, beside loopback, under which the HTTP server answers.
        allowed_origins: Origins, beside loopback, that may call it from a browser.
    """

    model_config = SettingsConfigDict(
        env_prefix="SCOPED_MCP_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # among it are the token and the database's password
    )

    db: str = Field(default_factory=default_database)
    token: str | None = Field(default=None, repr=False)
    key_file: Path | None = None
    data_folder: Path = Field(default_factory=data_folder)
    limits: Annotated[Limits, BeforeValidator(_limits)] = Limits()
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_uri: str | None = None
    oidc_public_key: str | None = None
    oidc_algorithm: str = "RS256"
    oidc_create: bool = False
    open_organisations: int = Field(default=32, ge=1)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        keys = (self.oidc_jwks_uri, self.oidc_public_key)
        if self.oidc_issuer and not (self.oidc_audience and any(keys)):
            message = "SCOPED_MCP_OIDC_ISSUER needs SCOPED_MCP_OIDC_AUDIENCE and a key or JWKS_URI"
            raise ValueError(message)
        return self
