"""A JSON schema within what Anthropic's structured output takes. No I/O.

The service wants every object closed, and refuses most of what bounds a value; such bounds become words of the
description (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.text.values import JsonValue

_KEPT = frozenset({
    "type", "title", "description", "enum", "const", "default", "required", "$ref", "anyOf", "allOf", "items",
    "properties", "additionalProperties", "$defs", "definitions", "format", "minItems",
})  # fmt: skip
_LISTS = ("anyOf", "allOf", "oneOf")
_NAMED = ("properties", "$defs", "definitions")
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_SILENT = frozenset({"$schema", "$id", "$comment", "examples", "deprecated", "readOnly", "writeOnly"})
"""What says nothing about the value."""

_DEEPEST = 50


def fitting(schema: Mapping[str, JsonValue], depth: int = 0) -> dict[str, JsonValue]:
    """Return the schema as the service takes it; what it has no word for is told in the description."""
    made: dict[str, JsonValue] = {}
    told: dict[str, JsonValue] = {}
    for name, value in schema.items():
        if depth > _DEEPEST or name in _SILENT:
            continue
        if name in _LISTS and isinstance(value, list):
            made["anyOf" if name == "oneOf" else name] = [_inner(each, depth) for each in value]
        elif name in _NAMED and isinstance(value, dict):
            made[name] = {key: _inner(each, depth) for key, each in value.items()}
        elif name == "items":
            made[name] = _inner(value, depth)
        elif _is_taken(name, value):
            made[name] = value
        else:
            told[name] = value
    if schema.get("type") == "object" or "properties" in schema:
        made["additionalProperties"] = False
        told.pop("additionalProperties", None)
    if told:
        bounds = "; ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in told.items())
        said = made.get("description")
        made["description"] = f"{said} ({bounds})" if said else bounds
    return made


def _inner(value: JsonValue, depth: int) -> JsonValue:
    return fitting(value, depth + 1) if isinstance(value, dict) else value


def _is_taken(name: str, value: JsonValue) -> bool:
    if name == "format":
        return value in _FORMATS
    if name == "minItems":
        return value in (0, 1)
    return name in _KEPT and (name != "additionalProperties" or value is False)
