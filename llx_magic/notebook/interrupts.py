"""Interrupts of what was asked of this package, told in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Interrupted(KeyboardInterrupt):
    """The user stopped what a cell had asked for; its text says what, and how to go on where that is not plain.

    It stops Run All, as any error does, and is shown in one line, without the places in this package where it came.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self}"]


@contextlib.contextmanager
def interrupted(what: str) -> Iterator[None]:
    """Tell an interrupt of what is done within in one line; ``what`` is its subject. One that tells more stays."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"{what} was interrupted") from None
