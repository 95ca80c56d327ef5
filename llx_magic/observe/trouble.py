"""What is said where a frame or a plot cannot be made because this machine has run out of something."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from llx_magic.core.machine import trouble_of
from llx_magic.errors import LlxError

P = ParamSpec("P")
T = TypeVar("T")


def own_trouble_in_words(function: Callable[P, T]) -> Callable[P, T]:
    """Let the function raise an ``LlxError`` of one line where this machine is in trouble.

    pandas and matplotlib are read from the disk when the first frame or plot is made, which needs file descriptors
    and memory. The same call works once there are some again.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (OSError, MemoryError) as error:
            if (words := trouble_of(error)) is None:
                raise
        raise LlxError(words)

    return guarded
