"""stdio: one client, one credential from the environment, only protocol on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.faces.mcp.server import face_of, hush

if TYPE_CHECKING:
    from scoped_mcp.app import Scoped


async def serve(scoped: Scoped) -> None:
    """Serve the client at the other end of standard input and output until it hangs up.

    The credential is `SCOPED_MCP_TOKEN`. It is looked at once here, so that a wrong one is told at
    start-up, and again in each operation.

    Raises:
        UnauthenticatedError: the credential is missing, wrong, expired or revoked.
    """
    token = scoped.settings.token
    face = face_of(scoped, token=token)
    await face.credentials.caller(token or "")
    hush()
    await face.server.run_stdio_async(show_banner=False)
