"""The command line, forked from a process that has spent the second of importing it.

Each command is a process of its own, as a user's is, with its own folder, environment and streams.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scoped_mcp.faces.cli import main

STREAMS = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


@functools.cache
def parent() -> subprocess.Popen[str]:
    """The process that has imported the command line; one for the tests of a process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faces.forked"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.kill)
    return process


def run(
    arguments: tuple[str, ...], folder: Path, environment: dict[str, str], stdin: str, bound: int
) -> tuple[int, str, str]:
    """One command: its exit code, its output and its complaints."""
    with tempfile.TemporaryDirectory() as place:
        streams = [Path(place, name) for name in ("in", "out", "err")]
        for stream, text in zip(streams, (stdin, "", ""), strict=True):
            stream.write_text(text)
        asked = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
            "streams": [str(stream) for stream in streams],
            "bound": bound,
        }
        process = parent()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return code, streams[1].read_text(), streams[2].read_text()


def become(asked: dict[str, Any]) -> None:
    """The command itself, in the process just forked."""
    for (number, mode), path in zip(STREAMS.items(), asked["streams"], strict=True):
        os.dup2(os.open(path, mode), number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    signal.alarm(asked["bound"])
    main()


def serve() -> None:
    """Fork a command for each line; say how it ended."""
    gc.freeze()  # nothing that was imported is looked at again, or copied by being looked at
    for line in sys.stdin:
        child = os.fork()
        if not child:
            become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    serve()
