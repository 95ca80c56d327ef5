"""What a notebook keeps of a live view: a still picture with its date, which steps aside while the view lives.

A dashboard is two outputs of its cell. The first is the widget and nothing else; the second is HTML that every front
end and every exporter shows. A rule of style hides the second while the first is there and connected to its kernel, and
hides what a front end puts in the place of the first where it is not: after a restart of the kernel, in a notebook
that was opened again, on a page made of it. A front end without that rule shows both, one below the other.

The class that tells a widget without its kernel: https://github.com/jupyter-widgets/ipywidgets/pull/3160
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

Bundle = dict[str, object]

NOTHING: Mapping[str, object] = {"text/plain": "", "text/html": ""}
"""Takes the place of the widget once it has ended."""

_SWITCH = (
    "body:has({live}) {still}{{display:none}}"
    ".jp-OutputArea-child:has(+.jp-OutputArea-child {still}):not(:has({live})){{display:none}}"
)


def live_class(mark: str) -> str:
    """Return the class of the live view that is known by ``mark``."""
    return f"llx-live-{mark}"


def live_bundle(widget: Mapping[str, object]) -> Bundle:
    """Return what shows the widget, and nothing where there are no widgets: the still picture follows."""
    return {**widget, **NOTHING}


def still_bundle(mark: str, when: dt.datetime, plain: str, picture: str) -> Bundle:
    """Return the still picture with its date; it hides itself while the live view known by ``mark`` is there."""
    still = f"llx-still-{mark}"
    switch = _SWITCH.format(live=f".{live_class(mark)}:not(.jupyter-widgets-disconnected)", still=f".{still}")
    date = f"as of {when:%Y-%m-%d %H:%M:%S %Z}".rstrip()
    return {
        "text/plain": f"{plain}\n\n{date}",
        "text/html": f"<div class='{still}'><style>{switch}</style><p><i>{date}</i></p>{picture}</div>",
    }
