"""The one path of every house, behind one door: each call goes where its credential leads.

1. the tag of a token, or the issuer of an external identity, names the organisation; what names
   none is for the home
2. the house asked authenticates, in the transaction of the call: the router decides nothing
3. where it answers that another house may be the one to ask — the organisation moved, the token is
   of one founded since the directory was read, a database is not where it was — the directory is
   read again, and the call made once more if that leads elsewhere
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from scoped_mcp.kernel.errors import ScopedError, UnauthenticatedError
from scoped_mcp.layers import identity
from scoped_mcp.spine.caller import External
from scoped_mcp.spine.declare import Command, View

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from scoped_mcp.app import Scoped
    from scoped_mcp.houses.directory import Directory
    from scoped_mcp.houses.pool import Pool
    from scoped_mcp.layers import registry
    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.run import Spine
    from scoped_mcp.spine.tx import ReadTx

V = TypeVar("V", bound=View)
T = TypeVar("T")
REMEMBERED = 1_024


class Router:
    """The path of whichever house a proof leads to; see `Way` for what each call does."""

    def __init__(self, home: Scoped, directory: Directory, pool: Pool) -> None:
        self._home = home
        self._directory = directory
        self._pool = pool
        self._at_home: OrderedDict[str, None] = OrderedDict()  # tags that were looked for

    async def run(self, command: Command[V], token: Proof, origin: Origin | None = None) -> V:
        """Do what the command asks, as whom the token says.

        Raises:
            ScopedError: it was refused.
        """
        await self._look_for(token)
        return await self._reach(token, lambda spine: spine.run(command, token, origin))

    async def call(
        self, name: str, arguments: Mapping[str, Any], token: Proof, origin: Origin | None = None
    ) -> View:
        """The same by the name of an operation or tool, with JSON arguments.

        Raises:
            ScopedError: it was refused.
        """
        await self._look_for(token)
        return await self._reach(token, lambda spine: spine.call(name, arguments, token, origin))

    async def run_as_house(self, command: Command[V], face: str = "house") -> V:
        """Do what only the house does; whom an issuer names is enrolled where that issuer leads."""
        issuer = _issuer_of(command)
        if issuer is None:
            return await self._home.spine.run_as_house(command, face)
        await self._directory.fresh()
        return await self._follow(
            lambda: self._directory.issued(issuer),
            lambda spine: spine.run_as_house(command, face),
        )

    async def look(self, question: Callable[[ReadTx], T], token: Proof | None) -> T:
        """Ask something about the caller itself on a snapshot.

        Raises:
            UnauthenticatedError: the credential is missing, wrong, expired or revoked.
        """
        if token is None:
            return await self._home.spine.look(question, None)
        return await self._reach(token, lambda spine: spine.look(question, token))

    def turned_away(self, token: Proof, source: str) -> bool:
        """Whether a flood holds this very token; a house that is closed has seen none."""
        tenant = self._directory.of(token)
        house = self._home if tenant is None else self._pool.opened(tenant)
        return house is not None and house.spine.turned_away(token, source)

    async def refused(self, token: Proof, origin: Origin) -> None:
        """Count a credential that a face turned away."""
        await self._reach(token, lambda spine: spine.refused(token, origin))

    async def alive(self) -> None:
        """Return once the home database answers: without it nobody is led anywhere."""
        await self._home.spine.alive()

    def secret_for(self, purpose: bytes) -> bytes:
        """A secret of the home; what is sealed with it names organisation and caller."""
        return self._home.spine.secret_for(purpose)

    @asynccontextmanager
    async def at(self, proof: Proof) -> AsyncGenerator[Scoped]:
        """The house that a proof leads to, which stays open meanwhile; it decides nothing."""
        await self._look_for(proof)
        async with self._at(self._directory.of(proof)) as scoped:
            yield scoped

    async def _look_for(self, proof: Proof) -> None:
        """Learn of an organisation that was founded since, before anything is written at home.

        A tag that was looked for once is remembered: it was drawn with an organisation's id, and
        nobody holds a token of an organisation before there is one.
        """
        if isinstance(proof, External):
            await self._directory.fresh()
            return
        tag = identity.tag_in(proof)
        if tag is None or tag in self._at_home or self._directory.of(proof) is not None:
            return
        try:
            await self._home.spine.look(lambda _tx: None, proof)
        except UnauthenticatedError as refusal:
            if refusal.elsewhere:
                await self._directory.read()
                return
        self._at_home[tag] = None
        while len(self._at_home) > REMEMBERED:
            self._at_home.popitem(last=False)

    async def _reach(self, proof: Proof, work: Callable[[Spine], Awaitable[T]]) -> T:
        if isinstance(proof, External):
            await self._directory.fresh()
        return await self._follow(lambda: self._directory.of(proof), work)

    async def _follow(
        self,
        where: Callable[[], registry.Tenant | None],
        work: Callable[[Spine], Awaitable[T]],
    ) -> T:
        """1, 2, 3."""
        tenant = where()
        try:
            async with self._at(tenant) as scoped:
                return await work(scoped.spine)
        except ScopedError as error:
            if not error.elsewhere:
                raise
            await self._directory.read()
            now = where()
            if _place(now) == _place(tenant):
                raise
        async with self._at(now) as scoped:
            return await work(scoped.spine)

    @asynccontextmanager
    async def _at(self, tenant: registry.Tenant | None) -> AsyncGenerator[Scoped]:
        if tenant is None:
            yield self._home
            return
        async with self._pool.at(tenant) as scoped:
            yield scoped


def _issuer_of(command: object) -> str | None:
    return command.issuer if isinstance(command, identity.EnrolExternal) else None


def _place(tenant: registry.Tenant | None) -> tuple[str, str] | None:
    return None if tenant is None else (tenant.id, tenant.url)
