"""A reply in a cell: redrawn while it grows, and shown whole at the end."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterable

from llx_magic.commands.terminal import footer
from llx_magic.core import events as facts
from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.core.text import one_line, printable
from llx_magic.notebook.render import markdown_to_html
from llx_magic.observe.debug import shown_lines

Bundle = dict[str, str]
"""What a front end is sent: MIME types and their text."""

FIRST_PAUSE = 0.1
PAUSE_PER_KILOBYTE = 0.05
"""Each drawing sends the whole text, so the pauses grow with it; the sum of what is sent stays near linear."""

_QUIET = "color:var(--jp-ui-font-color2, #888);font-size:85%"


def write_lines(event: Event) -> None:
    """Write the debug lines that are asked for to the cell's stderr."""
    if lines := shown_lines(event):
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


class CellView:
    """Shows one reply in one output of a cell.

    ``show`` is called with a bundle and whether it replaces the earlier one. Where not ``live`` nothing is shown until
    the reply is whole.
    """

    def __init__(self, show: Callable[[Bundle, bool], None], *, live: bool) -> None:
        self._show = show
        self._live = live
        self._shown = False
        self._pieces: list[str] = []
        self._status = "asking…"
        self._restarts: list[str] = []

    @property
    def text(self) -> str:
        """The text so far, of the backend that is answering."""
        return "".join(self._pieces)

    def draw(self, parts: Iterable[Delta | Restart | Event]) -> float:
        """Take in what has come and show it; returns the seconds until the next drawing is worth its cost."""
        changed = False
        for part in parts:
            changed = self._take(part) or changed
            if isinstance(part, Event):
                write_lines(part)
        if not self._live or not changed:
            return FIRST_PAUSE
        bundle = self._bundle(self.text, self._status)
        self._put(bundle)
        return FIRST_PAUSE + PAUSE_PER_KILOBYTE * sum(map(len, bundle.values())) / 1000

    def finish(self, reply: Reply) -> None:
        """Show the whole reply with its footer."""
        self._put(self._bundle(reply.text, footer(reply)))

    def give_up(self, why: str) -> None:
        """Leave the text that has come, marked as incomplete; nothing is left where none has come."""
        if self.text and self._live:
            self._put(self._bundle(self.text, f"{why}: the text above is incomplete"))
        elif self._shown:
            self._put(self._bundle("", why))

    def _take(self, part: Delta | Restart | Event) -> bool:
        match part:
            case Delta():
                self._pieces.append(part.text)
            case Restart():
                self._pieces.clear()
                self._restarts.append(f"{part.failed} broke off ({part.reason}), asking {part.next}")
            case facts.AttemptStarted():
                self._status = f"asking {part.backend}" + (f", attempt {part.attempt}" if part.attempt > 1 else "")
            case facts.AttemptFailed():
                self._status = f"{part.backend} failed: {part.failure.message}"
            case facts.FirstTokenReceived():
                self._status = f"{part.backend} is answering"
            case _:
                return False
        return True

    def _bundle(self, text: str, line: str) -> Bundle:
        below = [*self._restarts, line] if line else self._restarts
        plain = "\n\n".join(part for part in (printable(text).rstrip(), "\n".join(map(one_line, below))) if part)
        quiet = "<br>".join(html.escape(one_line(each)) for each in below)
        body = markdown_to_html(printable(text))
        return {"text/plain": plain, "text/html": f'<div>{body}</div><div style="{_QUIET}">{quiet}</div>'}

    def _put(self, bundle: Bundle) -> None:
        self._show(bundle, self._shown)
        self._shown = True
