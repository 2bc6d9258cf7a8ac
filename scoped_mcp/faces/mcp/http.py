"""HTTP: `/mcp` behind a bearer token, probes for all, `/metrics`; Host and Origin are checked.

`/healthz` says whether this process can serve now: its database answers (503 where it does not).
`/livez` says that it runs: one that does not answer should be started anew.

One request, one answer: no session is kept, so any worker can answer any request (ruling 66). The
one stream is the answer to `subscriptions/listen`, which looks at its credential again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse

import scoped_mcp
from scoped_mcp.faces.mcp.errors import shape
from scoped_mcp.faces.mcp.metrics import CONTENT_TYPE
from scoped_mcp.faces.mcp.server import Face, face_of, hush
from scoped_mcp.faces.mcp.unparsable import Mender
from scoped_mcp.kernel.errors import InvalidError, ScopedError, UnauthenticatedError
from scoped_mcp.spine.declare import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from scoped_mcp.faces.mcp.served import Served
    from scoped_mcp.spine.tx import ReadTx

PATH = "/mcp"
GARBAGE = (10_000, 20, 20)  # new objects before a look at them, and looks before one at older ones
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
LISTENED = 8  # times the limit of a body that is too large
GRACE_SECONDS = 4  # of the ten that a stop may take
LATE_SECONDS = 0.05  # between two looks for whom the stop has missed


def application(scoped: Served) -> Starlette:
    """The ASGI application of an open house.

    Bodies end at 4 MiB (413); hosts and origins beside loopback are named in the settings (421 and
    403); a token in the address is not looked at.
    """
    face = face_of(scoped)
    _add_routes(face, scoped)
    settings = scoped.settings
    app = face.server.http_app(
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
    app.add_middleware(_TooLarge, most=settings.limits.request_bytes)
    app.add_middleware(_Unable)
    return app


async def serve(
    scoped: Served, host: str, port: int, *, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way have four seconds to end.

    Args:
        scoped: The open house.
        host: The address to listen on.
        port: The port; 0 for any free one.
        ready: Told the server's address once it accepts connections.

    Raises:
        InvalidError: the address is taken, or not this machine's.
    """
    await serve_on(scoped, bind(host, port), ready=ready)


async def serve_on(
    scoped: Served,
    bound: socket.socket,
    *,
    ready: Callable[[str], None] | None = None,
    stopper: Callable[[Callable[[], None]], None] | None = None,
    stopping: Callable[[], None] | None = None,
) -> None:
    """The same on a socket that is bound already.

    Args:
        scoped: The open house.
        bound: The socket; closed at the end.
        ready: Told the server's address once it accepts connections.
        stopper: Given what stops the server, from any thread, as SIGTERM would.
        stopping: Told when it begins to stop.
    """
    hush()
    config = uvicorn.Config(
        _Ending(application(scoped)),
        lifespan="on",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # or whoever calls could choose the source that failures count for
        timeout_graceful_shutdown=GRACE_SECONDS + 1,  # by then we have ended what is left
    )

    def stop() -> None:
        scoped.follows.stop()
        if stopping is not None:
            stopping()

    server = _Server(config, ready, stop)
    if stopper is not None:
        stopper(lambda: server.handle_exit(signal.SIGTERM, None))
    with _settled_memory():
        async with scoped.working():
            await server.serve(sockets=[bound])


@contextlib.contextmanager
def _settled_memory() -> Generator[None]:
    """What is there now stays: the garbage collector need not walk modules and schemas again.

    Doing so took it a fifth of the time of a call.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def bind(host: str, port: int) -> socket.socket:
    """A socket of this address, which does not listen yet.

    Raises:
        InvalidError: it is taken, or not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # where it would let two servers share the address
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}"
        raise InvalidError(message, hint="choose another --port, or 0 for any free one") from None
    return bound


def address_of(bound: socket.socket) -> str:
    """Where clients find what is served on it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}{PATH}" if ":" in host else f"http://{host}:{port}{PATH}"


class _Ending:
    """ASGI: a request that the server's end cancels is answered, where it has no answer yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and take the cancellation of a request, which ends with this call anyway."""
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, told)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not begun:
                answer = PlainTextResponse("the server is stopping", 503, {"retry-after": "1"})
                await answer(scope, receive, send)


class _TooLarge:
    """A body beyond the limit is refused in the one shape, to who hears it: see `_heard`."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on; tell 413 in our words."""
        refused = False

        async def told(message: Message) -> None:
            nonlocal refused
            begins = message["type"] == "http.response.start"
            refused = refused or (begins and message["status"] == TOO_LARGE)
            if not refused:
                await send(message)

        await self._app(scope, receive, told)
        if refused:
            message = f"the request is larger than {self._most} bytes, which is the limit"
            error = InvalidError(message, hint="send less at once")
            await self._heard(receive)
            await JSONResponse(shape(error), TOO_LARGE)(scope, receive, send)

    async def _heard(self, receive: Receive) -> None:
        """Take what is still being sent, within reason: a client that sends does not listen."""
        left = LISTENED * self._most
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return


class _Unable:
    """503 where the door itself cannot be worked: the database has trouble, and says which."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; tell what became of it."""
        try:
            await self._app(scope, receive, send)
        except ScopedError as error:  # before any answer: tools answer refusals themselves
            status = HTTPStatus.SERVICE_UNAVAILABLE
            await JSONResponse(shape(error), status)(scope, receive, send)


class _Server(uvicorn.Server):
    """Uvicorn, that says when it is ready and returns when it is told to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[str], None] | None,
        stopping: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets=sockets)
        if self.started and self._ready is not None and sockets:
            self._ready(address_of(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests end, then end them, before uvicorn does the same and complains of each."""
        self._stopping()  # streams end by themselves, and say so
        tasks = self.server_state.tasks
        loop = asyncio.get_running_loop()
        end = loop.call_later(GRACE_SECONDS, lambda: [task.cancel() for task in tasks])
        late = asyncio.create_task(self._end_late())
        try:
            await super().shutdown(sockets=sockets)
        finally:
            late.cancel()
            end.cancel()

    async def _end_late(self) -> None:
        """End the connections that were let in while uvicorn ended those that it knew.

        They would be served for as long as they ask, and be waited for.
        """
        while True:
            await asyncio.sleep(LATE_SECONDS)
            for connection in list(self.server_state.connections):
                if not connection.transport.is_closing():
                    connection.shutdown()

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


def _add_routes(face: Face, scoped: Served) -> None:
    async def healthz(_request: Request) -> Response:
        await scoped.spine.alive()
        return JSONResponse({"status": "ok", "version": scoped_mcp.__version__})

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": scoped_mcp.__version__})

    async def metrics(request: Request) -> Response:
        house = await _administered(scoped, _bearer(request))
        return PlainTextResponse(face.metrics.text(house), media_type=CONTENT_TYPE)

    face.server.custom_route("/healthz", methods=["GET"])(healthz)
    face.server.custom_route("/livez", methods=["GET"])(livez)
    face.server.custom_route("/metrics", methods=["GET"])(metrics)


def _bearer(request: Request) -> str:
    """The token, once the door has verified it; empty otherwise."""
    access: Any = getattr(request.user, "access_token", None)
    return "" if access is None else access.token


async def _administered(scoped: Served, token: str) -> str | None:
    """The organisation that the caller administers, if it does."""

    def ask(tx: ReadTx) -> str | None:
        house = tx.house
        return house.organisation if tx.access_to(house.root) >= Access.ADMIN else None

    if token:
        with contextlib.suppress(UnauthenticatedError):
            return await scoped.spine.look(ask, token)
    return None
