"""The magics: their names, their help and how replies are shown; what they do is imported when first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Int

from llx_magic.locks import ForkSafeLock

if TYPE_CHECKING:
    from llx_magic.commands.footer import FooterMode
    from llx_magic.core.reply import Reply
    from llx_magic.notebook.actions import Actions
    from llx_magic.session.session import Session


@magics_class
class LlxMagics(Magics):
    """``%%llx``, ``%llx`` and the magics beside them, over one session."""

    stream = Bool(
        default_value=True, help="Show replies while they come; --no-stream switches it off for one cell."
    ).tag(config=True)
    footer = Enum(
        ("full", "stable", "none", True, False),
        default_value="full",
        help="The line under a reply that says who answered and opens to the trace: full (or True), stable without "
        "what differs from run to run, none (or False).",
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
        self._shell = shell
        self._session = session
        self._making = ForkSafeLock()

    def session(self) -> Session:
        """Return this shell's session; made at the first use, by a magic or by ``llx_magic.ask`` on any thread."""
        from llx_magic.notebook.asking import asker_of
        from llx_magic.session.session import Session

        with self._making:
            if self._session is None:
                self._session = Session(eager=True, asker=asker_of(self._shell))
            return self._session

    @property
    def footer_mode(self) -> FooterMode:
        """What the line under a reply says, where True and False have become words too."""
        if self.footer in (False, "none"):
            return "none"
        return "stable" if self.footer == "stable" else "full"

    @cached_property
    def actions(self) -> Actions:
        """What the magics do; made at the first use, since it imports most of the package."""
        from llx_magic.notebook.actions import Actions

        return Actions(self._shell, self.session(), self)

    def close(self) -> None:
        """End what the magics started."""
        if "actions" in vars(self):
            self.actions.close()
        elif self._session is not None:
            self._session.close()

    @no_var_expand
    @line_cell_magic
    def llx(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask a prompt of the best backend that is up: %%llx [options] with the prompt below, or %llx [options] TEXT.

        {{ expression }} puts a variable of the notebook into the prompt. %%llx --help lists the options.
        """
        return self.actions.ask(line, cell)

    @no_var_expand
    @line_magic
    def llx_set(self, line: str) -> None:
        """Show and change settings: %llx_set, %llx_set KEY, %llx_set KEY VALUE, %llx_set unset KEY."""
        self.actions.set(line)

    @no_var_expand
    @line_magic
    def llx_profile(self, line: str) -> None:
        """Save, load, list, show and delete profiles: %llx_profile --help."""
        self.actions.profile(line)

    @no_var_expand
    @line_magic
    def llx_stats(self, line: str) -> object:
        """Show the statistics of the active profile; as an expression, .frame is a DataFrame."""
        return self.actions.stats(line)

    @no_var_expand
    @line_magic
    def llx_dashboard(self, line: str) -> None:
        """Show the live dashboard of the active profile: %llx_dashboard [-p PROFILE]."""
        self.actions.dashboard(line)

    @no_var_expand
    @line_magic
    def llx_trace(self, line: str) -> object:
        """Show how the last request was decided, or the N-th: %llx_trace [N]."""
        return self.actions.trace(line)

    @no_var_expand
    @line_magic
    def llx_log(self, line: str) -> None:
        """Show the latest debug lines: %llx_log [-n N]."""
        self.actions.log(line)

    @no_var_expand
    @line_magic
    def llx_circuit(self, line: str) -> None:
        """Show circuits and cool-downs, or change them by hand: %llx_circuit [open|close|reset BACKEND]."""
        self.actions.circuit(line)

    @no_var_expand
    @line_magic
    def llx_local(self, line: str) -> None:
        """Fetch, look at and stop the embedded model: %llx_local pull, status, stop."""
        self.actions.local(line)

    @no_var_expand
    @line_magic
    def llx_key(self, line: str) -> None:
        """Keep keys in the operating system's keyring: %llx_key set NAME, list, delete NAME."""
        self.actions.key(line)

    @no_var_expand
    @line_magic
    def llx_chat(self, line: str) -> object:
        """Look after conversations: %llx_chat list, show, clear, fork, delete, export."""
        return self.actions.chat(line)

    @no_var_expand
    @line_magic
    def llx_jobs(self, line: str) -> None:
        """List background prompts, show or cancel one: %llx_jobs, %llx_jobs show N, %llx_jobs cancel N."""
        self.actions.jobs(line)
