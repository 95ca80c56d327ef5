"""A strict reader of JSON (https://www.rfc-editor.org/rfc/rfc8259): anything else is refused in one line."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from llx_magic.errors import brief
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import what_json_lacks

LARGEST_BYTES = 1 << 20
"""The most bytes that a profile's file may have."""

DEEPEST = 64
"""The most levels of nesting; Python's own parser would exhaust its stack on a hostile file."""

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


class DocumentProblem(ValueError):
    """A document cannot be read; the text is the end of a sentence that begins with the file's name."""


def decode(content: bytes) -> str:
    """Return the text of a UTF-8 file, with or without a byte-order mark.

    Raises:
        DocumentProblem: where it is too large or is not UTF-8.
    """
    if len(content) > LARGEST_BYTES:
        raise DocumentProblem("is larger than 1 MiB, the most a profile may have")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise DocumentProblem("is UTF-16 or UTF-32; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        at = problem.start
    raise DocumentProblem(f"is not UTF-8: the byte at position {at} fits no character")


def parse(text: str) -> JsonValue:
    """Return the value that a JSON text stands for.

    Raises:
        DocumentProblem: for a syntax error (with line and column), a duplicate key, NaN or infinite numbers, and what
            is too large or nested too deep.
    """
    if len(text) > LARGEST_BYTES:
        raise DocumentProblem("is larger than 1 MiB, the most a profile may have")
    if not text.strip():
        raise DocumentProblem("is empty")
    check_depth(text)
    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_not_finite, parse_float=_finite, parse_int=_whole
        )
    except json.JSONDecodeError as problem:
        begins = "this is no JSON: an object in JSON begins with {"
        what = what_json_lacks(problem) if text[: problem.pos].strip() else begins
        message = f"line {problem.lineno}, column {problem.colno}: {what}"
    else:
        return value
    raise DocumentProblem(message)


def check_depth(text: str) -> None:
    """Check how deeply a JSON text is nested, without parsing it.

    Raises:
        DocumentProblem: where it is nested too deeply.
    """
    depth = 0
    for mark in _MARKS.finditer(text):
        sign = text[mark.start()]
        depth += (sign in "[{") - (sign in "]}")
        if depth > DEEPEST:
            line = text.count("\n", 0, mark.start()) + 1
            raise DocumentProblem(f"line {line}: nested deeper than {DEEPEST} levels")


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    # Readers differ in which of two they take: https://www.rfc-editor.org/rfc/rfc8259#section-4
    found: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in found:
            raise DocumentProblem(f"has the key {brief(key)} twice")
        found[key] = value
    return found


def _not_finite(word: str) -> NoReturn:
    raise DocumentProblem(f"holds {word}, which is not a number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise DocumentProblem(f"holds {brief(digits)}, a number too large to be kept")
    return number


def _whole(digits: str) -> int:
    if len(digits) > 300:
        raise DocumentProblem(f"holds {brief(digits)}, a number too large to be kept")
    return int(digits)
