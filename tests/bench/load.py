"""A client that costs next to nothing: raw sockets, one prepared request, as many as fit.

python -m tests.bench.load URL TOKEN CONNECTIONS SECONDS < body

Its own process, so that it takes nothing from the server's interpreter. It says as JSON how many
answers came, in how long, how much of that time it worked itself, and what one answer was; an
answer that is not HTTP 200, or that is an error of MCP, ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

WARM_UP = 0.3
REQUEST = """\
POST {path} HTTP/1.1\r
Host: {host}\r
Authorization: Bearer {token}\r
Accept: application/json, text/event-stream\r
Content-Type: application/json\r
MCP-Protocol-Version: 2025-11-25\r
Content-Length: {length}\r
\r
"""


class Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = bytearray()
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._missing:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            _, _, length = head.partition(b"content-length:")
            self._missing = end + 4 + int(length.split(b"\r\n", 1)[0])
        if len(self._buffer) < self._missing:
            return
        answer = bytes(self._buffer[: self._missing])
        del self._buffer[: self._missing]
        self._missing = 0
        if self._load.answered(answer):
            self._transport.write(self._load.request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.ended(exc)


class Load:
    """What is asked, and what came back."""

    def __init__(self, request: bytes, connections: int, seconds: float) -> None:
        self.request = request
        self._until = seconds
        self._open = connections
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers = self.before = 0
        self.last = b""
        self.began = self.worked = 0.0

    def start(self) -> None:
        """Count from now on."""
        self.before, self.answers = self.answers, 0
        self.began, self.worked = time.perf_counter(), time.process_time()

    def answered(self, answer: bytes) -> bool:
        """Whether to ask again."""
        if not answer.startswith(b"HTTP/1.1 200") or b'"isError":true' in answer:
            self._fail(RuntimeError(answer[:2_000].decode()))
            return False
        self.answers += 1
        self.last = answer
        return not self.began or time.perf_counter() - self.began < self._until

    def ended(self, reason: Exception | None) -> None:
        """A connection is over."""
        self._open -= 1
        if reason is not None or (not self._open and not self.began):
            self._fail(reason or RuntimeError("the server closed the connection"))
        elif not self._open and not self._done.done():
            self._done.set_result(None)

    async def over(self) -> None:
        """Wait for the last answer."""
        await self._done

    def _fail(self, reason: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(reason)


async def main(url: str, token: str, connections: int, seconds: float, body: bytes) -> None:
    where = urlsplit(url)
    assert where.hostname is not None
    head = REQUEST.format(path=where.path, host=where.netloc, token=token, length=len(body))
    load = Load(head.encode() + body, connections, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), where.hostname, where.port)
    loop.call_later(WARM_UP, load.start)
    await load.over()
    took = time.perf_counter() - load.began
    worked = time.process_time() - load.worked
    answer = json.loads(load.last.partition(b"\r\n\r\n")[2])
    told = {"answers": load.answers, "seconds": took, "busy": worked / took, "answer": answer}
    told["all_answers"] = load.before + load.answers
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.stdin.buffer.read()
        )
    )
