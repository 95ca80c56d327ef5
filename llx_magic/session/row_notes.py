"""What is said of the rows of a run, gathered: notes that differ in their figures alone are one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from llx_magic.units import number, plural

MOST_NOTES = 3
"""How many notes on rows are told."""

_TOKENS = re.compile(r"\btook ([\d,]+) tokens$")
_TOOK = "took {} tokens"
_WAITED = re.compile(r"^waited .+?(?= for )")


class RowNotes:
    """Counts the notes on rows; tokens are added up, and how long each row waited is left out."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def take(self, notes: Iterable[str]) -> None:
        """Take what is said of one row."""
        for note in notes:
            kind = _TOKENS.sub(_TOOK, _WAITED.sub("waited", note))
            self._rows[kind] += 1
            if found := _TOKENS.search(note):
                self._tokens[kind] += int(found[1].replace(",", ""))

    def told(self) -> Iterator[str]:
        """Yield what is said of the most rows."""
        for kind, rows in self._rows.most_common(MOST_NOTES):
            in_all = " in all" if rows > 1 else ""
            tokens = f"took {number(self._tokens[kind])} tokens{in_all}"
            yield f"{plural(rows, 'row')}: {kind.replace(_TOOK, tokens)}"
