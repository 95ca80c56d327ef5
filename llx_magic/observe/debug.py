"""Debug lines on their way out: to ``logging`` always, to stderr when ``LLXPRT_DEBUG`` asks for them."""

from __future__ import annotations

import fnmatch
import functools
import logging
import os
import sys

from llx_magic.core.events import Event
from llx_magic.observe.lines import CIRCUIT_BREAKER, LB, lines

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


def write_debug_lines(event: Event) -> None:
    """Write an event's debug lines wherever somebody wants them; a subscriber of live profiles."""
    patterns = os.environ.get(VARIABLE, "")
    if not patterns and not any(logger.isEnabledFor(logging.DEBUG) for logger in _LOGGERS.values()):
        return
    for channel, line in lines(event):
        _LOGGERS[channel].debug("%s", line)
        if patterns and shown(channel, patterns):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
