"""Every command: its name, what it does, where it is typed, and the module that declares and does the rest.

Loading the extension and completing a first word read this table alone; a module is imported when its command is used.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from llx_magic.commands.where import ANYWHERE, Where

if TYPE_CHECKING:
    from llx_magic.commands.command import Command


class Row(NamedTuple):
    """A command; the one without a name is a prompt. ``module`` holds its declaration as ``COMMAND``.

    ``cell`` says that in a notebook it takes the text of the cell that it stands above.
    """

    name: str
    summary: str
    module: str
    where: Where = ANYWHERE
    cell: bool = False

    def typed(self, where: Where) -> str:
        """Return how it is typed: as a magic, or behind ``llx``."""
        if where is Where.NOTEBOOK:
            return f"{'%%' if self.cell else '%'}llx_{self.name}" if self.name else "%llx"
        return f"llx {self.name}".rstrip()

    def load(self) -> Command:
        """Return the declaration."""
        declared = cast("Command", import_module(self.module).COMMAND)
        return replace(declared, name=self.name, summary=self.summary)


PROMPT = Row("", "Ask a prompt of the best backend that is up.", "llx_magic.commands.ask")

_BOTH, _HERE = "llx_magic.commands", "llx_magic.notebook"

COMMANDS: dict[str, Row] = {
    row.name: row
    for row in (
        PROMPT,
        Row("map", "Ask the same prompt of every row of a table, a list or a file.", f"{_BOTH}.map", cell=True),
        Row("set", "Show and change the settings.", f"{_BOTH}.set"),
        Row("profile", "Save, load, list, show and delete profiles.", f"{_BOTH}.profile"),
        Row("models", "List the models that a provider or a profile's services offer.", f"{_BOTH}.models"),
        Row("status", "Say in a sentence who answers, who does not, and why.", f"{_BOTH}.status"),
        Row("stats", "Show the statistics, or with --all every process that shares the backends.", f"{_BOTH}.stats"),
        Row("dashboard", "Show the live dashboard of a profile.", f"{_HERE}.dashboards", Where.NOTEBOOK),
        Row("trace", "Show how the last request was decided, or the N-th.", f"{_BOTH}.trace", Where.NOTEBOOK),
        Row("replay", "Show what the prompts would have come to under other settings.", f"{_BOTH}.replay"),
        Row("tune", "Show which settings would have served the prompts best.", f"{_BOTH}.tune"),
        Row("log", "Show the latest debug lines, with the local time of day.", f"{_BOTH}.log", Where.NOTEBOOK),
        Row(
            "circuit",
            "Show each backend's circuit and cool-down, or change them by hand.",
            f"{_BOTH}.circuit",
            Where.NOTEBOOK,
        ),
        Row("chat", "List, show, clear, export and delete conversations.", f"{_BOTH}.chat"),
        Row("cache", "Show, clear and export the store of replies.", f"{_BOTH}.cache"),
        Row("jobs", "List background prompts (%%llx --bg), show or cancel one.", f"{_HERE}.jobs", Where.NOTEBOOK),
        Row("key", "Keep keys in the operating system's keyring.", f"{_BOTH}.key"),
        Row("local", "Fetch, look at and stop the embedded model, a small real one on this machine.", f"{_BOTH}.local"),
        Row("demo", "Ask a prompt that fails over, for real, to the embedded model.", f"{_BOTH}.demo", Where.SHELL),
        Row("completion", "Print what makes bash, zsh or fish complete llx.", f"{_BOTH}.completion", Where.SHELL),
    )
}
"""Every command by its name, in the order of the documentation."""


def commands_at(where: Where) -> list[Row]:
    """Return the commands that are typed there, without the prompt."""
    return [row for row in COMMANDS.values() if row.name and where in row.where]
