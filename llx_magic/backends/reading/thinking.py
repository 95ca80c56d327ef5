"""Reasoning that stands in the text itself, between tags, as models write it whose server does not take it out."""

from __future__ import annotations

import re
from typing import NamedTuple

_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
}
"""What opens reasoning at the head of a text, in lower case, and what closes it."""

_FIRST_LETTERS = frozenset(tag[0] for tag in _TAGS)
_LONGEST_TAG = max(map(len, _TAGS))
_LONGEST_HEAD = 200
"""How many characters of white space before a tag are held back; more of it is text."""

_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


class Parted(NamedTuple):
    """A piece of a text, parted."""

    reasoning: str
    text: str


class ThinkSplitter:
    """Parts a text that comes in pieces into the reasoning at its head, between tags, and what follows it.

    A tag that stands anywhere else is text. White space around the tags belongs to neither.
    """

    def __init__(self) -> None:
        self._held = ""
        self._close = ""
        self._closed = False
        self._blank = True
        """Whether nothing but white space has come since the beginning or the last tag."""

    @property
    def open(self) -> bool:
        """Whether reasoning has begun and not ended."""
        return bool(self._close) and not self._closed

    @property
    def over(self) -> bool:
        """Whether all that comes now is text, so that nothing need be fed any more."""
        return not self._blank and not self.open

    def feed(self, piece: str) -> Parted:
        """Return what is known of the text so far; the end of a piece may be held back until the next one."""
        held, self._held = self._held + piece, ""
        if not self._close:
            return self._head(held)
        return self._after(held) if self._closed else self._within(held)

    def rest(self) -> Parted:
        """Return what was held back, now that the text has ended."""
        held, self._held = self._held, ""
        return Parted(held, "") if self.open else Parted("", held)

    def _head(self, held: str) -> Parted:
        head = held.lstrip()
        if head and head[0] not in _FIRST_LETTERS:
            self._blank = False
            return Parted("", held)
        begin = head[:_LONGEST_TAG].lower()
        opened = next((tag for tag in _TAGS if begin.startswith(tag)), None)
        if opened:
            self._close = _TAGS[opened]
            return self._within(head[len(opened) :])
        if len(held) < _LONGEST_HEAD and any(tag.startswith(begin) for tag in _TAGS):
            self._held = held
            return Parted("", "")
        self._blank = False
        return Parted("", held)

    def _within(self, held: str) -> Parted:
        if self._blank:
            held = held.lstrip()
        found = re.search(re.escape(self._close), held, re.IGNORECASE)
        if found:
            self._closed = self._blank = True
            text = self._after(held[found.end() :]).text
            return Parted(held[: found.start()], text)
        kept = len(held) - _tail(held, self._close)
        self._held = held[kept:]
        self._blank = self._blank and not kept
        return Parted(held[:kept], "")

    def _after(self, held: str) -> Parted:
        text = held.lstrip()
        self._blank = not text
        return Parted("", text)


def _tail(text: str, tag: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the tag."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-size:].lower()):
            return size
    return 0


def part_without_opening(text: str) -> Parted | None:
    """Part a whole text whose reasoning was opened by the prompt's template, so that only ``</think>`` stands in it.

    None where that cannot be said: the tag stands there more than once, is opened after all, is quoted in code, or
    nothing follows it.
    """
    close = "</think>"
    at = text.find(close)
    if at < 0 or "<think" in text or text.find(close, at + 1) >= 0:
        return None
    before, after = text[:at], text[at + len(close) :]
    quoted = before.endswith(("`", '"', "'")) or after.startswith(("`", '"', "'")) or len(_FENCE.findall(before)) % 2
    return None if quoted or not after.strip() or not before.strip() else Parted(before.strip(), after.lstrip())
