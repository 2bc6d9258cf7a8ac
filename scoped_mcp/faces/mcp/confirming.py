"""Asking the operator before something is requested: a confirmation, never an approval.

The answer comes from the requesting agent's own client, so it counts for no reviewer: it says that
somebody sat there and agreed, where the channel wants that and the client can ask.

1. only what the house wants confirmed is asked about, and only of clients that say they can ask
2. handshake era: the client is asked on the open line (HTTP of that era has none: ruling 66)
3. 2026-07-28: the call is answered with the question and a sealed state, and made again with both
4. an answer without a state that was sealed for this caller and these arguments answers nothing
5. the state names a key under which the request is done once, however often it is replayed
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastmcp.server.dependencies import get_context
from fastmcp.server.elicitation import AcceptedElicitation, parse_elicit_response_type
from fastmcp.tools.base import InputRequiredToolResult
from mcp.server.request_state import RequestStateSecurity
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequests,
    InputRequiredResult,
)

from scoped_mcp.kernel.errors import DeniedError, UnauthenticatedError
from scoped_mcp.layers import flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastmcp.server.context import Context

    from scoped_mcp.spine.caller import Origin, Proof
    from scoped_mcp.spine.way import Way

OPERATION = "promotion.request"
TOOL = "promotion_request"
QUESTION = "confirm"
SECONDS = 300.0
_FORM: dict[str, Any] = parse_elicit_response_type(bool).schema


@dataclass(frozen=True)
class Answered:
    """Where the request came from, with what the operator said."""

    origin: Origin


def sealing(spine: Way) -> RequestStateSecurity:
    """How states are sealed: the same in every process of a house, for five minutes."""
    return RequestStateSecurity(keys=[spine.secret_for(b"request states")], ttl=SECONDS)


async def ask(
    spine: Way, proof: Proof, arguments: Mapping[str, Any], origin: Origin
) -> Answered | InputRequiredToolResult:
    """Ask, or take the answer, as the client's era has it.

    Raises:
        DeniedError: the operator said no.
    """
    context = get_context()
    if not _can_ask(context):
        return Answered(origin)  # 1
    if context.request_state is not None and context.input_responses is not None:
        return _taken(context, origin)  # 4 and 5
    try:
        question = await flow.question(spine, proof, arguments)
    except UnauthenticatedError:
        return Answered(origin)  # the request itself is refused, and traced
    if question is None:
        return Answered(origin)
    if not context._is_modern_protocol():  # noqa: SLF001 - FastMCP shows no era
        answer = await context.elicit(question, bool)  # 2
        agreed = isinstance(answer, AcceptedElicitation) and answer.data is True
        return _confirmed(origin) if agreed else _declined()
    params = ElicitRequestFormParams(message=question, requested_schema=_FORM)
    wanted: InputRequests = {QUESTION: ElicitRequest(params=params)}
    return InputRequiredToolResult(
        InputRequiredResult(input_requests=wanted, request_state=_once(origin))  # 3
    )


def _can_ask(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def _once(origin: Origin) -> str:
    """The key under which the request will be done: the client's own, or a fresh one."""
    if origin.key is None:
        return f"confirmed {secrets.token_hex(16)}"
    return f"confirmed {hashlib.sha256(origin.key.encode()).hexdigest()}"


def _taken(context: Context, origin: Origin) -> Answered:
    answer = (context.input_responses or {}).get(QUESTION)
    content = answer.content or {} if isinstance(answer, ElicitResult) else {}
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return _declined()
    if content.get("value") is not True:
        return _declined()
    return _confirmed(replace(origin, key=context.request_state))


def _confirmed(origin: Origin) -> Answered:
    return Answered(replace(origin, confirmed=True))


def _declined() -> Answered:
    message = "the operator did not confirm: nothing was requested"
    raise DeniedError(message, hint="ask whoever you work for before you request it again")
