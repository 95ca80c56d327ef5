"""Every benchmark in one run: makes the other libraries' environments, measures, and writes `RESULTS.md`.

    python benchmarks/bench.py [--quick]

The benchmarks run one after another, each as the command that stands above its tables, and each has a time after which
it is ended; what fails is named in its place. Calls are measured as often as fits into their part of the time. The
figures, without the samples, are written to `results.json`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environments
import psutil
from form_clients import FORMS

HERE = Path(__file__).parent
RESULTS, FIGURES = HERE / "RESULTS.md", HERE / "results.json"
OURS = "llx_magic"
LEFT_OUT = {"samples", "machine", "collector", "work"}
"""What is too much for `results.json`; each benchmark's own ``--json`` has it."""

VERSIONS = (
    "httpx", "httptools", "msgspec", "ipython", "ipykernel", "ipywidgets", "pandas", "matplotlib",
    "opentelemetry-sdk",
)  # fmt: skip
PEERS = {
    "aiohttp": "aiohttp",
    "pyreqwest": "pyreqwest",
    "openai": "openai",
    **{client: client for client, _, _ in FORMS.values()},
    "LiteLLM Router": "litellm",
    "LangChain": "langchain-openai",
    "any-llm": "any-llm-sdk",
    "jupyter-ai 2": "jupyter_ai_magics",
    "jupyter-ai 3": "jupyter_ai_magic_commands",
}
"""The package that tells the version, by environment."""


@dataclass(frozen=True)
class Benchmark:
    """A script, what it is about, and its arguments in a whole and in a quick run; it is ended after ``seconds``."""

    script: str
    title: str
    whole: str
    quick: str | None
    seconds: float

    def command(self, *, quick: bool) -> str | None:
        arguments = self.quick if quick else self.whole
        return None if arguments is None else f"python benchmarks/{self.script}.py {arguments}".strip()


BENCHMARKS = (
    Benchmark("calls", "Calls, streams, failover and recovery", "--seconds 540", "--quick --rounds 1", 800),
    Benchmark("forms", "The services' own forms, beside their own clients", "", "--rounds 1", 300),
    Benchmark("observing", "Being watched", "--rounds 15", "--rounds 3", 120),
    Benchmark("hop", "The background loop", "", "--rounds 5", 60),
    Benchmark("memory", "Memory after many requests", "", "--quick", 400),
    Benchmark("imports", "Imports, extensions and cells, ours and others'", "--rounds 3", "--rounds 1", 300),
    Benchmark("first_cell", "The first cell of a session", "", "--rounds 3", 120),
    Benchmark("load_ext", "Loading the extension", "", "--rounds 3", 120),
    Benchmark("display", "Showing a reply", "--rounds 2", None, 240),
    Benchmark("interrupt", "Interrupting", "", "--rounds 5", 90),
    Benchmark("dashboard", "The dashboard", "", "--rounds 20", 120),
    Benchmark("frames", "History and its memory", "", None, 200),
    Benchmark("rows_size", "A run over a large table", "", "--quick", 300),
    Benchmark("scaling", "How costs grow", "", "--quick", 240),
    Benchmark("rows", "Rows of a map", "", "--quick", 120),
    Benchmark("profile_calls", "Where a call's time goes, before and after", "", "--calls 500", 90),
)


@dataclass(frozen=True)
class Outcome:
    """What one benchmark printed and measured, or why it did not."""

    benchmark: Benchmark
    command: str
    text: str = ""
    figures: Mapping[str, Any] | None = None
    problem: str = ""
    seconds: float = 0.0


def run(benchmark: Benchmark, *, quick: bool) -> Outcome:
    """Run one benchmark; what goes wrong is part of the outcome."""
    command = benchmark.command(quick=quick)
    if command is None:
        whole = benchmark.command(quick=False)
        return Outcome(benchmark, str(whole), problem="left out of a quick run")
    print(f"→ {command}", file=sys.stderr, flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")
        arguments = [str(HERE / f"{benchmark.script}.py"), *command.split()[2:], "--json", str(file)]
        env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        try:
            ended = subprocess.run(
                [sys.executable, *arguments],
                stdout=subprocess.PIPE,
                text=True,
                env=env,
                timeout=benchmark.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(
                benchmark, command, problem=f"not done after {benchmark.seconds:g} s", seconds=benchmark.seconds
            )
        seconds = time.monotonic() - begun
        figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    problem = f"it ended with status {ended.returncode}" if ended.returncode else ""
    return Outcome(benchmark, command, ended.stdout.strip(), _small(figures), problem, seconds)


def _small(figures: Any) -> Any:
    if isinstance(figures, dict):
        return {name: _small(each) for name, each in figures.items() if name not in LEFT_OUT}
    if isinstance(figures, list):
        return [_small(each) for each in figures]
    return float(f"{figures:.4g}") if isinstance(figures, float) else figures


Found = Mapping[str, Mapping[str, Any]]
Reader = Callable[[Found], str]


def _ratio(key: str, name: str) -> Reader:
    def read(found: Found) -> str:
        return f"{found['calls']['figures'][key][name]['ratio']:.2f}"

    return read


def _reached(name: str) -> Reader:
    return lambda found: f"{found['calls']['reached'][name]['reached']:.0f}"


def _over_bare(name: str, what: str, unit: str) -> Reader:
    return lambda found: f"{found['imports']['over_bare'][name][what]:,.0f} {unit}"


def _row(found: Found, what: str, at_most: str, *readers: Reader | str) -> str:
    cells = []
    for reader in readers:
        try:
            cells.append(reader if isinstance(reader, str) else reader(found))
        except (KeyError, TypeError):
            cells.append("not measured")
    return f"| {what} | {' | '.join(cells[:-1])} | {at_most} | **{cells[-1]}** |"


CALLS = (
    ("sequential", "one call after another, time", "0.4"),
    ("64", "64 calls at a time, CPU per call", "0.15"),
    ("cpu 256", "256 calls at a time, CPU per call", "0.12"),
    ("cpu 1000", "1,000 calls at a time, CPU per call", "0.15"),
    ("burst", "stream of 200 chunks in a burst, CPU per chunk", "0.3"),
    ("burst first", "stream in a burst, time to the first piece", "0.8"),
    ("paced", "paced stream, time to the first piece", "0.6"),
    ("refused", "failover after a refused connection, extra time over a direct call of bare httpx", "0.3"),
)
AI2, AI3 = "jupyter-ai 2, `%%ai`", "jupyter-ai 3, `%%ai`"


def summary(found: Found) -> str:
    """Return the two tables of what is to be held: ratios within the run, and figures by themselves."""
    names = ("httpx", "aiohttp", "pyreqwest", "raw asyncio", "openai", "anthropic", "LiteLLM Router", OURS)
    columns = ("what", "bare httpx", *names[1:-1], "ours, at most", "**ours**")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [_row(found, what, most, *(_ratio(key, name) for name in names)) for key, what, most in CALLS]
    callers = "callers that reach a dead backend when its cool-down ends, of 50"
    lines.append(_row(found, callers, "1", *(_reached(name) for name in names)))
    lines += ["", "| what | others | ours, at most | **ours** |", "|---|---|---|---|"]
    ai = (("ms", "ms", "time of `%load_ext`", "50 ms"), ("megabytes", "MB", "memory of `%load_ext`", "10 MB"))
    for what, unit, title, most in ai:
        others = _both(_over_bare(AI2, what, unit), _over_bare(AI3, what, unit), "{} (jupyter-ai 2), {} (jupyter-ai 3)")
        ours = "ms" if what == "ms" else "mb"
        lines.append(_row(found, f"{title}, over a bare kernel", most, others, _loaded(ours, unit)))
    lines += [
        _row(found, "CPU of a call in Anthropic's form", "0.3 of it", *_beside_anthropic("call")),
        _row(found, "CPU of a chunk in Anthropic's form", "0.2 of it", *_beside_anthropic("chunk")),
        _row(found, "bytes to the browser for a reply of 2,000 tokens", "180 KB", _shown("each token"),
             _shown("`%%llx`")),
        _row(found, "CPU to show that reply", "0.15 s", "", _display_cpu),
        _row(found, "CPU of an update of the dashboard, 3 backends", "2 ms", "", _dashboard),
        _row(found, "from an interrupt to the closed connection", "100 ms", "", _interrupted),
        _row(found, "the first cell's text, later than the tenth's", "30 ms", "", _first_cell),
        _row(found, "`history()` of 100,000 requests", "100 ms", "", _history),
        _row(found, "memory for each further request", "flat", _both(_grown("openai"), _grown("LiteLLM Router"),
             "{} (openai), {} (LiteLLM Router)"), _grown(OURS)),
    ]  # fmt: skip
    return "\n".join(lines)


def _both(first: Reader, second: Reader, form: str) -> Reader:
    return lambda found: form.format(first(found), second(found))


def _beside_anthropic(measure: str) -> tuple[Reader, Reader]:
    def figure(found: Found, what: str) -> float:
        return float(found["forms"]["figures"]["anthropic"][measure][what])

    return lambda found: f"{figure(found, 'theirs'):,.0f} µs (anthropic)", lambda found: f"{figure(found, 'ratio'):.2f}"


def _loaded(what: str, unit: str) -> Reader:
    return lambda found: f"{found['load_ext']['over_bare'][what]:.1f} {unit}"


def _shown(way: str) -> Reader:
    form = "{:,.0f} KB" if way.startswith("`") else "{:,.0f} KB (an update for each token)"
    return lambda found: form.format(found["display"]["median"][way]["kilobytes"])


def _display_cpu(found: Found) -> str:
    return f"{found['display']['cpu_over_no_stream']['`%%llx`'][0]:.2f} s"


def _dashboard(found: Found) -> str:
    return f"{found['dashboard']['3 backends']['cpu_ms']:.2f} ms"


def _interrupted(found: Found) -> str:
    return f"{found['interrupt']['median_ms']:.1f} ms"


def _first_cell(found: Found) -> str:
    return f"{found['first_cell']['later']:.0f} ms"


def _history(found: Found) -> str:
    return f"{found['frames']['ms']['history'][0]:.0f} ms"


def _grown(name: str) -> Reader:
    return lambda found: f"{found['memory']['figures'][name]['bytes_per_call']:+,.0f} bytes"


def machine() -> str:
    """Return what the run was on, in general words."""
    memory = psutil.virtual_memory().total / 2**30
    kind = f"{platform.system()} on {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {kind}, {platform.python_implementation()} " + (
        platform.python_version()
    )


class Busy:
    """Tells how much of the machine this run and what it started took, and how much other work did."""

    def __init__(self) -> None:
        self._begun = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        machine_times, own = psutil.cpu_times(), os.times()
        busy = machine_times.user + machine_times.system + getattr(machine_times, "nice", 0.0)
        return time.monotonic(), busy, own.user + own.system + own.children_user + own.children_system

    def others(self) -> float:
        """Return the part of the processors' time since the beginning that other work took."""
        passed, busy, own = (now - then for now, then in zip(self._now(), self._begun, strict=True))
        return max(0.0, busy - own) / passed / (os.cpu_count() or 1)


def versions() -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions in this environment, and those of the other libraries in theirs."""
    mine = {name: importlib.metadata.version(name) for name in ("llx-magic", *VERSIONS)}
    others = {name: environments.version_of(name, package) for name, package in PEERS.items()}
    return mine, {name: version or "not installed" for name, version in others.items()}


def page(outcomes: list[Outcome], command: str, seconds: float, others_share: float) -> str:
    """Return the whole of `RESULTS.md`."""
    mine, others = (", ".join(f"{name} {version}" for name, version in some.items()) for some in versions())
    found = {each.benchmark.script: each.figures for each in outcomes if each.figures}
    today = dt.datetime.now(dt.UTC).date()
    lines = [
        "# Results",
        "",
        f"Written by `{command}` on {today}, in {seconds / 60:.0f} minutes. What is measured and why the figures are",
        "what they are: [README.md](README.md). Figures of the calls are ratios to a bare `httpx.AsyncClient` within",
        "this run, in the median of its rounds.",
        "",
        f"* Machine: {machine()}; other work took {others_share:.0%} of the processors' time meanwhile",
        f"* Here: {mine}",
        f"* Others, each in an environment of its own: {others}",
        "",
        "## What is to be held",
        "",
        summary(found),
    ]
    for each in outcomes:
        lines += ["", f"## {each.benchmark.title}", ""]
        if each.problem:
            lines += [f"`{each.command}`: {each.problem}", ""]
        else:
            lines += [f"`{each.command}`, {each.seconds:.0f} s", ""]
        lines.append(re.sub(r"(?m)^#", "###", each.text))
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, in less than 4 minutes")
    given = parser.parse_args()
    for name in environments.PACKAGES:
        environments.make(name)
    begun, busy = time.monotonic(), Busy()
    outcomes = [run(each, quick=given.quick) for each in BENCHMARKS if (HERE / f"{each.script}.py").exists()]
    command = "make bench QUICK=1" if given.quick else "make bench"
    RESULTS.write_text(page(outcomes, command, time.monotonic() - begun, busy.others()), encoding="utf-8")
    figures = {each.benchmark.script: each.figures for each in outcomes}
    mine, others = versions()
    about = {"command": command, "machine": machine(), "versions": {**mine, **others}}
    FIGURES.write_text(json.dumps({**about, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    failed = [each for each in outcomes if each.problem and each.benchmark.command(quick=given.quick)]
    for each in failed:
        print(f"{each.command}: {each.problem}", file=sys.stderr)
    print(f"written: {RESULTS.relative_to(HERE.parent)}, {FIGURES.relative_to(HERE.parent)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
