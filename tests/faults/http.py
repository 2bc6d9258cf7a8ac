"""MCP over HTTP without a client library: what goes over the wire is what the test says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


class Line:
    """One token's line to a server."""

    def __init__(self, http: httpx2.AsyncClient, url: str, token: str) -> None:
        self._http, self._url = http, url
        self._headers = {"authorization": f"Bearer {token}", **HEADERS}

    async def post(self, body: bytes) -> httpx2.Response:
        return await self._http.post(self._url, content=body, headers=self._headers)

    async def ask(self, method: str, **params: Any) -> Any:
        """A request of the handshake era; its result, or `{"code": …}` where there is none."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await self.post(json.dumps(request).encode())
        if answer.status_code == 401:
            return {"code": "unauthenticated"}
        if answer.status_code == 503:  # the door itself cannot be worked
            return answer.json()["error"]
        said = answer.json()
        return said["result"] if "result" in said else {"code": said["error"]["code"]}

    async def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, key: str | None = None
    ) -> dict[str, Any]:
        """Call a tool: its view, or its refusal as `{"error": …}`."""
        meta = {} if key is None else {"_meta": {"scoped-mcp/key": key}}
        result = await self.ask("tools/call", name=tool, arguments=dict(arguments or {}), **meta)
        if "code" in result:
            return {"error": result}
        return result["structuredContent"]


@asynccontextmanager
async def line(url: str, token: str) -> AsyncIterator[Line]:
    async with httpx2.AsyncClient(timeout=60) as http:
        yield Line(http, url, token)


def code(answer: Mapping[str, Any]) -> str:
    """How a call ended: `done`, or the code of its refusal."""
    return answer["error"]["code"] if "error" in answer else "done"
