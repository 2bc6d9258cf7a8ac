"""The other process: it works out what it is sent, and knows no database and no caller.

A job is a length and a pickled list of tasks; each task is answered by a length and its pickled
result, or the name of what it failed with. The two ends are one program: nobody else writes here.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from scoped_mcp.spine.work import Task

LENGTH = 8
_NICE = 5


def framed(value: object) -> bytes:
    """A value as it travels."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH, "big") + data


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Do jobs until there are no more: whoever sends them has ended."""
    while length := jobs.read(LENGTH):
        tasks = pickle.loads(jobs.read(int.from_bytes(length, "big")))  # noqa: S301 - see above
        answers.writelines(framed(_answer(task)) for task in tasks)
        answers.flush()


def _answer(task: Task) -> tuple[Any, str | None]:
    function, given = task
    try:
        return function(*given), None
    except Exception as error:  # noqa: BLE001 - its name is sent; its words may quote what is stored
        return None, type(error).__name__


def main() -> None:  # pragma: no cover - a process of its own: tests/spine/test_prepare.py
    """Serve on standard input and output; what else writes there goes nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this decides when it ends
    if hasattr(os, "nice"):
        os.nice(_NICE)  # behind the database's thread
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)
