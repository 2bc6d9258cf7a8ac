"""The command line: one module for each group of commands.

It promises

- that every command acts as the principal of `SCOPED_MCP_TOKEN`, along the one path;
- that standard output holds what was asked for and nothing else: a token alone on its line, JSON
  with `--json`, tables on a terminal, tab-separated lines in a pipe;
- that a refusal is `code: message` and a hint on standard error, never a traceback;
- that it ends with 0 (done), 1 (refused or failed) or 2 (wrong usage).
"""

from scoped_mcp.kernel.imports import uncollected

with uncollected(for_good=True):
    from scoped_mcp.faces.cli.commands import main

__all__ = ["main"]
