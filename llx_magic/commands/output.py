"""What a command gives back, for a terminal and for a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(eq=False)
class Output:
    """The result of a command: plain text, and HTML where a notebook can show it better (already escaped).

    ``aside`` is what a person should know beside it: shown below in a notebook, on standard error by the command line.
    ``is_good`` is False where the output tells of trouble, so that the command line ends with status 1.
    """

    text: str
    html: str = ""
    aside: str = ""
    is_good: bool = True


class Shown(Output):
    """An output that is the value of its magic; ``frame`` is the same as a DataFrame, as it is now, or None."""

    def __init__(self, text: str, html: str = "", *, frame: Callable[[], object] = lambda: None) -> None:
        super().__init__(text, html)
        self._frame = frame

    @property
    def frame(self) -> object:
        """The DataFrame, if there is one."""
        return self._frame()

    def __repr__(self) -> str:
        from llx_magic.text.screen import printable

        return printable(self.text)

    def _repr_html_(self) -> str | None:
        return self.html or None


def remark(text: str) -> None:
    """Say on stderr what is no part of an output."""
    print(text, file=sys.stderr)  # noqa: T201 - this is where the command line says it


def bullet_list(head: str, items: Iterable[str]) -> str:
    """Return a line with further lines indented below it."""
    return "\n".join([head, *(f"  {item}" for item in items)])
