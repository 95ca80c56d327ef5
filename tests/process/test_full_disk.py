"""A disk that fills in the middle of a run over rows: nothing is lost, one line says so, and the run goes on later."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import asyncio, json, subprocess, sys
from pathlib import Path
from llx_magic.replies.problems import StoreProblem
from tests.engine.kit import balancer, simulated

disk, store = sys.argv[1], Path(sys.argv[1]) / "replies.sqlite"
rows = [f"row {number} " + "x" * 40 for number in range(1000)]

async def main():
    lb = balancer(simulated("a"))
    attempts = lambda: sum(each.attempts for each in lb.snapshot().backends)
    first = await lb.map(rows, "say {{ row }}", store=store)
    answered = attempts()
    texts = int(first.frame.reply.notna().sum())
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    second = await lb.map(rows, "say {{ row }}", store=store)
    print(json.dumps({
        "line": str(first.summary), "answered": answered, "texts": texts,
        "missing": int(second.frame.reply.isna().sum()), "from the store": second.summary.stored,
        "asked by the second": attempts() - answered,
    }))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def small_disk():
    """What runs a program with a file system of 400 KB of its own at a folder."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("NOT RUN: no file system of its own can be made here (unshare -rm)")

    def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
        script = f'mount -t tmpfs -o size=400k tmpfs "$1" && exec {sys.executable} -c "$2" "$1"'
        words = ["unshare", "-rm", "sh", "-c", script, "sh", str(folder), program]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)

    return run


@pytest.mark.posix("there are no mounts of one's own")
def test_a_disk_that_fills_loses_no_reply_and_the_same_call_goes_on(small_disk, tmp_path):
    """Every reply that came is in the result of the run that was stopped, and what was stored is not asked again."""
    ran = small_disk(tmp_path, RUN)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert "replies.sqlite: the disk is full; the last replies are in this result alone" in told["line"]
    assert told["texts"] == told["answered"] < 1_000
    assert told["missing"] == 0
    assert told["from the store"] > 0
    assert told["from the store"] + told["asked by the second"] == 1_000


OPEN = """
import sys
from pathlib import Path
from llx_magic.replies.store import ReplyStore

disk = Path(sys.argv[1])
try:
    (disk / "fill").write_bytes(bytes(1_000_000))
except OSError:
    pass
try:
    ReplyStore.open(disk / "r.sqlite")
except Exception as problem:
    print(type(problem).__name__, problem)
"""


@pytest.mark.posix("there are no mounts of one's own")
def test_a_store_on_a_full_disk_is_one_line_before_anything_is_asked(small_disk, tmp_path):
    ran = small_disk(tmp_path, OPEN)
    assert ran.stdout == f"StoreProblem {tmp_path}/r.sqlite: the disk is full\n"
