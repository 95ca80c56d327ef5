"""Commands as a user types them, carried out without a shell or a process of their own."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llx_magic import hosts
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output
from llx_magic.commands.prompt import read_prompt
from llx_magic.commands.reading import Asked
from llx_magic.commands.table import COMMANDS
from llx_magic.commands.where import Where
from llx_magic.session.conversations import Conversations
from llx_magic.session.session import Session


def options(line: str) -> Asked:
    """Return the options of a prompt cell whose first line this is."""
    return read_prompt(line, "why")[0]


@contextlib.contextmanager
def _place(prog: str, session: Session | None) -> Iterator[None]:
    """Have a notebook in this process for a magic."""

    def session_of() -> Session:
        assert session is not None
        return session

    if prog.startswith("%"):
        hosts.enter(session_of)
    try:
        yield
    finally:
        hosts.leave(session_of)


class Typed:
    """One command; a ``prog`` that begins with a percent sign is a magic, any other a word of the command line."""

    def __init__(self, name: str) -> None:
        self.row = COMMANDS[name]

    def _here(self, session: Session, prog: str, ask_hidden: Callable[[str], str]) -> Here:
        where = Where.NOTEBOOK if prog.startswith("%") else Where.SHELL
        return Here(where, lambda: session, ask_hidden)

    def run(
        self, session: Session, line: str, prog: str = "%", ask_hidden: Callable[[str], str] = getpass.getpass
    ) -> Any:
        """Carry out the command whose words stand on the line."""
        with _place(prog, session):
            return self._here(session, prog, ask_hidden).carry_out_line(self.row, line)

    def run_words(self, session: Session, words: Sequence[str], prog: str = "%") -> Any:
        """Carry out the command with these words."""
        with _place(prog, session):
            return self._here(session, prog, getpass.getpass).carry_out(self.row, words)

    def help(self, *words: str, prog: str = "%") -> str:
        """Return the help of the command or of an action of it."""

        def session() -> Session:
            raise AssertionError("help needs no session")

        where = Where.NOTEBOOK if prog.startswith("%") else Where.SHELL
        with _place(prog, None):
            output = Here(where, session).carry_out(self.row, [*words, "--help"])
        assert isinstance(output, Output)
        return output.text


class ConversationsTyped:
    """``chat`` over conversations that are not a session's own."""

    def run(self, conversations: Conversations, line: str, prog: str = "%") -> Any:
        """Carry out the command whose words stand on the line."""
        return Typed("chat").run(_around(conversations), line, prog)

    def run_words(self, conversations: Conversations, words: Sequence[str], prog: str = "%") -> Any:
        """Carry out the command with these words."""
        return Typed("chat").run_words(_around(conversations), words, prog)


def _around(conversations: Conversations) -> Session:
    session = Session()
    session.conversations = conversations
    return session
