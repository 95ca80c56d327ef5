"""Conversations: ``%llx_chat`` and ``llx chat``."""

from __future__ import annotations

import html
import re
from pathlib import Path

from llx_magic.commands import sources
from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.localtime import day_and_time
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.where import ANYWHERE
from llx_magic.errors import UsageProblem
from llx_magic.files.newfiles import write_new
from llx_magic.files.private import reason
from llx_magic.hosts import is_notebook
from llx_magic.observe.report import AS_WRITTEN, html_table, text_table
from llx_magic.session.conversations import Conversation
from llx_magic.session.turns import counted, described
from llx_magic.text.blocks import fenced
from llx_magic.text.screen import one_line, printable
from llx_magic.text.wording import shown_path

_RUN = "llx_magic.commands.chat"

SHOWN_TURNS = 20
"""Turns that ``show`` shows, so that a long conversation does not flood the notebook."""

_CHOSEN = Argument("name", "NAME", "a conversation", complete=sources.conversations)
_NAME = Argument(
    "name",
    "NAME",
    "a conversation; without it the unnamed one of this session",
    complete=sources.conversations,
    optional=True,
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
        ),
        Command(
            "export",
            "Give a conversation as Markdown.",
            run=f"{_RUN}:export",
            arguments=(_NAME,),
            options=(Option("--file", "F", "the new file that takes it", complete=sources.files),),
        ),
        Command("delete", "Take a conversation away (kept as .bak).", run=f"{_RUN}:delete", arguments=(_CHOSEN,)),
    ),
    notes={ANYWHERE: _NOTES},
)


_PRE = '<pre style="white-space:pre-wrap;text-align:left;margin-left:1em">'
_HEADINGS = ("conversation", "turns", "latest", "begins with")


def overview(here: Here, _asked: Asked) -> Output:
    """List every conversation, broken files with what is wrong."""
    rows = []
    for each in here.session.conversations.all():
        about = (str(len(each.turns)), "", "")
        if each.problem is not None:
            about = ("broken", "", one_line(each.problem))
        elif each.turns:
            latest, opening = each.turns[-1].at, each.turns[0].prompt
            about = (about[0], one_line(day_and_time(latest), 40), one_line(opening, 60))
        rows.append((each.name or "(unnamed)", *about))
    if not rows:
        return Output(f"there is no conversation yet: {_starter()} starts one")
    return Output(text_table(_HEADINGS, rows), html_table(_HEADINGS, rows))


def show(here: Here, asked: Asked) -> Output:
    """Show the latest turns of a conversation."""
    most = asked.number("n", SHOWN_TURNS, "turns")
    found = here.session.conversations.get(asked.get("name"))
    if not found.turns:
        return _empty(found)
    first = max(0, len(found.turns) - most)
    head = f"{described(found.name)}: {counted(len(found.turns))}"
    if first:
        head += f", the latest {most} shown (-n {len(found.turns)} shows all)"
    lines, blocks = [head], [f"<p>{html.escape(head)}</p>"]
    for number, turn in list(enumerate(found.turns, 1))[first:]:
        heading = one_line(f"[{number}] {day_and_time(turn.at)} · {turn.backend} ({turn.model})")
        lines += ["", heading]
        blocks.append(f'<div {AS_WRITTEN} style="text-align:left"><b>{html.escape(heading)}</b></div>')
        for label, text in (("system", turn.system), ("prompt", turn.prompt), ("reply", turn.reply)):
            if text is not None:
                shown = printable(text)
                # Indented, so that no text can pass for the heading of a turn.
                lines += [f"  {label}:", *(f"    {line}".rstrip() for line in shown.split("\n"))]
                blocks.append(f'<div style="text-align:left">{label}</div>{_PRE}{html.escape(shown)}</pre>')
    return Output("\n".join(lines), "".join(blocks))


def clear(here: Here, asked: Asked) -> Output:
    """Remove all turns of a conversation."""
    name = asked.get("name")
    turns = here.session.conversations.clear(name)
    if not turns:
        return Output(f"{described(name)} had no turns")
    kept = f"; its file is kept as {name}.json.bak" if name else ""
    return Output(f"{described(name)} is cleared of {counted(turns)}{kept}")


def delete(here: Here, asked: Asked) -> Output:
    """Take a conversation away."""
    backup = here.session.conversations.delete(asked["name"])
    return Output(f"deleted conversation {asked['name']}; its file is kept as {backup.name}")


def export(here: Here, asked: Asked) -> Output:
    """Give a conversation as Markdown, here or in a new file.

    Raises:
        UsageProblem: for a file that is there already or cannot be written.
    """
    found = here.session.conversations.get(asked.get("name"))
    if not found.turns:
        return _empty(found)
    text = as_markdown(found)
    if (file := asked.get("file")) is None:
        return Output(text.rstrip("\n"))
    shown = shown_path(Path(file))
    try:
        write_new(Path(file).expanduser(), text.encode("utf-8", "replace"))
    except FileExistsError:
        raise UsageProblem(f"{shown}: is there already and is not overwritten; choose another file") from None
    except (OSError, ValueError, RuntimeError) as problem:
        why = reason(problem) if isinstance(problem, (OSError, ValueError)) else "the home folder cannot be told"
        raise UsageProblem(f"{shown}: cannot be written ({why})") from None
    return Output(f"{described(found.name)}: {counted(len(found.turns))} written to {shown}")


def as_markdown(conversation: Conversation) -> str:
    """Return the conversation as Markdown, a heading per turn; each text is fenced, so that none can end its block."""
    parts = [f"# Conversation {conversation.name}".rstrip()]
    system: str | None = None
    for number, turn in enumerate(conversation.turns, 1):
        parts.append(f"## Turn {number}")
        parts.append(f"{_code(day_and_time(turn.at))} · {_code(turn.backend)} ({_code(turn.model)})")
        if turn.system not in {None, system}:
            parts += ["### System", fenced(printable(turn.system or ""), "text")]
        parts += [
            "### Prompt",
            fenced(printable(turn.prompt), "text"),
            "### Reply",
            fenced(printable(turn.reply), "markdown"),
        ]
        system = turn.system
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    safe = one_line(text) or "?"
    ticks = "`" * (max(map(len, re.findall("`+", safe)), default=0) + 1)
    return f"{ticks}{safe}{ticks}" if len(ticks) == 1 else f"{ticks} {safe} {ticks}"


def _empty(found: Conversation) -> Output:
    return Output(f"{described(found.name)} has no turns yet: {_starter(found.name)} adds one")


def _starter(name: str = "NAME") -> str:
    """Return what to type to continue a conversation; the unnamed one ends with a command line's process."""
    chat = f"--chat {name}".rstrip()
    return f"%%llx {chat}" if is_notebook() else f"llx {chat if name else '--chat NAME'} --prompt TEXT"
