"""The readings of a text: each way in which it can be decoded, with the position of each character in the text.

A key that a server has disguised is in plain form in one of the readings: without invisible characters, without
escapes, decoded from base64 or from hexadecimal digits. The time of each reading is proportional to the text.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from llx_magic.text.screen import SEQUENCES

UNSEEN: Final = (
    "\\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ue000-\uf8ff"
    "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
"""Invisible characters as a class: white space and other blanks, control and format characters, those without a
glyph, and combining marks (https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point).
"""

_UNSEEN = re.compile(f"{SEQUENCES.pattern}|=[ \\t]*\\r?\\n|[{UNSEEN}]+")
"""Matches text that is invisible between two letters: terminal sequences, and soft line ends of quoted-printable
text (https://www.rfc-editor.org/rfc/rfc2045#section-6.7).
"""

_MOST_TIMES_ESCAPED: Final = 3

_ESCAPE = re.compile(
    r"\\++(?:(?-i:U)([0-9a-f]{8})|u\{?([0-9a-f]{2,6})\}?|x([0-9a-f]{2})|(?P<octal>[0-3][0-7]{2})|(?P<same>[^\\]))?+"
    r"|0x([0-9a-f]{2})(?![0-9a-f]{2})|%(?:25){0,8}(?:u00)?([0-9a-f]{2})|&#0{0,8}(?P<decimal>[0-9]{1,3});?|&#x0{0,8}([0-9a-f]{1,2});?|&[a-z]{2,12};",
    re.IGNORECASE,
)
_QUOTED = re.compile(rf"{_ESCAPE.pattern}|=([0-9a-f]{{2}})", re.IGNORECASE)
"""Escapes, with those of quoted-printable text."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}")
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2}[:,-]?){8,}", re.IGNORECASE)
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BASES: Final = {"octal": 8, "decimal": 10}


_WORDS = re.compile(rb"[!-~]{8,}")
"""Matches decoded bytes that can be a key or a part of one; random bytes seldom match."""

Place = Callable[[int, int], tuple[int, int]]
"""A function from an interval of a reading to the interval of the original text that it stands for."""


class Reading(NamedTuple):
    """One reading of a text, and where its characters are in the original."""

    text: str
    place: Place


def seen(text: str) -> Reading:
    """Return the text without invisible characters."""
    return _with_replaced(_UNSEEN, Reading(text, lambda begin, end: (begin, end)), lambda _: "")


def unescaped(text: str) -> Iterator[Reading]:
    """Yield the text without invisible characters, then with its escapes undone, one layer after the other."""
    first = reading = seen(text)
    yield first
    for _ in range(_MOST_TIMES_ESCAPED):
        if not _ESCAPE.search(reading.text):
            break
        reading = _with_replaced(_ESCAPE, reading, _meant)
        yield reading
    if "=" in first.text:
        yield _with_replaced(_QUOTED, first, _meant)


def readings(text: str) -> Iterator[Reading]:
    """Yield all readings of the text."""
    for reading in unescaped(text):
        yield reading
        for found in _BASE64.finditer(reading.text):
            for before in range(4):
                yield from _unpacked(found[0][before:], found.start() + before, reading.place)
        for found in _HEXADECIMAL.finditer(reading.text):
            yield from _digits(found[0], found.start(), reading.place)


def _with_replaced(wanted: re.Pattern[str], reading: Reading, meant: Callable[[re.Match[str]], str]) -> Reading:
    text = reading.text
    if not wanted.search(text):
        return reading
    places: list[tuple[int, int]] = []

    def place(begin: int, end: int) -> tuple[int, int]:
        if not places:  # made only when a key was found
            places.extend(_places(wanted, text, meant))
        return reading.place(places[begin][0], places[end - 1][1])

    return Reading(wanted.sub(meant, text), place)


def _places(wanted: re.Pattern[str], text: str, meant: Callable[[re.Match[str]], str]) -> Iterator[tuple[int, int]]:
    """Yield where each remaining character begins and ends in the text."""
    at = 0
    for found in wanted.finditer(text):
        yield from ((each, each + 1) for each in range(at, found.start()))
        yield from ((found.start(), found.end()) for _ in meant(found))
        at = found.end()
    yield from ((each, each + 1) for each in range(at, len(text)))


def _meant(found: re.Match[str]) -> str:
    """Return the character that an escape stands for; a backslash at the end of the text is dropped."""
    if found.lastgroup == "same":
        return found["same"]
    if not found.lastindex:
        return html.unescape(found[0])[:1] if found[0].startswith("&") else ""
    code = int(found[found.lastindex], _BASES.get(found.lastgroup or "", 16))
    return chr(code) if code < 0xD800 else "\ufffd"


def _unpacked(digits: str, start: int, outer: Place) -> Iterator[Reading]:
    """Yield the words in decoded base64, of either alphabet (https://www.rfc-editor.org/rfc/rfc4648#section-5)."""
    whole = len(digits) - (len(digits) % 4 == 1)
    packed = digits[:whole].encode().translate(_STANDARD)
    decoded = base64.b64decode(packed + b"=" * (-whole % 4))

    def place(begin: int, end: int) -> tuple[int, int]:
        return outer(start + begin * 8 // 6, start + -(-end * 8 // 6))

    yield from _words(decoded, place)


def _digits(found: str, start: int, outer: Place) -> Iterator[Reading]:
    """Yield the words in decoded hexadecimal digits; pairs may begin at the first digit or at the second."""
    places = [start + at for at, digit in enumerate(found) if digit.isalnum()]
    digits = "".join(digit for digit in found if digit.isalnum())
    for before in range(2):
        pairs = digits[before : before + (len(digits) - before) // 2 * 2]

        def place(begin: int, end: int, before: int = before) -> tuple[int, int]:
            return outer(places[before + 2 * begin], places[before + 2 * end - 1] + 1)

        yield from _words(bytes.fromhex(pairs), place)


def _words(decoded: bytes, outer: Place) -> Iterator[Reading]:
    for word in _WORDS.finditer(decoded):

        def place(begin: int, end: int, by: int = word.start()) -> tuple[int, int]:
            return outer(by + begin, by + end)

        yield Reading(word[0].decode(), place)
