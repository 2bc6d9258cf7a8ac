"""Servers in processes of their own, and the load upon them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from scoped_mcp import Scoped

ROOT = Path(__file__).parents[2]
CONNECTIONS = 16
BOUND = 120.0  # seconds: a hang fails, it does not wait for ever


@asynccontextmanager
async def product(folder: Path, workers: int = 1) -> AsyncIterator[tuple[str, str, int]]:
    """The product on a fresh database: its address, its first principal's token, its process."""
    url = f"sqlite:///{folder}/scoped.db"
    token = await Scoped.create(url, name="alice")
    async with served(url, workers) as (address, pid):
        yield address, token, pid


@asynccontextmanager
async def served(url: str, workers: int = 1) -> AsyncIterator[tuple[str, int]]:
    """The product on a database that is there: its address, its process."""
    serve = ("scoped_mcp.faces.cli", "serve", "--transport", "http", "--port", "0", "--json")
    serve += ("--workers", str(workers))
    async with _process(*serve, SCOPED_MCP_DB=url) as (line, pid):
        yield json.loads(line)["url"], pid


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, str, int]]:
    """An echo tool on bare FastMCP: its address, its token, its process."""
    token = "a-static-token-of-the-length-that-the-product-issues-0123456789"
    async with _process("tests.bench.echo", token) as (url, pid):
        yield url, token, pid


async def load(
    url: str,
    token: str,
    seconds: float,
    tool: str,
    arguments: Mapping[str, Any],
    server: int | None = None,
) -> dict[str, Any]:
    """Call a tool over and over from a process of its own; what it counted.

    With the server's process `server_ms` says how long that worked for an answer.
    """
    params = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    asker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.load", url, token, str(CONNECTIONS), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    before = _worked(server)
    said, _ = await asyncio.wait_for(asker.communicate(json.dumps(body).encode()), BOUND + seconds)
    assert asker.returncode == 0, "the load was refused"
    told: dict[str, Any] = json.loads(said)
    told["server_ms"] = (_worked(server) - before) / told["all_answers"] * 1e3
    return told


def _worked(server: int | None) -> float:
    """Seconds that a process has worked so far."""
    return 0.0 if server is None else sum(psutil.Process(server).cpu_times()[:2])


@asynccontextmanager
async def _process(module: str, *arguments: str, **more: str) -> AsyncIterator[tuple[str, int]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, **more},
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), BOUND)
        assert line, f"{module} ended before it served"
        yield line.decode().strip(), process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), BOUND)
