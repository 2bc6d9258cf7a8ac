"""JSON schemas of commands and views, as small as they can be: models pay for each word."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.spine.declare import CURSOR

if TYPE_CHECKING:
    from pydantic import BaseModel

    from scoped_mcp.spine.declare import Operation

Schema = dict[str, Any]
_ALWAYS_DROPPED = frozenset({"title", "$defs", "pattern", "maxLength", "minLength"})
_VIEW_DROPPED = _ALWAYS_DROPPED | {
    "additionalProperties",  # clients must bear fields that are added
    "default",
    "description",
    "format",
    "maximum",
    "minimum",
    "maxItems",
    "minItems",
}
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def of_command(operation: Operation) -> Schema:
    """What a tool takes: enums, bounds, defaults; limits on text are the spine's to tell."""
    return deepcopy(_of_command(operation.command))


@cache
def _of_command(command: type[BaseModel]) -> Schema:
    raw = command.model_json_schema()
    raw.pop("description", None)  # the tool has it
    schema = _compact(raw, raw.get("$defs", {}), _ALWAYS_DROPPED)
    return {
        "type": "object",
        "properties": schema.get("properties", {}),
        **({"required": schema["required"]} if schema.get("required") else {}),
        "additionalProperties": False,
    }


def of_view(operation: Operation) -> Schema:
    """What a tool answers. What may be null is absent, and so not required; a cursor is there."""
    return deepcopy(_of_view(operation.view))


@cache
def _of_view(view: type[BaseModel]) -> Schema:
    raw = view.model_json_schema(mode="serialization")
    schema = _compact(raw, raw.get("$defs", {}), _VIEW_DROPPED)
    required = schema.pop("required", None)
    if CURSOR in schema.get("properties", {}):
        schema["properties"][CURSOR] = {"type": ["string", "null"]}
    kept: Schema = {"type": "object", **{k: v for k, v in schema.items() if k != "type"}}
    if required:  # a refusal is structured content too, and the TypeScript SDK checks it
        kept["anyOf"] = [{"required": required}, {"required": ["error"]}]
    return kept


def _compact(
    schema: Schema, defs: Schema, dropped: frozenset[str], within: tuple[str, ...] = ()
) -> Schema:
    """One schema with its references inlined and its noise removed; a recursion ends in `{}`."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name in within:
            return {}
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        inlined = _compact(defs[name], defs, dropped, (*within, name))
        # A class's docstring speaks to developers; a field's description to callers.
        inlined.pop("description", None)
        return {**inlined, **_compact(rest, defs, dropped, within)}
    compact: Schema = {}
    for key, value in schema.items():
        if key not in dropped:
            compact[key] = _part(key, value, defs, dropped, within)
    return _tidy(compact, schema)


def _part(
    key: str,
    value: Any,  # noqa: ANN401 - JSON
    defs: Schema,
    dropped: frozenset[str],
    within: tuple[str, ...],
) -> Any:  # noqa: ANN401 - JSON
    if key == "properties":
        return {k: _compact(v, defs, dropped, within) for k, v in value.items()}
    if key in {"anyOf", "oneOf", "allOf", "prefixItems"}:
        return [_compact(v, defs, dropped, within) for v in value]
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _compact(cast("Schema", value), defs, dropped, within)
    return value


def _tidy(schema: Schema, raw: Schema) -> Schema:
    """Null is absence, anything is `{}`, and what is not required says so once."""
    if schema.get("additionalProperties") in ({}, True):
        del schema["additionalProperties"]
    if schema.get("items") == {}:
        del schema["items"]
    if "required" in schema:
        named = cast("Schema", raw.get("properties", {}))
        schema["required"] = [n for n in schema["required"] if not _nullable(named[n])]
        if not schema["required"]:
            del schema["required"]
    if schema.get("default", ...) in (None, [], {}):
        del schema["default"]
    given: list[Schema] = schema.pop("anyOf", [])
    options = [o for o in given if o.get("type") != "null"]
    if len(options) == 1:
        return {**options[0], **schema}
    plain = [o["type"] for o in options if set(o) == {"type"} and o["type"] in _SCALARS]
    if options and len(plain) == len(options):
        return {"type": plain} | schema
    return schema | ({"anyOf": options} if options else {})


def _nullable(schema: Schema) -> bool:
    return any(option.get("type") == "null" for option in schema.get("anyOf", []))
