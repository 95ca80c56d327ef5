"""No step of a request does clearly more work than what is on record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

GUARD = Path(__file__).parents[1] / "benchmarks" / "guard.py"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(GUARD), *options], capture_output=True, text=True, check=False, timeout=120
    )


def test_no_step_does_clearly_more_work_than_on_record():
    done = run()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_step_that_grew_is_named_with_the_room_in_which_it_grew(tmp_path):
    """The same check against a record in which the engine did half of what it does."""
    record = json.loads(GUARD.with_suffix(".json").read_text())
    step = "a request that fails over"
    record["steps"][step]["engine"] //= 2
    halved = tmp_path / "guard.json"
    halved.write_text(json.dumps(record))
    done = run("--record", str(halved))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"guard: {step} grew from ")
    assert "(engine " in line
