"""A configuration folder of the test's own, servers on loopback, and scripts that run in an interpreter of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.conftest import first, home, pair, second  # noqa: F401 - fixtures of the same meaning
from tests.notebook.kit import ROOT


class Scripts:
    """Runs Python source in a folder, as a user's own program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, source: str, *words: str) -> subprocess.Popen[str]:
        """Start it and return at once."""
        path = self.folder / f"script{len(self._started)}.py"
        path.write_text(source)
        return self.command(sys.executable, str(path), *words)

    def command(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.env,
        )
        self._started.append(process)
        return process

    def run(self, source: str, *words: str) -> str:
        """Run it to its end, which must be a good one with nothing on standard error; what it printed."""
        process = self.start(source, *words)
        said, complained = process.communicate(timeout=90)
        assert (process.returncode, complained) == (0, ""), (said, complained)
        return said

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    """Programs of the test's own, ended with it."""
    opened = Scripts(tmp_path)
    yield opened
    opened.close()
