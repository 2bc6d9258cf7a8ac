"""Settings: read once from the environment, frozen, validated; for `app.py` and faces."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from scoped_mcp.kernel.limits import Limits


def default_database() -> str:
    """`scoped-mcp/scoped.db` under the user's data folder."""
    return f"sqlite:///{platformdirs.user_data_path('scoped-mcp', appauthor=False) / 'scoped.db'}"


class Settings(BaseSettings):
    """What the environment says: `SCOPED_MCP_DB`, `SCOPED_MCP_TOKEN`, and so on.

    Attributes:
        db: URL of the database.
        token: The caller's credential.
        key_file: Where the server's key is; by default beside the database.
        limits: Limits, as JSON: `SCOPED_MCP_LIMITS='{"bulk": 50}'`.
        allowed_hosts: Host names, beside loopback, under which the HTTP server answers.
        allowed_origins: Origins, beside loopback, that may call it from a browser.
    """

    model_config = SettingsConfigDict(env_prefix="SCOPED_MCP_", frozen=True, extra="ignore")

    db: str = Field(default_factory=default_database)
    token: str | None = Field(default=None, repr=False)
    key_file: Path | None = None
    limits: Limits = Limits()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
