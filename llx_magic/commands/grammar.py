"""The argument grammar that the magics and the command line share."""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Never, NoReturn

from llx_magic.errors import LlxError, UsageProblem

SHORT = len("-x")
"""Characters of what is too short to tell what was meant."""


MOST_OPTIONS = 500
"""How many words that look like options a command takes."""


class HelpAskedError(LlxError):
    """``--help`` was given; the text is the help."""

    def __str__(self) -> str:
        """All lines of the help."""
        return Exception.__str__(self)


class Grammar(argparse.ArgumentParser):
    """A parser whose mistakes are errors of one line, which offer the nearest option, and which never exits.

    Options cannot be abbreviated, so that a new option never changes what an old notebook means.
    """

    def __init__(self, prog: str, description: str = "", **kwargs: object) -> None:
        del kwargs  # argparse passes its own defaults along to parsers of subcommands
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            add_help=False,
            exit_on_error=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._actions_of: argparse._SubParsersAction[Grammar] | None = None
        self.add_argument("-h", "--help", action="store_true", help="print this help and do nothing else")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the parsed words.

        Raises:
            UsageProblem: for an unknown or incomplete option.
            HelpAskedError: where help is asked for.
        """
        if sum(word.startswith("-") for word in words) > MOST_OPTIONS:  # argparse looks at all of them for each of them
            self.error(f"more than {MOST_OPTIONS} options")
        self._answer_help(words)
        try:
            known, rest = self.parse_known_args(list(words))
        except argparse.ArgumentError as problem:
            self.error(str(problem))
        if rest:
            self._refuse(rest[0])
        return known

    def error(self, message: str) -> NoReturn:
        """Raise the parser's complaint as one line."""
        message = message.replace("the following arguments are required: ", "missing: ")
        raise UsageProblem(f"{self.prog}: {message}{self._offer(message)} (see {self.prog} --help)")

    def exit(self, status: int = 0, message: str | None = None) -> Never:
        """Never leave the process from here."""
        raise UsageProblem(f"{self.prog}: {message or status}")

    def add_action(self, name: str, what: str, dest: str = "action") -> Grammar:
        """Add a subcommand, which the help of this parser lists with its meaning, and return its parser.

        Its name is put into ``dest``. Where that is "action" it may be left out.
        """
        if self._actions_of is None:
            self._actions_of = self.add_subparsers(
                dest=dest, required=dest != "action", parser_class=Grammar, title="what it does", metavar=None
            )
        return self._actions_of.add_parser(name, description=what, help=what)

    def option_strings(self) -> list[str]:
        """Return every option of this parser."""
        return [name for action in self._actions for name in action.option_strings]

    def subcommands(self) -> dict[str, Grammar]:
        """Return the parsers of the subcommands by name."""
        found: dict[str, Grammar] = {}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public way to list them
                found |= {name: parser for name, parser in action.choices.items() if isinstance(parser, Grammar)}
        return found

    def _all_options(self) -> list[str]:
        """Return the options of this parser and of its subcommands, which hand on what they do not know."""
        below = [name for parser in self.subcommands().values() for name in parser._all_options()]  # noqa: SLF001
        return [*self.option_strings(), *below]

    def _answer_help(self, words: Sequence[str]) -> None:
        before_text = list(words[: list(words).index("--")]) if "--" in words else list(words)
        if not {"-h", "--help"} & set(before_text):
            return
        subcommand = next((word for word in before_text if word in self.subcommands()), None)
        if subcommand is None:
            raise HelpAskedError(self.format_help().rstrip())
        self.subcommands()[subcommand]._answer_help([word for word in before_text if word != subcommand])  # noqa: SLF001

    def _refuse(self, word: str) -> NoReturn:
        if word.startswith("-"):
            self.error(f"unknown option {word.split('=', maxsplit=1)[0]}")
        self.error(f"{word!r} is one word too many")

    def _offer(self, message: str) -> str:
        unknown = re.search(r"unknown option (--?[\w-]+)", message)
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        given, allowed = "", list[str]()
        if unknown:
            given, allowed = unknown[1], [name for name in self._all_options() if len(name) > SHORT]
        elif choice:
            given, allowed = choice[1], [word.strip("'") for word in choice[2].split(", ")]
        close = difflib.get_close_matches(given, allowed, n=1, cutoff=0.6) if len(given) > SHORT else []
        return f"; did you mean {close[0]}?" if close else ""


def shell_words(line: str) -> list[str]:
    r"""Split a line as a shell does: quotes group and vanish; a backslash stays, since paths on Windows have them.

    Raises:
        UsageProblem: for a quote that is not closed.
    """
    splitter = shlex.shlex(line, posix=True, punctuation_chars=False)
    splitter.whitespace_split = True
    splitter.commenters = ""
    splitter.escape = ""
    try:
        return list(splitter)
    except ValueError:
        raise UsageProblem(f"a quote is not closed in: {line.strip()}") from None


_WORD = re.compile(r"""\s*((?:[^\s"']|"[^"]*"|'[^']*')+)""")


def split_options(line: str, takes_value: Iterable[str], flags: Iterable[str]) -> tuple[list[str], str]:
    """Split a line into the options at its head and the text after them, which is left exactly as it is.

    The text begins at the first word that is no option, or after ``--``; so a prompt may hold quotes and dashes.
    """
    takes_value, flags = set(takes_value), set(flags)
    words: list[str] = []
    at = 0
    while (match := _WORD.match(line, at)) and match[1].startswith("-") and match[1] != "-":
        at = match.end()
        if match[1] == "--":
            break
        words += shell_words(match[1])
        if match[1] in takes_value and (value := _WORD.match(line, at)):
            words += shell_words(value[1])
            at = value.end()
        elif match[1].split("=")[0] not in takes_value | flags:
            break
    return words, line[at:].strip()


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Return ``key=value`` words as a mapping.

    Raises:
        UsageProblem: for a word without ``=`` or without a key.
    """
    found = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageProblem(f"{option} takes key=value, got {word!r}")
        found[key.strip()] = value
    return found
