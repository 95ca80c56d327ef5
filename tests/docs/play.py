"""Runs the blocks of one page in a shell of its own: ``python -m tests.docs.play PAGE FOLDER``.

What each block printed is written as JSON. A block of Python or IPython is a cell, one of ``sh`` a script in the same
folder. The first that fails ends the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from tests.docs.pages import Page


def play(page: Page) -> list[str | None]:
    """Return what each block printed, None of those that are not run."""
    shell = InteractiveShell.instance()
    shell.display_formatter.active_types = ["text/plain"]
    return [_run(shell, block.language, block.text) if block.runs else None for block in page.blocks]


def _run(shell: InteractiveShell, language: str, text: str) -> str:
    if language == "sh":
        done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            raise SystemExit(f"exit status {done.returncode} of:\n{text}\n{done.stdout}{done.stderr}")
        return done.stdout
    with capture_output() as captured:
        result = shell.run_cell(text, store_history=True)
    if not result.success:
        raise SystemExit(f"{result.error_before_exec or result.error_in_exec!r} of:\n{text}\n{captured.stdout}")
    shown = "".join(str(output.data.get("text/plain", "")) + "\n" for output in captured.outputs)
    return captured.stdout + shown


if __name__ == "__main__":
    page = Page(Path(sys.argv[1]))
    os.chdir(sys.argv[2])
    outputs = play(page)
    sys.stdout.write("\x1e" + json.dumps(outputs))
