"""What is served: one house, or many behind a router. The face does not know which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from scoped_mcp.config import Settings
    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.follow import Stream
    from scoped_mcp.spine.way import Way


class Followed(Protocol):
    """Where reads stay open: of one house, or before several."""

    def stream(self, token: Proof, origin: Origin, *, lasting: bool = False) -> Stream:
        """Somewhere to follow things, for one client."""
        ...

    def stop(self) -> None:
        """End all and refuse what is new."""
        ...


class Served(Protocol):
    """An open house (`Scoped`), or open houses (`Houses`)."""

    @property
    def settings(self) -> Settings:
        """The server's."""
        ...

    @property
    def spine(self) -> Way:
        """The one path, to wherever a credential leads."""
        ...

    @property
    def follows(self) -> Followed:
        """Reads that stay open, wherever a credential leads."""
        ...

    def working(self) -> AbstractAsyncContextManager[None]:
        """Let workers run meanwhile."""
        ...
