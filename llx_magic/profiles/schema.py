"""The JSON schema of profile files, derived from the declarations by which they are read."""

from __future__ import annotations

from llx_magic.core.routing import LARGEST_WEIGHT, ROUTINGS
from llx_magic.files.names import NAME_PATTERN
from llx_magic.profiles.codec import SCHEMA_KEY, TYPES, VERSION, WEIGHTS
from llx_magic.profiles.connection import KEYS, ConnectionKey
from llx_magic.profiles.headers import CUSTOM_HEADERS, headers_schema
from llx_magic.settings.declaration import SETTINGS
from llx_magic.settings.kinds import text_schema
from llx_magic.text.values import JsonValue

JsonObject = dict[str, JsonValue]

_TEXT: JsonObject = {"type": "string"}
_END = r"$(?![\s\S])"
"""Matches the end of a text only. In some dialects ``$`` also matches before a line end there."""


def profile_schema() -> JsonObject:
    """Return the schema. It accepts what reading accepts, and refuses what reading refuses.

    Five rules are beyond a schema: a base-url is a whole address; a load balancer is no member of itself; two
    headers differ in more than case; a text of headers is JSON; a name does not look like an API key.
    """
    is_balancer: JsonObject = {"properties": {"type": text_schema(TYPES[0])}, "required": ["type"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A profile of llx_magic: a model, or several models behind a routing",
        "type": "object",
        "properties": _top(),
        "if": is_balancer,
        "then": _balancer(),
        "else": _model(),
    }


def _top() -> JsonObject:
    number: JsonObject = {"type": "number", "const": VERSION}
    known: JsonObject = {key: declared.schema() for key, declared in SETTINGS.items()}
    settings: JsonObject = {"type": "object", "properties": {**known, CUSTOM_HEADERS: headers_schema()}}
    return {
        SCHEMA_KEY: {"description": "Where an editor finds this schema"},
        "name": {**_nullable(_TEXT), "description": "The file's own name counts, whatever stands here"},
        "version": {**_nullable(number), "description": "The form of the file"},
        "type": {**_nullable(text_schema("|".join(TYPES))), "description": "loadbalancer, or standard for a model"},
        "modelParams": {**_nullable({"type": "object"}), "description": "What goes to the model as it is"},
        "ephemeralSettings": {**_nullable(settings), "description": "Settings, and how the model is reached"},
    }


def _balancer() -> JsonObject:
    member: JsonObject = {"type": "string", "pattern": f"^{NAME_PATTERN}{_END}"}
    weight: JsonObject = {"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST_WEIGHT}
    weighing = [name for name, routing in ROUTINGS.items() if routing.weighs]
    helps = " or ".join(routing.help for routing in ROUTINGS.values())
    least: list[JsonValue] = [
        {
            "if": {"properties": {"policy": {"pattern": rf"^\s*{name}\s*$"}}},
            "then": {"properties": {"profiles": {"minItems": routing.least_members}}},
        }
        for name, routing in ROUTINGS.items()
        if routing.least_members > 1
    ]
    return {
        "properties": {
            "policy": {**text_schema("|".join(ROUTINGS)), "description": f"How the members are asked: {helps}"},
            "profiles": {
                "type": "array",
                "minItems": 1,
                "items": member,
                "description": "The members' names, by priority",
            },
            WEIGHTS: {
                **_nullable({"type": "object", "propertyNames": member, "additionalProperties": weight}),
                "description": f"The weights of members that have another than 1, for {' and '.join(weighing)}",
            },
            "provider": _nullable(_TEXT),
            "model": _nullable(_TEXT),
        },
        "required": ["policy", "profiles"],
        "allOf": least,
    }


def _model() -> JsonObject:
    some: JsonObject = {"type": "string", "pattern": r"\S"}
    unless_typed: JsonObject = {
        "if": {"properties": {"type": {"type": "null"}}},
        "then": {"properties": {"policy": {"type": "null"}, "profiles": {"type": "null"}}},
    }
    connection: JsonObject = {
        **{key: {**_nullable(_schema_of(each)), "description": each.meaning} for key, each in KEYS.items()},
        "auth-key": {
            **_nullable(_TEXT),
            "deprecated": True,
            "description": "A key in clear: read with a warning, never written",
        },
    }
    return {
        "properties": {
            "provider": {**some, "description": "openai, groq, ollama …; any other needs a base-url"},
            "model": {**some, "description": "The model's name at the provider"},
            "ephemeralSettings": {"properties": connection},
        },
        "required": ["provider", "model"],
        "allOf": [unless_typed],
    }


def _schema_of(declared: ConnectionKey) -> JsonObject:
    match declared.kind:
        case "text":
            return text_schema(f"(?:{declared.pattern})?")
        case "price":
            return {"type": "number", "minimum": 0}
        case "tokens":
            return {"type": "integer", "minimum": 1}
        case "flag":
            return {"type": "boolean"}


def _nullable(schema: JsonObject) -> JsonObject:
    return {"anyOf": [schema, {"type": "null"}]}
