"""A reply in a cell: redrawn while it grows, and shown whole at the end."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import Literal

from llx_magic.commands.footer import footer
from llx_magic.core import events as facts
from llx_magic.core.blocks import CodeBlock, ReplyFormatError, code_blocks, read_json
from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.core.text import one_line, printable
from llx_magic.notebook.render import code_to_html, markdown_to_html
from llx_magic.observe.debug import shown_lines
from llx_magic.observe.report import AS_WRITTEN

Bundle = dict[str, str]
"""What a front end is sent: MIME types and their text."""

Format = Literal["markdown", "text", "code", "json"]

MARKDOWN_TYPE = "text/x-llx-markdown"
"""Carries the reply's own Markdown, for programs. A front end would run what is in ``text/markdown``, and VS Code
prefers any ``application/vnd.*`` to HTML, so neither is used."""

FIRST_PAUSE = 0.1
PAUSE_PER_KILOBYTE = 0.08
"""Each drawing sends the whole text, so the pauses grow with it; the sum of what is sent stays near linear.

For the same reason code gets its colours only when the reply is whole.
"""

_QUIET = "color:var(--jp-ui-font-color2, #888);font-size:85%"


class CellView:
    """Shows one reply in one output of a cell.

    ``show`` is called with a bundle and whether it replaces the earlier one. Where not ``live`` nothing is shown until
    the reply is whole; without ``with_footer`` the line below it is left out.
    """

    def __init__(
        self,
        show: Callable[[Bundle, bool], None],
        *,
        live: bool,
        form: Format = "markdown",
        with_footer: bool = True,
    ) -> None:
        self._show = show
        self._live = live
        self._form = form
        self._with_footer = with_footer
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
                write_debug_lines(part)
        if not self._live or not changed:
            return FIRST_PAUSE
        body = self._body(self.text, coloured=False)
        self._put(
            {"text/plain": self._status, "text/html": f"<div>{body}</div>{_below([*self._restarts, self._status])}"}
        )
        return FIRST_PAUSE + PAUSE_PER_KILOBYTE * len(body) / 1000

    def announce(self, status: str) -> None:
        """Show that something is under way before anything has come."""
        self._status = status
        if self._live:
            self._put({"text/plain": status, "text/html": _below([status])})

    def finish(self, reply: Reply) -> None:
        """Show the whole reply with its footer, which opens to the trace."""
        line = footer(reply) if self._with_footer else ""
        plain = printable(self._form_of(reply.text)).rstrip()
        below = ""
        if line:
            trace = html.escape(printable(str(reply.trace)))
            below = (
                f'<details {AS_WRITTEN} style="{_QUIET}"><summary>{html.escape(line)}</summary>'
                f'<pre style="font-size:inherit">{trace}</pre></details>'
            )
        self._put(
            {
                "text/plain": f"{plain}\n\n{line}" if line else plain,
                "text/html": f"<div>{self._body(reply.text)}</div>{below}",
                MARKDOWN_TYPE: reply.text,
            }
        )

    def give_up(self, why: str) -> None:
        """Leave the text that has come, marked as incomplete; nothing is left where none has come."""
        if self.text:
            line = f"{why}: the text above is incomplete"
            plain = f"{printable(self.text).rstrip()}\n\n{line}"
            self._put({"text/plain": plain, "text/html": f"<div>{self._body(self.text)}</div>{_below([line])}"})
        elif self._shown:
            self._put({"text/plain": why, "text/html": _below([why])})

    def _take(self, part: Delta | Restart | Event) -> bool:
        match part:
            case Delta():
                self._pieces.append(part.text)
            case Restart():
                self._pieces.clear()
                self._restarts.append(f"{part.failed} broke off ({part.reason}), asking {part.next}")
            case facts.AttemptStarted():
                self._status = (
                    f"asking {part.backend}" + (f", attempt {part.attempt}" if part.attempt > 1 else "") + "…"
                )
            case facts.AttemptFailed():
                self._status = f"{part.backend} failed: {part.failure.message}"
            case facts.FirstTokenReceived():
                self._status = f"{part.backend} is answering…"
            case _:
                return False
        return True

    def _form_of(self, text: str) -> str:
        return shaped(text, self._form)

    def _body(self, text: str, *, coloured: bool = True) -> str:
        if self._form == "text":
            return f'<pre style="white-space:pre-wrap">{html.escape(printable(text))}</pre>'
        if self._form == "json":
            return code_to_html(printable(self._form_of(text)), "json", coloured=coloured)
        return markdown_to_html(printable(self._form_of(text)), coloured=coloured)

    def _put(self, bundle: Bundle) -> None:
        self._show(bundle, self._shown)
        self._shown = True


def shaped(text: str, form: Format) -> str:
    """Return what of a reply is shown in the form asked for; while JSON or code is incomplete, the text as it is."""
    if form == "code" and (blocks := code_blocks(text)):
        return "\n\n".join(map(_fenced, blocks))
    if form == "json":
        try:
            return json.dumps(read_json(text), indent=2, ensure_ascii=False)
        except ReplyFormatError:
            return text
    return text


def _fenced(block: CodeBlock) -> str:
    """Return the block between fences longer than any run of backticks inside it, which would end it too early."""
    longest = max(map(len, re.findall("`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    text = block.text if block.text.endswith("\n") or not block.text else f"{block.text}\n"
    return f"{fence}{block.language.replace('`', '')}\n{text}{fence}"


def write_debug_lines(event: Event) -> None:
    """Write the debug lines that are asked for to the cell's stderr."""
    if lines := shown_lines(event):
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


def _below(lines: Iterable[str]) -> str:
    quiet = "<br>".join(html.escape(one_line(line)) for line in lines)
    return f'<div {AS_WRITTEN} style="{_QUIET}">{quiet}</div>'
