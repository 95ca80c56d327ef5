"""Where the cursor is: which magic, which of its words, and what its grammar has there."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field

from IPython.core.completer import CompletionContext

from llx_magic.commands.grammar import Grammar

_CELL = re.compile(r"\s*%%llx(?:[ \t]|$)")
_LINE = re.compile(r"\s*(?:[^%=]+=\s*)?%(\w+)[ \t]")
_PIECE = re.compile(r"""\"([^"]*)"?|'([^']*)'?|([^"']+)""")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for a magic, up to the cursor and after it; ``body`` is the prompt of a cell, up to the cursor."""

    magic: str
    before: str
    after: str = ""
    body: str | None = None
    is_cell: bool = False


@dataclass(slots=True)
class Place:
    """Where in a magic's grammar the cursor is, after the words that stand before it.

    On a line, where a text may follow, a value that may be left out is one only after an equals sign; ``is_line``.
    """

    magic: str
    grammar: Grammar
    path: tuple[str, ...] = ()
    seen: list[argparse.Action] = field(default_factory=list)
    given: dict[str, list[str]] = field(default_factory=dict)
    pending: argparse.Action | None = None
    in_text: bool = False
    is_line: bool = False

    def take(self, word: str) -> None:
        """Read one whole word."""
        if self.in_text or self.take_option(word):
            return
        if self.magic == "llx":
            self.in_text = True
        elif word != "--":
            self._take_positional(word)

    def take_option(self, word: str) -> bool:
        """Read a word that is an option or the value of one; False where it is neither."""
        name, equals, value = word.partition("=")
        option = self.option(name)
        if option is not None:
            self.seen.append(option)
            takes_word = option.nargs != 0 and not (option.nargs == "?" and self.is_line)
            self.pending = option if takes_word and not equals else None
            self.given.setdefault(option.dest, []).extend([value] if equals else [])
        elif self.pending is not None:
            self.given.setdefault(self.pending.dest, []).append(word)
            self.pending = None
        else:
            return False
        return True

    def option(self, name: str) -> argparse.Action | None:
        """Return the option of that name."""
        return next((action for action in _actions(self.grammar) if name in action.option_strings), None)

    def positional(self) -> argparse.Action | None:
        """Return what the next word without a dash is, or None where none is expected."""
        for action in _actions(self.grammar):
            if not action.option_strings and (action.nargs in ("*", "+") or not self.given.get(action.dest)):
                return action
        return None

    def expected(self, word: str) -> tuple[argparse.Action | None, bool]:
        """Return the argument that the unfinished word is the value of, and whether it may be an option instead."""
        if self.pending is not None and self.pending.nargs != "?":
            return self.pending, False
        if word.startswith("-"):
            return None, True
        return self.pending or self.positional(), not word

    def assigned(self, word: str) -> argparse.Action | None:
        """Return the option to which an unfinished word gives a value behind an equals sign."""
        name, equals, _ = word.partition("=")
        option = self.option(name) if equals and (self.pending is None or self.pending.nargs == "?") else None
        return option if option is not None and option.nargs != 0 else None

    def look_ahead(self, after: str) -> None:
        """Read the options behind the cursor too, so that they count as given; of a text there are none."""
        self.pending = None
        for word in split(f"{after} ")[0]:
            if not self.take_option(word) and self.magic == "llx":
                return

    def options_left(self) -> list[str]:
        """Return the options that can still be given, in the order of the grammar."""
        taken = {id(action) for action in self.seen if not _is_repeatable(action)}
        for group in self.grammar._mutually_exclusive_groups:  # noqa: SLF001 - argparse has no public way to list them
            alternatives = {id(action) for action in group._group_actions}  # noqa: SLF001 - nor what is in one
            taken |= alternatives if alternatives & taken else set()
        return [
            name
            for action in _actions(self.grammar)
            if id(action) not in taken and action.help is not argparse.SUPPRESS
            for name in action.option_strings
            if self._fits(name)
        ]

    def last(self, dest: str) -> str | None:
        """Return the value that was given last for ``dest``."""
        values = self.given.get(dest)
        return values[-1] if values else None

    def _fits(self, option: str) -> bool:
        """Return whether an option goes with the words of ``%llx_set``, whose grammar leaves that to its action."""
        words = self.given.get("words", [])
        if self.magic != "llx_set" or (option in ("-h", "--help") and words == ["unset"]):
            return True
        return words == ["unset"] if option == "--all" else not words

    def _take_positional(self, word: str) -> None:
        if chosen := self.grammar.subcommands().get(word):
            self.grammar, self.path = chosen, (*self.path, word)
            self.seen, self.given = [], {}
        elif action := self.positional():
            self.given.setdefault(action.dest, []).append(word)


def typed_in(context: CompletionContext) -> Typed | None:
    """Return what was typed for the magic in whose line or cell the cursor is, or None where it is in none."""
    lines, row, column = context.full_text.split("\n"), context.cursor_line, context.cursor_position
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if cell := _CELL.match(lines[first]):
        header = lines[first][cell.end() :]
        if row > first:
            return Typed(
                "llx", f"{header} ", body="\n".join([*lines[first + 1 : row], lines[row][:column]]), is_cell=True
            )
        is_past_name = row == first and column >= cell.end() and cell[0].endswith((" ", "\t"))
        at = column - cell.end()
        return Typed("llx", header[:at], header[at:], is_cell=True) if is_past_name else None
    start = row
    while start > 0 and lines[start - 1].endswith("\\"):
        start -= 1
    head = " ".join([*(line[:-1] for line in lines[start:row]), lines[row][:column]])
    line = _LINE.match(head)
    return Typed(line[1], head[line.end() :], lines[row][column:].rstrip("\\")) if line else None


def split(text: str) -> tuple[list[str], str, str]:
    """Return the whole words of a line, what is typed of the last one, and the quote that is open at its end."""
    words, start, quote = list[str](), 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter.isspace():
            words += [unquoted(text[start:at])] if at > start else []
            start = at + 1
    return words, text[start:], quote


def unquoted(raw: str) -> str:
    """Return a word without its quotes; one that is still open goes too."""
    return "".join("".join(pieces) for pieces in _PIECE.findall(raw))


def quoted(text: str, raw: str, quote: str) -> str:
    """Return the text as it replaces ``raw``, where ``quote`` is open: what holds spaces is quoted."""
    if quote:
        opened_here = quote if split(raw)[2] else ""
        return opened_here + text + ("" if text.endswith("=") else quote)
    if not any(letter.isspace() or letter in "\"'" for letter in text):
        return text
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}"


def _actions(grammar: Grammar) -> list[argparse.Action]:
    return grammar._actions  # noqa: SLF001 - argparse has no public way to list them


def _is_repeatable(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction)  # noqa: SLF001 - argparse has no public name for it
