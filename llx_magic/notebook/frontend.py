"""Tells from a request to run a cell which front end has sent it.

The protocol (https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute) has no field for the front end,
so it is recognised by what each of them puts into its requests:

| front end                                | says                                    | so a reply is shown           |
|------------------------------------------|-----------------------------------------|-------------------------------|
| JupyterLab, Notebook 7, VS Code          | metadata with ``cellId``                | while it comes, in one output |
| jupyter-server-nbmodel                   | metadata with ``cell_id``               | the same                      |
| Colab                                    | metadata with ``colab``                 | the same                      |
| Notebook 6 and others that run in a page | a date in milliseconds, as JavaScript's | the same                      |
| nbclient, nbconvert, papermill, nbval    | ``allow_stdin`` is false                | once, when it is whole        |
| jupyter console, qtconsole, Spyder       | nothing; the ids are jupyter_client's   | once, when it is whole        |

A front end that ignores updates (the last row) keeps showing the first version of a display:
https://jupyter-client.readthedocs.io/en/stable/messaging.html#update-display-data. So unless a front end is known to
redraw, the reply is shown once, as a display of its own. Nobody watches when a program runs a notebook.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from IPython.core.interactiveshell import InteractiveShell

_CELL = ("cellId", "cell_id")
_OF_A_PAGE = frozenset({*_CELL, "deletedCells", "recordTiming", "record_timing", "colab"})

_MADE_BY_JUPYTER_CLIENT = re.compile(r".+_\d+_\d+")
"""Matches the ids that jupyter_client gives to its messages: session, process and number. Front ends in JavaScript
use a UUID.
"""

_IN_MILLISECONDS = re.compile(r".*\.\d{3}(?:0{3})?(?:Z|[+-]\d\d:?\d\d)")

Request = Mapping[str, object]


class FrontEnd(NamedTuple):
    """Who asked for the cell to run.

    ``redraws`` is whether a later version of a display takes the place of the earlier one. ``is_program`` is whether
    the notebook is executed from end to end with nobody there to answer, as nbconvert and papermill do. ``cell`` is
    the front end's name of the cell, None where it gives none.
    """

    redraws: bool
    is_program: bool
    cell: str | None


def front_end(shell: InteractiveShell, redraw: str = "auto") -> FrontEnd:
    """Return who asked for the cell that runs now. ``redraw`` "always" or "never" overrides what was recognised."""
    found = front_end_of(_request(shell))
    return found if redraw == "auto" else found._replace(redraws=redraw == "always")


def front_end_of(request: Request) -> FrontEnd:
    """Return what a request to execute says of its sender; parts of it may be missing."""
    metadata, header, content = (_part(request, name) for name in ("metadata", "header", "content"))
    of_a_page = bool(_OF_A_PAGE & metadata.keys()) or _is_made_in_a_page(header)
    cell = next((name for key in _CELL if isinstance(name := metadata.get(key), str)), None)
    return FrontEnd(of_a_page, not of_a_page and content.get("allow_stdin") is False, cell)


def is_kernel(shell: InteractiveShell) -> bool:
    """Return whether the shell is a kernel's, whose output can be redrawn; a terminal's cannot."""
    return hasattr(shell, "kernel")


def _is_made_in_a_page(header: Request) -> bool:
    if _MADE_BY_JUPYTER_CLIENT.fullmatch(str(header.get("msg_id", ""))):
        return False
    date = header.get("date")
    if isinstance(date, dt.datetime):
        return date.microsecond % 1000 == 0
    return isinstance(date, str) and _IN_MILLISECONDS.fullmatch(date) is not None


def _part(request: Request, name: str) -> Request:
    found = request.get(name)
    return found if isinstance(found, Mapping) else {}


def _request(shell: InteractiveShell) -> Request:
    """Return the request that is being carried out, or nothing where the kernel does not tell."""
    get_parent: Callable[..., object] | None = getattr(getattr(shell, "kernel", None), "get_parent", None)
    if get_parent is None:
        found = getattr(shell, "parent_header", None)
    else:
        try:
            found = get_parent("shell")
        except TypeError:  # xeus-python's takes no channel
            found = get_parent()
    return found if isinstance(found, Mapping) else {}
