"""Conversations: ``%llx_chat`` and ``llx chat``."""

from __future__ import annotations

from llx_magic.commands import sources
from llx_magic.commands.command import ANYWHERE, Argument, Command, Option

_RUN = "llx_magic.commands.conversations"

FORMATS = ("markdown", "dataframe")

SHOWN_TURNS = 20
"""Turns that ``show`` shows, so that a long conversation does not flood the notebook."""

_CHOSEN = Argument("name", "NAME", "a conversation", complete=sources.conversations)
_NAME = Argument(
    "name",
    "NAME",
    "a conversation; without it the unnamed one of this session",
    complete=sources.conversations,
    optional=True,
    group="which",
)

_NOTES = """
A cell that runs again replaces its own turn and sends only the turns before it. In a notebook that a program executes
(nbconvert, papermill) the n-th prompt of a run replaces the n-th of the last run, so that each run sends the same. In
consoles, whose prompts are no cells, each prompt adds a turn. --chat NAME of a prompt continues a conversation, or
starts it.
"""

COMMAND = Command(
    run=f"{_RUN}:overview",
    actions=(
        Command("list", "List every conversation, broken files with what is wrong.", run=f"{_RUN}:overview"),
        Command(
            "show",
            "Show the latest turns of a conversation.",
            run=f"{_RUN}:show",
            arguments=(_NAME,),
            options=(Option("-n", "N", f"how many turns (default {SHOWN_TURNS})"),),
        ),
        Command(
            "clear",
            "Remove all turns; the file of a named one is kept as .bak.",
            run=f"{_RUN}:clear",
            arguments=(_NAME,),
            options=(Option("--all", "", "of every conversation", group="which"),),
        ),
        Command(
            "fork",
            "Copy a conversation under a new name, to go on differently there.",
            run=f"{_RUN}:fork",
            arguments=(_NAME, Argument("new", "NEW", "the name of the copy")),
            options=(Option("--upto", "N", "copy the first N turns only"),),
        ),
        Command(
            "export",
            "Give a conversation as Markdown, or as a DataFrame.",
            run=f"{_RUN}:export",
            arguments=(_NAME,),
            options=(
                Option("-f --format", "FORMAT", "markdown or dataframe", choices=FORMATS),
                Option("--file", "F", "the new file that takes the Markdown", complete=sources.files),
            ),
        ),
        Command("delete", "Take a conversation away (kept as .bak).", run=f"{_RUN}:delete", arguments=(_CHOSEN,)),
    ),
    notes={ANYWHERE: _NOTES},
)
