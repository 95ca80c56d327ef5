"""From a cell's options and text to a reply in its output."""

from __future__ import annotations

import ast
import builtins
import concurrent.futures
import io
import keyword
import sys
import time
import typing
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands import prompt
from llx_magic.commands.ask import WHOLE, form_of
from llx_magic.commands.footer import footer, with_status
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.terminal import TerminalView
from llx_magic.core.events import AttemptStarted, Event
from llx_magic.core.message import Message
from llx_magic.core.reply import Arrival, Reply
from llx_magic.core.trace import trace_of
from llx_magic.engine.background import Running
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.notebook.frontend import front_end, is_kernel
from llx_magic.notebook.interrupts import Interrupted
from llx_magic.notebook.jobs import Job, Pending
from llx_magic.notebook.scope import Scope
from llx_magic.notebook.status import Status
from llx_magic.notebook.view import CellView, QuietView, View, canvas
from llx_magic.template.named import named_images
from llx_magic.template.template import Rendered, Template
from llx_magic.text.screen import printable
from llx_magic.text.wording import nearest

if TYPE_CHECKING:
    from llx_magic.notebook.notebook import Notebook
    from llx_magic.notebook.reasoning import ReasoningMode
    from llx_magic.template.environment import Mode

LAST_REPLY, LAST_MAP = "_llx", "_llx_map"
"""The variables that hold the last reply, and the last result of a run over rows."""

_RAW = "; --raw sends the text as it is"
"""What there is to do where braces are no expression; only a prompt of one cell has this option."""

_TAKEN = frozenset(("In", "Out", "_ih", "_oh", "_dh", "__builtin__", "__builtins__"))
"""What IPython keeps among the user's variables and cannot do without; the rest of its names are Python's builtins."""


def out_name(options: Asked) -> str:
    """Return the name of the variable that ``-o`` names, empty where it names none.

    Raises:
        UsageProblem: for what is no name, and for one that Python or IPython has.
    """
    out = options.get("out")
    if out is not None and (not out.isidentifier() or keyword.iskeyword(out)):
        raise UsageProblem(f"-o takes the name of a variable, got {out!r}")
    # As Python reads a name: https://docs.python.org/3/reference/lexical_analysis.html#identifiers
    name = unicodedata.normalize("NFKC", out or "")
    if name in _TAKEN or hasattr(builtins, name):
        raise UsageProblem(f"-o {name}: Python or IPython has something of that name; choose another")
    return name


def schema_of(shell: InteractiveShell, options: Asked) -> object:
    """Return what the variable holds that ``--schema`` names, None where it names none.

    Raises:
        UsageProblem: where there is no such variable.
    """
    if (name := options.get("schema")) is None:
        return None
    scope = Scope(shell)
    if name in scope:
        return scope[name]
    if Path(name).suffix == ".json":
        told = f"; {Path(name).stem} = json.load(open({name!r})) would make one of the file"
    elif not name.isidentifier() or hasattr(builtins, name):
        told = f"; assign it first: Schema = {name if _is_whole(name, scope) else '…'}, then --schema Schema"
    else:
        told = nearest(name, scope if name.startswith("_") else scope.own())
    raise UsageProblem(f"--schema {name}: there is no such variable{told}")


def _is_whole(expression: str, scope: Scope) -> bool:
    """Return whether an expression has come as it was typed: a line of words takes quotes away."""
    try:
        names = [each.id for each in ast.walk(ast.parse(expression, mode="eval")) if isinstance(each, ast.Name)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(name in scope or hasattr(builtins, name) or hasattr(typing, name) for name in names)


class Prompter:
    """One prompt of a notebook: what was asked, what shows it, and what has happened so far.

    Raises:
        UsageProblem: for what cannot be asked; nothing was sent.
    """

    def __init__(self, notebook: Notebook, options: Asked, text: str) -> None:
        self._out = out_name(options)
        if "bg" in options and "next-cell" in options:
            raise UsageProblem("--next-cell does not go with --bg: a new cell can be made only while this one runs")
        self._notebook = notebook
        self._shell = notebook.shell
        self._preferences = notebook.preferences
        self._options = options
        self._form = form_of(options)
        self._front_end = front_end(self._shell, self._preferences.redraw)
        filled = self._rendered(text)
        self._cell = self._place()
        self._balancer, plan = prompt.prepare(
            notebook.session, options, filled.content, self._cell, schema_of(self._shell, options)
        )
        self._plan = msgspec.structs.replace(plan, notes=(*plan.notes, *filled.notes))
        self._view: View = QuietView()
        self._begun = time.monotonic()

    def run(self) -> Reply | Output | None:
        """Answer, or say what was started or would be sent; None where the cell's output says so by itself.

        Raises:
            AllBackendsFailed: where no backend could answer; the partial text is in ``_llx``.
            ReplyFormatError: where JSON was asked for and the reply is none.
        """
        if "dry-run" in self._options:
            return prompt.preview(self._balancer, self._plan)
        if "quiet" not in self._options and (sent := prompt.attached(self._plan)):
            self._notebook.show(sent)
        if "bg" in self._options:
            return self._in_background()
        self._view = self._made_view(None)
        try:
            return self._follow(prompt.start(self._balancer, self._plan))
        except KeyboardInterrupt:
            interrupt = Interrupted("the prompt was interrupted")
            self._give_up("interrupted", interrupt)
            raise interrupt from None

    def _rendered(self, text: str) -> Rendered:
        """Return the text with its ``{{ }}`` filled in, unless it is to be sent raw, and what the user should know."""
        mode: Mode = "any" if self._preferences.expressions == "any" else "data"
        scope = Scope(self._shell, hidden=mode == "any", error=self._preferences.last_error)
        filled = (
            Rendered(text)
            if "raw" in self._options
            else Template(text, mode, otherwise=_RAW, limits=self._notebook.table_limits).render(scope)
        )
        if given := self._options.all("image"):
            pictures = [image for word in given for image in named_images(word, mode, scope)]
            filled = Rendered((*pictures, *Message("user", filled.content).pieces), filled.notes)
        if not self._out or scope.function is None:
            return filled
        # Nobody can write a local variable of a running function.
        note = f"{self._out} is a variable of the notebook, not of {scope.function}()"
        return Rendered(filled.content, (*filled.notes, note))

    def _place(self) -> str | None:
        """Return what identifies the cell in its conversation; None where it always adds a turn."""
        if self._front_end.is_program and "chat" in self._options:
            return self._notebook.session.conversations.next_place(self._options.get("chat") or "")
        return self._front_end.cell

    @property
    def _is_live(self) -> bool:
        """Whether the reply is shown while it comes; else it is a display of its own, when it is whole."""
        wanted = self._preferences.stream and "no-stream" not in self._options and "quiet" not in self._options
        return wanted and is_kernel(self._shell) and self._front_end.redraws

    def _made_view(self, job: Job | None) -> View:
        """Return what shows the reply: one output in a kernel, redrawn where it can be, plain text in a terminal."""
        options = self._options
        if "quiet" in options:
            return QuietView()
        if not is_kernel(self._shell):
            live = self._preferences.stream and "no-stream" not in options and not job and self._form in WHOLE
            return TerminalView(io.StringIO() if job else sys.stdout, sys.stderr, live=live, form=self._form)
        status = None
        if self._is_live:
            limits = {each.backend.name: each.settings.first_word_limit_ms for each in self._plan.candidates}
            status = Status(limits, self._balancer.now)

        return CellView(
            canvas(self._shell, redrawn=self._is_live),
            status=status,
            form=self._form,
            footer_mode=self._preferences.footer_mode,
            reasoning=cast("ReasoningMode", self._preferences.reasoning),
            job=job.line if job else "",
        )

    def _in_background(self) -> Output | None:
        """Start the prompt and return at once; its output goes on in this cell.

        What comes after a cell has ended does not reach a notebook that a program executes, so there the cell waits.
        """
        running = prompt.start(self._balancer, self._plan)
        running.begin()
        jobs = self._notebook.jobs
        job = jobs.add(self._plan.messages[-1].noted(), running.cancel)
        self._view = self._made_view(job)
        if self._out:
            self._shell.user_ns[self._out] = Pending(self._out, job)
        jobs.begin(job, lambda: self._follow(running))
        if self._front_end.is_program:
            job.wait()
            return None
        return None if "quiet" in self._options or self._is_live else Output(job.line)

    def _follow(self, running: Running[Reply, Arrival | Event]) -> Reply:
        try:
            reply = running.follow(self._view.draw)
        except AllBackendsFailed as failed:
            # A cell that has ended has no error of its own.
            why = str(failed) if "bg" in self._options else "no whole answer"
            self._give_up(why, failed, failed.partial)
            raise
        except concurrent.futures.CancelledError as cancelled:
            self._give_up("cancelled", cancelled)
            raise
        if self._form == "code" and not reply.code:
            reply = replace(reply, notes=(*reply.notes, "the reply holds no code"))
        mode = self._preferences.footer_mode
        if mode == "status":
            reply = with_status(reply, self._balancer.status)
        self._keep(reply)
        self._view.finish(reply)
        line = footer(reply, mode)
        if line and isinstance(self._view, TerminalView) and "bg" not in self._options:
            print(line)  # noqa: T201 - a terminal has no other output
        prompt.remember(self._notebook.session, self._options, self._plan, reply, self._cell)
        prompt.check(reply)
        if "next-cell" in self._options:
            self._offer_code(reply)
        return reply

    def _give_up(self, why: str, error: BaseException, partial: str = "") -> None:
        received = self._view.received
        trace = trace_of(self._balancer.decisions(), received.request)
        reply = Reply(
            text=received.text or partial,
            reasoning=received.reasoning,
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
        self._keep(reply)
        self._view.give_up(why)

    def _keep(self, reply: Reply) -> None:
        """Put the reply into ``_llx`` and the variable that was named."""
        self._shell.user_ns[LAST_REPLY] = reply
        if self._out:
            self._shell.user_ns[self._out] = reply

    def _offer_code(self, reply: Reply) -> None:
        """Put the reply's code into a new cell, where the user can read it before running it.

        No kernel can change a cell that is there already
        (https://jupyter-client.readthedocs.io/en/stable/messaging.html#payloads-deprecated). So where the same cell has
        made one with the same code at its last run, it makes no second one.
        """
        code, made = "\n\n".join(block.text.rstrip() for block in reply.code.blocks), self._notebook.made
        if not code:
            raise UsageProblem("the reply holds no code block, so there is no new cell")
        if self._cell is not None and made.pop(self._cell, None) == code:
            print("the cell made at the last run holds the same code; run once more for another")  # noqa: T201
            return
        if self._cell is not None:
            made[self._cell] = code
        self._shell.set_next_input(printable(code))
