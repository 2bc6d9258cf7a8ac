"""Subscriptions to resources, in the words of both protocol eras.

    2026-07-28   `subscriptions/listen`: the request stays open and its answer is the stream, on
                 stdio and on HTTP, where it is the only one that is a stream (ruling 66)
    handshake    `resources/subscribe` and `/unsubscribe`, on stdio: HTTP of that era keeps no line
                 on which anything could be told

Every address can be followed. What is told is its name; the client reads it again, as whoever it
then is. Tools, prompts and the list of addresses do not change for a credential: nothing is told
of them, and the capabilities say so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import (
    EmptyResult,
    ResourceUpdatedNotification,
    ResourceUpdatedNotificationParams,
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from scoped_mcp.faces.mcp import errors
from scoped_mcp.faces.mcp.credentials import origin
from scoped_mcp.faces.mcp.resources import locate
from scoped_mcp.kernel.errors import ScopedError
from scoped_mcp.spine.follow import End
from scoped_mcp.spine.steps import unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastmcp import FastMCP
    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext
    from mcp_types import ServerCapabilities, ServerNotification

    from scoped_mcp.faces.mcp.credentials import Credentials
    from scoped_mcp.faces.mcp.served import Followed
    from scoped_mcp.spine.follow import Stream

STALLED_SECONDS = 30.0  # for a client that does not take what it asked to be told
_STREAM = "scoped-mcp/subscriptions"


class Subscriptions:
    """What clients follow, by the addresses of resources.

    Args:
        follows: What this process follows.
        credentials: Whose the current request is.
        most: How many addresses of one request are looked at: one more than anybody may follow.
    """

    def __init__(self, follows: Followed, credentials: Credentials, most: int) -> None:
        self._follows = follows
        self._credentials = credentials
        self._most = most

    def hang(self, server: FastMCP[Any], *, line: bool) -> None:
        """Serve them, and say in the capabilities what is served.

        Args:
            server: FastMCP serves no subscriptions itself.
            line: Whether there is one line to one client, on which more than answers can be sent.
        """
        wire = server._mcp_server  # noqa: SLF001 - FastMCP has no door to it
        wire.notification_options = NotificationOptions()
        capabilities = wire.get_capabilities

        def truly(*args: Any, **named: Any) -> ServerCapabilities:  # noqa: ANN401 - the SDK's
            """Without the changes of lists that the SDK infers from `subscriptions/listen`."""
            found = capabilities(*args, **named)
            lists = {"tools": found.tools, "prompts": found.prompts, "resources": found.resources}
            still = {n: c.model_copy(update={"list_changed": False}) for n, c in lists.items() if c}
            return found.model_copy(update=still)

        wire.get_capabilities = truly  # type: ignore[method-assign]
        wire.add_request_handler(
            "subscriptions/listen", SubscriptionsListenRequestParams, self._listen
        )
        if line:
            wire.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
            wire.add_request_handler(
                "resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe
            )

    async def _listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Follow what of it the caller may read; the answer ends with the last of it.

        Raises:
            MCPError: the credential works no more, or follows too much.
        """
        stream = self._follows.stream(self._credentials.proof(), origin())
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        try:
            followed = await self._open(stream, params.notifications.resource_subscriptions or ())
            honoured = SubscriptionFilter(resource_subscriptions=followed or None)
            ack = SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
            await self._tell(ctx, stream, SubscriptionsAcknowledgedNotification(params=ack))
            if followed:
                async for uri in stream:
                    told = ResourceUpdatedNotificationParams(uri=uri, _meta=meta)
                    await self._tell(ctx, stream, ResourceUpdatedNotification(params=told))
        finally:
            stream.close()
        if stream.ended is End.UNAUTHENTICATED:
            raise errors.protocol_error(unauthenticated())
        return SubscriptionsListenResult(_meta=meta)

    async def _open(self, stream: Stream, uris: Iterable[str]) -> list[str]:
        """The addresses that are followed now: what is not there for the caller is left out.

        Raises:
            MCPError: the credential does not work, or follows too much.
        """
        followed: list[str] = []
        for uri in list(dict.fromkeys(uris))[: self._most]:
            located = locate(uri)
            if located is None:
                continue
            address, arguments = located
            try:
                await stream.open(uri, address.operation, arguments)
            except ScopedError as error:
                if error.code not in errors.HIDDEN:
                    raise errors.protocol_error(error) from error
            else:
                followed.append(uri)
        return followed

    async def _tell(
        self, ctx: ServerRequestContext[Any, Any], stream: Stream, what: ServerNotification
    ) -> None:
        """Send it on this request's own stream, to who takes it."""
        with anyio.move_on_after(STALLED_SECONDS) as waiting:
            await ctx.session.send_notification(what, related_request_id=ctx.request_id)
        if waiting.cancelled_caught:
            stream.close(End.STALLED)

    async def _subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        """Follow one address for as long as the connection lasts.

        Raises:
            MCPError: it is not there for the caller, whose credential may follow too much.
        """
        located = locate(params.uri)
        if located is None:
            raise errors.not_found(params.uri)
        address, arguments = located
        try:
            await self._of(ctx).open(params.uri, address.operation, arguments)
        except ScopedError as error:
            raise errors.protocol_error(error, params.uri) from error
        return EmptyResult()

    async def _unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """Follow it no more; the same answer where it was not followed."""
        self._of(ctx).drop(params.uri)
        return EmptyResult()

    def _of(self, ctx: ServerRequestContext[Any, Any]) -> Stream:
        """What this connection follows; a new one where its credential had ended the last."""
        connection = ctx.session._connection  # noqa: SLF001 - the SDK has no door to it
        stream: Stream | None = connection.state.get(_STREAM)
        if stream is None or stream.ended is not None:
            stream = self._follows.stream(self._credentials.proof(), origin(), lasting=True)
            connection.state[_STREAM] = stream
            telling = asyncio.create_task(_tell_all(connection, stream))
            connection.exit_stack.push_async_callback(_hang_up, stream, telling)
        return stream


async def _tell_all(connection: Connection, stream: Stream) -> None:
    """Send what changes on the one line; nothing where that is gone."""
    async for uri in stream:
        await connection.send_resource_updated(uri)


async def _hang_up(stream: Stream, telling: asyncio.Task[None]) -> None:
    stream.close()
    telling.cancel()
    await asyncio.wait([telling])
