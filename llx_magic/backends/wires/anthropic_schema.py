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
    "type", "title", "description", "enum", "const", "default", "required", "$ref", "anyOf", "allOf", "oneOf", "items",
    "properties", "additionalProperties", "$defs", "definitions",
})  # fmt: skip
_LISTS = ("anyOf", "allOf", "oneOf")
_NAMED = ("properties", "$defs", "definitions")
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_SILENT = frozenset({"$schema", "$id", "$comment", "examples", "deprecated", "readOnly", "writeOnly"})
"""What says nothing about the value."""

_DEEPEST = 50


class _Unsayable(Exception):
    """A schema describes what a closed one cannot hold."""


def fitting(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    """Return the schema as the service takes it; what it has no word for is told in the description.

    None where it allows members of any name, which a closed object could not hold, or is nested beyond measure.
    """
    try:
        return _closed(schema, 0)
    except _Unsayable:
        return None


def _closed(schema: Mapping[str, JsonValue], depth: int) -> dict[str, JsonValue]:
    is_object = schema.get("type") == "object" or "properties" in schema
    if depth > _DEEPEST or (is_object and _is_open(schema)):
        raise _Unsayable
    made: dict[str, JsonValue] = {}
    told: dict[str, JsonValue] = {}
    for name, value in schema.items():
        if name not in _SILENT:
            (made if _is_taken(name, value) else told)["anyOf" if name == "oneOf" else name] = _within(
                name, value, depth
            )
    if is_object:
        made["additionalProperties"] = False
    if "$ref" in made:
        return {name: value for name, value in made.items() if name in ("$ref", "$defs", "definitions")}
    if told:
        bounds = "; ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in told.items())
        said = made.get("description")
        made["description"] = f"{said} ({bounds})" if said else bounds
    return made


def _within(name: str, value: JsonValue, depth: int) -> JsonValue:
    """Return what a member of a schema holds, with the schemas in it closed too."""
    if name in _LISTS and isinstance(value, list):
        return [_inner(each, depth) for each in value]
    if name in _NAMED and isinstance(value, dict):
        return {key: _inner(each, depth) for key, each in value.items()}
    return _inner(value, depth) if name == "items" else value


def _is_open(schema: Mapping[str, JsonValue]) -> bool:
    """Return whether an object is meant to have members that the schema does not name."""
    return "properties" not in schema or bool(schema.get("additionalProperties") or schema.get("patternProperties"))


def _inner(value: JsonValue, depth: int) -> JsonValue:
    return _closed(value, depth + 1) if isinstance(value, dict) else value


def _is_taken(name: str, value: JsonValue) -> bool:
    if name == "format":
        return value in _FORMATS
    if name == "minItems":
        return value in (0, 1)
    return name in _KEPT
