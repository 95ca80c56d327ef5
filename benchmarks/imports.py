"""What it takes until a library can be used: the import, `%load_ext`, and the first and later cells, ours and others'.

Libraries are imported in a fresh process each, extensions loaded in a fresh kernel each, in their own environments.
Memory is resident, read from outside before and after; an empty extension's and an empty cell's costs are subtracted
where kernels are measured. A cell asks a server on loopback that answers at once, and its time is what a front end
sees: from sending it until the kernel is idle. The first cell after loading includes what is imported with it.

    python benchmarks/imports.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from environments import python_of
from kernel import Kernel, arguments, save, table
from load_ext import EMPTY, LOAD
from quick_server import CHUNKS, TEXT, QuickServer

IMPORTS = {
    "llx_magic": "llx_magic",
    "openai": "openai",
    "LiteLLM Router": "litellm",
    "LangChain": "langchain_openai",
    "any-llm": "any_llm",
    "anthropic": "anthropic",
    "google-genai": "google.genai",
    "boto3": "boto3",
    "the extra aws": "botocore.session, botocore.auth, botocore.eventstream",
    "the extra azure": "azure.identity",
    "the extra google": "google.auth.transport.requests",
}
"""What is imported of each; whose environment it is, is its name in `environments`. An extra is imported with the first
request that needs it, and never before."""

CHILD = """
import sys, time
print("ready", flush=True)
sys.stdin.readline()
begun = time.perf_counter()
import {module}
print(time.perf_counter() - begun, flush=True)
sys.stdin.readline()
"""
EMPTY_EXTENSION = "an empty extension"
NOTHING = "pass"
LATER_CELLS = 20


@dataclass(frozen=True)
class Extension:
    """An extension, its environment, and a cell that asks; ``{url}`` in it is the server's."""

    module: str
    environment: str
    cell: str
    variables: Mapping[str, str]


EXTENSIONS = {
    EMPTY_EXTENSION: Extension("llx_empty_extension", "llx_magic", NOTHING, {}),
    "llx_magic, `%%llx`": Extension("llx_magic", "llx_magic", "%%llx\nWhy?", {}),
    "llx_magic, `%%llx --no-stream`": Extension("llx_magic", "llx_magic", "%%llx --no-stream\nWhy?", {}),
    "jupyter-ai 2, `%%ai`": Extension(
        "jupyter_ai_magics",
        "jupyter-ai 2",
        "%%ai openai-chat-custom:some-model\nWhy?",
        {"OPENAI_API_BASE": "{url}/v1"},
    ),
    "jupyter-ai 3, `%%ai`": Extension(
        "jupyter_ai_magic_commands",
        "jupyter-ai 3",
        "%%ai openai/gpt-4o --api-base {url}/v1 --api-key-name OPENAI_API_KEY\nWhy?",
        {"OPENAI_API_BASE": "{url}/v1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
}


@dataclass(frozen=True)
class Loaded:
    """What loading one extension and running its cells took."""

    ms: float
    megabytes: float
    first_ms: float
    later_ms: float
    later_megabytes: float


def imported(python: str, module: str) -> tuple[float, float]:
    """Return the milliseconds and megabytes of an import in a fresh process."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    child = subprocess.Popen(
        [python, "-c", CHILD.format(module=module)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env,
    )
    assert child.stdin
    assert child.stdout
    with child:
        child.stdout.readline()
        before = psutil.Process(child.pid).memory_info().rss
        child.stdin.write("\n")
        child.stdin.flush()
        answer = child.stdout.readline()
        if not answer:
            raise RuntimeError(f"import {module} failed")
        return float(answer) * 1e3, (psutil.Process(child.pid).memory_info().rss - before) / 1e6


def loaded(extension: Extension, python: str, url: str, folder: str) -> Loaded:
    """Return what one extension took in a fresh kernel."""
    env = {name: value.format(url=url) for name, value in extension.variables.items()}
    env |= {"PYTHONPATH": os.pathsep.join([folder, str(Path(__file__).parents[1])]), "OPENAI_API_KEY": "sk-benchmark"}
    cell = extension.cell.format(url=url)
    with Kernel(f"{url}/v1", env, python) as kernel:

        def resident() -> float:
            time.sleep(0.3)
            return psutil.Process(kernel.pid).memory_info().rss / 1e6

        kernel.run("pass")
        before = resident()
        seconds = float(kernel.run(LOAD.format(extension=extension.module)).split()[-1])
        kernel.run("pass")
        after = resident()
        first = _passed(kernel, cell)
        later = statistics.median(_passed(kernel, cell) for _ in range(LATER_CELLS))
        return Loaded(seconds * 1e3, after - before, first, later, resident() - before)


def _passed(kernel: Kernel, cell: str) -> float:
    """Return the milliseconds of a cell, which must have shown the server's reply, whole or streamed."""
    shown: list[str] = []
    begun = time.monotonic()
    kernel.follow(kernel.start(cell), lambda message, _: shown.append(str(message["content"])))
    passed = (time.monotonic() - begun) * 1e3
    text = "".join(shown)
    if cell != NOTHING and not any(reply in text for reply in (TEXT, f"word{CHUNKS - 1}")):
        raise RuntimeError(f"its cell showed no reply: {text[-200:]}")
    return passed


Problems = dict[str, str]


def measure(rounds: int, url: str) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[Loaded]], Problems]:
    """Return the samples of imports and of extensions, and why there are none of the others."""
    imports: dict[str, list[tuple[float, float]]] = {}
    extensions: dict[str, list[Loaded]] = {}
    problems: Problems = {}

    def sample(name: str, environment: str, work: Callable[[str], None]) -> None:
        found = python_of(environment)
        if found.problem or name in problems:
            problems.setdefault(name, found.problem)
            return
        try:
            work(found.python)
        except Exception as error:
            lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
            problems[name] = lines[-1][:300] if lines else type(error).__name__

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "llx_empty_extension.py").write_text(EMPTY, encoding="utf-8")
        for number in range(rounds + 1):  # the first round compiles and fills the file cache
            for name, module in IMPORTS.items():
                kept = imports.setdefault(name, []) if number else []
                sample(f"import {module}", name, lambda python, m=module, k=kept: k.append(imported(python, m)))
            for name, each in EXTENSIONS.items():
                taken = extensions.setdefault(name, []) if number else []
                sample(name, each.environment, lambda python, e=each, t=taken: t.append(loaded(e, python, url, folder)))
            print(f"round {number} of {rounds}", file=sys.stderr)
    return (
        {name: each for name, each in imports.items() if each},
        {name: each for name, each in extensions.items() if each},
        problems,
    )


def medians(found: list[Loaded], empty: list[Loaded]) -> dict[str, float]:
    """Return what an extension took in the median, over the empty one."""
    over = {}
    for what in ("ms", "megabytes", "first_ms", "later_ms", "later_megabytes"):
        mine, bare = (statistics.median(getattr(each, what) for each in some) for some in (found, empty))
        over[what] = mine - bare
    return over


def main() -> None:
    given = arguments(__doc__, 5)
    with QuickServer() as server:
        imports, extensions, problems = measure(given.rounds, server.url)
    import_figures = {
        IMPORTS[name]: {
            what: statistics.median(each[at] for each in found) for at, what in enumerate(("ms", "megabytes"))
        }
        for name, found in imports.items()
    }
    table(
        ["in a fresh process", "ms, median", "MB, median"],
        [
            (f"`import {name}`", f"{each['ms']:,.0f}", f"{each['megabytes']:.0f}")
            for name, each in import_figures.items()
        ],
    )
    over = {name: medians(found, extensions[EMPTY_EXTENSION]) for name, found in extensions.items()}
    rows = [
        (name, f"{each['ms']:,.1f}", f"{each['megabytes']:.1f}", f"{each['first_ms']:,.0f}", f"{each['later_ms']:,.1f}",
         f"{each['later_megabytes']:.0f}")
        for name, each in over.items() if name != EMPTY_EXTENSION
    ]  # fmt: skip
    columns = ["over a bare kernel and an empty cell", "`%load_ext`, ms", "`%load_ext`, MB"]
    table([*columns, "first cell, ms", "later cells, ms", "MB after them"], rows)
    for name, why in problems.items():
        print(f"{name} was not measured: {why}\n")
    save(given.json, {"benchmark": "imports", "imports": import_figures, "over_bare": over, "problems": problems})


if __name__ == "__main__":
    main()
