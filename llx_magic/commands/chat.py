"""``%llx_chat`` and ``llx chat``: list, show, clear, fork, export and delete conversations."""

from __future__ import annotations

import argparse
import dataclasses
import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.commands.grammar import Grammar, shell_words
from llx_magic.commands.localtime import day_and_time
from llx_magic.commands.output import Output, text_table
from llx_magic.errors import UsageProblem
from llx_magic.files.newfiles import write_new
from llx_magic.files.private import reason
from llx_magic.observe.report import AS_WRITTEN, html_table
from llx_magic.session.conversations import Conversation, Conversations
from llx_magic.session.turns import Turn, counted, described
from llx_magic.text.screen import one_line, printable
from llx_magic.text.wording import shown_path

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("markdown", "dataframe")

SHOWN_TURNS = 20
"""Turns that ``show`` shows, so that a long conversation does not flood the notebook."""

_HEADINGS = ("conversation", "turns", "latest", "begins with")
_NAME_HELP = "a conversation; without it the unnamed one of this session"


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What the command gives: what to show, and the DataFrame where one was asked for."""

    output: Output
    frame: pd.DataFrame | None = None


def grammar(prog: str = "%llx_chat") -> Grammar:
    """Return the grammar of the command."""
    parser = Grammar(
        prog,
        f"""Look after conversations; {_starter(prog)} continues one, or starts it.

  {prog} list
  {prog} show [NAME] [-n N]
  {prog} clear [NAME] | clear --all
  {prog} fork [NAME] NEW [--upto N]
  {prog} export [NAME] [--format markdown|dataframe] [--file F]
  {prog} delete NAME

A cell that runs again replaces its own turn and sends only the turns before it. In a notebook that a program executes
(nbconvert, papermill) the n-th prompt of a run replaces the n-th of the last run, so that each run sends the same. In
consoles, whose prompts are no cells, each prompt adds a turn.
""",
    )
    parser.add_action("list", "List every conversation, broken files with what is wrong.")
    show = parser.add_action("show", "Show the latest turns of a conversation.")
    show.add_argument("name", metavar="NAME", nargs="?", help=_NAME_HELP)
    show.add_argument("-n", metavar="N", help=f"how many turns (default {SHOWN_TURNS})")
    clear = parser.add_action("clear", "Remove all turns; the file of a named one is kept as .bak.")
    clear.add_argument("name", metavar="NAME", nargs="?", help=_NAME_HELP)
    clear.add_argument("--all", action="store_true", help="of every conversation")
    fork = parser.add_action("fork", "Copy a conversation under a new name, to go on differently there.")
    fork.add_argument("name", metavar="NAME", nargs="?", help=_NAME_HELP)
    fork.add_argument("new", metavar="NEW", help="the name of the copy")
    fork.add_argument("--upto", metavar="N", help="copy the first N turns only")
    export = parser.add_action("export", "Give a conversation as Markdown, or as a DataFrame.")
    export.add_argument("name", metavar="NAME", nargs="?", help=_NAME_HELP)
    export.add_argument("-f", "--format", metavar="FORMAT", default="markdown", help="markdown or dataframe")
    export.add_argument("--file", metavar="F", help="the new file that takes the Markdown")
    delete = parser.add_action("delete", "Take a conversation away (kept as .bak).")
    delete.add_argument("name", metavar="NAME")
    return parser


def run(conversations: Conversations, line: str, prog: str = "%llx_chat") -> Output:
    """Carry out the command.

    Raises:
        UsageProblem: for words that make no sense, or a conversation that is missing or broken.
    """
    return result(conversations, line, prog).output


def result(conversations: Conversations, line: str, prog: str = "%llx_chat") -> ChatResult:
    """Carry out the command; ``export --format dataframe`` gives the DataFrame too. Errors are those of ``run``."""
    return result_of_words(conversations, shell_words(line), prog)


def run_words(conversations: Conversations, words: Sequence[str], prog: str = "llx chat") -> Output:
    """Carry out the command, its line split into words already."""
    return result_of_words(conversations, words, prog).output


def result_of_words(conversations: Conversations, words: Sequence[str], prog: str) -> ChatResult:
    """Carry out the command, its line split into words already; the DataFrame comes with it where one was asked for."""
    asked = grammar(prog).read(words)
    asked.prog = prog
    if asked.action == "export":
        return _export(conversations, asked)
    actions: dict[str | None, Callable[[Conversations, argparse.Namespace], Output]] = {
        None: _list,
        "list": _list,
        "show": _show,
        "clear": _clear,
        "fork": _fork,
        "delete": _delete,
    }
    return ChatResult(actions[asked.action](conversations, asked))


def _list(conversations: Conversations, asked: argparse.Namespace) -> Output:
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
        return Output(f"there is no conversation yet: {_starter(asked.prog)} starts one")
    return Output(text_table(_HEADINGS, rows), html_table(_HEADINGS, rows))


def _show(conversations: Conversations, asked: argparse.Namespace) -> Output:
    most = SHOWN_TURNS if asked.n is None else _number("-n", asked.n)
    found = conversations.get(asked.name)
    if not found.turns:
        return _empty(found, asked.prog)
    first = max(0, len(found.turns) - most)
    head = f"{described(found.name)}: {counted(len(found.turns))}"
    if first:
        head += f", the latest {most} shown (-n {len(found.turns)} shows all)"
    turns = list(enumerate(found.turns, 1))[first:]
    text = "\n\n".join([head, *(_turn_as_text(number, turn) for number, turn in turns)])
    return Output(text, f"<p>{html.escape(head)}</p>" + "".join(_turn_as_html(number, turn) for number, turn in turns))


def _clear(conversations: Conversations, asked: argparse.Namespace) -> Output:
    if not asked.all:
        return Output(_cleared(conversations, asked.name))
    if asked.name is not None:
        raise UsageProblem(f"clear takes the name of a conversation or --all, got {asked.name} and --all")
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


def _fork(conversations: Conversations, asked: argparse.Namespace) -> Output:
    upto = None if asked.upto is None else _number("--upto", asked.upto)
    turns = conversations.fork(asked.name, asked.new, upto)
    go_on = _starter(asked.prog, asked.new)
    return Output(f"conversation {asked.new} has {counted(turns)} of {described(asked.name)}; {go_on} goes on there")


def _delete(conversations: Conversations, asked: argparse.Namespace) -> Output:
    backup = conversations.delete(asked.name)
    return Output(f"deleted conversation {asked.name}; its file is kept as {backup.name}")


def _export(conversations: Conversations, asked: argparse.Namespace) -> ChatResult:
    if asked.format not in FORMATS:
        raise UsageProblem(f"--format must be markdown or dataframe, got {asked.format!r}")
    if asked.format == "dataframe" and asked.file is not None:
        raise UsageProblem("--file takes Markdown; a DataFrame has its own ways to a file, such as to_csv")
    found = conversations.get(asked.name)
    if asked.format == "dataframe":
        return _as_frame(found)
    if not found.turns:
        return ChatResult(_empty(found, asked.prog))
    text = as_markdown(found)
    if asked.file is None:
        return ChatResult(Output(text.rstrip("\n")))
    path = Path(asked.file)
    _write_new(path, text)
    return ChatResult(Output(f"{described(found.name)}: {counted(len(found.turns))} written to {shown_path(path)}"))


def _as_frame(found: Conversation) -> ChatResult:
    from llx_magic.observe.frames.frames import conversation_frame

    frame = conversation_frame([dataclasses.asdict(turn) for turn in found.turns])
    columns = ("turn", "at", "prompt", "reply", "backend", "model")
    rows = [(str(number), *(one_line(text, 60) for text in _shown(turn))) for number, turn in enumerate(found.turns, 1)]
    return ChatResult(Output(text_table(columns, rows), html_table(columns, rows)), frame)


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


def _empty(found: Conversation, prog: str) -> Output:
    return Output(f"{described(found.name)} has no turns yet: {_starter(prog, found.name)} adds one")


def _starter(prog: str, name: str = "NAME") -> str:
    """Return what to type to continue a conversation; the unnamed one ends with a command line's process."""
    chat = f"--chat {name}".rstrip()
    return f"%%llx {chat}" if prog.startswith("%") else f"llx {chat if name else '--chat NAME'} --prompt TEXT"


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
