"""The magics, made from the table of commands, and how replies are shown; what they do is imported when first used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, cast

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Int

from llx_magic.commands.table import commands_at
from llx_magic.commands.where import Where
from llx_magic.locks import ForkSafeLock
from llx_magic.notebook.last_error import LastError

if TYPE_CHECKING:
    from llx_magic.commands.footer import FooterMode
    from llx_magic.commands.table import Row
    from llx_magic.core.reply import Reply
    from llx_magic.notebook.notebook import Notebook
    from llx_magic.session.session import Session


@magics_class
class LlxMagics(Magics):
    """``%%llx``, ``%llx`` and a magic for each row of the table of commands, over one session."""

    stream = Bool(
        default_value=True, help="Show replies while they come; --no-stream switches it off for one cell."
    ).tag(config=True)
    footer = Enum(
        ("full", "status", "stable", "none", True, False),
        default_value="full",
        help="The line under a reply that says who answered and opens to the trace: full (or True), status with how "
        "the profile is where the first backend did not answer, stable without what differs from run to run, none "
        "(or False).",
    ).tag(config=True)
    reasoning = Enum(
        ("folded", "shown", "hidden"),
        default_value="folded",
        help="The model's reasoning above its reply: folded into a block that opens, shown, or hidden; "
        "Reply.reasoning has it in any case.",
    ).tag(config=True)
    redraw = Enum(
        ("auto", "always", "never"),
        default_value="auto",
        help="Show replies while they come: where the front end is known to redraw, in every one, or in none.",
    ).tag(config=True)
    table_rows = Int(
        default_value=20, min=1, help="How many rows of a DataFrame or Series {{ }} puts into a prompt."
    ).tag(config=True)

    expressions = Enum(
        ["data", "any"],
        default_value="data",
        help="What {{ }} reaches: the notebook's data, or anything, calls of your own functions included.",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, session: Session | None = None) -> None:
        super().__init__(shell)
        for row in commands_at(Where.NOTEBOOK):
            for kind in ("line", "cell") if row.cell else ("line",):
                self.magics[kind][f"llx_{row.name}"] = self._magic(row)
        self._shell = shell
        self.last_error = LastError(shell)
        self._session = session
        self._making = ForkSafeLock()

    def session(self) -> Session:
        """Return this shell's session; made at the first use, by a magic or by ``llx_magic.ask`` on any thread."""
        from llx_magic.commands import trust
        from llx_magic.notebook.map_view import map_view
        from llx_magic.notebook.notebook import reader_of
        from llx_magic.session.session import Session

        with self._making:
            if self._session is None:
                read = reader_of(self._shell)
                self._session = Session(
                    eager=True,
                    asker=None if read is None else trust.asker(read),
                    read=read,
                    map_view=lambda: map_view(self._shell, self.redraw),
                )
            return self._session

    @property
    def footer_mode(self) -> FooterMode:
        """What the line under a reply says, where True and False have become words too."""
        if self.footer in (False, "none"):
            return "none"
        return cast("FooterMode", "full" if self.footer is True else self.footer)

    @cached_property
    def notebook(self) -> Notebook:
        """What carries the magics out; made at the first use, since it imports most of the package."""
        from llx_magic.notebook.notebook import Notebook

        return Notebook(self._shell, self.session, self)

    def close(self) -> None:
        """End what the magics started."""
        if "notebook" in vars(self):
            self.notebook.close()
        elif self._session is not None:
            self._session.close()

    # Else IPython would fill in $name and {name} of the prompt itself:
    # https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.magic.html#IPython.core.magic.no_var_expand
    @no_var_expand
    @line_cell_magic
    def llx(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask a prompt of the best backend that is up: %%llx [options] with the prompt below, or %llx [options] TEXT.

        {{ expression }} puts a variable of the notebook into the prompt. %%llx --help lists the options.
        """
        return self.notebook.ask(line, cell)

    def _magic(self, row: Row) -> Callable[[str], object]:
        """Return the magic of a command, for a line and where it takes one for a cell."""

        @no_var_expand
        def magic(line: str, cell: str | None = None) -> object:
            return self.notebook.run(row, line, cell)

        magic.__doc__ = f"{row.summary}\n\n{row.typed(Where.NOTEBOOK)} --help tells more."
        return magic
