"""What the magics do; imported when one of them is used for the first time."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from functools import cached_property

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.backends import local as embedded
from llx_magic.commands import chat, circuit, keys, local, profiles, prompt, settings, statistics
from llx_magic.commands.grammar import HelpAskedError
from llx_magic.commands.output import Output
from llx_magic.core.reply import Reply
from llx_magic.engine.background import BACKGROUND
from llx_magic.notebook import dashboards as dashboard
from llx_magic.notebook import jobs
from llx_magic.notebook.completion import LlxCompleter
from llx_magic.notebook.dashboards import Dashboards
from llx_magic.notebook.prompter import LAST_REPLY, Preferences, Prompter, is_kernel
from llx_magic.observe import waterfall
from llx_magic.session.session import Session
from llx_magic.text.screen import printable


class Actions:
    """What each magic of a shell does with its line, over one session."""

    def __init__(self, shell: InteractiveShell, session: Session, preferences: Preferences) -> None:
        self._shell = shell
        self.session = session
        self.prompter = Prompter(shell, session, preferences)
        self.dashboards = Dashboards(shell, session.loaded)

    @cached_property
    def completer(self) -> LlxCompleter:
        """What completes the magics' words."""
        names = {
            "chat": self.session.conversations.names,
            "llx_chat name": self.session.conversations.names,
            "llx_jobs number": lambda: [str(job.number) for job in self.prompter.jobs.all()],
        }
        return LlxCompleter(self.session, self._shell, names)

    def ask(self, line: str, cell: str | None) -> Reply | None:
        """Answer a prompt; the reply is returned where it can be the value of an expression."""
        try:
            if cell is None:
                options, text = prompt.split_prompt(line)
            else:
                options, text = prompt.cell_options(line), cell.removesuffix("\n")
        except HelpAskedError as asked:
            self._show(Output(str(asked)))
            return None
        result = self.prompter.run(options, text)
        if isinstance(result, Output):
            self._show(result)
        return result if isinstance(result, Reply) and cell is None else None

    def set(self, line: str) -> None:
        """Show and change settings."""
        self._run(lambda: settings.run(self.session, line))

    def profile(self, line: str) -> None:
        """Save, load, list, show and delete profiles."""
        self._run(lambda: profiles.run(self.session, line))

    def stats(self, line: str) -> object:
        """Return the statistics, shown as a table; ``frame`` is their DataFrame."""
        return self._value(lambda: self._stats(line))

    def trace(self, line: str) -> object:
        """Return how a request was decided."""
        return self._value(lambda: self._trace(line))

    def dashboard(self, line: str) -> None:
        """Show the live dashboard of a profile."""
        self._value(lambda: dashboard.run(self.dashboards, self.session, line))

    def log(self, line: str) -> None:
        """Show the latest debug lines."""
        self._run(lambda: statistics.log(self.session, line))

    def circuit(self, line: str) -> None:
        """Show circuits and cool-downs, or change them by hand."""
        self._run(lambda: circuit.run(self.session, line))

    def local(self, line: str) -> None:
        """Fetch, look at and stop the embedded model."""
        self._run(lambda: local.run(line, local.ProgressBar(sys.stderr)))

    def key(self, line: str) -> None:
        """Keep keys in the operating system's keyring."""
        self._run(lambda: keys.run(self.session, line, getpass.getpass))

    def chat(self, line: str) -> object:
        """Return what was asked about a conversation."""
        return self._value(lambda: self._chat(line))

    def jobs(self, line: str) -> None:
        """List background prompts, show or cancel one."""
        self._run(lambda: jobs.run(self.prompter.jobs, line))

    def close(self) -> None:
        """End background prompts, connections, the thread and the embedded model; the last reply is forgotten."""
        self.prompter.jobs.cancel_all()  # each of them leaves its reply, cancelled, so the name goes after them
        self._shell.user_ns.pop(LAST_REPLY, None)
        self.dashboards.close()
        self.session.close()
        BACKGROUND.stop()
        embedded.stop()

    def _trace(self, line: str) -> Shown:
        found = statistics.trace(self.session, line)
        return Shown(Output(str(found), waterfall.as_html(found)))

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
        if output.html and is_kernel(self._shell):
            self._shell.display_pub.publish({"text/plain": output.text, "text/html": output.html}, {})
        else:
            print(printable(output.text))  # noqa: T201 - plain text is what it is
        if output.aside:
            print(f"\n{printable(output.aside)}")  # noqa: T201


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
