"""Regular expressions of a prompt: only those that Python's engine tries in few ways.

Python's ``re`` goes back and tries again, which for some patterns takes time that doubles with each character; once
begun it cannot be stopped. Refused are repetitions of what itself repeats or has a choice, references to groups, looks
ahead and behind, more than two repetitions side by side and more than a few in all.
"""

from __future__ import annotations

import re
import string

from llx_magic.template.errors import RefusedError

LONGEST = 200
"""Characters of a pattern."""

MOST_REPEATS = 4
"""Parts of a pattern that may repeat or be left out."""

MOST_WIDE = 2
"""Parts of a pattern that may match nearly anything, any number of times."""

MOST_CHOICES = 10
"""Choices within the groups of a pattern; a choice between whole patterns is tried once at each place."""

_TOKEN = re.compile(
    r"(?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<repeat>[*+?]|\{\d*,?\d*\})[?+]?|(?P<open>\((?:\?(?:P<\w+>|:))?)"
    r"|(?P<close>\))|(?P<choice>\|)|(?P<char>.)",
    re.DOTALL,
)
_WIDE = (".", "[^", r"\S", r"\W", r"\D", r"\w", r"[\s\S", r"[\w\W")


def check(pattern: str) -> None:
    """Refuse a pattern that may take far more steps than there is text.

    Raises RefusedError with what it has too much of.
    """
    if len(pattern) > LONGEST:
        raise RefusedError(f"a pattern of more than {LONGEST} characters")
    _Repeats().read(re.sub(r"^\(\?[aims]+\)", "", pattern))


class _Repeats:
    """What repeats in a pattern, read from left to right."""

    def __init__(self) -> None:
        self._branching = [False]  # of each open group: whether it repeats or has a choice inside
        self._closed = False  # whether the group that has just ended did
        self._last = ""
        self._repeats = self._wide = self._beside = self._choices = 0
        self._since = 2  # parts since the last repetition

    def read(self, pattern: str) -> None:
        before: str | None = None
        for token in _TOKEN.finditer(pattern):
            kind, text = token.lastgroup, token[0]
            if (before, kind) == ("open", "repeat") or re.fullmatch(r"\\[1-9]", text):
                raise RefusedError("a pattern with references, options or looks ahead; assign the result first")
            before = kind
            if kind == "repeat":
                self._repeat(text)
            elif kind == "open":
                self._branching.append(False)
            elif kind == "choice":
                self._choose()
            elif kind == "close":
                self._close()
            else:
                if not self._since and not self._last.startswith(_WIDE) and _overlap(self._last, text):
                    self._wide += 1
                    self._check()
                self._last, self._closed, self._since = text, False, self._since + 1

    def _choose(self) -> None:
        self._branching[-1] = True
        self._choices += len(self._branching) > 1
        if self._choices > MOST_CHOICES:
            raise RefusedError("a pattern with too many choices in its groups; assign the result first")

    def _close(self) -> None:
        if len(self._branching) > 1:
            self._closed = self._branching.pop()
            self._branching[-1] |= self._closed
            self._last = "()"

    def _repeat(self, text: str) -> None:
        if self._closed:
            raise RefusedError("a pattern that repeats what itself repeats or has a choice; assign the result first")
        if re.fullmatch(r"\{\d{1,3}\}", text) and self._last != "()":
            return
        self._repeats += 1
        self._wide += text[0] != "?" and self._last.startswith(_WIDE)
        self._beside = self._beside + 1 if self._since <= 1 else 1
        self._since = 0
        self._branching[-1] = True
        self._check()

    def _check(self) -> None:
        if self._repeats > MOST_REPEATS or self._wide > MOST_WIDE or self._beside > MOST_WIDE:
            raise RefusedError("a pattern that repeats too many parts; assign the result first")


def _overlap(repeated: str, following: str) -> bool:
    """Return whether what repeats may take what follows it for more of itself, so that it has to be tried again."""
    if repeated == "()":
        return True
    return any(re.fullmatch(repeated, each) and re.fullmatch(following, each) for each in string.printable)
