"""The objects of a JSON array, told apart while the array is still coming. No I/O."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'"|\\.', re.DOTALL)
_BACKSLASH = 0x5C
_DEEPEST = 1_000
"""How deep an array may be nested; Python can read none that is much deeper."""


class ElementScanner:
    """Follows the brackets of an array in bytes that grow at their end; each byte is looked at once."""

    def __init__(self) -> None:
        self._at = self._depth = 0
        self._in_string = False

    @property
    def is_too_deep(self) -> bool:
        """Whether it is nested deeper than can be read, so that following it further is of no use."""
        return self._depth > _DEEPEST

    def end_of_next(self, held: bytearray) -> int:
        """Return where the next object or array within the array ends; -1 where it has not come to its end.

        What ends there must then be taken from the beginning of ``held``.
        """
        while found := (_INSIDE if self._in_string else _OUTSIDE).search(held, self._at):
            self._at, mark = found.end(), found[0]
            if mark == b'"':
                self._in_string = not self._in_string
            elif mark in (b"{", b"["):
                self._depth += 1
            elif mark in (b"}", b"]"):
                self._depth -= 1
                if self._depth == 1:
                    end, self._at = self._at, 0
                    return end
        is_half_an_escape = self._in_string and len(held) > self._at and held[-1] == _BACKSLASH
        self._at = len(held) - is_half_an_escape
        return -1
