"""stdio: one client, one credential from the environment, only protocol on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from mcp.shared._context_streams import ContextReceiveStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from scoped_mcp.faces.mcp.server import face_of, hush
from scoped_mcp.faces.mcp.unparsable import mended

if TYPE_CHECKING:
    from contextvars import Context

    from anyio.streams.memory import MemoryObjectReceiveStream
    from fastmcp import FastMCP
    from mcp.server.models import InitializationOptions
    from mcp.shared._stream_protocols import ReadStream, WriteStream

    from scoped_mcp.faces.mcp.served import Served

Item: TypeAlias = SessionMessage | Exception


async def serve(scoped: Served) -> None:
    """Serve the client at the other end of standard input and output until it hangs up.

    The credential is `SCOPED_MCP_TOKEN`. It is looked at once here, so that a wrong one is told at
    start-up, and again in each operation.

    Raises:
        UnauthenticatedError: the credential is missing, wrong, expired or revoked.
    """
    token = scoped.settings.token
    face = face_of(scoped, token=token)
    await face.credentials.caller(token or "")
    hush()
    _mend_lines(face.server, scoped.settings.limits.object_depth)
    async with scoped.working():
        await face.server.run_stdio_async(show_banner=False)


def _mend_lines(server: FastMCP[Any], object_depth: int) -> None:
    """The SDK hands on a line that it could not parse as an error, and no one answers it."""
    wire = server._mcp_server  # noqa: SLF001 - FastMCP has no door to it
    run = wire.run

    async def run_mended(
        read_stream: ReadStream[Item],
        write_stream: WriteStream[SessionMessage],
        initialization_options: InitializationOptions,
        raise_exceptions: bool = False,  # noqa: FBT001, FBT002 - the SDK's
    ) -> None:
        inner = cast("ContextReceiveStream[Item]", read_stream)._inner  # noqa: SLF001 - the same stream
        mending = _Mended(inner, object_depth)
        await run(mending, write_stream, initialization_options, raise_exceptions)

    wire.run = run_mended  # type: ignore[method-assign]


class _Mended(ContextReceiveStream[Item]):
    """The SDK's stream of messages, with those mended that did not parse."""

    def __init__(
        self, inner: MemoryObjectReceiveStream[tuple[Context, Item]], object_depth: int
    ) -> None:
        super().__init__(inner)
        self._object_depth = object_depth

    async def __aenter__(self) -> Self:
        """The same stream; closed at the end."""
        return self

    async def receive(self) -> Item:
        """The next message; an error where there is nothing to mend."""
        item = await super().receive()
        if not isinstance(item, ValidationError):
            return item
        line = item.errors(include_url=False)[0]["input"]
        if not isinstance(line, str):  # it parsed, and is no message
            return item
        try:
            message = jsonrpc_message_adapter.validate_json(
                mended(line.encode(), self._object_depth), by_name=False
            )
        except ValidationError:
            return item
        return SessionMessage(message)
