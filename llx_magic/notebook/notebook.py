"""A notebook with the extension loaded, in which magics are carried out; imported when one is first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.backends import local as embedded
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, Shown
from llx_magic.commands.prompt import read_prompt
from llx_magic.commands.table import Row
from llx_magic.commands.where import Where
from llx_magic.core.reply import Reply
from llx_magic.engine.background import BACKGROUND
from llx_magic.notebook.completion import LlxCompleter
from llx_magic.notebook.dashboards import Dashboards
from llx_magic.notebook.frontend import is_kernel
from llx_magic.notebook.interrupts import interrupted
from llx_magic.notebook.jobs import Jobs
from llx_magic.notebook.prompter import LAST_MAP, LAST_REPLY, Prompter
from llx_magic.session.session import Session
from llx_magic.template.tables import Limits
from llx_magic.text.screen import printable

if TYPE_CHECKING:
    from llx_magic.notebook.magics import LlxMagics


class Notebook(Here):
    """One shell and its session; ``preferences`` say how replies are shown, where the cell itself does not.

    ``made`` holds the code of the new cell that each cell made at its last run, by the front end's name of the cell.
    """

    def __init__(self, shell: InteractiveShell, session: Callable[[], Session], preferences: LlxMagics) -> None:
        super().__init__(Where.NOTEBOOK, session)
        self.shell = shell
        self.preferences = preferences
        self.jobs = Jobs(shell)
        self.made: dict[str, str] = {}
        self.dashboards = Dashboards(shell, lambda: self.session.loaded())  # noqa: PLW0108 - the session is made at its first use

    @cached_property
    def completer(self) -> LlxCompleter:
        """What completes the magics' words."""
        return LlxCompleter(self)

    @property
    def table_limits(self) -> Limits:
        """How much of a table goes into a prompt, and by which setting."""
        return Limits(self.preferences.table_rows, "%config LlxMagics.table_rows")

    def variables(self) -> Mapping[str, object]:
        """Return the user's variables by their names, without IPython's own and without modules."""
        hidden: Mapping[str, object] = self.shell.user_ns_hidden
        return {
            name: value
            for name, value in list(self.shell.user_ns.items())
            if not name.startswith("_") and not isinstance(value, ModuleType) and not _is_in(hidden, name, value)
        }

    def ask(self, line: str, cell: str | None) -> Reply | None:
        """Answer a prompt; the reply is returned where it can be the value of an expression."""
        asked, text = read_prompt(line, cell)
        if asked.help:
            self.show(Output(asked.help))
            return None
        self.remark_on_variables()
        with interrupted("the prompt"):
            result = Prompter(self, asked, text).run()
        if isinstance(result, Output):
            self.show(result)
        return result if isinstance(result, Reply) and cell is None else None

    def run(self, row: Row, line: str, cell: str | None = None) -> object:
        """Carry out the magic of a command; what it returns is the value of the magic."""
        with interrupted(row.typed(Where.NOTEBOOK)):
            result = self.carry_out_line(row, line, cell)
        if not isinstance(result, Output) or isinstance(result, Shown):
            return result
        self.show(result)
        return None

    def show(self, output: Output) -> None:
        """Show an output, as a table where the front end can."""
        if output.html and is_kernel(self.shell):
            self.shell.display_pub.publish({"text/plain": output.text, "text/html": output.html}, {})
        else:
            print(printable(output.text))  # noqa: T201 - plain text is what it is
        if output.aside:
            print(f"\n{printable(output.aside)}")  # noqa: T201

    def close(self) -> None:
        """End background prompts, connections, the thread and the embedded model; the last results are forgotten."""
        self.jobs.cancel_all()  # each of them leaves its reply, cancelled, so the name goes after them
        for name in (LAST_REPLY, LAST_MAP):
            self.shell.user_ns.pop(name, None)
        self.dashboards.close()
        self.session.close()
        BACKGROUND.stop()
        embedded.stop()


def _is_in(names: Mapping[str, object], name: str, value: object) -> bool:
    return name in names and names[name] is value


def reader_of(shell: InteractiveShell) -> Callable[[str], str] | None:
    """Return what asks in IPython's terminal, or None: a kernel may have no input, and a notebook may run unwatched."""
    return None if is_kernel(shell) or not sys.stdin.isatty() else input
