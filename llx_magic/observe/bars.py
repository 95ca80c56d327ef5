"""What shows a run over rows as it goes: a bar in a terminal, still lines where nothing can be redrawn, or nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import ClassVar, Protocol, TextIO

from llx_magic.core.events import Event
from llx_magic.core.progress import MapProgress
from llx_magic.observe.debug import shown_lines, write_debug_lines
from llx_magic.observe.progress import Pace, bar_line, columns, still_line

AT_MOST_EVERY = 0.25
"""The shortest time between two updates, in seconds."""

STILL_SECONDS = 30.0
"""How often a line is written where nothing can be redrawn; a shorter run has none."""

Now = Callable[[], float]
"""The seconds of a clock of this machine: views go by real time, whatever clock the backends have."""


class MapView(Protocol):
    """What shows one run, and the debug lines that are asked for."""

    def draw(self, parts: Iterable[MapProgress | Event]) -> float:
        """Take in what has come and show it; returns the seconds until the next drawing is worth its cost."""

    def close(self) -> None:
        """Take away what holds only while the run goes on."""


class QuietMap:
    """Shows nothing but debug lines."""

    def draw(self, parts: Iterable[MapProgress | Event]) -> float:
        """Write the debug lines."""
        for part in parts:
            if isinstance(part, Event):
                write_debug_lines(part)
        return AT_MOST_EVERY

    def close(self) -> None:
        """There is nothing to take away."""


class StillLines:
    """Writes a line every half minute, without any control character: for files, pipes and executed notebooks."""

    def __init__(self, say: Callable[[str], None], now: Now = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._told = now()
        self._pace = Pace()

    def draw(self, parts: Iterable[MapProgress | Event]) -> float:
        """Write the debug lines, and the line where it is time for one."""
        for part in parts:
            if isinstance(part, Event):
                write_debug_lines(part)
                continue
            rate = self._pace.take(part)
            if self._now() - self._told >= STILL_SECONDS:
                self._told = self._now()
                self._say(still_line(part, rate))
        return AT_MOST_EVERY

    def close(self) -> None:
        """The lines stay."""


class TerminalBar:
    """Draws one line over and over at the foot of a terminal; debug lines go above it.

    A terminal has one such line. Of several runs at once the first draws there, and the next when that has ended.
    """

    _drawing: ClassVar[dict[int, TerminalBar]] = {}
    """Which bar has the line of a stream, by the identity of the stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._pace = Pace()
        self._width = 0
        self._ascii_only = not _can_write("█▏·", out)

    def draw(self, parts: Iterable[MapProgress | Event]) -> float:
        """Draw the latest of what has come."""
        latest: MapProgress | None = None
        rate = None
        for part in parts:
            if not isinstance(part, Event):
                latest, rate = part, self._pace.take(part)
            elif shown_lines(part):
                self._drawing.get(id(self._out), self).clear()
                write_debug_lines(part, self._out)
        if latest is not None and self._drawing.setdefault(id(self._out), self) is self:
            line = bar_line(latest, rate, _places(self._out) - 1, ascii_only=self._ascii_only)
            # Blanks and no escape sequence, which old consoles of Windows would print
            self._write(f"\r{line}{' ' * (self._width - columns(line))}")
            self._width = columns(line)
        return AT_MOST_EVERY

    def close(self) -> None:
        """Clear the line, and leave it to others."""
        self.clear()
        if self._drawing.get(id(self._out)) is self:
            del self._drawing[id(self._out)]

    def clear(self) -> None:
        """Take the line away until the next drawing."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def view_on(out: TextIO) -> MapView:
    """Return what shows a run on a stream: the bar on a terminal that can go back on its line, else still lines."""
    if out.isatty() and os.environ.get("TERM") != "dumb":
        return TerminalBar(out)
    return StillLines(lambda line: print(line, file=out, flush=True))


def _places(out: TextIO) -> int:
    """Return the terminal's present width in characters."""
    with suppress(OSError, ValueError):
        if columns := os.get_terminal_size(out.fileno()).columns:
            return columns
    return shutil.get_terminal_size().columns


def _can_write(text: str, out: TextIO) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
