"""Debug lines on their way out: to ``logging`` always, to stderr when ``LLXPRT_DEBUG`` asks for them."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import logging
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar

from llx_magic.core.describe import CIRCUIT_BREAKER, LB, lines
from llx_magic.core.events import Event

VARIABLE = "LLXPRT_DEBUG"

_LOGGERS = {LB: logging.getLogger("llx_magic.lb"), CIRCUIT_BREAKER: logging.getLogger("llx_magic.circuit_breaker")}


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


_drawn_by_a_view: ContextVar[bool] = ContextVar("drawn_by_a_view", default=False)


@contextlib.contextmanager
def drawn_by_a_view() -> Iterator[None]:
    """Leave stderr to the view that draws the reply: it writes ``shown_lines`` in their place among the text.

    What is started inside runs in a copy of this context, on whatever thread.
    """
    token = _drawn_by_a_view.set(True)
    try:
        yield
    finally:
        _drawn_by_a_view.reset(token)


def shown_lines(event: Event) -> list[str]:
    """Return those of an event's debug lines that ``LLXPRT_DEBUG`` asks for."""
    patterns = os.environ.get(VARIABLE, "")
    return [line for channel, line in lines(event) if shown(channel, patterns)] if patterns else []


def write_debug_lines(event: Event) -> None:
    """Write an event's debug lines wherever somebody wants them; a subscriber of live profiles."""
    if any(logger.isEnabledFor(logging.DEBUG) for logger in _LOGGERS.values()):
        for channel, line in lines(event):
            _LOGGERS[channel].debug("%s", line)
    if not _drawn_by_a_view.get() and (wanted := shown_lines(event)):
        sys.stderr.write("".join(f"{line}\n" for line in wanted))
        sys.stderr.flush()
