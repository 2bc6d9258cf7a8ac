"""What is served: one house, or many behind a router. The face does not know which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from scoped_mcp.config import Settings
    from scoped_mcp.spine.way import Way


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

    def working(self) -> AbstractAsyncContextManager[None]:
        """Let workers run meanwhile."""
        ...
