"""The open houses of one server: the home, and behind it whichever its callers need."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from scoped_mcp.app import Scoped, Session
from scoped_mcp.houses.directory import Directory
from scoped_mcp.houses.following import Following
from scoped_mcp.houses.pool import Pool
from scoped_mcp.houses.router import Router
from scoped_mcp.houses.worker import Sweeper
from scoped_mcp.layers import identity
from scoped_mcp.spine.caller import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from scoped_mcp.config import Settings
    from scoped_mcp.kernel.clock import Clock, Entropy
    from scoped_mcp.spine.caller import Proof


class Houses:
    """Many organisations behind one door.

    Attributes:
        home: The house whose directory names the others.
        spine: The one path, of whichever house a credential leads to.
        follows: Reads that stay open there.
    """

    def __init__(
        self, home: Scoped, directory: Directory, pool: Pool, clock: Clock | None = None
    ) -> None:
        self.clock = clock
        self.home = home
        self.settings = home.settings
        self.directory = directory
        self.pool = pool
        self.spine = Router(home, directory, pool)
        self.follows = Following(home.follows, self.spine.at, directory.read)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> AsyncGenerator[Houses]:
        """Open the home; the others are opened when a credential leads there.

        Raises:
            InvalidError: there is no such database, or its schema is another one.
        """
        async with Scoped.open(
            settings.db, clock=clock, entropy=entropy, settings=settings
        ) as home:
            directory, pool = Directory(home), Pool(settings, clock, entropy)
            await directory.read()
            houses = cls(home, directory, pool, clock)
            try:
                yield houses
            finally:
                await houses.follows.close()
                await pool.close()

    async def session(self, token: Proof, origin: Origin | None = None) -> Session:
        """Bind a credential of any of them: every call of the session is its principal's.

        Raises:
            UnauthenticatedError: the credential is missing, wrong, expired or revoked.
        """
        session = Session(self.spine, token, origin or Origin())
        await session.run(identity.WhoAmI())
        return session

    async def sweep(self, session: Session) -> None:
        """Let the house that a session is in write down what has run out there."""
        async with self.spine.at(session.proof) as scoped:
            await scoped.sweep()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Let the workers of all houses run meanwhile."""
        stop = asyncio.Event()
        sweeper = Sweeper(self.home, self.directory, self.pool)
        task = asyncio.create_task(sweeper.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task
