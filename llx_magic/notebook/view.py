"""A reply in a cell: redrawn while it grows, and shown whole at the end."""

from __future__ import annotations

import contextlib
import html
import signal
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Protocol

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands.ask import Format
from llx_magic.commands.footer import FooterMode, footer
from llx_magic.core.events import Event
from llx_magic.core.reply import Arrival, Delta, Received, Reply, Restart, Thought
from llx_magic.notebook.reasoning import ReasoningMode, growing_reasoning_to_html, reasoning_to_html
from llx_magic.notebook.status import Status
from llx_magic.observe import waterfall
from llx_magic.observe.debug import write_debug_lines
from llx_magic.observe.report import AS_WRITTEN
from llx_magic.text.blocks import ReplyFormatError, code_of, fenced, read_json, write_json
from llx_magic.text.markdown import code_to_html, contained, markdown_to_html
from llx_magic.text.screen import one_line, printable

Bundle = dict[str, str]
"""What a front end is sent: MIME types and their text.

There is no ``text/markdown``, which a front end would run, and no type of our own: a notebook would keep the reply once
more for nobody.
"""

FIRST_PAUSE = 0.1
PAUSE_PER_KILOBYTE = 0.08
"""Each drawing sends the whole text, so the pauses grow with it; the sum of what is sent stays near linear.

For the same reason code gets its colours only when the reply is whole.
"""

_QUIET = "color:var(--jp-ui-font-color2, #888);font-size:85%"


Show = Callable[[Bundle, bool], None]
"""Shows a bundle; the second argument says whether it takes the place of the one before it."""


def canvas(shell: InteractiveShell, *, redrawn: bool) -> Show:
    """Return what shows bundles as one output of the cell that runs now, which can be ``redrawn``, or as one each."""
    transient = {"display_id": f"llx-{uuid.uuid4().hex}"} if redrawn else {}

    def show(bundle: Bundle, replaces: bool) -> None:  # noqa: FBT001 - the view says it by position
        # xeus-python sends what is not given as null, which front ends refuse:
        # https://github.com/jupyter-xeus/xeus-python/issues/430
        shell.display_pub.publish(bundle, {}, transient=transient, update=replaces and redrawn)

    return show


class View(Protocol):
    """What shows one prompt on its way, and the debug lines that are asked for."""

    received: Received
    """What has come so far."""

    def draw(self, parts: Iterable[Arrival | Event]) -> float:
        """Take in what has come and show it; returns the seconds until the next drawing is worth its cost."""

    def finish(self, reply: Reply) -> None:
        """Show the whole reply."""

    def give_up(self, why: str) -> None:
        """Leave the text that has come, marked as incomplete."""


class QuietView:
    """Shows nothing of a reply; debug lines that are asked for are written all the same."""

    def __init__(self) -> None:
        self.received = Received()

    def draw(self, parts: Iterable[Arrival | Event]) -> float:
        """Write the debug lines."""
        for part in parts:
            self.received.take(part)
            write_debug_lines(part)
        return FIRST_PAUSE

    def finish(self, reply: Reply) -> None:
        """Show nothing: the reply is in the variables."""

    def give_up(self, why: str) -> None:
        """Show nothing: the error says it."""


class CellView:
    """Shows one reply in one output of a cell.

    ``show`` is called with a bundle and whether it replaces the earlier one. Without a ``status`` the front end cannot
    redraw, or is not to, and nothing is shown until the reply is whole. ``footer_mode`` is that of the line below it,
    ``reasoning`` says how what the model thought is shown above it.
    ``job`` is what is said below a prompt in the background for as long as it runs; the cell it stands in has ended
    without an error, so why nothing came is always said there.
    """

    def __init__(
        self,
        show: Show,
        *,
        status: Status | None,
        form: Format = "markdown",
        footer_mode: FooterMode = "full",
        reasoning: ReasoningMode = "folded",
        job: str = "",
    ) -> None:
        self._show = show
        self._status = status
        self._form = form
        self._footer_mode = footer_mode
        self._reasoning = reasoning
        self._job = job
        self._shown = False
        self.received = Received()
        self._restarts: list[str] = []
        if status is not None and job:
            self._redraw(status)

    def draw(self, parts: Iterable[Arrival | Event]) -> float:
        """Take in what has come and show it; returns the seconds until the next drawing is worth its cost."""
        changed = False
        for part in parts:
            changed = self._take(part) or changed
            write_debug_lines(part)
        if self._status is None or not (changed or self._status.ticks()):
            return FIRST_PAUSE
        return FIRST_PAUSE + PAUSE_PER_KILOBYTE * self._redraw(self._status) / 1000

    def finish(self, reply: Reply) -> None:
        """Show the whole reply with its footer, which opens to the trace."""
        line = footer(reply, self._footer_mode)
        plain = printable(shaped(reply.text, self._form)).rstrip()
        thoughts = reasoning_to_html(reply.reasoning, self._reasoning)
        self._put(
            {
                "text/plain": f"{plain}\n\n{line}" if line else plain,
                "text/html": f"{thoughts}{contained(self._body(reply.text))}{self._footer(line, reply)}",
            }
        )

    def give_up(self, why: str) -> None:
        """Leave the reasoning and the text that have come, marked as incomplete; nothing is left where none has."""
        first, *rest = why.splitlines()
        thoughts = reasoning_to_html(self.received.reasoning, self._reasoning)
        if text := self.received.text:
            lines = [f"{first}: the text above is incomplete", *rest]
            plain = "\n".join([printable(text).rstrip(), "", *lines])
            self._put({"text/plain": plain, "text/html": f"{thoughts}{contained(self._body(text))}{_below(lines)}"})
        elif self._shown or self._job or thoughts:
            self._put({"text/plain": why, "text/html": f"{thoughts}{_below([first, *rest])}"})

    def _take(self, part: Arrival | Event) -> bool:
        self.received.take(part)
        if isinstance(part, Restart):
            self._restarts.append(part.line)
        changed = self._status is not None and self._status.take(part)
        return changed or isinstance(part, Delta | Thought | Restart)

    def _redraw(self, status: Status) -> int:
        """Show what there is so far; returns how long its HTML is."""
        text = self.received.text
        body = self._body(text, coloured=False) if text else ""
        thoughts = growing_reasoning_to_html(self.received.reasoning, self._reasoning, has_answer=bool(text))
        lines = [*map(one_line, (*self._restarts, status.line())), *([self._job] if self._job else [])]
        self._put({"text/plain": "\n".join(lines), "text/html": f"{thoughts}{contained(body)}{_below(lines)}"})
        return len(body) + len(thoughts)

    def _footer(self, line: str, reply: Reply) -> str:
        if not line:
            return ""
        if self._footer_mode == "stable":  # the trace is full of times
            return _below([line])
        trace = waterfall.as_html(reply.trace)
        return f'<details {AS_WRITTEN} style="{_QUIET}"><summary>{html.escape(line)}</summary>{trace}</details>'

    def _body(self, text: str, *, coloured: bool = True) -> str:
        shown = printable(shaped(text, self._form))
        if self._form == "json" and coloured and _is_json(text):
            return code_to_html(shown, "json")
        if self._form in ("text", "json"):  # prose that came instead of JSON has no colours
            return f'<pre style="white-space:pre-wrap">{html.escape(shown)}</pre>'
        return markdown_to_html(shown, coloured=coloured)

    def _put(self, bundle: Bundle) -> None:
        with _without_interrupts():
            self._show(bundle, self._shown)
            self._shown = True


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold an interrupt back for a moment: the view must know whether the front end has what it can replace."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(on_interrupt):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, on_interrupt)
        if came:
            on_interrupt(*came[0])


def shaped(text: str, form: Format) -> str:
    """Return what of a reply is shown in the form asked for; while JSON or code is incomplete, the text as it is."""
    if form == "code" and (blocks := code_of(text).blocks):
        return "\n\n".join(fenced(block.text, block.language) for block in blocks)
    if form == "json":
        with contextlib.suppress(ReplyFormatError):
            return write_json(read_json(text))
    return text


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ReplyFormatError:
        return False
    return True


def _below(lines: Iterable[str]) -> str:
    quiet = "<br>".join(html.escape(one_line(line)) for line in lines)
    return f'<div {AS_WRITTEN} style="{_QUIET}">{quiet}</div>'
