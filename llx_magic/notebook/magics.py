"""The magics."""

from __future__ import annotations

import getpass
import sys
import uuid
from collections.abc import Callable

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from llx_magic.commands import keys, local, profiles, prompt, settings, statistics
from llx_magic.commands.grammar import HelpAskedError
from llx_magic.commands.output import Output
from llx_magic.commands.terminal import TerminalView, footer
from llx_magic.core.reply import Reply
from llx_magic.core.text import printable
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.notebook.interrupt import InterruptedPrompt
from llx_magic.notebook.view import Bundle, CellView
from llx_magic.session.session import Session


@magics_class
class LlxMagics(Magics):
    """``%%llx``, ``%llx`` and the magics beside them, over one session."""

    def __init__(self, shell: InteractiveShell, session: Session | None = None) -> None:
        super().__init__(shell)
        self.ip = shell
        self.session = session or Session()
        self.last_reply: Reply | None = None

    @no_var_expand
    @line_cell_magic
    def llx(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask a prompt of the best backend that is up: %%llx [options] with the prompt below, or %llx [options] TEXT.

        Type %%llx --help for the options.
        """
        try:
            if cell is None:
                options, text = prompt.split_prompt(line)
            else:
                options, text = prompt.cell_options(line), cell
        except HelpAskedError as asked:
            self._show(Output(str(asked)))
            return None
        reply = self._answer(options, text)
        return reply if cell is None else None

    @no_var_expand
    @line_magic
    def llx_set(self, line: str) -> None:
        """Show and change settings: %llx_set, %llx_set KEY, %llx_set KEY VALUE, %llx_set unset KEY."""
        self._run(lambda: settings.run(self.session, line))

    @no_var_expand
    @line_magic
    def llx_profile(self, line: str) -> None:
        """Save, load, list, show and delete profiles: %llx_profile --help."""
        self._run(lambda: profiles.run(self.session, line))

    @no_var_expand
    @line_magic
    def llx_stats(self, line: str) -> StatisticsOutput | None:
        """Show the statistics of the active profile; as an expression, give them as a DataFrame."""
        try:
            output, balancer = statistics.stats(self.session, line)
        except HelpAskedError as asked:
            self._show(Output(str(asked)))
            return None
        return StatisticsOutput(output, balancer.stats)

    @no_var_expand
    @line_magic
    def llx_log(self, line: str) -> None:
        """Show the latest debug lines: %llx_log [-n N]."""
        self._run(lambda: statistics.log(self.session, line))

    @no_var_expand
    @line_magic
    def llx_local(self, line: str) -> None:
        """Fetch, look at and stop the embedded model: %llx_local pull, status, stop."""
        self._run(lambda: local.run(line, local.ProgressBar(sys.stderr)))

    @no_var_expand
    @line_magic
    def llx_key(self, line: str) -> None:
        """Keep keys in the operating system's keyring: %llx_key set NAME, list, delete NAME."""
        self._run(lambda: keys.run(self.session, line, getpass.getpass))

    def _answer(self, options: prompt.PromptOptions, text: str) -> Reply:
        if options.out is not None and not options.out.isidentifier():
            raise UsageProblem(f"-o takes the name of a variable, got {options.out!r}")
        balancer, asked = prompt.prepare(self.session, options, text)
        view = self._view(live=not options.no_stream)
        try:
            reply = prompt.answer(balancer, asked, view)
        except KeyboardInterrupt:
            view.give_up("interrupted")
            raise InterruptedPrompt from None
        except AllBackendsFailed:
            view.give_up("no backend could finish")
            raise
        self.last_reply = reply
        if options.out is not None:
            self.ip.user_ns[options.out] = reply
        view.finish(reply)
        if isinstance(view, TerminalView):
            print(footer(reply))  # noqa: T201 - a terminal has no other output
        return reply

    def _view(self, *, live: bool) -> CellView | TerminalView:
        if not is_kernel(self.ip):
            return TerminalView(sys.stdout, sys.stderr, live=live)
        transient = {"display_id": f"llx-{uuid.uuid4().hex}"} if live else {}

        def show(bundle: Bundle, replaces: bool) -> None:  # noqa: FBT001 - the view says it by position
            self.ip.display_pub.publish(bundle, transient=transient, update=replaces)

        return CellView(show, live=live)

    def _run(self, action: Callable[[], Output]) -> None:
        try:
            self._show(action())
        except HelpAskedError as asked:
            self._show(Output(str(asked)))

    def _show(self, output: Output) -> None:
        if output.html and is_kernel(self.ip):
            self.ip.display_pub.publish({"text/plain": output.text, "text/html": output.html})
        else:
            print(printable(output.text))  # noqa: T201 - plain text is what it is


class StatisticsOutput:
    """The statistics of a profile: shown as text and as a table, and readable as a DataFrame."""

    def __init__(self, output: Output, frame: Callable[[], object]) -> None:
        self._output = output
        self._frame = frame

    @property
    def frame(self) -> object:
        """A DataFrame with a row per backend, as it is now."""
        return self._frame()

    def __repr__(self) -> str:
        return self._output.text

    def _repr_html_(self) -> str | None:
        return self._output.html or None


def is_kernel(shell: InteractiveShell) -> bool:
    """Return whether the shell is a kernel's, whose output can be redrawn; a terminal's cannot."""
    return hasattr(shell, "kernel")
