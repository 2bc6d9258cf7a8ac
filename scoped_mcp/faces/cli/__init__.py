"""The command line: one module for each group of commands.

It promises

- that every command acts as the principal of `SCOPED_MCP_TOKEN`, along the one path;
- that standard output holds what was asked for and nothing else: a token alone on its line, JSON
  with `--json`, tables on a terminal, tab-separated lines in a pipe;
- that a refusal is `code: message` and a hint on standard error, never a traceback;
- that it ends with 0 (done), 1 (refused or failed) or 2 (wrong usage).
"""

import gc

gc.disable()  # a third of a command's time was spent looking at imports, which all stay

from scoped_mcp.faces.cli.commands import main  # noqa: E402 - after that

gc.freeze()
gc.enable()

__all__ = ["main"]
