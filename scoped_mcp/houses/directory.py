"""What the home house knows of the others: read from its database, remembered between reads.

What is remembered only says where to ask. Whether a credential works is read by the house asked, in
the transaction of the call; a house that is not where it was says so, and the directory is read
again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scoped_mcp.app import place_of
from scoped_mcp.kernel import text
from scoped_mcp.kernel.errors import InvalidError, NotFoundError
from scoped_mcp.layers import identity, registry
from scoped_mcp.storage.urls import joined

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scoped_mcp.app import Scoped
    from scoped_mcp.config import Settings
    from scoped_mcp.spine.caller import Proof

FRESH_SECONDS = 1.0
URL_LENGTH = 1_000


class Directory:
    """Which organisation a credential leads to. `None` is the one that is home."""

    def __init__(self, home: Scoped) -> None:
        self._home = home
        self._tenants: tuple[registry.Tenant, ...] = ()
        self._by_tag: Mapping[str, registry.Tenant] = {}
        self._by_issuer: Mapping[str, registry.Tenant] = {}
        self._read_at = 0.0
        self._asked = self._answered = 0

    async def read(self) -> tuple[registry.Tenant, ...]:
        """Read it anew; all of it, oldest first."""
        self._asked += 1
        turn = self._asked
        found = await self._home.spine.look(registry.tenants, None)
        if turn < self._answered:  # who asked later has seen more
            return self._tenants
        self._answered, self._read_at = turn, time.monotonic()
        self._tenants = tuple(found)
        self._by_tag = {one.tag: one for one in found}
        self._by_issuer = {one.issuer: one for one in found if one.issuer is not None}
        return self._tenants

    async def named(self, name: str) -> registry.Tenant:
        """The organisation of a name, as it is now.

        Raises:
            NotFoundError: there is none.
        """
        for one in await self.read():
            if one.name == name:
                return one
        message = f"there is no organisation {text.quote(name)}"
        raise NotFoundError(message, hint="`scoped-mcp org list` shows the organisations")

    def of(self, proof: Proof) -> registry.Tenant | None:
        """The organisation to which a proof leads, as far as is known."""
        if isinstance(proof, str):
            return self._by_tag.get(identity.tag_in(proof) or "")
        return self.issued(proof.issuer)

    def issued(self, issuer: str) -> registry.Tenant | None:
        """The organisation to which an issuer of external identities leads."""
        return self._by_issuer.get(issuer)

    async def fresh(self) -> None:
        """Read it anew if it was not just read: an issuer can be led elsewhere, a token cannot."""
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            await self.read()


def address(url: str) -> str:
    """A URL as the directory holds it: a file's whole path; nobody's password.

    Raises:
        InvalidError: the URL names no database, or is too long.
    """
    found = _plain(url)
    if len(found) > URL_LENGTH:
        message = f"a database URL has at most {URL_LENGTH} characters"
        raise InvalidError(message, hint="name one that is shorter")
    return found


def _plain(url: str) -> str:
    place = place_of(url)
    if place.key_file is not None:
        return place.url
    if registry.has_password(url.partition("://")[0] + "://x?" + urlsplit(url).query):
        message = "a database URL carries its password before its host, or not at all"
        raise InvalidError(message, hint="leave it to PGPASSFILE")
    parts = urlsplit(url)
    account, at, host = parts.netloc.rpartition("@")
    user = account.partition(":")[0]
    return joined(parts._replace(netloc=f"{user}{at}{host}"))


def opening(url: str, settings: Settings) -> str:
    """A URL of the directory as it can be opened.

    Where user and host are those of the home database, so is the password; elsewhere the driver
    finds it as it finds any (PGPASSFILE, PGPASSWORD).
    """
    parts, home = urlsplit(url), urlsplit(settings.db)
    same = "@" in parts.netloc and urlsplit(address(settings.db)).netloc == parts.netloc
    if parts.scheme == "sqlite" or not same:
        return url
    return joined(parts._replace(netloc=home.netloc))


def settings_of(tenant: str, url: str, settings: Settings) -> Settings:
    """The settings under which an organisation's house is opened: a key of its own."""
    key: Path | None = settings.key_file
    if key is not None:
        key = key.with_name(f"{key.name}.{tenant}")
    return settings.model_copy(update={"db": opening(url, settings), "key_file": key})
