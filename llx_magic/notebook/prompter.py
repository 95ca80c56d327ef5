"""From a cell's options and text to a reply in its output."""

from __future__ import annotations

import concurrent.futures
import io
import keyword
import sys
import time
import uuid
from dataclasses import replace
from typing import Protocol

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands import prompt
from llx_magic.commands.footer import FooterMode, footer
from llx_magic.commands.output import Output
from llx_magic.commands.prompt import PromptOptions
from llx_magic.commands.terminal import TerminalView
from llx_magic.core.events import AttemptStarted, Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.core.trace import trace_of
from llx_magic.engine.background import Running
from llx_magic.engine.plan import Plan
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.notebook.frontend import FrontEnd, front_end
from llx_magic.notebook.interrupt import InterruptedPrompt
from llx_magic.notebook.jobs import Job, Jobs
from llx_magic.notebook.scope import Scope
from llx_magic.notebook.status import Status
from llx_magic.notebook.view import Bundle, CellView, QuietView, View
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from llx_magic.template.limits import Limits, Mode
from llx_magic.template.template import Rendered, Template
from llx_magic.text.screen import printable

LAST_REPLY = "_llx"
"""The variable that holds the last reply."""


class Preferences(Protocol):
    """How replies are shown, where the cell itself does not say."""

    stream: bool
    redraw: str
    table_rows: int
    expressions: str

    @property
    def footer_mode(self) -> FooterMode:
        """What the line under a reply says."""


class Prompter:
    """Asks what a cell asks, shows it, and leaves the reply where the user finds it."""

    def __init__(self, shell: InteractiveShell, session: Session, preferences: Preferences) -> None:
        self._shell = shell
        self._session = session
        self._preferences = preferences
        self.jobs = Jobs(shell)
        self._made: dict[str, str] = {}

    def run(self, options: PromptOptions, text: str) -> Reply | Output | None:
        """Answer, or say what was started or would be sent; None where the cell's output says so by itself.

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
            return prompt.preview(asking.balancer, asking.plan)
        if options.background:
            return asking.in_background()
        return asking.in_foreground()

    def rendered(self, text: str, options: PromptOptions) -> Rendered:
        """Return the text with its ``{{ }}`` filled in, unless it is to be sent raw, and what the user should know."""
        mode: Mode = "any" if self._preferences.expressions == "any" else "data"
        scope = Scope(self._shell, hidden=mode == "any")
        limits = Limits(self._preferences.table_rows, "%config LlxMagics.table_rows")
        filled = Rendered(text) if options.raw else Template(text, mode).render(scope, limits)
        if options.out is None or scope.function is None:
            return filled
        note = f"{options.out} is a variable of the notebook, not of {scope.function}()"  # nobody can write a local one
        return Rendered(filled.text, (*filled.notes, note))

    def prepare(self, options: PromptOptions, filled: Rendered, cell: str | None) -> tuple[LoadBalancer, Plan]:
        """Return the profile and the request, a conversation's earlier turns included."""
        balancer, plan = prompt.prepare(self._session, options, filled.text, cell)
        return balancer, replace(plan, notes=filled.notes)

    def place_of(self, options: PromptOptions, front_end: FrontEnd) -> str | None:
        """Return what identifies the cell in its conversation; None where it always adds a turn."""
        if front_end.is_program and options.chat is not None:
            return self._session.conversations.next_place(options.chat)
        return front_end.cell

    def remember(self, options: PromptOptions, text: str, reply: Reply, cell: str | None) -> None:
        """Add a turn to the conversation, if the cell is part of one."""
        prompt.remember(self._session, options, text, reply, cell)

    def front_end(self) -> FrontEnd:
        """Return who asked for the cell that runs now."""
        return front_end(self._shell, self._preferences.redraw)

    def print_footer(self, reply: Reply) -> None:
        """Print the line under a reply, as it is preferred; for a terminal, which has no other output."""
        if line := footer(reply, self._preferences.footer_mode):
            print(line)  # noqa: T201 - a terminal has no other output

    def is_live(self, options: PromptOptions) -> bool:
        """Return whether the reply is shown while it comes; else it is a display of its own, when it is whole."""
        wanted = self._preferences.stream and not options.no_stream and not options.quiet
        return wanted and is_kernel(self._shell) and self.front_end().redraws

    def view(self, options: PromptOptions, status: Status, job: Job | None) -> View:
        """Return what shows the reply: one output in a kernel, redrawn where it can be, plain text in a terminal."""
        if options.quiet:
            return QuietView()
        if not is_kernel(self._shell):
            live = self._preferences.stream and not options.no_stream and not job and options.shows_all
            return TerminalView(io.StringIO() if job else sys.stdout, sys.stderr, live=live, form=options.form)
        live = self.is_live(options)
        transient = {"display_id": f"llx-{uuid.uuid4().hex}"} if live else {}

        def show(bundle: Bundle, replaces: bool) -> None:  # noqa: FBT001 - the view says it by position
            # xeus-python sends metadata that is not given as null, which front ends refuse
            self._shell.display_pub.publish(bundle, {}, transient=transient, update=replaces)

        return CellView(
            show,
            status=status if live else None,
            form=options.form,
            footer_mode=self._preferences.footer_mode,
            job=job.line if job else "",
        )

    def keep(self, options: PromptOptions, reply: Reply) -> None:
        """Put the reply into ``_llx`` and the variable that was named."""
        self._shell.user_ns[LAST_REPLY] = reply
        if options.out is not None:
            self._shell.user_ns[options.out] = reply

    def offer_code(self, reply: Reply, cell: str | None) -> None:
        """Put the reply's code into a new cell, where the user can read it before running it.

        No kernel can change a cell that is there already. So where the same cell has made one with the same code at its
        last run, it makes no second one.
        """
        code = "\n\n".join(block.text.rstrip() for block in reply.code.blocks)
        if not code:
            raise UsageProblem("the reply holds no code block, so there is no new cell")
        if cell is not None and self._made.pop(cell, None) == code:
            print("the cell made at the last run holds the same code; run once more for another")  # noqa: T201
            return
        if cell is not None:
            self._made[cell] = code
        self._shell.set_next_input(printable(code))


class _Asking:
    """One prompt on its way: what was asked, what shows it, and what has happened so far."""

    def __init__(self, prompter: Prompter, options: PromptOptions, text: str) -> None:
        self._prompter = prompter
        self._options = options
        filled = prompter.rendered(text, options)
        self._text = filled.text
        self._front_end = prompter.front_end()
        self._cell = prompter.place_of(options, self._front_end)
        self.balancer, self.plan = prompter.prepare(options, filled, self._cell)
        self._view: View = QuietView()
        self._begun = time.monotonic()

    def in_foreground(self) -> Reply:
        """Show the reply while it comes, and return it."""
        self._view = self._prompter.view(self._options, self._status(), None)
        try:
            return self._follow(prompt.start(self.balancer, self.plan))
        except KeyboardInterrupt:
            self._give_up("interrupted", InterruptedPrompt())
            raise InterruptedPrompt from None

    def in_background(self) -> Output | None:
        """Start the prompt and return at once; its output goes on in this cell.

        What comes after a cell has ended does not reach a notebook that a program executes, so there the cell waits.
        """
        running = prompt.start(self.balancer, self.plan)
        running.begin()
        jobs = self._prompter.jobs
        job = jobs.add(self._text, running.cancel)
        self._view = self._prompter.view(self._options, self._status(), job)
        jobs.begin(job, lambda: self._follow(running))
        if self._front_end.is_program:
            job.wait()
            return None
        return None if self._options.quiet or self._prompter.is_live(self._options) else Output(job.line)

    def _status(self) -> Status:
        in_force = {candidate.backend.name: candidate.settings for candidate in self.plan.candidates}

        def limit(backend: str) -> float | None:
            milliseconds = in_force[backend].first_word_limit_ms
            return None if milliseconds is None else milliseconds / 1000

        return Status(limit, self.balancer.now)

    def _follow(self, running: Running[Reply, Delta | Restart | Event]) -> Reply:
        try:
            reply = running.follow(self._view.draw)
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
            self._prompter.print_footer(reply)
        self._after(reply)
        return reply

    def _give_up(self, why: str, error: BaseException, partial: str = "") -> None:
        received = self._view.received
        trace = trace_of(self.balancer.decisions(), received.request)
        reply = Reply(
            text=received.text or partial,
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
        self._view.give_up(why)

    def _after(self, reply: Reply) -> None:
        options = self._options
        self._prompter.remember(options, self._text, reply, self._cell)
        if options.form == "json":
            reply.json()
        if options.next_cell:
            self._prompter.offer_code(reply, self._cell)


def is_kernel(shell: InteractiveShell) -> bool:
    """Return whether the shell is a kernel's, whose output can be redrawn; a terminal's cannot."""
    return hasattr(shell, "kernel")
