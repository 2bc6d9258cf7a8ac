"""Step 0: raw arguments become a command, or a refusal that teaches (rulings 16 and 59)."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.canonical import NotCanonicalError
from scoped_mcp.kernel.errors import InvalidError, NotFoundError, ScopedError
from scoped_mcp.kernel.text import quote
from scoped_mcp.spine.declare import (
    Command,
    Operation,
    arguments_of,
    catalogue,
    operation_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoped_mcp.kernel.limits import Limits
    from scoped_mcp.spine.caller import Origin, Proof

_LONG_INTEGER = re.compile(rb"[0-9]{16}")
_BY_TOOL: dict[str, Operation] = {}
_BOUNDS = {  # where pydantic would speak of tuples, or of what it should have
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_type": "a text",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "timezone_aware": "a time with its zone, such as 2026-01-31T12:00:00Z",
    "datetime_type": "a time such as 2026-01-31T12:00:00Z",
    "datetime_parsing": "a time such as 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "a time such as 2026-01-31T12:00:00Z",
}


@dataclass(frozen=True)
class Request:
    """One request on its way: parsed, or refused with what may be traced of it.

    Attributes:
        token: The credential as it was handed over; None only for the house itself.
        operation: None where nothing is declared under that name.
        field: Where parsing failed.
        name: The name that it was called by.
        prepared: What slow pieces of its work come to.
        counted: How many failed authentications its entry tells of: counted once, however often
            its transaction is done again.
    """

    token: Proof | None
    origin: Origin
    operation: Operation | None
    command: Command[Any] | None
    arguments: bytes
    refusal: ScopedError | None = None
    field: str | None = None
    name: str = ""
    prepared: Mapping[Any, Any] = attribute(default_factory=lambda: {})
    counted: list[int] = attribute(default_factory=lambda: [])


def of_command(
    command: Command[Any], token: Proof | None, origin: Origin, limits: Limits
) -> Request:
    """A request from a command built in Python: the same checks as from JSON."""
    given = command.model_dump(mode="python", exclude_unset=True)
    operation = operation_of(type(command))
    request = partial(Request, token, origin, operation, name=operation.name)
    return _parse(operation, _plain(given), limits, request)


def named(name: str) -> Operation | None:
    """The operation of this name, or whose tool has it."""
    if len(_BY_TOOL) != len(catalogue):
        _BY_TOOL.update({o.tool_name: o for o in catalogue.values()})
    return catalogue.get(name) or _BY_TOOL.get(name)


def of_call(
    name: str, arguments: object, token: Proof | None, origin: Origin, limits: Limits
) -> Request:
    """A request by the name of an operation or its tool, with arguments as JSON."""
    operation = named(name)
    if operation is None:
        return Request(token, origin, None, None, b"{}", name=name)
    if not isinstance(arguments, Mapping):
        refusal = InvalidError("the arguments must be a JSON object", hint=_accepts(operation))
        return Request(token, origin, operation, None, b"", refusal, name=name)
    request = partial(Request, token, origin, operation, name=name)
    return _parse(operation, cast("Mapping[str, Any]", arguments), limits, request)


def unknown(request: Request) -> NotFoundError:
    """The one answer for what is not declared and for what a credential does not show."""
    if request.origin.face == "mcp":
        name = request.operation.tool_name if request.operation is not None else request.name
        message = f"there is no tool {quote(name)} for you"
        return NotFoundError(message, hint="list the tools; `whoami` names your toolsets")
    message = f"there is no operation {quote(request.name)} for you"
    hint = "`whoami` names your toolsets; `registry.list`, of the toolset `audit`, the operations"
    return NotFoundError(message, hint=hint)


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """A Python command as JSON: ids are strings, enums their values, times text."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in cast("list[Any]", value)]
    if hasattr(value, "isoformat"):
        return cast("Any", value).isoformat()
    if isinstance(value, str):
        return str.__str__(value) if type(value) is not str else value
    return value


def _parse(
    operation: Operation,
    given: Mapping[str, Any],
    limits: Limits,
    request: Callable[..., Request],
) -> Request:
    """The request that all but its arguments are known of, with these."""
    given = {k: v for k, v in given.items() if v is not None or k not in operation.optional}
    try:
        arguments = canonical.encode(given, limits.object_depth + 3)
    except NotCanonicalError as error:
        field = error.path.split("/")[1] if "/" in error.path else ""
        refusal = InvalidError(
            f"the arguments cannot be kept: {_safe(error)}", hint=_plain_hint(limits)
        )
        return request(None, b"", refusal, _known(operation, field))
    if len(arguments) > limits.request_bytes:
        message = f"the request is {len(arguments)} bytes, the limit is {limits.request_bytes}"
        refusal = InvalidError(message, hint="send less at once")
        return request(None, b"", refusal)
    try:
        command = operation.command.model_validate_json(_exactly(arguments))
    except ValidationError as error:
        at, refusal = _explain(operation, given, error)
        return request(None, arguments, refusal, at)
    return request(command, arguments)


def _exactly(arguments: bytes) -> bytes:
    """Canonical bytes write the float `1e16` as an integer: say what is meant (ruling 59)."""
    if _LONG_INTEGER.search(arguments) is None:
        return arguments
    return json.dumps(canonical.decode(arguments)).encode()


def _safe(error: NotCanonicalError) -> str:
    path = quote(error.path or "/")
    return f"at {path} a value {error.problem}"


def _plain_hint(limits: Limits) -> str:
    return (
        f"send plain JSON, data at most {limits.object_depth} levels deep;"
        " huge numbers go in as strings, bytes as base64"
    )


def _known(operation: Operation, field: str) -> str | None:
    return arguments_of(operation.command).get(field)


def _explain(
    operation: Operation, given: object, error: ValidationError
) -> tuple[str | None, InvalidError]:
    """The first problem, in our words, with the way out."""
    problem = error.errors(include_url=False, include_context=True)[0]
    absent = problem["type"] in {"missing", "extra_forbidden"}
    location = _within(given, problem["loc"][:-1] if absent else problem["loc"])
    location += [str(problem["loc"][-1])] if absent else []
    field = location[0] if location else ""
    fields = list(arguments_of(operation.command))
    accepts = _accepts(operation)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], fields, 1)
        hint = f"did you mean `{near[0]}`? {accepts}" if near else accepts
        return None, InvalidError(f"unknown argument {quote(location[-1])}", hint=hint)
    if problem["type"] == "missing":
        return field, InvalidError(f"`{'.'.join(location)}` is missing", hint=accepts)
    reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] in _BOUNDS:
        reason = _BOUNDS[problem["type"]].format(**problem.get("ctx", {}))
    wrong = f"{quote('/'.join(location))} is" if location else "the arguments are"
    message = f"{wrong} not right: expected {_lower(reason)}"
    if problem["type"] == "value_error":
        message = f"{wrong} not right: {_lower(reason)}"
    return _known(operation, field), InvalidError(message, hint=accepts)


def _within(given: Any, path: Sequence[int | str]) -> list[str]:  # noqa: ANN401 - JSON
    """A path as far as it leads into what was given: pydantic goes on with names of its own."""
    found: list[str] = []
    for part in path:
        try:
            given = given[part]
        except (LookupError, TypeError):
            break
        found.append(str(part))
    return found


def _accepts(operation: Operation) -> str:
    fields = ", ".join(arguments_of(operation.command))
    return f"`{operation.tool_name}` takes {fields or 'no arguments'}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
