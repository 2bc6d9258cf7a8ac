"""The MCP face: every declared operation as a tool, every read that has an address as a resource.

It promises

- that a tool exists because an operation does, with the schema of its command and nothing added;
- that arguments reach the spine as they were sent, and refusals leave in one shape;
- that one function turns a credential into a caller, for HTTP and stdio, in both protocol eras;
- that nothing a client says of itself — session headers, `_meta`, its name — decides anything.
"""

from scoped_mcp.kernel.imports import uncollected

with uncollected():
    from scoped_mcp.faces.mcp.http import application, bind, serve, serve_on
    from scoped_mcp.faces.mcp.server import build
    from scoped_mcp.faces.mcp.stdio import serve as serve_stdio
    from scoped_mcp.faces.mcp.workers import serve_workers

__all__ = ["application", "bind", "build", "serve", "serve_on", "serve_stdio", "serve_workers"]
