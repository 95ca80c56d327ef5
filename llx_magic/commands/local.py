"""The embedded model: ``%llx_local`` and ``llx local``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from llx_magic.commands.command import Command
from llx_magic.commands.output import Output
from llx_magic.commands.where import ANYWHERE
from llx_magic.errors import ModelUnavailable

if TYPE_CHECKING:
    from llx_magic.backends.local import ModelFile
    from llx_magic.commands.here import Here
    from llx_magic.commands.reading import Asked

PullProgress = Callable[[int, int], None]
"""Takes the bytes done and the bytes in all."""


_RUN = "llx_magic.commands.local"

COMMAND = Command(
    run=f"{_RUN}:status",
    actions=(
        Command("pull", "Fetch the model (93 MB), unless it is there; its hash is checked.", run=f"{_RUN}:fetch"),
        Command("status", "Say whether the model is fetched, and whether it runs.", run=f"{_RUN}:status"),
        Command("stop", "End the model's process; the next prompt starts it again.", run=f"{_RUN}:stop"),
    ),
    notes={ANYWHERE: "The embedded model stands in where nothing else answers; do not rely on what it knows."},
)


def fetch(here: Here, _asked: Asked) -> Output:
    """Fetch the model; a notebook redraws the bar as a terminal does. The errors are those of ``pull``."""
    return Output(f"the embedded model is {pull(ProgressBar(sys.stderr, live=here.lasts or sys.stderr.isatty()))}")


def status(_here: Here, _asked: Asked) -> Output:
    """Say how the model is."""
    from llx_magic.backends import local

    return Output(str(local.status()))


def stop(_here: Here, _asked: Asked) -> Output:
    """End the model's process."""
    from llx_magic.backends import local

    return Output("the embedded model is stopped" if local.stop() else "the embedded model was not running")


def pull(progress: PullProgress) -> ModelFile:
    """Fetch the model, unless it is there; first of all its runtime is tried, without which it is of no use.

    Raises:
        ModelUnavailable: where the runtime cannot be loaded, with what to type, or the model cannot be fetched.
    """
    from llx_magic.backends import local

    if (problem := local.runtime_problem()) is not None:
        raise ModelUnavailable(f"{problem}; the model is fetched after that")
    return local.pull(progress=progress)


class ProgressBar:
    """A bar on a text stream that shows how much of the model has come; a line at its begin and end where not ``live``.

    ``live`` says whether the stream is a screen, on which a bar can be redrawn.
    """

    def __init__(self, out: TextIO, *, live: bool = True) -> None:
        self._out = out
        self._live = live
        self._begun = self._ended = False
        self._bar: object | None = None

    def __call__(self, done: int, total: int) -> None:
        """Move the bar; it appears with the first bytes and stays when all are there."""
        if self._ended:  # the whole is reported more than once: when all bytes are there, and when they are checked
            return
        if self._live:
            self._draw(done, total)
        elif not self._begun:
            print(f"fetching the model ({total / 1e6:.0f} MB)", file=self._out, flush=True)
        self._begun, self._ended = True, done >= total
        if self._ended and not self._live:
            print("all of the model is there", file=self._out, flush=True)

    def _draw(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if not isinstance(self._bar, tqdm):
            self._bar = tqdm(
                total=total, unit="B", unit_scale=True, unit_divisor=1000, desc="fetching the model", file=self._out
            )
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()
