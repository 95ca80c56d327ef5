"""JSON as servers write it, with what the standard does not allow: NaN, halves of surrogate pairs, raw line ends.

The standard: https://www.rfc-editor.org/rfc/rfc8259#section-6 and https://www.rfc-editor.org/rfc/rfc8259#section-8.2
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from llx_magic.text.values import JsonValue

_LONGEST_INTEGER = 400
"""How many digits an integer may have; a longer one is taken for infinite, since no count is that large.

Python itself refuses those of more than 4,300: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
"""

_BLANK = re.compile(r"\s*")
_JOINTS = re.compile(r"[^a-z0-9]")


class NoJson(ValueError):
    """A text is no JSON, not even a lenient reader's."""


def folded(word: str) -> str:
    """Return a name or a word without its case and without what joins its parts (``MAX_TOKENS`` and ``maxTokens``)."""
    return _JOINTS.sub("", word.casefold())


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float("inf")


_strict = msgspec.json.Decoder()
_unread = msgspec.json.Decoder(msgspec.Raw)
_lenient = json.JSONDecoder(strict=False, parse_int=_integer)


def text_in(value: JsonValue) -> str:
    """Return the text that a field holds; empty where it holds something else."""
    return value if isinstance(value, str) else ""


def object_in(value: JsonValue) -> dict[str, JsonValue]:
    """Return the object that a field holds; an empty one where it holds something else."""
    return value if isinstance(value, dict) else {}


def parts_in(value: JsonValue) -> list[dict[str, JsonValue]]:
    """Return the objects in a field that holds one of them, or a list; for a text one that holds it as ``text``."""
    found = value if isinstance(value, list) else [value]
    return [{"text": each} if isinstance(each, str) else each for each in found if isinstance(each, str | dict)]


def is_true(value: JsonValue) -> bool:
    """Return whether a field says yes, be it as a number or as a text."""
    return value in (True, 1) or text_in(value).strip().casefold() in ("true", "1")


def is_of_another_choice(index: JsonValue) -> bool:
    """Return whether an index is not that of the first choice; one that cannot be read is taken for it."""
    if isinstance(index, str):
        index = index.strip()
        return index.isdecimal() and int(index[:9]) != 0
    return isinstance(index, int | float) and index is not True and index != 0


def end_of(pattern: re.Pattern[str], text: str, begin: int) -> int:
    """Return where what fits the pattern there ends; nothing of a long text is copied."""
    found = pattern.match(text, begin)
    return begin if found is None else found.end()


def is_one_value(text: str) -> bool:
    """Return whether a text is one JSON value and nothing else, by the standard; nothing is made of it."""
    try:
        _unread.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def read_json(text: str) -> JsonValue:
    """Return the JSON value that the text is.

    Raises:
        NoJson: where it is none, or is nested deeper than can be read.
    """
    try:
        strict: JsonValue = _strict.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value, end = read_json_at(text, 0)
        if text[end:].strip():
            raise NoJson(text[:80]) from None
        return value
    return strict


def read_json_at(text: str, begin: int) -> tuple[JsonValue, int]:
    """Return the JSON value that begins there, white space aside, and where it ends.

    Raises:
        NoJson: where none does.
    """
    try:
        value: JsonValue
        value, end = _lenient.raw_decode(text, end_of(_BLANK, text, begin))
    except (ValueError, RecursionError):
        raise NoJson(text[begin : begin + 80]) from None
    return value, end
