"""A command that its user stops as soon as it has begun."""

from __future__ import annotations

from llx_magic.commands.command import Command
from llx_magic.commands.here import Here
from llx_magic.commands.reading import Asked

COMMAND = Command(run="tests.notebook.stopped:run")


def run(_here: Here, _asked: Asked) -> object:
    """Be interrupted."""
    raise KeyboardInterrupt
