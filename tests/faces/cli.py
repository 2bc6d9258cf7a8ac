"""The command line as others use it: as a process of its own, with its own database."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import forked

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = (sys.executable, "-m", "scoped_mcp.faces.cli")
BOUND = 180  # seconds: a hang fails, it does not wait for ever


@dataclass
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The code of the refusal, which stands in the JSON and on standard error alike."""
        error = self.json["error"]
        assert self.err.startswith(f"{error['code']}: "), self.err
        assert "Traceback" not in self.err
        return str(error["code"])


@dataclass
class Cli:
    """The program, in a folder, as the bearer of a token."""

    folder: Path
    token: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.folder / "scoped.db"

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SCOPED_MCP_")}
        named = {} if self.token is None else {"SCOPED_MCP_TOKEN": self.token}
        url = f"sqlite:///{self.database}"
        path = os.pathsep.join(sys.path)
        return {**kept, "PYTHONPATH": path, "SCOPED_MCP_DB": url, **named, **self.extra}

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        command = [*PROGRAM, *arguments]
        return Done(*forked.run(command, self.folder, self.environment, stdin, BOUND))

    def bearer(self, token: str) -> Cli:
        return Cli(self.folder, token)

    def issue(self, name: str, *options: str) -> Cli:
        """The same program as the bearer of a new token."""
        issued = self("token", "issue", "--principal", name, *options)
        assert issued.code == 0, issued.err
        return self.bearer(issued.out.strip())

    @contextmanager
    def running(self, *arguments: str, **pipes: Any) -> Iterator[subprocess.Popen[str]]:
        """The program in the background; ended if it has not."""
        named = {name: pipes.pop(name) for name in list(pipes) if name.isupper()}
        command, settings = [*PROGRAM, *arguments], self.environment | named
        streams = {"stdout": subprocess.PIPE, "text": True, **pipes}
        with forked.start(command, self.folder, settings, **streams) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


@functools.cache
def _initialised() -> tuple[tempfile.TemporaryDirectory[str], str]:
    """One `init` for the tests of a process; each takes a copy."""
    folder = tempfile.TemporaryDirectory()
    done = Cli(Path(folder.name))("init", "--name", "root")
    assert done.code == 0, done.err
    return folder, done.out.strip()


def new_house(folder: Path) -> Cli:
    """The program as its first principal, on a fresh database in a folder."""
    made, token = _initialised()
    shutil.copytree(made.name, folder, dirs_exist_ok=True)
    return Cli(folder, token)
