"""The pieces of a dashboard's picture as widgets, each of which is sent by itself when it has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets as widgets

from llx_magic.dashboard.parts.part import Piece

AT_MOST_BYTES = 3600
"""How much is sent at once, where it is more than one piece; what does not fit follows the next time."""

MOST_DRAWN = 2 * AT_MOST_BYTES
"""How much is drawn at once: of many pieces that have to be drawn most may turn out to look as they did."""


_ROOM = 1000
"""How many new pieces of a kind find a place above those that are there before anything above them has to move."""


class Pieces:
    """One widget for each piece, by the piece's name.

    A widget never moves within its box, since a front end would draw it anew, and what the user has opened in it would
    close: its place on the screen is its ``order``, which the key Tab follows where browsers know ``reading-flow``.
    One whose piece is gone takes the next piece of the same kind, which the first word of a name tells.
    """

    def __init__(self) -> None:
        self.box = widgets.VBox()
        self.box.add_class("llx-pieces")
        self._widgets: dict[str, widgets.HTML] = {}
        self._free: list[tuple[str, widgets.HTML]] = []
        self._shown: dict[str, Piece] = {}
        self._waiting: dict[str, Piece] = {}
        """What has changed and was not sent yet."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is more to send."""
        return bool(self._waiting)

    def take(self, pieces: Mapping[str, Piece]) -> None:
        """Let there be these pieces from top to bottom, and no other; those that have changed wait to be sent."""
        if list(pieces) != list(self._widgets):
            self._arrange(list(pieces))
        self._waiting = {name: piece for name, piece in pieces.items() if self._shown.get(name) != piece}

    def send(self, at_most: int = AT_MOST_BYTES) -> bool:
        """Draw and send some of what waits, one piece or ``at_most`` so many bytes; return whether there is more."""
        drawn = sent = 0
        for name, piece in tuple(self._waiting.items()):
            size = len(piece.text.encode())
            is_new = piece.text != self._widgets[name].value
            if sent and is_new and sent + size > at_most:
                break
            self._shown[name] = self._waiting.pop(name)
            self._widgets[name].value = piece.text
            drawn, sent = drawn + size, sent + size * is_new
            if drawn >= MOST_DRAWN:
                break
        return self.is_waiting

    def shown(self, name: str) -> str:
        """Return what a piece shows; nothing where there is none."""
        return str(self._widgets[name].value) if name in self._widgets else ""

    def _arrange(self, wanted: Sequence[str]) -> None:
        for name in [each for each in self._widgets if each not in wanted]:
            freed = self._widgets.pop(name)
            freed.value = ""
            self._free.append((_kind(name), freed))
            self._shown.pop(name, None)
        self._widgets = {name: self._widgets.get(name) or self._take(_kind(name)) or html() for name in wanted}
        self._put_in_order()
        if added := [widget for widget in self._widgets.values() if widget not in self.box.children]:
            self.box.children = (*self.box.children, *added)

    def _put_in_order(self) -> None:
        """Let each stand above the next; those that already do are left, since each new place is sent."""
        below, kind_below = 0, ""
        for name, widget in reversed(self._widgets.items()):
            order = int(widget.layout.order or below)
            if order >= below:
                order = below - (1 if _kind(name) == kind_below else _ROOM)
                widget.layout.order = str(order)
            below, kind_below = order, _kind(name)

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
