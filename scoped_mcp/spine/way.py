"""What a face needs of the path: the spine of one house, or the router before several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from scoped_mcp.spine.declare import Command, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.tx import ReadTx

V = TypeVar("V", bound=View)
T = TypeVar("T")


class Way(Protocol):
    """The one path, as `Spine` documents it; whose house it leads to is the proof's to say."""

    async def run(self, command: Command[V], token: Proof, origin: Origin | None = None) -> V:
        """Do what the command asks, as whom the token says."""
        ...

    async def call(
        self, name: str, arguments: Mapping[str, Any], token: Proof, origin: Origin | None = None
    ) -> View:
        """The same by the name of an operation or tool, with JSON arguments."""
        ...

    async def run_as_house(self, command: Command[V], face: str = "house") -> V:
        """Do what only the house does."""
        ...

    async def look(self, question: Callable[[ReadTx], T], token: Proof | None) -> T:
        """Ask something about the caller itself on a snapshot."""
        ...

    def turned_away(self, token: Proof, source: str) -> bool:
        """Whether a flood holds this very token."""
        ...

    async def refused(self, token: Proof, origin: Origin) -> None:
        """Count a credential that a face turned away."""
        ...

    async def alive(self) -> None:
        """Return once the database answers."""
        ...

    def secret_for(self, purpose: bytes) -> bytes:
        """A secret for one purpose of a face: the same in every process."""
        ...
