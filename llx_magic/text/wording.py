"""How messages name things: the nearest known name, a list that is cut, a path in one line."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable
from json import JSONDecodeError
from pathlib import Path


def closest(given: str, known: Iterable[str], *, likeness: float = 0.7) -> str | None:
    """Return the known name most like the given one, whatever its case; ``likeness`` is the least, from 0 to 1.

    A name that begins otherwise must be more like it, since few mistype the first letter; one of the same letters in
    another order need not.
    """
    names, word = {name.casefold(): name for name in known}, given.casefold()
    for each in difflib.get_close_matches(word, names, 3, min(likeness, _LEAST_LIKENESS)):
        like = difflib.SequenceMatcher(a=each, b=word).ratio()
        if sorted(each) == sorted(word) or like >= (likeness if each[:1] == word[:1] else max(likeness, _OTHER_START)):
            return names[each]
    return None


_LEAST_LIKENESS, _OTHER_START = 0.6, 0.8


def nearest(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the closest known name, else ``; there are: …``."""
    names = list(dict.fromkeys(known))
    if (meant := closest(given, names)) is not None:
        return f"; did you mean {meant}?"
    return f"; there are: {listed(names)}" if names else "; there are none"


def listed(names: Iterable[str], most: int = 12) -> str:
    """Join names with commas; after ``most`` the rest is counted."""
    items = list(names)
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest


def what_json_lacks(problem: JSONDecodeError) -> str:
    """Return what Python says of broken JSON, without the words that lead to the place, which it puts last."""
    return problem.msg.removesuffix(" at").removesuffix(" starting")


def as_on_windows(path: str) -> str:
    """Return what to add about a path that is not there: on other systems backslashes part no folders."""
    return "; folders are parted by / on this machine" if "\\" in path and os.sep == "/" else ""


def shown_path(path: Path) -> str:
    """Return a path as a message shows it: ``~`` for the home folder, nothing that could break the line."""
    text = str(path)
    try:
        home = str(Path.home())
    except RuntimeError:
        home = ""
    if home and home != "/" and (path.is_relative_to(home)):
        text = str(Path("~") / path.relative_to(home))
    return with_marks(text if len(text) <= 300 else "..." + text[-297:])


def with_marks(text: str) -> str:
    """Return the text with ``?`` for every character that is not printable, broken file names included."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@functools.lru_cache(maxsize=256)
def any_case(*words: str) -> str:
    """Return the pattern of some words in any case; they are of letters, digits and hyphens."""
    return "|".join(
        "".join(f"[{each.lower()}{each.upper()}]" if each.isalpha() else each for each in word) for word in words
    )
