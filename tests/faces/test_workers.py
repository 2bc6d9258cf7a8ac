"""`serve --workers`: several processes, one address, one file, and nothing that one alone knows."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scoped_mcp.config import Settings
from scoped_mcp.faces.mcp import http, workers
from tests.faces.cli import Cli, new_house
from tests.faces.conftest import rpc

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

BOUND = 60
HEADERS = {"accept": "application/json, text/event-stream"}


@dataclass
class Crew:
    """A server and its workers."""

    process: subprocess.Popen[str]
    url: str

    @property
    def workers(self) -> set[int]:
        """The processes that serve; not the helper that multiprocessing starts beside them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split() if b"spawn_main" in command(pid)}

    def call(self, tool: str, arguments: dict[str, Any], token: str) -> tuple[int, Any]:
        """Call a tool over a connection of its own; HTTP's status and the structured answer."""
        headers = HEADERS | {"authorization": f"Bearer {token}"}
        asked = rpc("tools/call", {"name": tool, "arguments": arguments})
        answer = httpx.post(self.url, json=asked, headers=headers, timeout=BOUND)
        if answer.status_code != 200:
            return answer.status_code, None
        return 200, answer.json()["result"]["structuredContent"]

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        _, err = self.process.communicate(timeout=BOUND)
        return self.process.returncode, err


def command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def wait_until_gone(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], BOUND)[0], f"{pid} did not end"
    finally:
        os.close(process)


@contextmanager
def serving(cli: Cli, *options: str) -> Iterator[Crew]:
    """Two workers, and none left over at the end."""
    serve = ("serve", "--transport", "http", "--port", "0", "--workers", "2", "--json")
    with cli.running(*serve, *options, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, process.communicate(timeout=BOUND)
        crew = Crew(process, json.loads(said)["url"])
        workers = crew.workers
        assert len(workers) == 2
        try:
            yield crew
        finally:
            if process.poll() is None:
                workers |= crew.workers
                process.kill()
            for worker in workers:
                wait_until_gone(worker)


@contextmanager
def halted(worker: int) -> Iterator[None]:
    """A worker that cannot answer, so that the other one has to."""
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@pytest.fixture
def root(tmp_path: Path) -> Cli:
    return new_house(tmp_path)


def test_revocation_in_one_worker_bites_the_next_call_in_the_other(root: Cli) -> None:
    helper = root.issue("helper", "--kind", "agent").token
    assert root.token
    assert helper
    with serving(root) as crew:
        one, other = crew.workers
        with halted(other):
            status, made = crew.call("object_create", {"type": "note", "data": {"n": 1}}, helper)
            assert (status, made["version"]) == (200, 1)
        with halted(one):
            assert crew.call("object_get", {"id": made["id"]}, helper)[1]["data"] == {"n": 1}
            listed = crew.call("token_list", {}, root.token)[1]["items"]
            hers = next(t["id"] for t in listed if t["principal"]["name"] == "helper")
            assert "error" not in crew.call("token_revoke", {"id": hers}, root.token)[1]
        with halted(other):
            status, answer = crew.call("whoami", {}, helper)
            assert status == 401 or answer["error"]["code"] == "unauthenticated"
        crew.process.terminate()
        assert crew.ended() == (0, f"serving {crew.url}\n")


@pytest.mark.slow
def test_a_cursor_of_one_worker_is_taken_by_the_other(root: Cli) -> None:
    assert root.token
    with serving(root) as crew:
        one, other = crew.workers
        with halted(other):
            for number in range(3):
                crew.call("object_create", {"type": "note", "data": {"n": number}}, root.token)
            first = crew.call("object_list", {"limit": 2}, root.token)[1]
        with halted(one):
            asked = {"limit": 2, "cursor": first["next_cursor"]}
            second = crew.call("object_list", asked, root.token)[1]
    assert len({item["id"] for item in first["items"] + second["items"]}) == 3


@pytest.mark.slow
def test_a_dead_worker_is_replaced_and_nobody_else_notices(root: Cli) -> None:
    assert root.token
    with serving(root) as crew:
        before = crew.workers
        dead = min(before)
        os.kill(dead, signal.SIGKILL)
        assert crew.call("whoami", {}, root.token)[0] == 200
        assert crew.process.stderr is not None
        assert crew.process.stderr.readline() == f"serving {crew.url}\n"
        assert "ended with -9 and was replaced" in crew.process.stderr.readline()
        (new,) = crew.workers - before
        with halted(max(before)):
            assert crew.call("whoami", {}, root.token)[0] == 200
        crew.process.send_signal(signal.SIGINT)
        assert crew.ended() == (0, "")
        wait_until_gone(new)


@pytest.mark.slow
def test_all_end_in_time_with_clients_attached(root: Cli) -> None:
    with serving(root) as crew:
        url = httpx.URL(crew.url)
        head = f"POST /mcp HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {root.token}\r\n"
        with (
            httpx.Client(timeout=BOUND) as idle,
            socket.create_connection((url.host, url.port or 0)) as half,
        ):
            assert idle.get(crew.url.replace("/mcp", "/healthz")).status_code == 200
            expects = "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"
            half.sendall((head + expects).encode())
            assert half.recv(100).startswith(b"HTTP/1.1 100 ")  # it waits for the body now
            half.sendall(b"{")
            crew.process.terminate()
            assert crew.ended() == (0, f"serving {crew.url}\n")
            assert half.recv(100).startswith(b"HTTP/1.1 503 ")


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_is_killed(root: Cli) -> None:
    with serving(root) as crew:
        crew.process.kill()


@pytest.mark.slow
async def test_a_worker_that_is_not_needed_any_more_when_it_is_ready_ends_as_any(root: Cli) -> None:
    first, line = multiprocessing.Pipe()

    def begin() -> None:
        assert first.recv() == workers._READY
        first.send(workers._GO)
        first.close()

    beginning = asyncio.create_task(asyncio.to_thread(begin))
    read = Settings(db=f"sqlite:///{root.folder / 'scoped.db'}")
    async with asyncio.timeout(BOUND):
        await workers._serve(read, http.bind("127.0.0.1", 0), line)
    await beginning


@pytest.mark.slow
def test_what_is_wrong_is_told_once_before_any_worker_starts(root: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        serve = ("serve", "--transport", "http", "--workers", "2", "--json", "--port", port)
        assert root(*serve).error == "invalid"
    missing = root(*serve, "--db", f"sqlite:///{root.folder}/none.db")
    assert (missing.code, missing.error) == (1, "invalid")
    over_stdio = root("serve", "--workers", "2")
    assert over_stdio.code == 2
    assert "--transport http" in over_stdio.err
