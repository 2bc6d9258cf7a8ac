"""The composition root: the only file that knows every room.

async with Scoped.open("sqlite:///scoped.db") as scoped:
    alice = await scoped.session(token)
    note = await alice.run(CreateObject(type="note", data={"title": "draft"}))
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from scoped_mcp import layers
from scoped_mcp.config import Settings
from scoped_mcp.kernel.clock import SystemClock, SystemEntropy
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.ids import OrganisationId, PrincipalId, ScopeId
from scoped_mcp.layers import environments, identity, registry, tenancy
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.context import House
from scoped_mcp.spine.declare import Command, View
from scoped_mcp.spine.run import Spine
from scoped_mcp.storage import schema
from scoped_mcp.storage.database import sqlite_path
from scoped_mcp.storage.presence import Presence
from scoped_mcp.storage.sqlite import SQLiteDatabase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from scoped_mcp.kernel.clock import Clock, Entropy
    from scoped_mcp.spine.caller import Proof
    from scoped_mcp.spine.way import Way
    from scoped_mcp.storage.database import Database

__all__ = ["Scoped", "Session", "layers", "sqlite_path"]

V = TypeVar("V", bound=View)
KEY_BYTES = 32


class Session:
    """One credential in use: every call is its principal's."""

    def __init__(self, spine: Way, token: Proof, origin: Origin) -> None:
        self._spine = spine
        self._token = token
        self._origin = origin

    async def run(self, command: Command[V], *, key: str | None = None) -> V:
        """Do what the command asks.

        Args:
            command: What to do.
            key: An idempotency key: the same call with the same key is done once in 24 hours.

        Raises:
            ScopedError: it was refused; `code`, `message` and `hint` say why and what next.
        """
        return await self._spine.run(command, self._token, _keyed(self._origin, key))

    async def call(
        self, operation: str, arguments: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """Do the same by name, from JSON to JSON."""
        origin = _keyed(self._origin, key)
        view = await self._spine.call(operation, arguments or {}, self._token, origin)
        return view.model_dump(mode="json", exclude_none=True)


class Scoped:
    """An open house: one organisation's database and the one path over it."""

    def __init__(self, spine: Spine, settings: Settings) -> None:
        self.spine = spine
        self.settings = settings

    @classmethod
    async def create(
        cls,
        url: str,
        *,
        name: str,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        settings: Settings | None = None,
    ) -> str:
        """Create a database, its root scope and its first principal; the principal's token.

        Raises:
            InvalidError: the database is in use.
        """
        settings = settings or Settings()
        path = sqlite_path(url)
        chance = entropy or SystemEntropy()
        schema.create(path)
        try:
            _make_key(_key_path(path, settings))
            house = House(
                OrganisationId.of(chance.draw("house", 10)),
                PrincipalId.of(chance.draw("house", 10)),
                ScopeId.of(chance.draw("house", 10)),
            )
            database = await SQLiteDatabase.open(path)
            try:
                spine = _spine(database, house, path, settings, clock, chance)
                first = await spine.run_as_house(
                    tenancy.FoundHouse(
                        organisation=OrganisationId(house.organisation),
                        house=PrincipalId(house.principal),
                        root=ScopeId(house.root),
                        name=name,
                    )
                )
                await spine.run_as_house(registry.RegisterKinds())
                return first.token
            finally:
                await database.close()
        except BaseException:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            raise

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str | None = None,
        *,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        settings: Settings | None = None,
    ) -> AsyncGenerator[Scoped]:
        """Open an existing database; what is new in this code is registered first.

        Raises:
            InvalidError: there is no such database, or its schema is another one.
        """
        settings = settings or Settings()
        path = sqlite_path(url or settings.db)
        database = await SQLiteDatabase.open(path)
        try:
            house = await database.read(registry.house_of)
            spine = _spine(database, house, path, settings, clock, entropy)
            if await database.read(registry.unregistered):
                await spine.run_as_house(registry.RegisterKinds())
            yield cls(spine, settings)
        finally:
            await database.close()

    @staticmethod
    @contextlib.asynccontextmanager
    async def blank(url: str) -> AsyncGenerator[Database]:
        """A database into which another is copied: made here, or left half full by an earlier try.

        Raises:
            InvalidError: there is something else.
        """
        path = sqlite_path(url)
        if schema.bare(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            schema.upgrade(path)
        database = await SQLiteDatabase.open(path)
        try:
            yield database
        finally:
            await database.close()

    @staticmethod
    def carry_key(source: Settings, target: Settings) -> None:
        """Give a moved house the key that it has: cursors go on, and `recover` finds it.

        Raises:
            InvalidError: another key is there.
        """
        key = _read_key(_key_path(sqlite_path(source.db), source))
        path = _key_path(sqlite_path(target.db), target)
        _make_key(path, key)
        if path.read_bytes() != key:
            message = f"the key file `{path}` is of another database"
            raise InvalidError(message, hint="move it away, or name another database")

    async def session(self, token: Proof, origin: Origin | None = None) -> Session:
        """Bind a credential: every call of the session is its principal's.

        Raises:
            UnauthenticatedError: the credential is missing, wrong, expired or revoked.
        """
        session = Session(self.spine, token, origin or Origin())
        await session.run(identity.WhoAmI())
        return session

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Let the house's own workers run meanwhile: the sweeper of what expired.

        Any number of processes may: what one has done, another finds done.
        """
        stop = asyncio.Event()
        sweeper = asyncio.create_task(environments.worker.run(self.spine, stop))
        try:
            yield
        finally:
            stop.set()
            await sweeper

    @staticmethod
    async def recover(url: str, name: str, *, settings: Settings | None = None) -> str:
        """The operator's break-glass: end every credential of a principal and issue one anew.

        Needs the database file, its key file and a stopped server; traced as the house's.

        Raises:
            InvalidError: a server has the database open, or the key file is missing.
        """
        settings = settings or Settings()
        path = sqlite_path(url)
        key = _key_path(path, settings)
        if not key.exists():
            message = f"the key file `{key}` is missing"
            raise InvalidError(message, hint="name it with SCOPED_MCP_KEY_FILE")
        Presence.enter(path, alone=True).leave()
        async with Scoped.open(url, settings=settings) as scoped:
            recovered = await scoped.spine.run_as_house(identity.BreakGlass(name=name), "cli")
            return recovered.token


def _spine(  # noqa: PLR0913 - the composition root composes
    database: SQLiteDatabase,
    house: House,
    path: Path,
    settings: Settings,
    clock: Clock | None,
    entropy: Entropy | None,
) -> Spine:
    return Spine(
        database,
        house=house,
        secret=hmac.digest(_read_key(_key_path(path, settings)), b"cursors and traces", "sha256"),
        clock=clock or SystemClock(),
        entropy=entropy or SystemEntropy(),
        limits=settings.limits,
    )


def _keyed(origin: Origin, key: str | None) -> Origin:
    return replace(origin, key=key or origin.key)


def _key_path(path: Path, settings: Settings) -> Path:
    return settings.key_file or path.with_name(path.name + ".key")


def _make_key(path: Path, key: bytes = b"") -> None:
    """A new key, unless there is one: 32 random bytes, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(key or secrets.token_bytes(KEY_BYTES))


def _read_key(path: Path) -> bytes:
    """The key; a lost one is made anew: cursors end, and `recover` asks for the old one."""
    _make_key(path)
    return path.read_bytes()
