"""What can stand at the cursor behind a command, in a notebook and in a shell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.commands.command import Argument, Option
from llx_magic.commands.reading import Reading

if TYPE_CHECKING:
    from llx_magic.commands.here import Here
    from llx_magic.session.session import Session


@dataclass(frozen=True, slots=True)
class At:
    """The cursor's place: what was given before and behind it, and what is typed of the value there."""

    here: Here
    reading: Reading
    word: str

    @property
    def session(self) -> Session:
        """The session in which it is typed."""
        return self.here.session

    def last(self, key: str) -> str | None:
        """Return the value of an option that was given last."""
        return next(reversed(self.reading.given.get(key, [])), None)


class Offers(NamedTuple):
    """Values and options for the cursor's word; behind ``kept``, the part of it that stays as it is."""

    kept: str
    values: list[str]
    options: list[str]


def offers(here: Here, reading: Reading, word: str, after: Iterable[str] = ()) -> Offers | None:
    """Return what begins as the unfinished word does; None where that is for others to say: a file, or any text.

    Raises:
        LlxError: where a profile or a list of names that has to be looked at is broken.
        OSError: where a folder cannot be read.
    """
    slot, may_be_option, kept = _expected(reading, word)
    if slot is None and not may_be_option and reading.command.text:
        return None
    typed = word.removeprefix(kept)
    reading.look_ahead(after)
    values: list[str] = []
    if slot is not None and not slot.choices and slot.complete is not None:
        found = slot.complete(At(here, reading, typed))
        if found is None:
            return None
        values += found
    elif slot is not None:
        values += slot.choices
    if slot is None or isinstance(slot, Argument):
        values += list(reading.actions())
    options = _options_left(reading, dash=bool(typed), values=bool(values)) if may_be_option else []
    values = [value for value in values if value.startswith(typed)]
    if (key := typed.rpartition("=")[0]) and all(value.startswith(f"{key}=") for value in values):
        kept, values = f"{kept}{key}=", [value.removeprefix(f"{key}=") for value in values]
    return Offers(kept, values, [option for option in options if option.startswith(typed)])


def _expected(reading: Reading, word: str) -> tuple[Option | Argument | None, bool, str]:
    """Return what the unfinished word is the value of, whether it may be an option instead, and its part that stays."""
    pending = reading.pending
    if pending is not None and not pending.bare:
        return pending, False, ""
    name, equals, _ = word.partition("=")
    option = reading.option(name) if equals else None
    if option is not None and option.value:
        return option, False, f"{name}="
    if word.startswith("-"):
        return None, True, ""
    return pending or reading.argument(), not word, ""


def _options_left(reading: Reading, *, dash: bool, values: bool) -> list[str]:
    """Return the options that can still be given; without a dash, what is of use only alone is not beside others."""
    taken = {option.key for option in reading.seen if not option.repeats}
    groups = {option.group for option in reading.seen}
    groups |= {argument.group for argument in reading.command.arguments if reading.words}
    begun = bool(reading.seen or reading.words)
    return [
        form
        for option in reading.options()
        if option.key not in taken and not option.hidden and (not option.group or option.group not in groups)
        if dash or not (option.alone and (begun or values))
        for form in option.forms
    ]
