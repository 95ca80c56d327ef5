"""The type of a column, from the JSON schema of its values.

https://json-schema.org/understanding-json-schema/reference/type
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Self

from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    from llx_magic.observe.frames.columns import Kind

_DEEPEST = 30
"""How many references of a schema are followed, and alternatives within alternatives."""

_KINDS: dict[JsonValue, str] = {"string": "string", "integer": "Int64", "number": "float64", "boolean": "boolean"}
_TIMES: dict[JsonValue, str] = {"date-time": "time", "date": "date"}


_LETTERS: dict[Kind, float] = {"Int64": 3.0, "float64": 6.0, "boolean": 5.0, "time": 22.0, "date": 12.0}
"""About how many letters a value of a type has as JSON."""

_WORDS: dict[Kind, str] = {
    "string": "a text",
    "Int64": "a whole number",
    "float64": "a number",
    "boolean": "true or false",
    "time": "a time",
    "date": "a date",
}

_SHOWN_WORDS = 5


class Typed:
    """What a schema says of some values, without what it says of null; a reference is what it refers to."""

    def __init__(self, schema: JsonValue, definitions: Mapping[str, JsonValue], depth: int = 0) -> None:
        self._definitions = definitions
        self._depth = depth
        self._schema = self._resolved(schema)
        self._alternatives: list[Typed] = []
        for key in ("anyOf", "oneOf", "allOf") if depth < _DEEPEST else ():
            several = self._schema.get(key)
            self._alternatives += map(self._inner, several if isinstance(several, list) else [])
        self._alternatives = [each for each in self._alternatives if each._schema.get("type") != "null"]  # noqa: SLF001 - of the same class
        if len(self._alternatives) == 1:
            self._schema, self._alternatives = self._alternatives[0]._schema, self._alternatives[0]._alternatives  # noqa: SLF001

    @classmethod
    def root(cls, schema: Mapping[str, JsonValue]) -> Self:
        """Return the type of a whole schema, in which its definitions stand."""
        found = schema.get("$defs", schema.get("definitions"))
        return cls(dict(schema), found if isinstance(found, dict) else {})

    @property
    def kind(self) -> Kind:
        """The type in pandas: texts of a fixed list are categories, and what is nested is an object."""
        if self._alternatives:
            return _common(each.kind for each in self._alternatives)
        words = self._schema.get("enum", [self._schema["const"]] if "const" in self._schema else None)
        if isinstance(words, list):
            return _of_words([word for word in words if word is not None])
        named, form = self._schema.get("type"), self._schema.get("format")
        types = [each for each in (named if isinstance(named, list) else [named]) if each != "null"]
        if types == ["string"]:
            return _TIMES.get(form, "string")
        return _common(_KINDS.get(each, "object") for each in types if isinstance(each, str))

    @property
    def items(self) -> Typed | None:
        """The type of every item of a list; None where the schema does not say one."""
        inner = self._schema.get("items")
        is_list = self._schema.get("type") == "array" and "prefixItems" not in self._schema
        return self._inner(inner) if is_list and isinstance(inner, dict) and self._depth < _DEEPEST else None

    @property
    def properties(self) -> dict[str, Typed]:
        """The types of the values of a dictionary by their keys; none where the schema allows others as well."""
        named, others = self._schema.get("properties"), self._schema.get("additionalProperties")
        if self._alternatives or not isinstance(named, dict) or others not in (None, False) or self._depth >= _DEEPEST:
            return {}
        return {name: self._inner(each) for name, each in named.items()}

    @property
    def letters(self) -> float | None:
        """About how many letters a value has as JSON; None where the schema sets it no bound, as of a free text."""
        kind = self.kind
        if isinstance(kind, tuple):
            return fmean(len(word) + 2 for word in kind)
        if kind != "object":
            return _LETTERS.get(kind)
        fields = {name: field.letters for name, field in self.properties.items()}
        known = [len(name) + 6 + length for name, length in fields.items() if length is not None]
        return sum(known) if fields and len(known) == len(fields) else None

    @property
    def in_words(self) -> str:
        """What a value is: ``pos or neg``, ``a whole number``, and of an object each field with what it is."""
        kind = self.kind
        if isinstance(kind, tuple):
            return " or ".join(kind[:_SHOWN_WORDS]) if len(kind) <= _SHOWN_WORDS else f"one of {len(kind)} words"
        if kind != "object":
            return _WORDS.get(kind, "JSON")
        if self.items is not None:
            return "a list"
        return ", ".join(f"{name} ({field.in_words})" for name, field in self.properties.items()) or "JSON"

    def _inner(self, schema: JsonValue) -> Typed:
        return Typed(schema, self._definitions, self._depth + 1)

    def _resolved(self, schema: JsonValue) -> Mapping[str, JsonValue]:
        for _ in range(_DEEPEST):
            if not isinstance(schema, dict) or not isinstance(reference := schema.get("$ref"), str):
                break
            schema = self._definitions.get(reference.rpartition("/")[2])
        return schema if isinstance(schema, dict) else {}


def _of_words(words: list[JsonValue]) -> Kind:
    kinds = {type(word) for word in words}
    if kinds == {str}:
        return tuple(dict.fromkeys(map(str, words)))
    return _common({bool: "boolean", int: "Int64", float: "float64"}.get(kind, "object") for kind in kinds)


def _common(kinds: Iterable[Kind]) -> Kind:
    """Return the type that holds the values of all these types."""
    found = set(kinds)
    if found and all(isinstance(kind, tuple) for kind in found):
        return tuple(dict.fromkeys(word for kind in found for word in kind))
    if found and all(isinstance(kind, tuple) or kind == "string" for kind in found):
        return "string"
    if found == {"Int64", "float64"}:
        return "float64"
    return found.pop() if len(found) == 1 else "object"
