"""Texts that are filled in by ``%`` and ``str.format``, piece by piece, so that none can grow without bounds.

The syntax: https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import cast

from llx_magic.template.cells import LONGEST_TEXT
from llx_magic.template.errors import RefusedError
from llx_magic.template.keyed import plain
from llx_magic.template.methods import Indexed

LARGEST_WIDTH = 1_000
"""Characters that a width or a precision may ask for."""

_REST = re.compile(r"[#0\- +]*(\d*)(?:\.(\d*))?[hlL]?([diouxXeEfFgGcrsa%])")


def percent(template: str, given: object) -> str:
    """Return ``template % given`` as Python does it; ``*`` as a width is refused."""
    given = plain(given)
    arguments = given if isinstance(given, tuple) else (given,)
    text, used = Text(), 0
    at = 0
    while (sign := template.find("%", at)) >= 0:
        text.add(template[at:sign])
        key = _key_end(template, sign + 1)
        found = _REST.match(template, key)
        if found is None:
            raise ValueError(f"unsupported format at index {sign}")
        _checked(found[1], found[2])
        at = found.end()
        if found[3] == "%":
            text.add("%")
        elif key > sign + 1:
            text.add(template[sign:at] % given)
        elif used < len(arguments):
            text.add(template[sign:at] % (arguments[used],))
            used += 1
        else:
            raise TypeError("not enough arguments for format string")
    if used < len(arguments) and not (used == 0 and isinstance(given, Mapping)):
        raise TypeError("not all arguments converted during string formatting")
    text.add(template[at:])
    return text.whole()


def _key_end(template: str, at: int) -> int:
    """Return where a ``(key)`` ends that begins here, or here."""
    depth = 0
    for place in range(at, len(template) if template.startswith("(", at) else at):
        depth += {"(": 1, ")": -1}.get(template[place], 0)
        if not depth:
            return place + 1
    return at


class Text:
    """Pieces of a text, counted."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def add(self, piece: str) -> None:
        """Add a piece; raises RefusedError once all of them are longer than a prompt takes."""
        self._length += len(piece)
        if self._length > LONGEST_TEXT:
            raise RefusedError(f"a text longer than a prompt takes ({LONGEST_TEXT:,} characters)")
        self._pieces.append(piece)

    def whole(self) -> str:
        """Return all pieces as one text."""
        return "".join(self._pieces)


class Fields(Formatter):
    """Python's own formatter, with bounds, and with nothing read that an expression may not read.

    ``vformat(template, arguments, named)`` is ``template.format(*arguments, **named)``.
    """

    def __init__(self, attribute: Callable[[object, str], object]) -> None:
        self._attribute = attribute
        self._text = Text()

    def get_field(self, field_name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[object, str]:
        """Return what a field names, its attributes and items read as an expression reads them."""
        first, *rest = re.split(r"[.\[]", field_name, maxsplit=1)
        value: object = self.get_value(int(first) if first.isdigit() else first, args, kwargs)
        for name, item in re.findall(r"\.([^.\[]+)|\[([^\]]+)\]", field_name[len(first) :] if rest else ""):
            key = int(item) if item.isdigit() else item
            value = self._attribute(value, name) if name else cast("Indexed", plain(value))[key]
        return value, first

    def format_field(self, value: object, format_spec: str) -> str:
        """Return ``format(value, format_spec)``, within bounds."""
        _checked(*re.findall(r"\d+", format_spec))
        text = format(value, format_spec)
        self._text.add(text)
        return text


def _checked(*numbers: str | None) -> None:
    for number in numbers:
        if number and (len(number) > 9 or int(number) > LARGEST_WIDTH):
            raise RefusedError(f"a width of {number[:20]} is more than a format may ask for ({LARGEST_WIDTH:,})")
