"""A configuration folder and a keyring of the test's own, and the count of what was looked through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

from tests.home import own_home
from tests.secrets.vault import NAME, VARIABLE, FileKeyring

SWEPT: dict[str, set[str | tuple[str, str]]] = {"places": set(), "ways": set(), "found": set()}
"""What all sweeps of this run came to."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing of the user's is read or written, and no key of theirs is in the environment."""
    folder = own_home(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", NAME)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "vault.json"))
    monkeypatch.setenv("LLXPRT_DEBUG", "llxprt:*")
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring())
    yield folder
    keyring.set_keyring(before)


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how much was looked through, so that a sweep that shrinks is seen."""
    if SWEPT["places"]:
        counts = {name: len(each) for name, each in SWEPT.items()}
        terminalreporter.write_line(
            "secrets: {places} places swept x {ways} ways of holding a key, found {found}".format(**counts)
        )
