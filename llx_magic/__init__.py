"""Prompt cells that always get a whole answer from the best backend that is up, and show you why.

In a notebook: ``%load_ext llx_magic``, then ``%%llx``. In Python: ``llx_magic.load`` and ``llx_magic.ask``. On the
command line: ``llx --prompt TEXT``. Importing this package imports nothing heavy; the first request does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llx_magic.core.message import File, Image, Message
    from llx_magic.core.reply import Delta, Part, Reply, Restart, Thought, Usage
    from llx_magic.errors import (
        AllBackendsFailed,
        KeyMissing,
        LlxError,
        ModelUnavailable,
        ProfileError,
        SettingError,
        UsageProblem,
    )
    from llx_magic.profiles.connection import Connection
    from llx_magic.profiles.document import ModelProfile, Profile
    from llx_magic.rows.outcome import Outcome
    from llx_magic.rows.result import MapResult
    from llx_magic.session import Current, LoadBalancer, ask, current, load, simulate
    from llx_magic.session import map as map  # noqa: A004

__version__ = "0.1.0"

__all__ = [
    "AllBackendsFailed",
    "Connection",
    "Current",
    "Delta",
    "File",
    "Image",
    "KeyMissing",
    "LlxError",
    "LoadBalancer",
    "MapResult",
    "Message",
    "ModelProfile",
    "ModelUnavailable",
    "Outcome",
    "Part",
    "Profile",
    "ProfileError",
    "Reply",
    "Restart",
    "SettingError",
    "Thought",
    "Usage",
    "UsageProblem",
    "__version__",
    "ask",
    "current",
    "load",
    "load_ipython_extension",
    "simulate",
    "unload_ipython_extension",
]
"""What ``from llx_magic import *`` brings: all public names but ``map``, which would take the place of Python's own."""

_HOMES = {
    "llx_magic.core.message": ("File", "Image", "Message"),
    "llx_magic.core.reply": ("Delta", "Part", "Reply", "Restart", "Thought", "Usage"),
    "llx_magic.errors": (
        "AllBackendsFailed",
        "KeyMissing",
        "LlxError",
        "ModelUnavailable",
        "ProfileError",
        "SettingError",
        "UsageProblem",
    ),
    "llx_magic.profiles.connection": ("Connection",),
    "llx_magic.profiles.document": ("ModelProfile", "Profile"),
    "llx_magic.rows.outcome": ("Outcome",),
    "llx_magic.rows.result": ("MapResult",),
    "llx_magic.session": ("Current", "LoadBalancer", "ask", "current", "load", "map", "simulate"),
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # for a type checker a module that has this function has every name

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register the magics; called by ``%load_ext llx_magic``."""
    from llx_magic.notebook.extension import register

    register(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Remove all that ``%load_ext llx_magic`` put in place; called by ``%unload_ext llx_magic``."""
    from llx_magic.notebook.extension import unregister

    unregister(ipython)
