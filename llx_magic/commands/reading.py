"""Words read by the declaration of a command, one after the other; completion reads those before the cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from llx_magic.commands.command import HELP, Argument, Command, Option
from llx_magic.commands.help import help_text
from llx_magic.commands.where import Where
from llx_magic.errors import UsageProblem, clauses
from llx_magic.key_shapes import might_be_a_key, typed_key
from llx_magic.keys.names import names_a_secret
from llx_magic.text.screen import one_line
from llx_magic.text.wording import closest, listed, nearest

MOST_OPTIONS = 500
"""How many options one line may have."""

_FEW = 8
"""So many options are all named where none of them is like what was typed."""

_SHORT = len("-x")
"""For words of this length or less no correction is suggested."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: the function that does it, the command as it was typed, and each value by its key.

    ``help`` is the text that was asked for instead, or the empty string. ``cell`` is the text below the command where
    it is that of a cell, and None where it stands on a line.
    """

    run: str
    prog: str
    given: Mapping[str, list[str]]
    help: str = ""
    cell: str | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.given

    def __getitem__(self, key: str) -> str:
        return self.given[key][-1]

    def get(self, key: str) -> str | None:
        """Return the value that was given last, or None; the empty string where a value was left out."""
        values = self.given.get(key)
        return None if values is None else values[-1] if values else ""

    def all(self, key: str) -> list[str]:
        """Return every value that was given."""
        return list(self.given.get(key, ()))

    def number(self, key: str, default: int, of: str) -> int:
        """Return the number that an option of one letter gives, or the default without it.

        Raises:
            UsageProblem: for what is no whole number from 1 to 999,999,999; ``of`` says what it counts.
        """
        if (given := self.get(key)) is None:
            return default
        if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given)):
            raise UsageProblem(f"-{key} must be a number of {of}, at least 1, got {one_line(given, 20)!r}")
        return int(given)


class Reading:
    """What the words so far come to. A mistake is kept until ``asked`` is called, so that reading can go on.

    ``prog`` is how the command is typed. ``text_follows`` says that a text follows the options, so that a value that
    may be left out is one only behind an equals sign. ``is_profile`` tells a profile's name, for the error
    of a word that should stand behind ``-p``.
    """

    def __init__(
        self,
        command: Command,
        prog: str,
        where: Where,
        *,
        text_follows: bool = False,
        is_profile: Callable[[str], bool] = lambda _word: False,
    ) -> None:
        self.command = command
        self.prog = prog
        self.where = where
        self.given: dict[str, list[str]] = {}
        self.words: list[str] = []
        self.pending: Option | None = None
        self.seen: list[Option] = []
        self._above: list[Command] = []
        self._text_follows = text_follows
        self._is_profile = is_profile
        self._options_ended = False
        self._problem = ""

    def options(self) -> list[Option]:
        """Return the options that can stand here, those of the commands above an action included."""
        commands = (self.command, *self._above)
        return [option for each in commands for option in each.options if self.where in option.where] + [HELP]

    def option(self, form: str) -> Option | None:
        """Return the option that is written so."""
        return next((option for option in self.options() if form in option.forms), None)

    def actions(self) -> dict[str, Command]:
        """Return the actions that the next word can be."""
        return {} if self.words else self.command.actions_at(self.where)

    def argument(self) -> Argument | None:
        """Return what the next word without a dash is, or None where none is expected."""
        arguments = self.command.arguments_at(self.where)
        if len(self.words) < len(arguments):
            return arguments[len(self.words)]
        return arguments[-1] if arguments and arguments[-1].many else None

    @property
    def in_text(self) -> bool:
        """Whether a text has begun, in which nothing is an option."""
        return self.command.text and self.where is Where.NOTEBOOK and bool(self.words)

    def wants(self, raw: str) -> bool:
        """Return whether a word, as it was typed, is an option or the value of one, so that no text has begun."""
        return (self.pending is not None and not self.pending.bare) or (raw != "--" and is_option(raw))

    def take(self, word: str) -> None:
        """Read one whole word."""
        if not self._options_ended and (word == "--" or self.take_option(word)):
            self._options_ended = self._options_ended or word == "--"
        elif (action := self.actions().get(word)) is not None:
            self._above.append(self.command)
            self.command, self.prog, self.words = action, f"{self.prog} {word}", []
        else:
            self.words.append(word)

    def take_option(self, word: str) -> bool:
        """Read a word that is an option or the value of one; False where it is neither."""
        name, equals, value = word.partition("=")
        option = self.option(name)
        if self.pending is not None:
            pending, self.pending = self.pending, None
            if option is None and not (pending.bare and word.startswith("-")):
                self.given[pending.key].append(word)
                return True
            self._check_value(pending)
        if option is not None:
            self._give(option, value if equals else None)
        elif is_option(word):
            self._take_letters(word)
        else:
            return False
        return True

    def look_ahead(self, words: Iterable[str]) -> None:
        """Read the options behind the cursor too, so that they count as given; of a text there are none."""
        self.pending = None
        for word in words:
            if not self.take_option(word) and self.command.text:
                return

    def asked(self) -> Asked:
        """Return what was asked.

        Raises:
            UsageProblem: for the first thing that makes no sense.
        """
        if HELP.key in self.given:
            return Asked("", self.prog, {}, self.help())
        self._check()
        if self._problem:
            raise UsageProblem(f"{self.prog}: {self._problem} (see {self.prog} --help)")
        if not (run := self.command.run_at(self.where)):
            return Asked("", self.prog, {}, self.help())
        return Asked(run, self.prog, self.given)

    def help(self) -> str:
        """Return the help of what was read so far."""
        return help_text(self.command, self.prog, self.where, self.options())

    def _give(self, option: Option, value: str | None) -> None:
        if len(self.seen) == MOST_OPTIONS:
            self._say(f"more than {MOST_OPTIONS} options")
            return
        for other in self.seen:
            if option.group and other.group == option.group and other.key != option.key:
                self._say(f"{other.main} and {option.main} exclude each other")
        self.seen.append(option)
        values = self.given.setdefault(option.key, [])
        if value is None:
            if option.value and not (option.bare and self._text_follows):
                self.pending = option
        elif not option.value:
            self._say(f"{option.main} takes no value")
        else:
            values.append(value)

    def _take_letters(self, word: str) -> None:
        """Read options of one letter that are written together, the last of them with its value: -rq, -n5."""
        option = self.option(word[:2])
        if word.startswith("--") or option is None:
            self._say(self._unknown(word), quotes=True)
        elif option.value:
            self._give(option, word[2:])
        else:
            self._give(option, None)
            if len(word) > _SHORT and (word[2] == "-" or not self.take_option(f"-{word[2:]}")):
                self._say(f"unknown option {_shown(word)}", quotes=True)

    def _unknown(self, word: str) -> str:
        """Say that there is no such option here, and where there is one or which was meant."""
        from llx_magic.commands.habits import meant_by

        if self.argument() is not None and len(word.split()) > 1:
            return f"unknown option {_shown(word)}; a text that begins with a dash goes behind --"
        name, _, value = word.partition("=")
        if any(name in each.forms for each in self.command.options):
            return f"{name} is an option of {'the command line' if self.where is Where.NOTEBOOK else 'notebooks'} alone"
        known = [form for each in self.options() for form in each.forms if len(form) > _SHORT and not each.hidden]
        if habit := meant_by(name, _shown(value), known):
            return f"unknown option {_shown(name)}; {habit}"
        meant = _meant(name.lstrip("-"), [form.lstrip("-") for form in known], "--")  # dashes make all of them alike
        listing = f"; there are: {listed(known)}" if 1 < len(known) <= _FEW else ""
        return f"unknown option {_shown(name)}{meant or listing}"

    def _check_value(self, option: Option) -> None:
        if not option.bare:
            self._say(f"{option.main} needs a value, {option.value}")

    def _say(self, problem: str, *, quotes: bool = False) -> None:
        """Keep the first problem; ``quotes`` says that it repeats a word of the user's."""
        top = [*self._above, self.command][0]
        if quotes and top.secret:
            problem = refusal(top)
        self._problem = self._problem or problem

    def _check(self) -> None:
        """Say what is missing, what is too much and what is not among the choices; give the words their keys."""
        if self.pending is not None:
            self._check_value(self.pending)
        arguments, actions = self.command.arguments_at(self.where), self.command.actions_at(self.where)
        rest = self._assign(arguments)
        if rest and actions:
            self._say(f"unknown action {_shown(rest[0])!r}{nearest(rest[0], actions)}", quotes=True)
        elif rest:
            name, equals, _value = rest[0].partition("=")
            is_key = bool(equals) and names_a_secret(name)
            self._say(typed_key() if is_key else self._unexpected(rest[0]), quotes=True)
        elif actions and not self.command.run and self._above:
            self._say(f"missing: {' or '.join(actions)}")
        missing = [option.main for option in self.options() if option.needed and option.key not in self.given]
        missing += [
            argument.name
            for argument in arguments
            if not (argument.optional or argument.many or argument.key in self.given)
        ]
        if missing:
            self._say(f"missing: {', '.join(missing)}")
        slots: list[Option | Argument] = [*self.seen, *arguments]
        for slot in slots:
            for value in self.given.get(slot.key, ()):
                if slot.choices and value not in slot.choices:
                    name, also = (slot.main, slot.also) if isinstance(slot, Option) else (slot.name, {})
                    meant = _meant(also.get(value.casefold(), value), slot.choices)
                    self._say(f"{name} must be {_either(slot.choices)}, got {value!r}{meant}")

    def _unexpected(self, word: str) -> str:
        place = self.command.prompt if self.where is Where.NOTEBOOK else ""
        is_profile = self.option("-p") is not None and self._is_profile(word)
        named = f"the profile is named with -p {word}" if is_profile else ""
        return clauses(f"unexpected word {_shown(word)!r}", named, place)

    def _assign(self, arguments: Iterable[Argument]) -> list[str]:
        """Give each argument its words, and return those that are left."""
        words = list(self.words)
        for argument in arguments:
            if argument.many:
                self.given[argument.key], words = words, []
            elif words:
                self.given[argument.key] = [words.pop(0)]
        return words


def is_option(word: str) -> bool:
    """Return whether a word looks like an option: a dash and a letter, or two dashes; not -, and no number."""
    return word[:1] == "-" and (word[1:2].isalpha() or (word[1:2] == "-" and len(word) > len("--")))


def refusal(command: Command) -> str:
    """Return the error of words that may be a key."""
    names = _either([action.name for action in command.actions])
    return f"takes {names}; what was typed is not repeated, since it may be a key"


def _shown(word: str) -> str:
    """Return a word that fits nowhere as a message repeats it; dashes before a key make no option of it."""
    return "***" if might_be_a_key(word.lstrip("-")) else word


def _meant(given: str, allowed: Sequence[str], before: str = "") -> str:
    meant = closest(given, allowed) if len(given) > _SHORT else None
    return f"; did you mean {before}{meant}?" if meant else ""


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
