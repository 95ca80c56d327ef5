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
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import xllamacpp

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


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever the runtime prints goes to standard error; the real standard output is for one line
    order: Order = json.loads(sys.stdin.buffer.readline())
    watcher = threading.Thread(target=_exit_at_end_of_input, daemon=True)
    watcher.start()
    try:
        import xllamacpp  # noqa: F401
    except ImportError as problem:
        _say(answers, **_explain(problem))
        sys.exit(3)
    if not order["model"]:
        return
    try:
        with open(order["model"], "rb") as file:  # noqa: PTH123 - the child imports as little as it can
            _refuse_another(order, os.fstat(file.fileno()))
            # where the system has one, a path that leads to the open file and to no other that takes its place
            path = f"/proc/self/fd/{file.fileno()}"
            path = path if os.path.exists(path) else order["model"]  # noqa: PTH110
            server = _server(order, path)
            _refuse_another(order, os.stat(path))  # noqa: PTH116
    except Exception as problem:  # noqa: BLE001 - whatever the runtime throws, the parent must hear of it
        _say(answers, error=f"the embedded model cannot be loaded: {problem}")
        sys.exit(4)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the file that it leads to is for what is said while loading
    _say(answers, url=server.listening_address)
    watcher.join()


def _refuse_another(order: Order, found: os.stat_result) -> None:
    """Raise OSError unless this is the very content whose hash was checked."""
    seen = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    if order["identity"] != seen:
        raise OSError("its file was changed after it had been checked")


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


def _server(order: Order, path: str) -> xllamacpp.Server:
    import xllamacpp

    params = xllamacpp.CommonParams()
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
    # one fewer than the cores this process may use: with all of them, a busy machine slows to a crawl
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("cpuparams", "cpuparams_batch"):
        if hasattr(params, name):
            getattr(params, name).n_threads = max(1, cores - 1)
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
