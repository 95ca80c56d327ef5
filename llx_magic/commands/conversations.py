"""What ``%llx_chat`` and ``llx chat`` do: list, show, clear, fork, export and delete conversations."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path

from llx_magic.commands.chat import SHOWN_TURNS
from llx_magic.commands.command import Where
from llx_magic.commands.here import Here
from llx_magic.commands.localtime import day_and_time
from llx_magic.commands.output import Output, text_table
from llx_magic.commands.reading import Asked
from llx_magic.errors import UsageProblem
from llx_magic.files.newfiles import write_new
from llx_magic.files.private import reason
from llx_magic.hosts import is_notebook
from llx_magic.observe.report import AS_WRITTEN, html_table
from llx_magic.session.conversations import Conversation, Conversations
from llx_magic.session.turns import Turn, counted, described
from llx_magic.text.screen import one_line, printable
from llx_magic.text.wording import shown_path

_HEADINGS = ("conversation", "turns", "latest", "begins with")


def overview(here: Here, _asked: Asked) -> Output:
    """List every conversation, broken files with what is wrong."""
    conversations = here.session.conversations
    rows = [
        (row.name or "(unnamed)", "broken", "", one_line(row.problem))
        if row.problem
        else (
            row.name or "(unnamed)",
            str(row.turns),
            one_line(day_and_time(row.latest), 40),
            one_line(row.opening, 60),
        )
        for row in conversations.rows()
    ]
    if not rows:
        return Output(f"there is no conversation yet: {_starter()} starts one")
    return Output(text_table(_HEADINGS, rows), html_table(_HEADINGS, rows))


def show(here: Here, asked: Asked) -> Output:
    """Show the latest turns of a conversation."""
    conversations = here.session.conversations
    most = _number("-n", asked["n"]) if "n" in asked else SHOWN_TURNS
    found = conversations.get(asked.get("name"))
    if not found.turns:
        return _empty(found)
    first = max(0, len(found.turns) - most)
    head = f"{described(found.name)}: {counted(len(found.turns))}"
    if first:
        head += f", the latest {most} shown (-n {len(found.turns)} shows all)"
    turns = list(enumerate(found.turns, 1))[first:]
    text = "\n\n".join([head, *(_turn_as_text(number, turn) for number, turn in turns)])
    return Output(text, f"<p>{html.escape(head)}</p>" + "".join(_turn_as_html(number, turn) for number, turn in turns))


def clear(here: Here, asked: Asked) -> Output:
    """Remove all turns of a conversation, or of every one."""
    conversations = here.session.conversations
    name = asked.get("name")
    if "all" not in asked:
        return Output(_cleared(conversations, name))
    if name is not None:
        raise UsageProblem(f"clear takes the name of a conversation or --all, got {name} and --all")
    done = [_cleared_or_why_not(conversations, row.name) for row in conversations.rows()]
    return Output("\n".join(map(one_line, done)) or "there is no conversation to clear")


def _cleared_or_why_not(conversations: Conversations, name: str) -> str:
    """Return what became of one conversation among several: what happened to those before it must be told too."""
    try:
        return _cleared(conversations, name)
    except UsageProblem as problem:
        return f"{described(name)} is left alone: {problem}"


def _cleared(conversations: Conversations, name: str | None) -> str:
    turns = conversations.clear(name)
    if not turns:
        return f"{described(name)} had no turns"
    kept = f"; its file is kept as {name}.json.bak" if name else ""
    return f"{described(name)} is cleared of {counted(turns)}{kept}"


def fork(here: Here, asked: Asked) -> Output:
    """Copy a conversation under a new name."""
    conversations = here.session.conversations
    upto = _number("--upto", asked["upto"]) if "upto" in asked else None
    turns = conversations.fork(asked.get("name"), asked["new"], upto)
    go_on = _starter(asked["new"])
    of = described(asked.get("name"))
    return Output(f"conversation {asked['new']} has {counted(turns)} of {of}; {go_on} goes on there")


def delete(here: Here, asked: Asked) -> Output:
    """Take a conversation away."""
    conversations = here.session.conversations
    backup = conversations.delete(asked["name"])
    return Output(f"deleted conversation {asked['name']}; its file is kept as {backup.name}")


def export(here: Here, asked: Asked) -> object:
    """Give a conversation as Markdown, or in a notebook as a DataFrame, which a shell sees as a table."""
    as_frame, file = asked.get("format") == "dataframe", asked.get("file")
    if as_frame and file is not None:
        raise UsageProblem("--file takes Markdown; a DataFrame has its own ways to a file, such as to_csv")
    found = here.session.conversations.get(asked.get("name"))
    if as_frame:
        return _frame(found) if here.where is Where.NOTEBOOK else _table(found)
    if not found.turns:
        return _empty(found)
    text = as_markdown(found)
    if file is None:
        return Output(text.rstrip("\n"))
    path = Path(file)
    _write_new(path, text)
    return Output(f"{described(found.name)}: {counted(len(found.turns))} written to {shown_path(path)}")


def _frame(found: Conversation) -> object:
    from llx_magic.observe.frames.frames import conversation_frame

    return conversation_frame([dataclasses.asdict(turn) for turn in found.turns])


def _table(found: Conversation) -> Output:
    columns = ("turn", "at", "prompt", "reply", "backend", "model")
    rows = [(str(number), *(one_line(text, 60) for text in _shown(turn))) for number, turn in enumerate(found.turns, 1)]
    return Output(text_table(columns, rows), html_table(columns, rows))


def _shown(turn: Turn) -> tuple[str, ...]:
    return day_and_time(turn.at), turn.prompt, turn.reply, turn.backend, turn.model


def as_markdown(conversation: Conversation) -> str:
    """Return the conversation as Markdown, a heading per turn; each text is fenced, so that none can end its block."""
    parts = [f"# Conversation {conversation.name}".rstrip()]
    system: str | None = None
    for number, turn in enumerate(conversation.turns, 1):
        parts.append(f"## Turn {number}")
        parts.append(f"{_code(day_and_time(turn.at))} · {_code(turn.backend)} ({_code(turn.model)})")
        if turn.system not in {None, system}:
            parts += ["### System", _fenced(turn.system or "", "text")]
        parts += ["### Prompt", _fenced(turn.prompt, "text"), "### Reply", _fenced(turn.reply, "markdown")]
        system = turn.system
    return "\n\n".join(parts) + "\n"


def _fenced(text: str, language: str) -> str:
    safe = printable(text)
    fence = "`" * max(3, _longest_run(safe) + 1)
    return f"{fence}{language}\n{safe.removesuffix(chr(10))}\n{fence}"


def _code(text: str) -> str:
    safe = one_line(text) or "?"
    ticks = "`" * (_longest_run(safe) + 1)
    return f"{ticks}{safe}{ticks}" if len(ticks) == 1 else f"{ticks} {safe} {ticks}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _turn_as_text(number: int, turn: Turn) -> str:
    lines = [_heading(number, turn)]
    for label, text in _texts(turn):
        # Indented, so that no text can pass for the heading of a turn.
        lines += [f"  {label}:", *(f"    {line}".rstrip() for line in text.split("\n"))]
    return "\n".join(lines)


def _turn_as_html(number: int, turn: Turn) -> str:
    blocks = "".join(
        f'<div style="text-align:left">{label}</div>'
        f'<pre style="white-space:pre-wrap;text-align:left;margin-left:1em">{html.escape(text)}</pre>'
        for label, text in _texts(turn)
    )
    return f'<div {AS_WRITTEN} style="text-align:left"><b>{html.escape(_heading(number, turn))}</b></div>{blocks}'


def _heading(number: int, turn: Turn) -> str:
    return one_line(f"[{number}] {day_and_time(turn.at)} · {turn.backend} ({turn.model})")


def _texts(turn: Turn) -> list[tuple[str, str]]:
    system = [] if turn.system is None else [("system", printable(turn.system))]
    return [*system, ("prompt", printable(turn.prompt)), ("reply", printable(turn.reply))]


def _empty(found: Conversation) -> Output:
    return Output(f"{described(found.name)} has no turns yet: {_starter(found.name)} adds one")


def _starter(name: str = "NAME") -> str:
    """Return what to type to continue a conversation; the unnamed one ends with a command line's process."""
    chat = f"--chat {name}".rstrip()
    return f"%%llx {chat}" if is_notebook() else f"llx {chat if name else '--chat NAME'} --prompt TEXT"


def _number(option: str, given: str) -> int:
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given)):
        raise UsageProblem(f"{option} must be a number of turns, at least 1, got {given!r}")
    return int(given)


def _write_new(path: Path, text: str) -> None:
    try:
        target = path.expanduser()
        write_new(target, text.encode("utf-8", "replace"))
    except FileExistsError:
        raise UsageProblem(
            f"{shown_path(path)}: is there already and is not overwritten; choose another file"
        ) from None
    except (OSError, ValueError, RuntimeError) as problem:
        why = reason(problem) if isinstance(problem, (OSError, ValueError)) else "the home folder cannot be told"
        raise UsageProblem(f"{shown_path(path)}: cannot be written ({why})") from None
