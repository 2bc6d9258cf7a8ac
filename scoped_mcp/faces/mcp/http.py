"""HTTP: `/mcp` behind a bearer token, `/healthz` for all, `/metrics`; Host and Origin are checked.

One request, one answer: no session and no stream is kept, so any worker can answer any request and
a revoked token has nothing left open (ruling 66).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse

import scoped_mcp
from scoped_mcp.faces.mcp.metrics import CONTENT_TYPE
from scoped_mcp.faces.mcp.server import Face, face_of, hush
from scoped_mcp.faces.mcp.unparsable import Mender
from scoped_mcp.kernel.errors import UnauthenticatedError
from scoped_mcp.spine.declare import Access

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from scoped_mcp.app import Scoped

PATH = "/mcp"
GRACE_SECONDS = 5  # of the ten that a stop may take


def application(scoped: Scoped) -> Starlette:
    """The ASGI application of an open house.

    Bodies end at 4 MiB (413); hosts and origins beside loopback are named in the settings (421 and
    403); a token in the address is not looked at.
    """
    face = face_of(scoped)
    _add_routes(face, scoped)
    settings = scoped.settings
    return face.server.http_app(
        path=PATH,
        stateless_http=True,
        json_response=True,
        host_origin_protection=True,
        allowed_hosts=list(settings.allowed_hosts) or None,
        allowed_origins=list(settings.allowed_origins) or None,
        middleware=[
            Middleware(
                Mender,
                object_depth=settings.limits.object_depth,
                request_bytes=settings.limits.request_bytes,
            )
        ],
    )


async def serve(
    scoped: Scoped, host: str, port: int, *, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way have five seconds to end.

    Args:
        scoped: The open house.
        host: The address to listen on.
        port: The port; 0 for any free one.
        ready: Told the server's address once it accepts connections.
    """
    hush()
    config = uvicorn.Config(
        application(scoped),
        host=host,
        port=port,
        lifespan="on",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # or whoever calls could choose the source that failures count for
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    await _Server(config, ready).serve()


class _Server(uvicorn.Server):
    """Uvicorn, that says when it is ready and returns when it is told to stop."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets=sockets)
        if self.started and self._ready is not None:
            address = self.servers[0].sockets[0].getsockname()
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            self._ready(f"http://{host}:{address[1]}{PATH}")

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on the first signal, hurry on the second.

        Uvicorn's own way raises the signal again afterwards, which would end the process before the
        database is closed.
        """
        if sys.platform == "win32":  # where a loop has no signal handlers
            with super().capture_signals():
                yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _add_routes(face: Face, scoped: Scoped) -> None:
    async def healthz(_request: Request) -> Response:
        await scoped.spine.database.read(lambda _conn: None)
        return JSONResponse({"status": "ok", "version": scoped_mcp.__version__})

    async def metrics(request: Request) -> Response:
        calls = await _administers(scoped, _bearer(request))
        return PlainTextResponse(face.metrics.text(calls=calls), media_type=CONTENT_TYPE)

    face.server.custom_route("/healthz", methods=["GET"])(healthz)
    face.server.custom_route("/metrics", methods=["GET"])(metrics)


def _bearer(request: Request) -> str:
    """The token, once the door has verified it; empty otherwise."""
    access: Any = getattr(request.user, "access_token", None)
    return "" if access is None else access.token


async def _administers(scoped: Scoped, token: str) -> bool:
    if not token:
        return False
    with contextlib.suppress(UnauthenticatedError):
        root = scoped.spine.house.root
        return await scoped.spine.look(lambda tx: tx.access_to(root) >= Access.ADMIN, token)
    return False
