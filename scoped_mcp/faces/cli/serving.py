"""`serve`: the MCP server, over stdio for one client or HTTP for many."""

from __future__ import annotations

import asyncio
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from scoped_mcp.app import Scoped
from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings, token_of
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import driver

if TYPE_CHECKING:
    from scoped_mcp.config import Settings


class Transport(StrEnum):
    """How clients reach the server."""

    STDIO = "stdio"
    HTTP = "http"


def serve(  # noqa: PLR0913 - every option of a server
    transport: Annotated[
        Transport, typer.Option(help="stdio: one client, as SCOPED_MCP_TOKEN. http: many.")
    ] = Transport.STDIO,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 for any free one.")
    ] = 8765,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 1,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Serve MCP: `/mcp` and `/healthz` on HTTP, or one client over stdio.

    Clients of HTTP send `Authorization: Bearer TOKEN`. It accepts connections once it has said so
    on standard error, and ends within ten seconds of SIGTERM.
    """
    if workers > 1:
        message = "one process serves SQLite; start a second `serve` on another port if you need it"
        raise typer.BadParameter(message, param_hint="--workers")
    read = settings(db)
    if transport is Transport.STDIO:
        token_of(read)
    else:
        _require_free(host, port)
    if not driver.SAFE:
        version = ".".join(map(str, driver.VERSION))
        show.note(f"SQLite {version} cannot share a file safely: this process will be alone on it")
    asyncio.run(_serve(read, transport, host, port, in_json=json))


async def _serve(
    read: Settings, transport: Transport, host: str, port: int, *, in_json: bool
) -> None:
    from scoped_mcp.faces import mcp  # noqa: PLC0415 - half a second that other commands save

    def ready(url: str) -> None:
        if in_json:
            show.as_json({"url": url})
        show.note(f"serving {url}")

    async with Scoped.open(read.db, settings=read) as scoped:
        if transport is Transport.STDIO:
            await mcp.serve_stdio(scoped)
        else:
            await mcp.serve(scoped, host, port, ready=ready)


def _require_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, in our words.

    Raises:
        InvalidError: it is taken, or not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}"
        raise InvalidError(message, hint="choose another --port, or 0 for any free one") from None
