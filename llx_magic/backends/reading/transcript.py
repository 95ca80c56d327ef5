"""The text of one reply and its reasoning, from pieces to the whole."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from llx_magic.backends.reading.thinking import Parted, ThinkSplitter
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.keys.redaction import LIVE_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from llx_magic.core.ports import Progress
    from llx_magic.keys.pieces import PieceRedactor

LONGEST_TEXT = 16 * 1024 * 1024
"""How many characters of text and reasoning one reply may have."""

_HALF = re.compile("[\ud800-\udfff]")
"""One of the two code units that some JSON writers make of a character beyond U+FFFF."""


class _Joiner:
    """Joins the halves of characters in a text that comes in pieces; one that is alone becomes U+FFFD."""

    __slots__ = ("half",)

    def __init__(self) -> None:
        self.half = ""
        """The half that waits for the other."""

    def feed(self, piece: str) -> str:
        """Return the piece; a half that ends it waits for the next one."""
        if not self.half and (piece.isascii() or not _HALF.search(piece)):
            return piece
        piece, self.half = self.half + piece, ""
        if "\ud800" <= piece[-1:] <= "\udbff":
            piece, self.half = piece[:-1], piece[-1]
        return piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def rest(self) -> str:
        """Return what is left of a half that nothing followed."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""


class _Channel:
    """Where the pieces of the text go, or those of the reasoning."""

    __slots__ = ("hidden", "joiner", "kept", "report")

    def __init__(self, report: Callable[[str], None]) -> None:
        self.report = report
        self.joiner = _Joiner()
        self.hidden: PieceRedactor = LIVE_KEYS.in_pieces()
        self.kept = StringIO()
        """Not a list: a server may send each letter by itself, and one that is a text of its own takes 76 bytes."""


class Transcript:
    """Takes pieces as they come, reports them, and keeps them.

    Reasoning between tags at the head of the text is told apart, halves of a character that came in two pieces are
    joined, and keys are taken out of both. What cannot be decided yet is held back until the next piece.
    """

    def __init__(self, progress: Progress) -> None:
        self._splitter: ThinkSplitter | None = ThinkSplitter()
        self._text = _Channel(progress.on_text)
        self._report_reasoning = progress.on_reasoning
        self._reasoning: _Channel | None = None
        """Where the reasoning goes; most replies have none."""
        self._size = 0

    @property
    def has_text(self) -> bool:
        """Whether any text was given out."""
        return self._text.kept.tell() > 0

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.kept.getvalue()

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "" if self._reasoning is None else self._reasoning.kept.getvalue()

    def add_text(self, piece: str) -> None:
        """Take a piece of the text, which may begin with reasoning between tags."""
        channel = self._text
        if channel.joiner.half or not piece.isascii():  # nearly always neither, and a call counts with each piece
            piece = channel.joiner.feed(piece)
        if self._splitter is None:
            self._give(channel, channel.hidden.feed(piece))
            return
        self._part(self._splitter.feed(piece))
        if self._splitter.over:
            self._splitter = None

    def add_reasoning(self, piece: str) -> None:
        """Take a piece of reasoning that came apart from the text."""
        channel = self._thoughts()
        self._give(channel, channel.hidden.feed(channel.joiner.feed(piece)))

    def close(self, *, reasoning_may_be_all: bool) -> None:
        """Take the end of the reply and give out what was held back.

        Reasoning that no tag ended and no text follows becomes the text where it may be all there is.
        """
        if rest := self._text.joiner.rest():
            self.add_text(rest)
        if self._reasoning is not None and (rest := self._reasoning.joiner.rest()):
            self.add_reasoning(rest)
        was_open = False
        if self._splitter is not None:
            was_open = self._splitter.open
            self._part(self._splitter.rest())
        for channel in filter(None, (self._reasoning, self._text)):
            self._give(channel, channel.hidden.rest())
        if was_open and reasoning_may_be_all:
            text, self._size, self._reasoning = self.reasoning, 0, None
            self._give(self._text, text)

    def _thoughts(self) -> _Channel:
        if self._reasoning is None:
            self._reasoning = _Channel(self._report_reasoning)
        return self._reasoning

    def _part(self, parted: Parted) -> None:
        if parted.reasoning:
            channel = self._thoughts()
            self._give(channel, channel.hidden.feed(parted.reasoning))
        if parted.text:
            self._give(self._text, self._text.hidden.feed(parted.text))

    def _give(self, channel: _Channel, piece: str) -> None:
        if piece:
            self._size += len(piece)
            if self._size > LONGEST_TEXT:
                message = f"a reply of more than {LONGEST_TEXT // 2**20} MiB"
                raise BackendFailed(Failure(kind=FailureKind.TOO_LARGE, message=message))
            channel.kept.write(piece)
            channel.report(piece)
