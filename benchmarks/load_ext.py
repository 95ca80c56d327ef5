"""What `%load_ext llx_magic` costs over a bare kernel: time, memory, imports.

Each sample is a fresh kernel that loads one extension and then runs one empty cell, in turn ours and an empty one,
whose median is subtracted. Time is taken inside the kernel around the loading, memory (resident) from outside before
and after. The figure to hold is 50 ms and 10 MB.

    python benchmarks/load_ext.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from kernel import Kernel, arguments, save, table

HEAVY = (
    "httpx", "httptools", "pandas", "numpy", "matplotlib", "ipywidgets", "jinja2", "markdown_it", "nh3", "msgspec",
    "tqdm",
)  # fmt: skip
EMPTY = "def load_ipython_extension(ipython):\n    pass\n"
SHOWN = 8

LOAD = """
import time as _time
_begun = _time.perf_counter()
get_ipython().run_line_magic("load_ext", {extension!r})
print(_time.perf_counter() - _begun)
"""
PRESENT = f"import sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
TRACED = """
import ipykernel.kernelapp, sys, time
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.magics.extension import ExtensionMagics
shell = ZMQInteractiveShell.instance()
print("BEGIN", file=sys.stderr, flush=True)
shell.run_line_magic("load_ext", "llx_magic")
print("END", file=sys.stderr, flush=True)
"""


def sample(extension: str, env: dict[str, str]) -> tuple[float, float, str]:
    """Return milliseconds, megabytes and the heavy modules that are there a second later, from a fresh kernel."""
    with Kernel(env=env) as kernel:
        kernel.run("pass")
        time.sleep(0.3)
        before = psutil.Process(kernel.pid).memory_info().rss
        seconds = float(kernel.run(LOAD.format(extension=extension)))
        kernel.run("pass")
        time.sleep(0.7)
        grown = psutil.Process(kernel.pid).memory_info().rss - before
        return seconds * 1e3, grown / 1e6, kernel.run(PRESENT).strip()


def imports() -> list[tuple[float, str]]:
    """Return the milliseconds that each module took by itself, the most first; tracing slows all of them down."""
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", TRACED], capture_output=True, text=True, timeout=100, check=True
    )
    ours = traced.stderr.partition("BEGIN\n")[2].partition("END\n")[0]
    found = re.findall(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)", ours)
    return sorted(((int(micro) / 1000, name) for micro, name in found), reverse=True)


def main() -> None:
    given = arguments(__doc__, 9)
    taken: dict[str, list[tuple[float, float, str]]] = {"an empty extension": [], "llx_magic": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "llx_empty_extension.py").write_text(EMPTY, encoding="utf-8")
        env = {"PYTHONPATH": os.pathsep.join([folder, str(Path(__file__).parents[1])])}
        sample("llx_magic", env)  # compiles what was edited since the last time
        for _ in range(given.rounds):
            taken["an empty extension"].append(sample("llx_empty_extension", env))
            taken["llx_magic"].append(sample("llx_magic", env))
    ms = {name: statistics.median(each[0] for each in found) for name, found in taken.items()}
    mb = {name: statistics.median(each[1] for each in found) for name, found in taken.items()}
    rows = [(name, f"{ms[name]:.1f}", f"{max(e[0] for e in taken[name]):.1f}", f"{mb[name]:.2f}") for name in taken]
    over = {"ms": ms["llx_magic"] - ms["an empty extension"], "mb": mb["llx_magic"] - mb["an empty extension"]}
    rows.append(
        ("**over the bare kernel**", f"**{over['ms']:.1f}** (at most 50)", "", f"**{over['mb']:.2f}** (at most 10)")
    )
    table(["loading", "ms, median", "ms, most", "MB, median"], rows)
    heavy = sorted({name for *_, names in taken["llx_magic"] for name in names.split()})
    bare = sorted({name for *_, names in taken["an empty extension"] for name in names.split()})
    print(
        f"heavy modules there afterwards: {', '.join(heavy) or 'none'}; in a bare kernel: {', '.join(bare) or 'none'}\n"
    )
    modules = imports()
    print(f"{len(modules)} modules imported; those that took longest (traced, which is slower):\n")
    table(["module", "ms by itself"], [(name, f"{milli:.1f}") for milli, name in modules[:SHOWN]])
    figures = {"over_bare": over, "samples": taken, "heavy": heavy, "modules": modules}
    save(given.json, {"benchmark": "load_ext", **figures})


if __name__ == "__main__":
    main()
