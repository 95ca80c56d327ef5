"""Help made from the declaration of a command, and the tables of the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.table import commands_at
from llx_magic.commands.where import Where

WIDTH = 100
LEFT = 30
"""How wide the help is, and how wide its left column is at most, in characters."""


def help_text(command: Command, prog: str, where: Where, options: Sequence[Option]) -> str:
    """Return the help: usage, what it does, its actions, arguments and options."""
    usage = f"usage: {' '.join([prog, *_parts(command, where)])}"
    blocks = [textwrap.fill(usage, WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False), command.summary]
    arguments = [(each.name, each.help) for each in command.arguments_at(where) if each.help and not each.hidden]
    shown = [(option.shown, option.help) for option in options if not option.hidden]
    for heading, rows in (
        ("actions", list(_leaves(command, where))),
        ("arguments", arguments),
        ("options", shown),
        ("other commands", [(row.typed(where), row.summary) for row in commands_at(where) if command.text]),
    ):
        if rows:
            blocks.append("\n".join([f"{heading}:", *_columns(rows)]))
    blocks += [note.format(prog=prog).strip("\n") for at, note in command.notes.items() if where in at]
    return "\n\n".join(blocks)


def _parts(command: Command, where: Where) -> Iterator[str]:
    """Yield what stands behind the name of a command in its usage."""
    for option in command.options:
        if not option.hidden and where in option.where:
            written = option.shown.replace(", ".join(option.forms), option.main)
            yield written if option.needed else f"[{written}]" + ("..." if option.repeats else "")
    if command.actions_at(where):
        yield "[ACTION]" if command.run or command.arguments_at(where) else "ACTION"
    yield from (argument.shown for argument in command.arguments_at(where) if not argument.hidden)
    if command.text and where is Where.NOTEBOOK:
        yield "TEXT"


def _leaves(command: Command, where: Where, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield each action with its arguments and what it does, the actions of actions in their place."""
    for name, action in command.actions_at(where).items():
        inner = list(_leaves(action, where, f"{before}{name} "))
        arguments: list[Argument] = [each for each in action.arguments_at(where) if not each.hidden]
        own = " ".join([f"{before}{name}", *(each.shown for each in arguments)])
        yield from inner or [(own, action.summary)]


def _columns(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    rows = list(rows)
    width = min(LEFT, max(len(left) for left, _right in rows))
    for left, right in rows:
        first, *rest = textwrap.wrap(right, WIDTH - width - 4) or [""]
        if len(left) > width:
            yield f"  {left}"
        yield f"  {(left if len(left) <= width else '').ljust(width)}  {first}".rstrip()
        yield from (f"  {' ' * width}  {line}" for line in rest)
