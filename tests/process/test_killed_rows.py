"""A run over rows that is killed loses nothing that was shown, and asks no such row again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "rows_kill.py"


@pytest.mark.posix("there is no kill -9")
def test_a_run_over_rows_that_is_killed_goes_on_where_it_was():
    """Three kills at random moments; the benchmark of two hundred counts the same on the server's side."""
    words = [sys.executable, str(BENCHMARK), "--kills", "3", "--rows", "200", "--rounds", "0"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for claim in ("shown as done and asked again", "lost", "doubled", "with the reply of another"):
        assert f"rows {claim} | 0 | 0 |" in ran.stdout
