"""The pieces of a dashboard's picture as widgets, each of which is sent by itself when it has changed."""

from __future__ import annotations

from collections.abc import Iterable

import ipywidgets as widgets


class Pieces:
    """One widget for each piece, by the piece's name.

    A widget never moves within its box, since a front end would draw it anew, and what the user has opened in it would
    close: its place on the screen is its ``order``. One whose piece is gone takes the next piece of the same kind,
    which the first word of a name tells.
    """

    def __init__(self) -> None:
        self.box = widgets.VBox()
        self.box.add_class("llx-pieces")
        self._widgets: dict[str, widgets.HTML] = {}
        self._free: list[tuple[str, widgets.HTML]] = []

    def arrange(self, names: Iterable[str]) -> None:
        """Let there be these pieces from top to bottom, and no other."""
        wanted = list(names)
        for name in [each for each in self._widgets if each not in wanted]:
            self._free.append((_kind(name), self._widgets.pop(name)))
        added: list[widgets.HTML] = []
        for name in wanted:
            if name not in self._widgets:
                self._widgets[name] = self._take(_kind(name)) or html()
                if self._widgets[name] not in self.box.children:
                    added.append(self._widgets[name])
        for _kind_of, widget in self._free:
            widget.value = ""
        for place, name in enumerate(wanted):
            if self._widgets[name].layout.order != str(place):
                self._widgets[name].layout.order = str(place)
        if added:
            self.box.children = (*self.box.children, *added)

    def shown(self, name: str) -> str:
        """Return what a piece shows; nothing where there is none."""
        return str(self._widgets[name].value) if name in self._widgets else ""

    def show(self, name: str, drawn: str) -> None:
        """Let a piece show what is drawn."""
        self._widgets[name].value = drawn

    def _take(self, kind: str) -> widgets.HTML | None:
        for place, (known, widget) in enumerate(self._free):
            if known == kind:
                del self._free[place]
                return widget
        return None


def html(value: str = "") -> widgets.HTML:
    """Return a widget for HTML of the dashboard; what servers say in it must not be typeset."""
    widget = widgets.HTML(value, layout=widgets.Layout(width="100%", margin="0"))
    for name in ("llx", "tex2jax_ignore", "mathjax_ignore"):
        widget.add_class(name)
    return widget


def _kind(name: str) -> str:
    return name.partition(" ")[0]
