"""From what a user gives as a schema to the shape that a reply is asked to have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, Protocol, TypedDict, cast, get_type_hints, is_typeddict

import msgspec

from llx_magic.errors import UsageProblem, brief
from llx_magic.text.screen import one_line
from llx_magic.text.shape import JSON, Shape
from llx_magic.text.values import JsonValue

LONGEST_PROBLEM = 300
"""How many characters of what does not fit are told: it may quote a whole reply."""

_ALLOWED = (
    "a class (msgspec Struct, dataclass, TypedDict, pydantic model), a JSON schema, or the short form "
    '{"label": ["bug", "billing"], "urgent": bool, "why": str}'
)
_TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
_KEYWORDS = frozenset(("$schema", "$ref", "properties", "items", "anyOf", "oneOf", "allOf", "enum", "const"))


class _Model(Protocol):
    """A pydantic model's class (https://docs.pydantic.dev/latest/concepts/models/)."""

    def model_json_schema(self) -> dict[str, JsonValue]: ...

    def model_validate_json(self, data: bytes) -> object: ...


class _Misfit(TypedDict):
    """One error of pydantic's (https://docs.pydantic.dev/latest/errors/errors/)."""

    msg: str
    loc: tuple[str | int, ...]


def shape_of(schema: object) -> Shape:
    """Return the shape that a schema describes.

    A class that pydantic made is asked for its schema and reads the reply itself; every other type is msgspec's
    (https://jcristharif.com/msgspec/supported-types.html). A dictionary is a JSON schema where it looks like one, else
    the short form: each value is a type, a list of the values that are allowed, a list of one type, or another such
    dictionary; an empty one allows any JSON value.

    Raises:
        UsageProblem: where it is none of these, or none that can be checked.
    """
    if isinstance(schema, Mapping):
        given = dict(schema)
        if not given:
            return JSON
        return _of_json_schema(given) if is_json_schema(given) else _in_order(_of_type(_type_of(given, "reply")), given)
    if isinstance(schema, type) and callable(getattr(schema, "model_json_schema", None)):
        return _of_pydantic(cast("_Model", schema))
    if isinstance(schema, list):
        return _of_type(_type_of(schema, "reply"))
    if schema is None or isinstance(schema, str | int | float) or not _is_type(schema):
        raise UsageProblem(f"a schema must be {_ALLOWED}; got {brief(schema)}")
    return _in_order(_of_type(schema), get_type_hints(schema)) if is_typeddict(schema) else _of_type(schema)


def _is_type(given: object) -> bool:
    return isinstance(given, type) or hasattr(given, "__origin__") or hasattr(given, "__args__")


def is_json_schema(given: Mapping[str, JsonValue]) -> bool:
    """Return whether a dictionary is a JSON schema: one that holds no Python type, and says a word of such schemas."""
    if not _is_json(given):
        return False
    said = given.get("type")
    kinds = said if isinstance(said, list) else [said]
    return bool(_KEYWORDS & given.keys()) or all(isinstance(kind, str) and kind in _TYPES for kind in kinds)


def _is_json(value: object) -> bool:
    try:
        msgspec.json.encode(value, enc_hook=_refuse)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return False
    return True


def _refuse(_value: object) -> object:
    raise TypeError


def _type_of(given: object, name: str) -> object:
    """Return the type that the short form means; ``name`` is what it is called in error messages and schemas.

    Raises:
        UsageProblem: for what means none.
    """
    if isinstance(given, Mapping):
        if not given or not all(isinstance(key, str) for key in given):
            raise UsageProblem(f"{name}: the short form of a schema has names as keys; got {brief(given)}")
        return TypedDict(name, {key: _type_of(each, key) for key, each in given.items()})  # type: ignore[operator]
    if isinstance(given, list) and len(given) == 1 and not isinstance(given[0], str | int | None):
        return list[_type_of(given[0], name)]  # type: ignore[misc]
    if isinstance(given, list) and given and all(isinstance(each, str | int | None) for each in given):
        return Literal[tuple(given)]
    if given is None or _is_type(given):
        return given
    raise UsageProblem(f"{name}: a schema must be {_ALLOWED}; got {brief(given)}")


def _of_type(kind: object) -> Shape:
    try:
        told = msgspec.json.schema(kind)
    except (TypeError, ValueError, RecursionError) as problem:
        raise UsageProblem(f"no schema can be made of {brief(kind)}: {one_line(str(problem), 200)}") from None

    def fit(value: JsonValue) -> object:
        try:
            return msgspec.convert(value, type=kind)
        except msgspec.ValidationError as problem:
            raise ValueError(one_line(str(problem), LONGEST_PROBLEM)) from None

    return Shape(_with_times(_at_the_root(told), kind), fit)


def _with_times(schema: dict[str, JsonValue], kind: object) -> dict[str, JsonValue]:
    """Return the schema with its times called so, which msgspec does only of those that must have a time zone."""
    if not isinstance(properties := schema.get("properties"), dict):
        return schema
    fields: tuple[msgspec.inspect.Field, ...] = getattr(msgspec.inspect.type_info(kind), "fields", ())
    for field in fields:
        types = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        told = properties.get(field.encode_name)
        if isinstance(told, dict) and any(isinstance(each, msgspec.inspect.DateTimeType) for each in types):
            several = told.get("anyOf")
            for each in several if isinstance(several, list) else [told]:
                if isinstance(each, dict) and each.get("type") == "string":
                    each["format"] = "date-time"
    return schema


def _at_the_root(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema with its outermost type in the place of the reference to it, which services refuse there."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    definitions = schema.get("$defs")
    outermost = definitions.get(name) if isinstance(definitions, dict) else None
    if not isinstance(definitions, dict) or not isinstance(outermost, dict):
        return schema
    others = {each: found for each, found in definitions.items() if each != name or _refers(definitions, name)}
    return {**outermost, **({"$defs": others} if others else {})}


def _in_order(shape: Shape, given: Mapping[str, object]) -> Shape:
    """Return the shape with its properties in the order in which they were given: models answer in that order."""
    told = dict(shape.schema or {})
    properties = cast("dict[str, JsonValue]", told["properties"])
    required = cast("list[str]", told.get("required", []))
    ordered: dict[str, JsonValue] = {name: properties[name] for name in given}
    in_order: list[JsonValue] = [name for name in given if name in required]
    return replace(shape, schema={**told, "properties": ordered, "required": in_order})


def _refers(value: object, name: str) -> bool:
    if isinstance(value, Mapping):
        return value.get("$ref") == f"#/$defs/{name}" or any(_refers(each, name) for each in value.values())
    return isinstance(value, list) and any(_refers(each, name) for each in value)


def _of_pydantic(model: _Model) -> Shape:
    """Return the shape of a pydantic model (https://docs.pydantic.dev/latest/concepts/json_schema/)."""
    try:
        told = model.model_json_schema()
    except Exception as problem:  # noqa: BLE001 - pydantic is the user's: its errors cannot be named here
        raise UsageProblem(f"no schema can be made of {brief(model)}: {one_line(str(problem), 200)}") from None

    def fit(value: JsonValue) -> object:
        try:
            return model.model_validate_json(msgspec.json.encode(value))
        except ValueError as problem:
            raise ValueError(_pydantic_words(problem)) from None

    return Shape(told, fit)


def _pydantic_words(problem: ValueError) -> str:
    errors: Callable[[], list[_Misfit]] | None = getattr(problem, "errors", None)
    if errors is None:
        return one_line(str(problem), LONGEST_PROBLEM)
    found = [f"{each['msg']} - at `{'.'.join(['$', *map(str, each['loc'])])}`" for each in errors()]
    return one_line("; ".join(found[:3]), LONGEST_PROBLEM)


def _of_json_schema(schema: dict[str, JsonValue]) -> Shape:
    """Return the shape of a JSON schema; nothing is fetched for it.

    Raises:
        UsageProblem: for one that is none, or that refers to another document.
    """
    import jsonschema
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if (elsewhere := _reference_elsewhere(schema)) is not None:
        raise UsageProblem(f"the schema refers to another document ({brief(elsewhere)}), which is not fetched")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as problem:
        where = one_line(f"{problem.json_path}: {problem.message}", LONGEST_PROBLEM)
        raise UsageProblem(f"this is no JSON schema: {where}") from None
    checker = kind(schema, registry=Registry())

    def fit(value: JsonValue) -> object:
        try:
            found = jsonschema.exceptions.best_match(checker.iter_errors(value))
        except Unresolvable as problem:
            raise ValueError(one_line(f"it refers to what it does not hold, {problem}", LONGEST_PROBLEM)) from None
        if found is not None:
            raise ValueError(one_line(f"{found.message} - at `{found.json_path}`", LONGEST_PROBLEM))
        return value

    return Shape(schema, fit)


def _reference_elsewhere(value: object) -> str | None:
    """Return a reference in a schema that leads out of it, or None."""
    if isinstance(value, Mapping):
        for key in ("$ref", "$dynamicRef"):
            if isinstance(found := value.get(key), str) and not found.startswith("#"):
                return found
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((found for each in inside if (found := _reference_elsewhere(each)) is not None), None)
