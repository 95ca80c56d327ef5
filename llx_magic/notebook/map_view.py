"""A run over rows in a cell: a bar and a row for each backend, redrawn in one output."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.core.events import Event
from llx_magic.core.progress import MapProgress
from llx_magic.notebook.frontend import front_end, is_kernel
from llx_magic.notebook.view import Bundle, Show, canvas
from llx_magic.observe.bars import AT_MOST_EVERY, MapView, StillLines, view_on
from llx_magic.observe.debug import write_debug_lines
from llx_magic.observe.progress import Pace, as_html, still_line


class CellBar:
    """Redraws one output; ``show`` is called with a bundle and whether it takes the place of the earlier one."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._pace = Pace()
        self._shown: Bundle = {}

    def draw(self, parts: Iterable[MapProgress | Event]) -> float:
        """Draw the latest of what has come, where that looks different."""
        bundle = self._shown
        for part in parts:
            if isinstance(part, Event):
                write_debug_lines(part)
            else:
                rate = self._pace.take(part)
                bundle = {"text/plain": still_line(part, rate), "text/html": as_html(part, rate)}
        self.become(bundle)
        return AT_MOST_EVERY

    def become(self, bundle: Bundle) -> None:
        """Show something else in the place of the bar."""
        if bundle != self._shown:
            self._show(bundle, bool(self._shown))
            self._shown = bundle

    def close(self) -> None:
        """The last state stays."""


def map_view(shell: InteractiveShell, redraw: str) -> MapView:
    """Return what shows a run where the cell that runs now is looked at: see ``front_end``."""
    if not is_kernel(shell):
        return view_on(sys.stderr)
    if front_end(shell, redraw).redraws:
        return CellBar(canvas(shell, redrawn=True))
    return StillLines(lambda line: print(line, flush=True))  # noqa: T201 - what cannot be redrawn is printed
