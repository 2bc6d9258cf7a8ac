"""Programs of ours, forked from a process that has spent the two seconds of importing them.

    with start([sys.executable, "-m", "scoped_mcp.faces.cli", "serve"], stdout=PIPE) as process:
        …

Each is a process of its own, as a user's is, with its own folder, environment and streams, and is
held as any other: as a `Popen`. It is a child of the process that forked it, which says its number
and later how it ended.
"""

from __future__ import annotations

import array
import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAMS = ("scoped_mcp.faces.cli", "tests.faults.processes")
IMPORTED = ("scoped_mcp.faces.cli", "scoped_mcp.faces.mcp", "fastmcp")
INPUT = 0
LINE = 2**16
WIDTH = 10
LOST = 255  # the code of one whose end nobody was there to see


def start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], **more: Any
) -> subprocess.Popen[Any]:
    """A program: forked if it is one of ours, or else started as anybody's."""
    ours = arguments[0] == sys.executable and arguments[1] == "-m" and arguments[2] in PROGRAMS
    kind = Forked if ours else subprocess.Popen
    return kind(arguments, cwd=folder, env=environment, **more)


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str, bound: int
) -> tuple[int, str, str]:
    """A program from its start to its end: its exit code, its output and its complaints."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(arguments, folder, environment, text=True, **pipes) as process:
        try:
            out, err = process.communicate(stdin, bound)
        except BaseException:
            process.kill()
            raise
        return process.returncode, out, err


class Forked(subprocess.Popen[Any]):
    """A program that another process has forked for this one.

    What `Popen` asks the system about its child, the one whose child it is answers here.
    """

    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:
        cwd, env = rest[4], rest[5]
        stdin, _, _, stdout, _, stderr = rest[9:15]
        asked = {"arguments": list(args[2:]), "folder": str(cwd), "environment": dict(env)}
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_parent()[0])
        streams = [own if one == -1 else one for own, one in enumerate((stdin, stdout, stderr))]
        passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))
        message = json.dumps(asked).encode() + b"\n"
        sent = self._line.sendmsg([message], [passed])
        self._line.sendall(message[sent:])
        self.pid = int(self._line.recv(WIDTH, socket.MSG_WAITALL))
        self._child_created = True
        self._close_pipe_fds(*rest[9:15])

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._ended(0)

    def _wait(self, timeout: float | None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], timeout)[0]:
            self.returncode = int(self._line.recv(WIDTH) or LOST)
            self._line.close()
        return self.returncode


@functools.cache
def _parent() -> tuple[str, subprocess.Popen[bytes]]:
    """Where the process listens that forks; one for the tests of a process, and gone with it."""
    place = tempfile.mkdtemp(prefix="forked-")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", f"{place}/line"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    atexit.register(process.kill)
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == b"ready\n", said + process.stdout.read()
    return f"{place}/line", process


# --- the process that forks


def serve(place: str) -> None:
    """Fork a program for each that asks, until whoever started this ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # nothing that was imported is looked at again, or copied by being looked at
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waked, wake = socket.socketpair()
    wake.setblocking(False)  # noqa: FBT003 - its only argument
    signal.set_wakeup_fd(wake.fileno())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    print("ready", flush=True)  # noqa: T201 - its answer
    lines: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener, waked, INPUT], [], [])
        if INPUT in ready:  # it ended, and so did whoever held it
            return
        if waked in ready:
            waked.recv(LINE)
            _tell(lines)
        if listener in ready:
            line, _ = listener.accept()
            asked, streams = _heard(line)
            pid = os.fork()
            if not pid:
                for one in (listener, waked, wake, line, *lines.values()):
                    one.close()
                become(asked, streams)
                return
            for stream in streams:
                os.close(stream)
            line.sendall(b"%*d" % (WIDTH, pid))
            lines[pid] = line


def become(asked: dict[str, Any], streams: list[int]) -> None:
    """The program itself, in the process just forked."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    module, *arguments = asked["arguments"]
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _heard(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    message, streams, _, _ = socket.recv_fds(line, LINE, 3)
    while not message.endswith(b"\n"):
        message += line.recv(LINE)
    return json.loads(message), streams


def _tell(lines: dict[int, socket.socket]) -> None:
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        with lines.pop(pid) as line, suppress(BrokenPipeError):
            line.sendall(b"%d" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve(sys.argv[1])
