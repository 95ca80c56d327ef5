"""What a part of the dashboard is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from llx_magic.core.peers import Shared
from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.lines import Lines
from llx_magic.dashboard.rows import Rows
from llx_magic.dashboard.view import View
from llx_magic.observe.status.status import Status
from llx_magic.units import unbroken


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that is drawn at one moment, in words and pictures; ``what_if`` is empty where there is nothing to say."""

    snapshot: Snapshot
    view: View
    status: Status
    rows: Rows
    lines: Lines
    shared: Shared | None
    what_if: str


@dataclass(frozen=True)
class Piece:
    """A piece of a part, drawn when its text is first asked for; those that are drawn of the same look the same."""

    of: object
    draw: Callable[[], str] = field(compare=False)

    @cached_property
    def text(self) -> str:
        """The piece as HTML, in which no line ends within a duration."""
        return unbroken(self.draw())


def written(text: str) -> Piece:
    """Return a piece whose text is there already."""
    return Piece(text, lambda: text)


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a new one is a file with such a declaration and a row in ``PARTS``.

    ``draw`` returns pieces from top to bottom, each of which is drawn and sent by itself when it has changed; a piece
    keeps its name as long as it is about the same thing. ``style`` has the rules of its elements; each selector begins
    with ``.llx``.
    """

    name: str
    draw: Callable[[Scene], dict[str, Piece]]
    style: str
