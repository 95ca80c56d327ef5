"""What to type where an optional package is missing: a line that works from any folder."""

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
    """Return the command that installs what an extra brings into the environment of this Python.

    In a notebook it is IPython's ``%pip``; elsewhere it names the interpreter, since the ``pip`` of a shell may belong
    to another one. Where this Python has no pip it is uv's. The packages are named rather than the extra: this package
    itself may have been installed from a folder.
    """
    packages = " ".join(f"'{requirement}'" for requirement in requirements(extra))
    in_notebook = hosts.is_notebook()
    if not has_pip() and find_program("uv") is not None:
        return f"{'!' if in_notebook else ''}uv pip install --python {shown_interpreter()} {packages}"
    return f"{'%pip' if in_notebook else f'{shown_interpreter()} -m pip'} install {packages}"


def has_pip() -> bool:
    """Return whether this Python has pip among its installed packages; a ``pip.py`` in the working folder is not it."""
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return PathFinder.find_spec("pip", folders) is not None


def find_program(name: str) -> str | None:
    """Return where the program is found through ``PATH``, or None; the working folder is not looked into."""
    suffix = ".exe" if sys.platform == "win32" else ""
    candidates = (Path(folder, name + suffix) for folder in own_entries(os.environ.get("PATH", os.defpath)))
    return next((str(path) for path in candidates if shutil.which(path) is not None), None)


def own_entries(searched: str) -> list[str]:
    """Return the folders of a variable such as ``PATH`` that do not depend on the working folder and are not it."""
    folders = [folder for folder in searched.split(os.pathsep) if Path(folder).is_absolute()]
    return [folder for folder in folders if not _is_working_folder(Path(folder))]


def _is_working_folder(folder: Path) -> bool:
    try:
        return folder.samefile(Path())
    except (OSError, ValueError):  # one of the two is not there
        return False


def requirements(extra: str) -> tuple[str, ...]:
    """Return what the extra brings, as this package's own metadata has it."""
    try:
        declared = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:  # run from its source, without having been installed
        declared = []
    marker = f"extra == '{extra}'"
    found = [each.partition(";")[0].strip() for each in declared if each.replace('"', "'").endswith(marker)]
    return tuple(found) or (f"{_DISTRIBUTION}[{extra}]",)


def shown_interpreter() -> str:
    """Return this Python's path as a shell takes it, with ``~`` for the home folder where that needs no quotes."""
    path, home = Path(sys.executable), Path.home()
    quoted = shlex.quote(str(path))
    if path.is_relative_to(home) and quoted == str(path):
        return str(Path("~", path.relative_to(home)))
    return quoted
