"""A refusal in the words of MCP: a tool's result, or a protocol error where there is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent

from scoped_mcp.kernel.errors import Code

if TYPE_CHECKING:
    from scoped_mcp.kernel.errors import ScopedError

UNAUTHENTICATED = -32001
HIDDEN = frozenset({Code.NOT_FOUND, Code.DENIED, Code.INVALID})
"""Of an address these are one: nothing is there for the caller."""


def result(content: dict[str, Any], *, is_error: bool = False) -> CallToolResult:
    """Structured content and the same as JSON text, for clients that read only one of the two."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=content,
        is_error=is_error,
    )


def refusal(error: ScopedError) -> CallToolResult:
    """The refusal of a tool call: a result that the model can read and act upon."""
    return result(shape(error), is_error=True)


def shape(error: ScopedError) -> dict[str, Any]:
    """The one shape in which every refusal is told."""
    return {
        "error": {
            "code": error.code.value,
            "message": error.message,
            "hint": error.hint,
            "retry": error.retry,
            "entry": error.entry,
        }
    }


def protocol_error(error: ScopedError, uri: str | None = None) -> MCPError:
    """The refusal of a list, a resource or a completion, which have no result to carry it.

    Absent, invisible and malformed answer the same, to the letter.
    """
    if error.code is Code.UNAUTHENTICATED:
        return MCPError(code=UNAUTHENTICATED, message=str(error))
    if error.code in HIDDEN:
        return not_found(uri)
    return MCPError(code=INTERNAL_ERROR, message=str(error), data={"entry": error.entry})


def not_found(uri: str | None) -> MCPError:
    """What is not there, for this caller (MCP: -32602, the address in `data`)."""
    return MCPError(code=INVALID_PARAMS, message="resource not found", data={"uri": uri})


def wrong(message: str) -> MCPError:
    """What was asked with what it does not take, where no result can say so."""
    return MCPError(code=INVALID_PARAMS, message=message)
