"""Foreign text made fit for a message of ours: one line, cut, and without the key."""

from __future__ import annotations

import html
import re

LONGEST_DETAIL = 300
"""How many characters of a server's own message are shown."""


def one_line(text: str, limit: int = LONGEST_DETAIL) -> str:
    """Return the text on one line: white space folded, control characters dropped, cut with an ellipsis."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 20]).split())
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


class Redactor:
    """Replaces a key by ``***`` wherever a server repeats it.

    Each character of the key is matched as itself, percent-encoded (once or more), escaped as in JSON or as in HTML,
    in any mixture and in either case. Without a key the text stays as it is.
    """

    __slots__ = ("_key", "_pattern")

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._pattern: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Redactor(***)"

    def __call__(self, text: str) -> str:
        """Return the text without the key."""
        if not self._key or len(text) < len(self._key):
            return text  # no spelling is shorter than the key itself
        if self._pattern is None:
            self._pattern = re.compile("".join(map(_spellings, self._key)), re.IGNORECASE)
        return self._pattern.sub("***", text)


def _spellings(character: str) -> str:
    code = ord(character)
    named = html.escape(character)
    spellings = [rf"\\+u{code:04x}", f"%(?:25)*{code:02x}", f"&#0*{code};", f"&#x0*{code:x};"]
    if named != character:
        spellings.append(re.escape(named))
    # As itself last: the letter u would otherwise match the beginning of its own escape.
    spellings.append(rf"\\?{re.escape(character)}")
    return f"(?:{'|'.join(spellings)})"
