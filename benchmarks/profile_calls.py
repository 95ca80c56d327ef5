"""Where a call's time goes, before and after: httpx's own connections against the default, by module.

Each way is a process of its own that makes calls one after another under `cProfile`, which slows Python's own code down
more than what is in C: the shares say where the time is, the totals are no measurement of it.

    python benchmarks/profile_calls.py [--calls N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from kernel import save, table
from quick_server import QuickServer

WAYS = {"before: LLX_HTTP_TRANSPORT=httpx": "httpx", "after: the default": ""}
SHOWN = 8
INSTALLED = re.compile(r".*site-packages[/\\]([^/\\]+?)(?:\.py)?(?:[/\\].*)?$")
OURS = re.compile(r".*[/\\]llx_magic[/\\](\w+)(?:\.py|[/\\].*)$")
STANDARD = re.compile(r".*[/\\]python3[.\d]*[/\\](\w+)(?:\.py|[/\\].*)$")


def module_of(file: str, function: str) -> str:
    """Return the package that a function is of; of ours the package within it."""
    if file == "~":
        waiting = "poll" in function
        return "waiting for the server" if waiting else "built into Python or in C"
    for pattern, form in ((INSTALLED, "{}"), (OURS, "llx_magic.{}"), (STANDARD, "{}")):
        if found := pattern.fullmatch(file):
            return form.format(found[1])
    return "importlib" if "importlib" in file else "generated code"


async def _calls(url: str, count: int) -> cProfile.Profile:
    from contenders import Ours

    client = Ours([f"{url}/v1"], "calls")
    for _ in range(50):
        await client.call()
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(count):
        await client.call()
    profile.disable()
    await client.aclose()
    return profile


def profiled(url: str, count: int) -> dict[str, float]:
    """Return the microseconds of a call that are spent in each module itself."""
    statistics = pstats.Stats(asyncio.run(_calls(url, count)))
    modules: Counter[str] = Counter()
    for (file, _, function), (_, _, own, *_) in statistics.stats.items():  # type: ignore[attr-defined]
        modules[module_of(file, function)] += own / count * 1e6
    return dict(modules.most_common())


def _in_a_process(url: str, count: int, transport: str) -> dict[str, float]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    env.pop("LLX_HTTP_TRANSPORT", None)
    if transport:
        env["LLX_HTTP_TRANSPORT"] = transport
    command = [sys.executable, __file__, "--calls", str(count), "--child", url]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, env=env).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    parser.add_argument("--child", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(profiled(given.child, given.calls)))
        return
    with QuickServer() as server:
        found = {way: _in_a_process(server.url, given.calls, transport) for way, transport in WAYS.items()}
    for way, modules in found.items():
        waiting = modules.pop("waiting for the server", 0.0)
        total = sum(modules.values())
        rows = [(name, f"{micro:.0f}", f"{micro / total:.0%}") for name, micro in list(modules.items())[:SHOWN]]
        print(f"{way}: {total:,.0f} µs a call under the profiler, and {waiting:,.0f} µs of waiting for the server\n")
        table(["module", "µs in itself", "share"], rows)
    save(given.json, {"benchmark": "profile_calls", "calls": given.calls, "microseconds": found})


if __name__ == "__main__":
    main()
