"""Where a command was typed, and how it is carried out there."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from llx_magic.commands import environment
from llx_magic.commands.output import Output, remark
from llx_magic.commands.reading import Asked, Reading, refusal
from llx_magic.commands.table import Row
from llx_magic.commands.where import Where
from llx_magic.commands.words import split
from llx_magic.errors import UsageProblem

if TYPE_CHECKING:
    from llx_magic.session.session import Session


class Here:
    """A notebook or a shell: the session, made when it is first used, and how a key is asked for without showing it."""

    def __init__(
        self, where: Where, session: Callable[[], Session], ask_hidden: Callable[[str], str] = getpass.getpass
    ) -> None:
        self.where = where
        self.ask_hidden = ask_hidden
        self._session = session
        self._remarked: set[str] = set()

    @cached_property
    def session(self) -> Session:
        """The profiles and settings that commands act on."""
        return self._session()

    @property
    def lasts(self) -> bool:
        """Whether the process goes on after the command, so that what is in its memory is of use."""
        return self.where is Where.NOTEBOOK

    def variables(self) -> Mapping[str, object]:
        """Return the user's variables by their names; outside of a notebook there are none."""
        return {}

    def remark_on_variables(self) -> None:
        """Say once what is wrong with our variables of the environment, before anything is done under them."""
        new = [problem for problem in environment.problems() if problem not in self._remarked]
        self._remarked.update(new)
        for problem in new:
            remark(f"llx: {problem}")

    def is_profile(self, word: str) -> bool:
        """Return whether a word is the name of a profile."""
        return any(each.name == word for each in self.session.store.list())

    def carry_out_line(self, row: Row, line: str, cell: str | None = None) -> object:
        """Carry out a command whose words stand on a line. The errors are those of ``carry_out``."""
        try:
            words = split(line, has_code=row.cell)
        except UsageProblem:
            command = row.load()
            if not command.secret:
                raise
            raise UsageProblem(f"{row.typed(self.where)} {refusal(command)}") from None
        return self.carry_out(row, words, cell)

    def carry_out(self, row: Row, words: Iterable[str], cell: str | None = None) -> object:
        """Carry out a command; ``cell`` is the text below it, where it stands above a cell.

        An ``Output`` that is returned is shown; anything else is the value that a notebook gets.

        Raises:
            UsageProblem: for words that make no sense.
            LlxError: what the command itself raises.
        """
        reading = Reading(row.load(), row.typed(self.where), self.where, is_profile=self.is_profile)
        for word in words:
            reading.take(word)
        asked = reading.asked()
        if asked.help:
            return Output(asked.help)
        module, _, name = asked.run.partition(":")
        run: Callable[[Here, Asked], object] = getattr(import_module(module), name)
        self.remark_on_variables()
        return run(self, replace(asked, cell=cell))
