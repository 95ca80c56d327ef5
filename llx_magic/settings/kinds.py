"""The kinds of value a setting can have: how each is read, written, described and put into a JSON schema."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from llx_magic.text.values import JsonValue
from llx_magic.text.wording import any_case

SettingValue = bool | int | float | str | frozenset[int] | None
"""What a setting holds once it has been checked; None means switched off."""

LARGEST = 10**18
"""No number of a setting is larger; beyond it, arithmetic on times overflows."""

# What a text may look like is a pattern, by which a value is read and of which the JSON schema is made: so an editor
# that checks a profile and the code that loads it cannot disagree. The patterns mean the same in Python and ECMAScript.
_POWER = r"[eE]\+?(?:0?[0-9]|1[0-2])"
_WHOLE = r"(?:[0-9]{1,18}(?:\.0{1,18})?|[0-9]{1,6}" + _POWER + ")"
_WHOLE_FROM: dict[int, str] = {0: r"\+?" + _WHOLE, 1: r"\+?(?=0*[1-9])" + _WHOLE}
_POSITIVE = (
    r"\+?(?=[0.]*[1-9])(?:[0-9]{1,18}(?:\.[0-9]{1,18})?"
    r"|[0-9]{1,6}(?:\.[0-9]{1,18})?(?:" + _POWER + r"|[eE]-[0-9]{1,2}))"
)
_STATUS = "[345][0-9]{2}"
_STATUSES = rf"(?:\[\s*)?{_STATUS}(?:[\s,]+{_STATUS})*(?:[\s,]*\]|\s*,)?"


def text_schema(pattern: str) -> dict[str, JsonValue]:
    """Return the JSON schema of a text that fits a pattern, with any white space around it."""
    return {"type": "string", "pattern": rf"^\s*(?:{pattern})\s*$"}


def fits(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern, with any white space around it."""
    return re.fullmatch(rf"\s*(?:{pattern})\s*", text) is not None


_MILLISECONDS_IN = {"ms": 1, "s": 1000, "sec": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_GROUPED = re.compile(r"[0-9]{1,3}(?:[_, ][0-9]{3}){1,5}")
_WITH_UNIT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s{0,9}([a-z]{1,12})", re.IGNORECASE)


class NotAllowedError(ValueError):
    """A value is not one of those allowed; ``allowed`` completes "KEY must be …", ``hint`` may follow."""

    def __init__(self, allowed: str, hint: str = "") -> None:
        self.allowed = allowed
        self.hint = hint
        super().__init__(allowed)


class Kind(Protocol):
    """How the values of a setting are read and written."""

    @property
    def allowed(self) -> str:
        """What is allowed, completing "KEY must be …"."""

    def read(self, raw: JsonValue) -> SettingValue:
        """Return the checked value of what was typed (a string) or found in a file.

        Raises:
            NotAllowedError: where it is not one of the allowed values.
        """

    def write(self, value: SettingValue) -> JsonValue:
        """Return the value as a profile file holds it; as it is, where nothing else is said."""
        return None if isinstance(value, frozenset) else value

    def schema(self) -> dict[str, JsonValue]:
        """Return the JSON schema of the values in a profile file."""

    @property
    def offered(self) -> tuple[str, ...]:
        """Values worth offering when a user asks for completion."""


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A number above zero."""

    allowed: str = "a positive number"
    offered: tuple[str, ...] = ("500", "1000", "10000")

    def read(self, raw: JsonValue) -> SettingValue:
        """Accept integers and decimals; an integer stays one."""
        number = _number(raw)
        if number is None or number <= 0 or (isinstance(raw, str) and not fits(_POSITIVE, raw)):
            raise NotAllowedError(self.allowed)
        return number

    def schema(self) -> dict[str, JsonValue]:
        """A number above zero, or a text that is one."""
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST}, text_schema(_POSITIVE)]}


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number from ``minimum``, which only the message about a smaller one names."""

    allowed: str
    minimum: Literal[0, 1] = 1
    offered: tuple[str, ...] = ()

    def read(self, raw: JsonValue) -> SettingValue:
        """Accept whole numbers; the message about one with a unit of time, or in groups, tells how to write it."""
        number = _number(raw)
        if number is None:
            raise NotAllowedError(self.allowed, self._unit_hint(raw))
        is_odd = isinstance(raw, str) and not fits(_WHOLE_FROM[self.minimum], raw)
        if number != int(number) or number < self.minimum or is_odd:
            raise NotAllowedError(f"{self.allowed}, whole and at least {self.minimum}")
        return int(number)

    def schema(self) -> dict[str, JsonValue]:
        """An integer from the minimum, or a text that is one."""
        number: dict[str, JsonValue] = {"type": "integer", "minimum": self.minimum, "maximum": LARGEST}
        return {"anyOf": [number, text_schema(_WHOLE_FROM[self.minimum])]}

    def _unit_hint(self, raw: JsonValue) -> str:
        if isinstance(raw, str) and _GROUPED.fullmatch(raw.strip()):
            return f"write {re.sub('[_, ]', '', raw.strip())}"
        match = _WITH_UNIT.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None or "milliseconds" not in self.allowed or match[2].lower() not in _MILLISECONDS_IN:
            return ""
        return f"write {round(float(match[1]) * _MILLISECONDS_IN[match[2].lower()])}"


@dataclass(frozen=True, slots=True)
class Switch(Kind):
    """True or false; ``on_word`` and ``off_word`` are how a file and a table write it."""

    on_word: str = ""
    off_word: str = ""

    @property
    def allowed(self) -> str:
        """The accepted words, the preferred ones named."""
        return f"{self.on_word} or {self.off_word}" if self.on_word else "a boolean (true or false)"

    def read(self, raw: JsonValue) -> SettingValue:
        """Accept booleans, true/false, on/off, and this switch's own words."""
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str):
            known = self._words
            found = next((position for position, words in known.items() if raw in words), None)
            if found is None:
                found = next((position for position, words in known.items() if fits(any_case(*words), raw)), None)
            if found is not None:
                return found
        raise NotAllowedError(self.allowed)

    def write(self, value: SettingValue) -> JsonValue:
        """Write the switch's own word, else the boolean."""
        if not self.on_word:
            return bool(value)
        return self.on_word if value else self.off_word

    def schema(self) -> dict[str, JsonValue]:
        """A boolean, or one of the words."""
        words = any_case(*self._words[True], *self._words[False])
        return {"anyOf": [{"type": "boolean"}, text_schema(words)]}

    @property
    def offered(self) -> tuple[str, ...]:
        """Both positions."""
        return (self.on_word, self.off_word) if self.on_word else ("true", "false")

    @property
    def _words(self) -> dict[bool, list[str]]:
        own = [self.on_word, self.off_word] if self.on_word else []
        return {True: ["true", "on", *own[:1]], False: ["false", "off", *own[1:]]}


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The words."""
        return " or ".join(self.words)

    def read(self, raw: JsonValue) -> SettingValue:
        """Accept one of the words, in any case."""
        for word in self.words:
            if isinstance(raw, str) and (raw == word or fits(any_case(word), raw)):
                return word
        raise NotAllowedError(self.allowed)

    def schema(self) -> dict[str, JsonValue]:
        """One of the words."""
        return text_schema(any_case(*self.words))

    @property
    def offered(self) -> tuple[str, ...]:
        """All of the words."""
        return self.words


@dataclass(frozen=True, slots=True)
class StatusCodes(Kind):
    """A set of HTTP statuses that stand for failures."""

    allowed: str = "a comma-separated list of HTTP status codes from 300 to 599"
    offered: tuple[str, ...] = ("429,500,502,503,504",)

    def read(self, raw: JsonValue) -> SettingValue:
        """Accept ``429,500 503``, with or without brackets, or a list of integers."""
        if isinstance(raw, str):
            numbers: list[str | int | None] = [*re.findall(_STATUS, raw)] if fits(_STATUSES, raw) else []
        else:
            numbers = [_status(item) for item in (raw if isinstance(raw, list) else [raw])]
        if not numbers or None in numbers:
            raise NotAllowedError(self.allowed)
        return frozenset(int(number) for number in numbers if number is not None)

    def write(self, value: SettingValue) -> JsonValue:
        """Write a sorted list."""
        return [*sorted(value)] if isinstance(value, frozenset) else None

    def schema(self) -> dict[str, JsonValue]:
        """A list of statuses, one of them, or a text that lists some."""
        number: dict[str, JsonValue] = {"type": "integer", "minimum": 300, "maximum": 599}
        each: JsonValue = {"anyOf": [number, text_schema(_STATUS)]}
        return {"anyOf": [{"type": "array", "minItems": 1, "items": each}, number, text_schema(_STATUSES)]}


@dataclass(frozen=True, slots=True)
class NewFile(Kind):
    """The path of a file with an ending of its own."""

    ending: str

    @property
    def allowed(self) -> str:
        """A path that ends so."""
        return f"the path of a {self.ending} file"

    def read(self, raw: JsonValue) -> SettingValue:
        """Accept a path with that ending, with any white space around it."""
        if not isinstance(raw, str) or not fits(self._pattern, raw):
            raise NotAllowedError(self.allowed)
        return raw.strip()

    def schema(self) -> dict[str, JsonValue]:
        """A text that is such a path."""
        return text_schema(self._pattern)

    @property
    def offered(self) -> tuple[str, ...]:
        """A name in the working folder."""
        return (f"history{self.ending}", "none")

    @property
    def _pattern(self) -> str:
        return rf"[^\x00-\x1f]{{1,4000}}{re.escape(self.ending)}"


def _status(raw: JsonValue) -> int | None:
    number = None if isinstance(raw, str) and not fits(_STATUS, raw) else _number(raw)
    return int(number) if number is not None and number == int(number) and 300 <= number <= 599 else None


def _number(raw: JsonValue) -> int | float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    if isinstance(raw, str):
        raw = raw.strip()  # of more kinds of blanks than int() takes off by itself
        if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", raw):
            return None
        raw = float(raw) if any(mark in raw for mark in ".eE") else int(raw)
    if not -LARGEST <= raw <= LARGEST:
        return None
    return raw
