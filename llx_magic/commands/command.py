"""What a command is: its options, arguments and actions, declared once.

The magics, the ``llx`` command line, their help, completion and the tables of the documentation are made from this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from llx_magic.commands.where import ANYWHERE, Where

if TYPE_CHECKING:
    from llx_magic.commands.offers import At

Source = Callable[["At"], Iterable[str] | None]
"""Returns what may stand at a place, most useful first; None leaves the place to file names."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its forms ("-p --profile"), what its value is called ("" where it takes none), and what it means.

    ``also`` says which of the ``choices`` is meant by a word that others use for one. ``bare`` lets the value be left
    out, ``group`` names options of which one alone can be given, ``alone`` marks what
    is of use only without anything else.
    """

    names: str
    value: str
    help: str
    _: KW_ONLY
    choices: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict, hash=False)
    complete: Source | None = None
    bare: bool = False
    repeats: bool = False
    needed: bool = False
    hidden: bool = False
    alone: bool = False
    group: str = ""
    where: Where = ANYWHERE

    @property
    def forms(self) -> tuple[str, ...]:
        """Every way to write it, with its dashes."""
        return tuple(self.names.split())

    @property
    def main(self) -> str:
        """Its first long form, else its letter."""
        return next((form for form in self.forms if form.startswith("--")), self.forms[0])

    @property
    def key(self) -> str:
        """What its value is known by: its main form without dashes."""
        return self.main.lstrip("-")

    @property
    def shown(self) -> str:
        """How help and errors write it, with its value."""
        forms = ", ".join(self.forms)
        return f"{forms} [{self.value}]" if self.bare else f"{forms} {self.value}".rstrip()


HELP = Option("-h --help", "", "print this help and do nothing else", alone=True)
"""The option of every command."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A word without a dash: what it is known by, what help calls it, and what it means."""

    key: str
    name: str
    help: str = ""
    _: KW_ONLY
    choices: tuple[str, ...] = ()
    complete: Source | None = None
    optional: bool = False
    many: bool = False
    hidden: bool = False
    group: str = ""
    where: Where = ANYWHERE

    @property
    def shown(self) -> str:
        """How usage writes it."""
        return f"[{self.name}...]" if self.many else f"[{self.name}]" if self.optional else self.name


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or an action of one.

    ``run`` is the function that carries it out, as ``module:function``, which is imported when it is first used; one
    with actions and without it needs an action. ``run_in_notebook`` is another one where a notebook has its own.
    ``text`` lets any text follow the options in a notebook. ``prompt`` says where a prompt stands in a notebook, to
    those who put it among the words. ``secret`` keeps what was typed out of errors. ``notes`` end the help. A command
    of ``table`` has its name and summary there.
    """

    name: str = ""
    summary: str = ""
    _: KW_ONLY
    run: str = ""
    run_in_notebook: str = ""
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    actions: tuple[Command, ...] = ()
    text: bool = False
    prompt: str = ""
    secret: bool = False
    notes: Mapping[Where, str] = field(default_factory=dict)
    where: Where = ANYWHERE

    def run_at(self, where: Where) -> str:
        """Return the function that carries it out there."""
        return (where is Where.NOTEBOOK and self.run_in_notebook) or self.run

    def actions_at(self, where: Where) -> dict[str, Command]:
        """Return the actions that can be typed there, by name."""
        return {action.name: action for action in self.actions if where in action.where}

    def arguments_at(self, where: Where) -> list[Argument]:
        """Return the arguments that can be typed there."""
        return [argument for argument in self.arguments if where in argument.where]
