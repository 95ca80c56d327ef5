"""A reply on a terminal or in a pipe: pieces as they come, or the whole reply at its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from llx_magic.commands.ask import Format
from llx_magic.core.events import Event
from llx_magic.core.reply import Arrival, Delta, Received, Reply, Restart
from llx_magic.observe.debug import shown_lines, write_debug_lines
from llx_magic.text.blocks import ReplyFormatError, code_of, json_text
from llx_magic.text.screen import one_line, printable, split_at_open_sequence

NEXT_DRAWING_SECONDS = 0.05


class TerminalView:
    """Writes the pieces of a reply to ``out`` as they come, where ``live``; else what ``form`` asks for, at its end.

    Debug lines that are asked for go to ``debug``, if there is one, in their place among the text. What has been
    printed cannot be taken back, so a restart draws a line that says that the text above is withdrawn.
    """

    def __init__(self, out: TextIO, debug: TextIO | None, *, live: bool, form: Format = "markdown") -> None:
        self._form = form
        self._out = out
        self._debug = debug
        self._live = live
        self.received = Received()
        self._wrote = ""
        self._held = ""

    def draw(self, parts: Iterable[Arrival | Event]) -> float:
        """Write what has come in; returns the seconds until it is worth calling again."""
        for part in parts:
            self.received.take(part)
            if isinstance(part, Event):
                if self._debug is not None and shown_lines(part):
                    self._end_line()
                    self._out.flush()
                    write_debug_lines(part, self._debug)
            elif self._live and isinstance(part, Delta):
                text, self._held = split_at_open_sequence(self._held + part.text)
                self._write(printable(text))
            elif self._live and isinstance(part, Restart):
                self._held = ""
                withdrawn = "the text above is withdrawn"
                broke_off = f"{part.failed} broke off ({part.reason}): {withdrawn}, asking {part.next}"
                self._rule(f"{withdrawn}: {part.line}" if part.again else broke_off)
        self._out.flush()
        return NEXT_DRAWING_SECONDS

    def finish(self, reply: Reply) -> None:
        """Write what is still missing of a whole reply, with a line end."""
        text = self._held
        if not self._live or not self._wrote:
            try:
                text = in_form(reply.text, self._form)
            except ReplyFormatError:  # which is said elsewhere
                text = reply.text
        self._write(printable(text))
        self._end_line()
        self._out.flush()

    def give_up(self, why: str) -> None:
        """Say below an unfinished text that it is unfinished."""
        if self._wrote:
            self._rule(f"{why}: the text above is incomplete")
            self._out.flush()

    def _end_line(self) -> None:
        if self._wrote and not self._wrote.endswith("\n"):
            self._write("\n")

    def _rule(self, text: str) -> None:
        self._end_line()
        if self._wrote:
            self._write(f"---- {one_line(text)} ----\n")

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._wrote = text[-1]


def in_form(text: str, form: Format) -> str:
    """Return the reply's code, its JSON as the model wrote it, or the reply as it is.

    Raises:
        ReplyFormatError: where the reply has no code or no valid JSON.
    """
    match form:
        case "code":
            if not (code := code_of(text)):
                raise ReplyFormatError("the reply holds no code")
            return code
        case "json":
            return json_text(text)
        case "markdown" | "text":
            return text
