"""What runs in the model's own process: loads the model, serves it on loopback, and goes when its parent goes.

Run by its path, so that neither this package nor the user's folder is imported. The first line on standard input
is a JSON object, an ``Order``. The answer is one line of JSON on standard output: ``url`` once the model is loaded; or
``error``, or ``missing``, the name of a package. Standard input stays open for as long as the parent lives: its end is
the order to exit, and comes also when the parent was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Protocol, TypedDict, TypeVar

PROMPT_CACHE_MIB = 64
"""How much memory finished prompts may keep; the runtime's own default is gigabytes."""


class Order(TypedDict):
    """What the parent asks for, on standard input.

    ``identity`` is that of the content whose hash the parent has checked: device, inode, size, and the two times of its
    last change in nanoseconds. With an empty ``model`` the child only says what is wrong with the runtime, if anything.
    """

    model: str
    identity: list[int]
    context: int
    alias: str
    key: str


class _ModelParameters(Protocol):
    path: str


class _Parameters(Protocol):
    """What this file sets of the runtime's parameters; the runtime is compiled and has no types of its own."""

    model: _ModelParameters
    port: int
    n_ctx: int
    n_parallel: int
    model_alias: set[str]
    api_keys: list[str]


P = TypeVar("P", bound=_Parameters)


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _take_standard_output()
    order: Order = json.loads(sys.stdin.buffer.readline())
    watcher = threading.Thread(target=_exit_at_end_of_input, daemon=True)
    watcher.start()
    try:
        import xllamacpp
    except ImportError as problem:
        _say(answers, **_explain(problem))
        sys.exit(3)
    if not order["model"]:
        return
    try:
        with open(order["model"], "rb") as file:  # noqa: PTH123 - the child imports as little as it can
            _refuse_another(order, os.fstat(file.fileno()))
            path = _opened(file.fileno(), order)
            server = xllamacpp.Server(_parameters(xllamacpp.CommonParams(), order, path))
            _refuse_another(order, os.stat(path))  # noqa: PTH116
    except Exception as problem:  # noqa: BLE001 - whatever the runtime throws, the parent must hear of it
        _say(answers, error=f"the embedded model cannot be loaded: {problem}")
        sys.exit(4)
    _say(answers, url=server.listening_address)
    watcher.join()


def _refuse_another(order: Order, found: os.stat_result) -> None:
    """Raise OSError unless this is the very content whose hash was checked."""
    seen = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    if order["identity"] != seen:
        raise OSError("its file was changed after it had been checked")


def _opened(descriptor: int, order: Order) -> str:
    """Return a path that leads to the open file and to no other that takes its place, where the system has one.

    https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html
    """
    path = f"/proc/self/fd/{descriptor}"
    return path if os.path.exists(path) else order["model"]  # noqa: PTH110


def _take_standard_output() -> int:
    """Keep the real standard output for the one line; whatever the runtime prints goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _say(answers: int, **line: str) -> None:
    os.write(answers, (json.dumps(line) + "\n").encode())


def _explain(problem: ImportError) -> dict[str, str]:
    if "libgomp" in str(problem):
        return {"error": "the embedded model needs the library libgomp.so.1: install it (Debian's package is libgomp1)"}
    if isinstance(problem, ModuleNotFoundError) and problem.name == "xllamacpp":
        return {"missing": problem.name}
    return {"error": f"the embedded model's runtime xllamacpp cannot be loaded: {problem}"}


def _exit_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _parameters(params: P, order: Order, path: str) -> P:
    params.model.path = path
    params.port = 0
    params.n_ctx = order["context"]
    params.n_parallel = 1
    params.model_alias = {order["alias"]}
    params.api_keys = [order["key"]]
    # names drift between the runtime's releases, so what is not essential is set only where it exists
    optional = {"ui": False, "endpoint_slots": False, "offline": True, "cache_ram_mib": PROMPT_CACHE_MIB}
    for name, value in optional.items():
        if hasattr(params, name):
            setattr(params, name, value)
    for name in ("cpuparams", "cpuparams_batch"):
        if hasattr(params, name):
            getattr(params, name).n_threads = _threads()
    return params


def _threads() -> int:
    """One fewer than the cores this process may use: with all of them, a busy machine slows to a crawl."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


if __name__ == "__main__":
    main()
