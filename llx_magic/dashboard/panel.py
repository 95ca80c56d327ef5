"""The dashboard's picture: a snapshot and a view in, HTML out; pure, and every text in it is escaped.

It is drawn up to four times a second and sent each time, so it is terse: whole numbers, one path for all marks of a
kind, single quotes (JSON has to escape double ones), and the style sheet apart, which is sent once. It is well-formed.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape

from llx_magic.core.peers import Shared
from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard import still
from llx_magic.dashboard.lines import lines_of
from llx_magic.dashboard.parts import PARTS
from llx_magic.dashboard.parts.part import Piece, Scene
from llx_magic.dashboard.rows import FEW, rows_of
from llx_magic.dashboard.style import sheet
from llx_magic.dashboard.view import View
from llx_magic.observe.status.status import status_of
from llx_magic.units import number

SHEET = sheet(part.style for part in PARTS)
"""The style sheet on one line, which stands beside the pieces."""


def pieces(snapshot: Snapshot, view: View, shared: Shared | None = None, what_if: str = "") -> dict[str, Piece]:
    """Return the pieces of all parts from top to bottom, so that only what has changed need be drawn and sent.

    They belong into elements of class ``llx``. A piece keeps its name as long as it is about the same thing: a
    backend's place, a prompt's number. ``what_if`` is what other settings would have made of the prompts.
    """
    scene = _scene(snapshot, view, shared, what_if)
    return {name: piece for part in PARTS for name, piece in part.draw(scene).items()}


def draw(snapshot: Snapshot, view: View, shared: Shared | None = None, what_if: str = "") -> dict[str, str]:
    """Return the pieces as HTML."""
    return {name: piece.text for name, piece in pieces(snapshot, view, shared, what_if).items()}


def whole(snapshot: Snapshot, view: View, shared: Shared | None = None, what_if: str = "") -> str:
    """Return all pieces as HTML that needs nothing else: for a saved notebook.

    Where a page takes the style sheet out, the same picture stands on top as an image, and the words below still read;
    GitHub shows images of that kind: https://github.com/activeviam/atoti-notebooks/issues/425
    """
    drawn = "".join(f"<div>{piece}</div>" for piece in draw(snapshot, view, shared, what_if).values())
    picture = b64encode(standalone_svg(snapshot, view, what_if).encode()).decode()
    image = f"<img class='llx-still' alt='{escape(alt(snapshot))}' src='data:image/svg+xml;base64,{picture}'>"
    return f"<style>{SHEET}</style><div class='llx tex2jax_ignore mathjax_ignore'>{image}{drawn}</div>"


def standalone_svg(snapshot: Snapshot, view: View, what_if: str = "") -> str:
    """Return the same picture as one SVG file on white paper, without the other processes."""
    return still.draw(_scene(snapshot, view, None, what_if), [part.style for part in PARTS])


def alt(snapshot: Snapshot) -> str:
    """Return the picture in words, for those who do not see it: the sentence, and how each of the first backends is."""
    status = status_of(snapshot)
    told = [f"{standing.name}: {standing.now}" for standing in status.standings[:FEW]]
    if (left := len(status.standings) - FEW) > 0:
        told.append(f"{number(left)} more")
    shown = "Drawn are each backend's visits over time, and the latest prompts."
    return f"{status.profile}: {status.sentence} {'; '.join(told)}. {shown}"


def _scene(snapshot: Snapshot, view: View, shared: Shared | None, what_if: str) -> Scene:
    status = status_of(snapshot)
    rows, lines = rows_of(snapshot, view, status.standings), lines_of(view, snapshot.at)
    return Scene(snapshot=snapshot, view=view, status=status, rows=rows, lines=lines, shared=shared, what_if=what_if)
