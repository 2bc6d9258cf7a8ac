"""One tool for each operation: arguments go raw to the spine, views and refusals come back."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

from fastmcp.tools import Tool, ToolResult
from mcp_types import ToolAnnotations
from pydantic import PrivateAttr

from scoped_mcp.faces.mcp import confirming, errors, schemas
from scoped_mcp.faces.mcp.credentials import origin
from scoped_mcp.kernel.errors import ScopedError
from scoped_mcp.layers import identity
from scoped_mcp.spine.declare import Effect, Operation, catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_types import CallToolResult

    from scoped_mcp.faces.mcp.credentials import Credentials
    from scoped_mcp.faces.mcp.metrics import Metrics
    from scoped_mcp.spine.caller import Origin
    from scoped_mcp.spine.way import Way


class Caller:
    """Calls operations as whoever made the current request, and counts how they ended."""

    def __init__(self, spine: Way, credentials: Credentials, metrics: Metrics) -> None:
        self.spine = spine
        self._credentials = credentials
        self._metrics = metrics

    async def call(
        self, name: str, arguments: Mapping[str, Any], where: Origin | None = None
    ) -> dict[str, Any]:
        """Do an operation, from JSON to JSON.

        Raises:
            ScopedError: it was refused.
        """
        proof, house = self._credentials.proof(), self._credentials.house()
        try:
            view = await self.spine.call(name, arguments, proof, where or origin())
        except ScopedError as error:
            self._metrics.count(house, name, error.code.value)
            raise
        self._metrics.count(house, name, "done")
        return view.as_json()

    async def shown(self) -> frozenset[str]:
        """The operations that exist for this credential.

        Raises:
            ScopedError: nobody is known by it.
        """
        return await identity.catalogue_of(self.spine, self._credentials.proof())

    async def answer(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """The same as the result of a tool; a refusal is a result too."""
        try:
            return errors.result(await self.call(name, arguments))
        except ScopedError as error:
            return errors.refusal(error)

    async def answer_here(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """The same where there is a context: what the house wants confirmed is asked first."""
        if name != confirming.OPERATION:
            return ToolResult.from_mcp_result(await self.answer(name, arguments))
        try:
            asked = await confirming.ask(self.spine, self._credentials.proof(), arguments, origin())
            if not isinstance(asked, confirming.Answered):
                return asked
            done = errors.result(await self.call(name, arguments, asked.origin))
        except ScopedError as error:
            done = errors.refusal(error)
        return ToolResult.from_mcp_result(done)


class OperationTool(Tool):
    """An operation as a tool. It checks nothing: the spine does."""

    _operation: str = PrivateAttr()
    _caller: Caller = PrivateAttr()

    @classmethod
    def of(cls, operation: Operation, caller: Caller) -> Self:
        """Translate a declaration."""
        tool = cls(
            name=operation.tool_name,
            title=operation.title,
            description=inspect.getdoc(operation.command),
            parameters=schemas.of_command(operation),
            output_schema=schemas.of_view(operation),
            annotations=ToolAnnotations(
                read_only_hint=operation.effect is Effect.READ,
                destructive_hint=operation.destructive,
                idempotent_hint=operation.idempotent,
                open_world_hint=False,
            ),
        )
        tool._operation = operation.name
        tool._caller = caller
        return tool

    def get_meta(self) -> dict[str, Any]:
        """Nothing: FastMCP would tell every client, with every tool, that it has no tags."""
        return {}

    @property
    def operation(self) -> str:
        """The name of its operation."""
        return self._operation

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """Call the operation with the arguments as they came."""
        return await self._caller.answer_here(self._operation, arguments)


def operation_tools(caller: Caller) -> dict[str, OperationTool]:
    """Every operation that faces show, by the name of its tool, in the order of the catalogue."""
    shown = (one for one in catalogue.values() if one.tool and not one.stream)
    return {one.tool_name: OperationTool.of(one, caller) for one in shown}
