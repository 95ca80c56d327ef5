"""Tells what to type where an optional package is missing: a command that works from any folder."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import shutil
import site
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from llx_magic import hosts

_DISTRIBUTION = "llx-magic"


def install_line(extra: str) -> str:
    """Return the command that installs the packages of an extra into the environment of this Python.

    In a notebook the command is IPython's ``%pip``. Elsewhere it names the interpreter, since ``pip`` in a shell may
    belong to another one. Where this Python has no pip, it is uv's command. It names the packages and not the extra,
    since this package itself may have been installed from a folder.
    """
    packages = " ".join(f"'{requirement}'" for requirement in requirements(extra))
    in_notebook = hosts.is_notebook()
    if not has_pip() and find_program("uv") is not None:
        return f"{'!' if in_notebook else ''}uv pip install --python {shown_interpreter()} {packages}"
    return f"{'%pip' if in_notebook else f'{shown_interpreter()} -m pip'} install {packages}"


def has_pip() -> bool:
    """Return whether pip is installed for this Python; a ``pip.py`` in the working folder does not count."""
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return PathFinder.find_spec("pip", folders) is not None


def find_program(name: str) -> str | None:
    """Return the program's path as ``PATH`` gives it, or None; the working folder is not searched."""
    suffix = ".exe" if sys.platform == "win32" else ""
    candidates = (Path(folder, name + suffix) for folder in own_entries(os.environ.get("PATH", os.defpath)))
    return next((str(path) for path in candidates if shutil.which(path) is not None), None)


def own_entries(searched: str) -> list[str]:
    """Return the absolute folders of a variable such as ``PATH``, without the working folder."""
    folders = [folder for folder in searched.split(os.pathsep) if Path(folder).is_absolute()]
    return [folder for folder in folders if not _is_working_folder(Path(folder))]


def _is_working_folder(folder: Path) -> bool:
    try:
        return folder.samefile(Path())
    except (OSError, ValueError):  # one of the two folders does not exist
        return False


def requirements(extra: str) -> tuple[str, ...]:
    """Return the packages of the extra, as this package's metadata names them."""
    try:
        declared = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:  # this package runs from its sources and is not installed
        declared = []
    marker = f"extra == '{extra}'"
    found = [each.partition(";")[0].strip() for each in declared if each.replace('"', "'").endswith(marker)]
    return tuple(found) or (f"{_DISTRIBUTION}[{extra}]",)


def shown_interpreter() -> str:
    """Return this Python's path, quoted for a shell, with ``~`` for the home folder where that needs no quotes."""
    path, home = Path(sys.executable), Path.home()
    quoted = shlex.quote(str(path))
    if path.is_relative_to(home) and quoted == str(path):
        return str(Path("~", path.relative_to(home)))
    return quoted
