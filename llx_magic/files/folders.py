"""Where profiles are kept, the user's own and those that come with the package, and what can be fetched again."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path

from llx_magic.errors import ProfileError, brief


def config_folder() -> Path:
    """Return the folder of all configuration: ``$LLXPRT_CONFIG_HOME``, else ``~/.llxprt``.

    Raises:
        ProfileError: where the home folder cannot be told.
    """
    return absolute(os.environ.get("LLXPRT_CONFIG_HOME") or "~/.llxprt")


def cache_folder() -> Path:
    """Return the folder of what can be fetched again: ``$LLX_CACHE_HOME``, else the platform's own cache folder."""
    chosen = os.environ.get("LLX_CACHE_HOME")
    if chosen:
        folder = Path(chosen)
        with contextlib.suppress(RuntimeError):  # as a shell does with the home folder of a user who is not known
            folder = folder.expanduser()
        return folder.absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("llx_magic", appauthor=False))


@cache
def shipped_folder() -> Path | None:
    """Return the folder of the profiles that come with the package, or None where there is none."""
    package = Path(__file__).parents[1]
    for folder in (package / "profiles" / "shipped", package.parent / "profiles"):
        if (folder / "demo.json").is_file():
            return folder
    return None


def shipped_profile(name: str) -> Path | None:
    """Return the file of the profile of that name that comes with the package, or None where there is none."""
    folder = shipped_folder()
    path = folder and folder / f"{name}.json"
    return path if path is not None and path.is_file() else None


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path; ``~`` is replaced by the home folder and links are not resolved.

    Raises:
        ProfileError: where the home folder of that user is not known.
    """
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, OSError):
        problem = "the home folder of that user is not known"
    raise ProfileError(f"{brief(os.fspath(path))}: {problem}")
