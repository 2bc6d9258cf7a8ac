"""The composition root: the only file that knows every room.

async with Scoped.open("sqlite:///scoped.db") as scoped:
    alice = await scoped.session(token)
    note = await alice.run(CreateObject(type="note", data={"title": "draft"}))
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from scoped_mcp import layers
from scoped_mcp.config import Settings
from scoped_mcp.kernel import text
from scoped_mcp.kernel.clock import SystemEntropy
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.ids import OrganisationId, PrincipalId, ScopeId
from scoped_mcp.layers import audit, environments, identity, registry, tenancy
from scoped_mcp.spine.caller import Origin
from scoped_mcp.spine.context import House
from scoped_mcp.spine.declare import Command, View
from scoped_mcp.spine.follow import Follows
from scoped_mcp.spine.run import Spine
from scoped_mcp.storage import copies, keys, schema
from scoped_mcp.storage.places import Place, SQLiteFile, place_of, unfounded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from scoped_mcp.kernel.clock import Clock, Entropy
    from scoped_mcp.spine.caller import Proof
    from scoped_mcp.spine.way import Way
    from scoped_mcp.storage.copies import Copied, Progress
    from scoped_mcp.storage.database import Database

__all__ = ["Place", "Restored", "Scoped", "Session", "key_path", "layers", "place_of"]

V = TypeVar("V", bound=View)


class Session:
    """One credential in use: every call is its principal's."""

    def __init__(self, spine: Way, token: Proof, origin: Origin) -> None:
        self._spine = spine
        self._token = token
        self._origin = origin

    @property
    def proof(self) -> Proof:
        """The credential."""
        return self._token

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
        return view.as_json()


class Scoped:
    """An open house: one organisation's database and the one path over it."""

    def __init__(self, spine: Spine, settings: Settings) -> None:
        self.spine = spine
        self.settings = settings
        self.follows = Follows(spine)

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
            InvalidError: the database is in use, or the name is none.
        """
        text.require_name(name, "the first principal")
        settings = settings or Settings()
        place = place_of(url)
        chance = entropy or SystemEntropy()
        database = await unfounded(place)
        try:
            try:
                keys.make(key_path(place, settings))
                house = House(
                    OrganisationId.of(chance.draw("house", 10)),
                    PrincipalId.of(chance.draw("house", 10)),
                    ScopeId.of(chance.draw("house", 10)),
                )
                spine = _spine(database, house, place, settings, clock, chance)
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
            place.remove()
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
        place = place_of(url or settings.db)
        database = await place.open()
        try:
            house = await database.read(registry.house_of)
            spine = _spine(database, house, place, settings, clock, entropy)
            if await database.read(registry.unregistered):
                await spine.run_as_house(registry.RegisterKinds())
            scoped = cls(spine, settings)
            async with spine.workshop:
                try:
                    yield scoped
                finally:
                    await scoped.follows.close()
        finally:
            await database.close()

    @staticmethod
    @contextlib.asynccontextmanager
    async def blank(url: str, *, alone: bool = False) -> AsyncGenerator[Database]:
        """A database into which another is copied: made here, or left half full by an earlier try.

        Raises:
            InvalidError: there is something else, or another process has it open and may not.
        """
        place = place_of(url)
        if place.bare():
            place.create()
        database = await place.open(alone=alone)
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
        key = keys.read(key_path(place_of(source.db), source), beside=False)
        path = key_path(place_of(target.db), target)
        keys.make(path, key)
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

    async def sweep(self) -> int:
        """Write down once what has run out, as servers do all the time: how many things."""
        return await environments.worker.sweep(self.spine)

    @staticmethod
    async def recover(url: str, name: str, *, settings: Settings | None = None) -> str:
        """The operator's break-glass: end every credential of a principal and issue one anew.

        Needs the database file, its key file and a stopped server; traced as the house's.

        Raises:
            InvalidError: a server has the database open, or the key file is missing.
        """
        text.require_name(name, "the principal")
        settings = settings or Settings()
        place = place_of(url)
        key = key_path(place, settings)
        if not key.exists():
            message = f"the key file `{key}` is missing"
            raise InvalidError(message, hint="name it with SCOPED_MCP_KEY_FILE")
        place.require_alone()
        async with Scoped.open(url, settings=settings) as scoped:
            recovered = await scoped.spine.run_as_house(identity.BreakGlass(name=name), "cli")
            return recovered.token

    @staticmethod
    def back_up(url: str, file: Path, progress: Progress | None = None) -> Copied:
        """Copy the database, as it is at this moment, to a new file; servers go on meanwhile.

        Raises:
            InvalidError: the file exists, or the database is none that is copied this way.
        """
        return copies.back_up(_embedded(url), file, progress)

    @staticmethod
    async def restore(
        url: str, file: Path, *, head: str | None = None, settings: Settings | None = None
    ) -> Restored:
        """Make a database of a backup: an older schema is brought up, all of it is verified.

        It stands at its place when a new epoch has begun in it, and not before.

        Args:
            url: Where the database shall be; nothing is there.
            file: The backup, which stays as it is.
            head: The hash with which its trail must end, where somebody noted it.
            settings: Limits, and where the key file is.

        Raises:
            InvalidError: something is at the place, or the backup is damaged or was tampered with.
        """
        settings = settings or Settings()
        path = _embedded(url)
        copies.require_nothing(path)
        key = key_path(SQLiteFile(path), settings)
        had_key = key.exists()
        try:
            with copies.place_beside(path) as place:
                made = place / path.name
                await asyncio.to_thread(copies.bring_in, file, made)
                await asyncio.to_thread(schema.bring_up, made)
                keyed = settings.model_copy(update={"key_file": key})
                restored = await _begin_epoch(SQLiteFile(made), head, keyed)
                copies.fold(made)
                copies.land(made, path)
                return restored
        except BaseException:
            if not had_key:
                key.unlink(missing_ok=True)
            raise

    @staticmethod
    async def begin_epoch(
        url: str, *, head: str | None = None, settings: Settings | None = None
    ) -> Restored:
        """Make a copy that stands at its place a database of its own, on any engine.

        Raises:
            InvalidError: it is damaged or was tampered with, or somebody has it open; nothing was
                changed.
        """
        return await _begin_epoch(place_of(url), head, settings or Settings())


@dataclass(frozen=True)
class Restored:
    """A restored database: its epoch, the head that it goes on from, and whom to recover."""

    epoch: int
    seq: int
    head: str
    owners: tuple[str, ...]


async def _begin_epoch(place: Place, head: str | None, settings: Settings) -> Restored:
    """The second half of every restore.

    1. nobody else has the database open
    2. its schema and guards are this code's, all of it verifies, and it ends where it should
    3. a new epoch begins, in an entry that names the head: every credential in it is dead

    Raises:
        InvalidError: one of the first two does not hold.
    """
    database = await place.open(alone=True)  # 1
    try:
        await asyncio.to_thread(place.require_sound)  # 2
        await asyncio.to_thread(place.settle)
        counted = await database.read(audit.require)
        found = counted.head.hex()
        if head is not None and head != found:
            message = f"its trail ends with {found}, not with the head that you named"
            raise InvalidError(message, hint="it is another copy, or was rewritten")
        house = await database.read(registry.house_of)
        keys.make(key_path(place, settings))
        spine = _spine(database, house, place, settings, None, None)
        begin = registry.BeginEpoch(seq=counted.entries, head=found)
        begun = await spine.run_as_house(begin, "cli")  # 3
        if await database.read(registry.unregistered):
            await spine.run_as_house(registry.RegisterKinds())
        owners = await spine.look(tenancy.who_recovers, None)
        return Restored(begun.epoch, begun.seq, begun.head, owners)
    finally:
        await database.close()


def _embedded(url: str) -> Path:
    """The file of a database that is one.

    Raises:
        InvalidError: it is a server's.
    """
    place = place_of(url)
    if isinstance(place, SQLiteFile):
        return place.path
    message = "a PostgreSQL database is copied by its own tools"
    hint = "pg_dump, pg_restore, `scoped-mcp restore --in-place`: scoped_mcp/docs/backup.md"
    raise InvalidError(message, hint=hint)


def _spine(  # noqa: PLR0913 - the composition root composes
    database: Database,
    house: House,
    place: Place,
    settings: Settings,
    clock: Clock | None,
    entropy: Entropy | None,
) -> Spine:
    return Spine(
        database,
        house=house,
        secret=hmac.digest(
            keys.read(key_path(place, settings), beside=place.key_file is not None),
            b"cursors and traces",
            "sha256",
        ),
        clock=clock,
        entropy=entropy or SystemEntropy(),
        limits=settings.limits,
    )


def _keyed(origin: Origin, key: str | None) -> Origin:
    return origin if key is None else replace(origin, key=key)


def key_path(place: Place, settings: Settings) -> Path:
    """The key's file: named, or beside the database, or under the user's data folder."""
    beside = settings.key_file or place.key_file
    return beside or settings.data_folder / f"{place.identity}.key"
