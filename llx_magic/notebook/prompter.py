"""From a cell's options and text to a reply in its output."""

from __future__ import annotations

import concurrent.futures
import io
import keyword
import sys
import time
import uuid
from collections.abc import Callable
from typing import Protocol

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands import prompt
from llx_magic.commands.footer import footer
from llx_magic.commands.output import Output
from llx_magic.commands.prompt import PromptOptions
from llx_magic.commands.terminal import TerminalView
from llx_magic.core.events import AttemptStarted, Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.core.text import printable
from llx_magic.core.trace import Trace
from llx_magic.engine.background import Running
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.notebook.interpolate import interpolate
from llx_magic.notebook.interrupt import InterruptedPrompt
from llx_magic.notebook.jobs import Jobs
from llx_magic.notebook.view import Bundle, CellView
from llx_magic.session.balancer import Ask, LoadBalancer
from llx_magic.session.session import Session

LAST_REPLY = "_llx"
"""The variable that holds the last reply."""


class Preferences(Protocol):
    """How replies are shown, where the cell itself does not say."""

    stream: bool
    footer: bool
    table_rows: int


class Prompter:
    """Asks what a cell asks, shows it, and leaves the reply where the user finds it."""

    def __init__(self, shell: InteractiveShell, session: Session, preferences: Preferences) -> None:
        self._shell = shell
        self._session = session
        self._preferences = preferences
        self.jobs = Jobs(shell)

    def run(self, options: PromptOptions, text: str) -> Reply | Output:
        """Answer, or say what was started or would be sent.

        Raises:
            AllBackendsFailed: where no backend could answer; the partial text is in ``_llx``.
            UsageProblem: for what cannot be asked; nothing was sent.
            ReplyFormatError: where JSON was asked for and the reply is none.
        """
        if options.out is not None and (not options.out.isidentifier() or keyword.iskeyword(options.out)):
            raise UsageProblem(f"-o takes the name of a variable, got {options.out!r}")
        if options.background and options.next_cell:
            raise UsageProblem("--next-cell does not go with --bg: a new cell can be made only while this one runs")
        asking = _Asking(self, options, text)
        if options.dry_run:
            return prompt.preview(asking.balancer, asking.asked)
        if options.background:
            return asking.in_background()
        return asking.in_foreground()

    def rendered(self, text: str, options: PromptOptions) -> str:
        """Return the text with its ``{{ }}`` filled in, unless it is to be sent raw."""
        return text if options.raw else interpolate(text, self._shell.user_ns, self._preferences.table_rows)

    def prepare(self, options: PromptOptions, text: str) -> tuple[LoadBalancer, Ask]:
        """Return the profile and the request, a conversation's earlier turns included."""
        return prompt.prepare(self._session, options, text, cell_id(self._shell))

    def remember(self, options: PromptOptions, text: str, reply: Reply, cell: str | None) -> None:
        """Add a turn to the conversation, if the cell is part of one."""
        prompt.remember(self._session, options, text, reply, cell)

    def view(self, options: PromptOptions) -> CellView | TerminalView:
        """Return what shows the reply: a redrawn output in a kernel, plain text in a terminal."""
        live = self._preferences.stream and not options.no_stream
        if not is_kernel(self._shell):
            out = io.StringIO() if options.background else sys.stdout
            return TerminalView(out, sys.stderr, live=live and not options.background)
        transient = {"display_id": f"llx-{uuid.uuid4().hex}"} if live else {}

        def show(bundle: Bundle, replaces: bool) -> None:  # noqa: FBT001 - the view says it by position
            self._shell.display_pub.publish(bundle, transient=transient, update=replaces)

        return CellView(show, live=live, form=options.form, with_footer=self._preferences.footer)

    def keep(self, options: PromptOptions, reply: Reply) -> None:
        """Put the reply into ``_llx`` and the variable that was named."""
        self._shell.user_ns[LAST_REPLY] = reply
        if options.out is not None:
            self._shell.user_ns[options.out] = reply

    def offer_code(self, reply: Reply) -> None:
        """Put the reply's code into a new cell, where the user can read it before running it."""
        code = "\n\n".join(block.text.rstrip() for block in reply.code)
        if not code:
            raise UsageProblem("the reply holds no code block, so there is no new cell")
        self._shell.set_next_input(printable(code))


class _Asking:
    """One prompt on its way: what was asked, what shows it, and what has happened so far."""

    def __init__(self, prompter: Prompter, options: PromptOptions, text: str) -> None:
        self._prompter = prompter
        self._options = options
        self._text = prompter.rendered(text, options)
        self._cell = cell_id(prompter._shell)  # noqa: SLF001 - one of the same room
        self.balancer, self.asked = prompter.prepare(options, self._text)
        self._view = prompter.view(options)
        self._events: list[Event] = []
        self._pieces: list[str] = []
        self._begun = time.monotonic()

    def in_foreground(self) -> Reply:
        """Show the reply while it comes, and return it."""
        try:
            return self._follow(prompt.start(self.balancer, self.asked))
        except KeyboardInterrupt:
            self._give_up("interrupted", InterruptedPrompt())
            raise InterruptedPrompt from None

    def in_background(self) -> Output:
        """Start the prompt and return at once; its output goes on in this cell."""
        running = prompt.start(self.balancer, self.asked)
        running.begin()
        if isinstance(self._view, CellView):
            self._view.announce("asking in the background…")
        job = self._prompter.jobs.start(self._text, lambda: self._follow(running), running.cancel)
        return Output(f"job {job.number} is running; %llx_jobs lists, shows and cancels")

    def _follow(self, running: Running[Reply, Delta | Restart | Event]) -> Reply:
        try:
            reply = running.follow(self._draw)
        except AllBackendsFailed as failed:
            why = (
                str(failed) if self._options.background else "no backend could finish"
            )  # a cell that ended has no error
            self._give_up(why, failed, failed.partial)
            raise
        except concurrent.futures.CancelledError as cancelled:
            self._give_up("cancelled", cancelled)
            raise
        self._prompter.keep(self._options, reply)
        self._view.finish(reply)
        if isinstance(self._view, TerminalView) and not self._options.background:
            print(footer(reply))  # noqa: T201 - a terminal has no other output
        self._after(reply)
        return reply

    def _draw(self, parts: list[Delta | Restart | Event]) -> float:
        for part in parts:
            if isinstance(part, Event):
                self._events.append(part)
            elif isinstance(part, Delta):
                self._pieces.append(part.text)
            else:
                self._pieces.clear()
        return self._view.draw(parts)

    def _give_up(self, why: str, error: BaseException, partial: str = "") -> None:
        self._view.give_up(why)
        trace = Trace(tuple(self._events))
        reply = Reply(
            text="".join(self._pieces) or partial,
            backend="",
            model="",
            usage=None,
            attempts=sum(isinstance(event, AttemptStarted) for event in trace),
            seconds=time.monotonic() - self._begun,
            ttft=None,
            finish_reason=None,
            request=trace.request,
            trace=trace,
            error=error,
        )
        self._prompter.keep(self._options, reply)

    def _after(self, reply: Reply) -> None:
        options = self._options
        self._prompter.remember(options, self._text, reply, self._cell)
        if options.form == "json":
            reply.json()
        if options.next_cell:
            self._prompter.offer_code(reply)


def is_kernel(shell: InteractiveShell) -> bool:
    """Return whether the shell is a kernel's, whose output can be redrawn; a terminal's cannot."""
    return hasattr(shell, "kernel")


def cell_id(shell: InteractiveShell) -> str | None:
    """Return the front end's name of the cell that runs now, or None where it gives none."""
    kernel = getattr(shell, "kernel", None)
    get_parent: Callable[[str], dict[str, dict[str, object]]] | None = getattr(kernel, "get_parent", None)
    if get_parent is None:
        return None
    found = get_parent("shell").get("metadata", {}).get("cellId")
    return found if isinstance(found, str) else None
