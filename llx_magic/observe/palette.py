"""The colour, dash and marker of each backend, the same in every picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Style(NamedTuple):
    """The style of one backend: its colour tells it apart, and without colours its dash and its marker do."""

    colour: str
    dash: tuple[int, ...]
    marker: str


# Okabe and Ito's colours that differ in lightness too: https://jfly.uni-koeln.de/color/ (yellow vanishes on white)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6f6f6f")
_DASHES = ((), (6, 2), (2, 2), (8, 2, 2, 2))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STATE_COLOURS = {"closed": "#009e73", "half-open": "#e69f00", "open": "#d55e00", "disabled": "#6f6f6f"}
"""The colours of the circuit's states. A state is also shown by a word or a position, never by colour alone:
https://www.w3.org/WAI/WCAG22/Understanding/use-of-color.html
"""


def styles(backends: Iterable[str]) -> dict[str, Style]:
    """Return a style for each backend by its place in the order of priority, the same in every view of a profile."""
    return {
        name: Style(
            _COLOURS[place % len(_COLOURS)],
            _DASHES[place // len(_COLOURS) % len(_DASHES)],
            _MARKERS[place % len(_MARKERS)],
        )
        for place, name in enumerate(backends)
    }


ANSWERED, FAILED, COOLING, PROBE = "#5b7f9d", "#d1472f", "#b07a00", "#7a6fd0"
"""What pictures say by colour, each with one meaning and beside a shape: text came, nobody answers, a rate limit holds
prompts back, a circuit is tried again. Each has a contrast of 3 to 1 with white paper and with JupyterLab's dark one:
https://www.w3.org/WAI/WCAG22/Understanding/non-text-contrast.html
"""
