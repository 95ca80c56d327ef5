"""The magics."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Int

from llx_magic.commands import chat, keys, local, profiles, prompt, settings, statistics
from llx_magic.commands.grammar import HelpAskedError
from llx_magic.commands.output import Output
from llx_magic.core.reply import Reply
from llx_magic.core.text import printable
from llx_magic.notebook import jobs
from llx_magic.notebook.prompter import Prompter, is_kernel
from llx_magic.session.session import Session


@magics_class
class LlxMagics(Magics):
    """``%%llx``, ``%llx`` and the magics beside them, over one session."""

    stream = Bool(
        default_value=True, help="Show replies while they come; --no-stream switches it off for one cell."
    ).tag(config=True)
    footer = Bool(
        default_value=True, help="Show the line under a reply that says who answered and opens to the trace."
    ).tag(config=True)
    table_rows = Int(
        default_value=20, min=1, help="How many rows of a DataFrame or Series {{ }} puts into a prompt."
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, session: Session | None = None) -> None:
        super().__init__(shell)
        self.ip = shell
        self.session = session or Session()
        self.prompter = Prompter(shell, self.session, self)

    @no_var_expand
    @line_cell_magic
    def llx(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask a prompt of the best backend that is up: %%llx [options] with the prompt below, or %llx [options] TEXT.

        {{ expression }} puts a variable of the notebook into the prompt. %%llx --help lists the options.
        """
        try:
            if cell is None:
                options, text = prompt.split_prompt(line)
            else:
                options, text = prompt.cell_options(line), cell
        except HelpAskedError as asked:
            self._show(Output(str(asked)))
            return None
        result = self.prompter.run(options, text)
        if isinstance(result, Output):
            self._show(result)
            return None
        return result if cell is None else None

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
    def llx_stats(self, line: str) -> object:
        """Show the statistics of the active profile; as an expression, .frame is a DataFrame."""
        return self._value(lambda: self._stats(line))

    @no_var_expand
    @line_magic
    def llx_trace(self, line: str) -> object:
        """Show how the last request was decided, or the N-th: %llx_trace [N]."""
        return self._value(lambda: Shown(Output(str(statistics.trace(self.session, line)))))

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

    @no_var_expand
    @line_magic
    def llx_chat(self, line: str) -> object:
        """Look after conversations: %llx_chat list, show, clear, fork, delete, export."""
        return self._value(lambda: self._chat(line))

    @no_var_expand
    @line_magic
    def llx_jobs(self, line: str) -> None:
        """List background prompts, show or cancel one: %llx_jobs, %llx_jobs show N, %llx_jobs cancel N."""
        self._run(lambda: jobs.run(self.prompter.jobs, line))

    def _stats(self, line: str) -> Shown:
        output, balancer = statistics.stats(self.session, line)
        return Shown(output, balancer.stats)

    def _chat(self, line: str) -> object:
        result = chat.result(self.session.conversations, line)
        return Shown(result.output) if result.frame is None else result.frame

    def _value(self, action: Callable[[], object]) -> object:
        try:
            return action()
        except HelpAskedError as asked:
            self._show(Output(str(asked)))
            return None

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


class Shown:
    """A value that is shown as text, and as a table where the front end can; ``frame`` is its DataFrame, if any."""

    def __init__(self, output: Output, frame: Callable[[], object] = lambda: None) -> None:
        self._output = output
        self._frame = frame

    @property
    def frame(self) -> object:
        """The same as a DataFrame, as it is now; None where there is none."""
        return self._frame()

    def __repr__(self) -> str:
        return printable(self._output.text)

    def _repr_html_(self) -> str | None:
        return self._output.html or None
