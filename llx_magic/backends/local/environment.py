"""Where the processes that are started from here begin, and what they see of the environment.

Not keys and passwords, and nothing by which they would run or load what lies in the working folder: a notebook is
opened in folders that come from others.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from llx_magic.install import own_entries
from llx_magic.key_shapes import begins_like_a_key
from llx_magic.keys.names import names_a_secret
from llx_magic.keys.redaction import LIVE_KEYS

_SEARCHED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""Variables that list folders in which programs, modules and libraries are looked for."""

_ONE_FOLDER = ("PYTHONHOME", "PYTHONUSERBASE")

_LEFT_OUT = frozenset({
    "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONBREAKPOINT", "PYTHONWARNINGS", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE",
})  # fmt: skip
"""Variables that make a Python run or import what they name, and that serve nobody in a process without a terminal.

https://docs.python.org/3/using/cmdline.html#environment-variables
"""


def safe_folder() -> Path:
    """Return a folder to work in that holds nothing of a user's: the root of the disk that Python is on."""
    return Path(Path(sys.base_prefix).anchor or os.sep)


def for_child(but: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the environment for a process of our own.

    It is this process's without keys (what begins with one of ``but`` stays). Of the folders that are searched those
    stay which the user named as absolute paths: relative and empty entries, and the working folder itself, are left
    out. ``PYTHONPATH`` is the user's own word for where packages are, so the rest of it stays.
    """
    kept = {name: value for name, value in without_keys(but).items() if name not in _LEFT_OUT}
    for name in _SEARCHED:
        if name in kept:
            kept[name] = os.pathsep.join(own_entries(kept[name]))
    missing = [name for name in _SEARCHED if kept.get(name) == ""]
    relative = [name for name in _ONE_FOLDER if name in kept and not Path(kept[name]).is_absolute()]
    return {name: value for name, value in kept.items() if name not in {*missing, *relative}}


def without_keys(but: tuple[str, ...] = ()) -> dict[str, str]:
    """Return this process's environment without the variables that hold a key or password.

    They are told by their names (``OPENAI_API_KEY``, ``WORK_KEY2``, ``GITHUB_PAT``), by a value that begins as the keys
    of a provider do, and by one that was used as a key. What begins with one of ``but`` stays.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(but) or not (names_a_secret(name) or begins_like_a_key(value) or LIVE_KEYS.holds(value))
    }
