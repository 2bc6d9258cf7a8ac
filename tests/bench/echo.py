"""The peer: an echo tool on bare FastMCP, served the way the product is.

A static bearer check, the host guard, an output schema, one JSON answer a request, no session; the
same versions of FastMCP and Uvicorn with the same settings. It stores nothing and checks nothing.

python -m tests.bench.echo TOKEN
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Any

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import StaticTokenVerifier
from pydantic import BaseModel


class Echo(BaseModel):
    """What came."""

    type: str
    data: dict[str, Any]


class Server(uvicorn.Server):
    """Uvicorn that says where it listens."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}/mcp", flush=True)  # noqa: T201 - the one line it says


async def main(token: str) -> None:
    auth = StaticTokenVerifier(tokens={token: {"client_id": "bench", "scopes": []}})
    server: FastMCP[Any] = FastMCP("echo", auth=auth)

    @server.tool
    async def echo(type: str, data: dict[str, Any]) -> Echo:  # noqa: A002 - the product's name for it
        """Answer what came."""
        return Echo(type=type, data=data)

    for name in ("fastmcp", "mcp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    app = server.http_app(
        path="/mcp", stateless_http=True, json_response=True, host_origin_protection=True
    )
    config = uvicorn.Config(
        app, port=0, lifespan="on", ws="none", access_log=False, log_level="warning"
    )
    await Server(config).serve()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
