"""Debug lines on their way out: to ``logging`` always, to stderr when ``LLXPRT_DEBUG`` asks for them."""

from __future__ import annotations

import fnmatch
import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import TextIO

from llx_magic.core.describe import CIRCUIT_BREAKER, LB, lines
from llx_magic.core.events import Event
from llx_magic.errors import brief

VARIABLE = "LLXPRT_DEBUG"

_OF_BALANCERS, _OF_BREAKERS = logging.getLogger("llx_magic.lb"), logging.getLogger("llx_magic.circuit_breaker")
_LOGGERS = {LB: _OF_BALANCERS, CIRCUIT_BREAKER: _OF_BREAKERS}


@functools.lru_cache(maxsize=16)
def shown(channel: str, patterns: str) -> bool:
    """Return whether a channel matches what ``LLXPRT_DEBUG`` holds.

    The variable is a list of patterns, separated by commas or spaces, with ``*`` for anything; one that begins with
    ``-`` takes channels out again. A channel's name is ``llxprt:`` and the channel.
    """
    name = f"llxprt:{channel}"
    wanted = [pattern for pattern in patterns.replace(",", " ").split() if pattern]
    if any(fnmatch.fnmatchcase(name, pattern[1:]) for pattern in wanted if pattern.startswith("-")):
        return False
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)


def problem_of(patterns: str) -> str:
    """Return what is wrong with a value of the variable, in one line, or the empty string."""
    if any(shown(channel, patterns) for channel in _LOGGERS):
        return ""
    names = " and ".join(f"llxprt:{channel}" for channel in _LOGGERS)
    return f"{VARIABLE} takes patterns of {names}, such as llxprt:*; got {brief(patterns)}, which shows nothing"


def shown_lines(event: Event) -> list[str]:
    """Return those of an event's debug lines that ``LLXPRT_DEBUG`` asks for."""
    patterns = os.environ.get(VARIABLE, "")
    return [line for channel, line in lines(event) if shown(channel, patterns)] if patterns else []


def write_debug_lines(part: object, out: TextIO | None = None) -> None:
    """Write to stderr, or to ``out``, the debug lines that are asked for of an event; other parts have none.

    This is the one place where they are written. Whoever shows a request calls it, on its own thread and in its place
    among the text.
    """
    if isinstance(part, Event) and (wanted := shown_lines(part)):
        out = out or sys.stderr
        out.write("".join(f"{line}\n" for line in wanted))
        out.flush()


def debug_lines_writer() -> Callable[[object], None]:
    """Return what writes the debug lines of one request; it writes nothing where none are asked for as it begins."""
    return write_debug_lines if os.environ.get(VARIABLE) else _write_nothing


def _write_nothing(part: object) -> None:
    """Take a part of which nothing is asked."""


def log_debug_lines(event: Event) -> None:
    """Give an event's debug lines to ``logging``; a subscriber of live profiles.

    Those of what no request caused are written to stderr as well, since nobody else shows them.
    """
    if _OF_BALANCERS.isEnabledFor(logging.DEBUG) or _OF_BREAKERS.isEnabledFor(logging.DEBUG):
        for channel, line in lines(event):
            _LOGGERS[channel].debug("%s", line)
    if not event.request:
        write_debug_lines(event)
