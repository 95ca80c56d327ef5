"""A home folder of the run's own: nothing of the user's is read or written, and a test that writes there has failed.

The user's cache is read where the embedded model is needed: in tests with the mark ``model``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

CACHE = "LLX_CACHE_HOME"
_HOME = pytest.StashKey[Path]()
_CACHE_OF_THE_USER = pytest.StashKey[str | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Move out of the user's home folder, but for what is fetched and made once: models, fonts, packages."""
    home = config.stash[_HOME] = Path(tempfile.mkdtemp(prefix="home-of-tests-"))
    config.stash[_CACHE_OF_THE_USER] = os.environ.get(CACHE)
    os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(home)
    for name in ("LLXPRT_CONFIG_HOME", "LLX_PROFILE", "IPYTHONDIR"):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    shutil.rmtree(config.stash[_HOME], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let only what needs the embedded model use the user's cache."""
    chosen: str | None = str(item.config.stash[_HOME] / "cache")
    if item.get_closest_marker("model"):
        chosen = item.config.stash[_CACHE_OF_THE_USER]
    os.environ.pop(CACHE, None)
    if chosen is not None:
        os.environ[CACHE] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that has written profiles, histories or replies where the user's would be."""
    yield
    home = item.config.stash[_HOME]
    left = [folder for folder in (home / ".llxprt", home / "cache") if folder.exists()]
    written = sorted(str(path.relative_to(home)) for folder in left for path in folder.rglob("*"))
    for folder in left:
        shutil.rmtree(folder)
    if left:
        pytest.fail(f"{item.nodeid} wrote into the user's own folders: {', '.join(written)}", pytrace=False)
