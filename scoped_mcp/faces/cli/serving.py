"""`serve`: the MCP server, over stdio for one client or HTTP for many."""

from __future__ import annotations

import asyncio
import os
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings, token_of
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.houses import Houses
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.imports import uncollected
from scoped_mcp.storage import driver

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoped_mcp.config import Settings

LAST_SECONDS = 9.0  # of the ten that a stop may take
FAILED = 1


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
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Server processes on HTTP; each counts for itself.")
    ] = 1,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Serve MCP: `/mcp` and `/healthz` on HTTP, or one client over stdio.

    Clients of HTTP send `Authorization: Bearer TOKEN`. It accepts connections once it has said so
    on standard error, and ends within ten seconds of SIGTERM. With several workers `/metrics` and
    the flood limit on bad tokens are each process's own; one writer works at a time all the same.
    """
    if workers > 1 and transport is Transport.STDIO:
        message = "stdio serves one client from one process; use it with `--transport http`"
        raise typer.BadParameter(message, param_hint="--workers")
    read = settings(db)
    if transport is Transport.STDIO:
        token_of(read)
    _require_safe(workers)

    def ready(url: str) -> None:
        if json:
            show.as_json({"url": url})
        show.note(f"serving {url}")

    if transport is Transport.STDIO:
        asyncio.run(_serve_stdio(read))
    elif workers == 1:
        asyncio.run(_serve_http(read, host, port, ready))
    else:
        _serve_many(read, host, port, workers, ready)


async def _serve_stdio(read: Settings) -> None:
    with uncollected(for_good=True):
        from scoped_mcp.faces import mcp  # noqa: PLC0415 - a second that other commands save

    async with Houses.open(read) as houses:
        await mcp.serve_stdio(houses)


async def _serve_http(read: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    with uncollected(for_good=True):
        from scoped_mcp.faces import mcp  # noqa: PLC0415 - as above

    end = threading.Timer(LAST_SECONDS, _give_up)
    end.daemon = True
    with mcp.bind(host, port) as bound:
        async with Houses.open(read) as houses:
            await mcp.serve_on(houses, bound, ready=ready, stopping=end.start)


def _give_up() -> None:
    """A thread that waits for a database that hangs cannot be ended but with its process."""
    show.note("ended without the database, which does not answer")
    os._exit(FAILED)


def _serve_many(
    read: Settings, host: str, port: int, workers: int, ready: Callable[[str], None]
) -> None:
    with uncollected(for_good=True):
        from scoped_mcp.faces import mcp  # noqa: PLC0415 - as above

    async def look() -> None:
        async with Houses.open(read):
            """What is wrong with the house is told here, and once."""

    asyncio.run(look())
    with mcp.bind(host, port) as bound:
        mcp.serve_workers(read, bound, workers, ready=ready)


def _require_safe(workers: int) -> None:
    """Say what an old SQLite means for this server.

    Raises:
        InvalidError: it may not have the file open in several processes.
    """
    if driver.SAFE:
        return
    version = ".".join(map(str, driver.VERSION))
    if workers > 1:
        message = f"SQLite {version} cannot share a file safely among {workers} processes"
        raise InvalidError(message, hint="serve with one worker, or install pysqlite3")
    show.note(f"SQLite {version} cannot share a file safely: this process will be alone on it")
