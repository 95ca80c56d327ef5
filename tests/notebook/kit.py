"""What the notebook's tests share: a shell with the extension loaded as a user loads it, and backends to ask."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from llx_magic.core.reply import Reply
from llx_magic.errors import AllBackendsFailed

ROOT = Path(__file__).resolve().parents[2]


def write_model(home: Path, name: str, **connection: object) -> None:
    """Write a model profile; ``base_url`` and the like become its connection, ``model_params`` its parameters."""
    params = connection.pop("model_params", {})
    provider = connection.pop("provider", "openai")
    document = {
        "name": name,
        "version": 1,
        "provider": provider,
        "model": f"{name}-model",
        "modelParams": params,
        "ephemeralSettings": {key.replace("_", "-"): value for key, value in connection.items()},
    }
    _write(home, name, document)


def write_simulated(home: Path, name: str, **params: object) -> None:
    """Write a simulated model on virtual time; ``params`` are its script."""
    write_model(home, name, provider="simulated", model_params={"virtual_time": True, **params})


def write_balancer(home: Path, name: str, members: list[str], policy: str = "failover", **settings: object) -> None:
    """Write a load balancer."""
    document = {
        "name": name,
        "version": 1,
        "type": "loadbalancer",
        "policy": policy,
        "profiles": members,
        "provider": "",
        "model": "",
        "modelParams": {},
        "ephemeralSettings": settings,
    }
    _write(home, name, document)


def _write(home: Path, name: str, document: dict[str, object]) -> None:
    folder = home / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(document))


@dataclass
class Ran:
    """What one cell came to; ``shown`` are the bundles it published, in order, with what replaced what."""

    printed: str
    complained: str
    value: Any
    error: BaseException | None
    shown: list[dict[str, Any]]

    def fine(self) -> Ran:
        """Return the cell, which must not have failed."""
        if self.error is not None:
            raise self.error
        return self

    @property
    def failure(self) -> str:
        """The error as it is shown: one line, and one for each backend where none answered."""
        assert self.error is not None, f"the cell did not fail: {self}"
        error: Any = self.error
        rendered = error._render_traceback_()
        backends = self.error.reasons if isinstance(self.error, AllBackendsFailed) else ()
        assert len(rendered) in (1, 1 + len(backends))
        assert not any("\n" in line for line in rendered)
        return "\n".join(rendered)


class PlainShell(InteractiveShell):
    """A shell that prints: what a terminal and a script have."""


class Asked:
    """Stands for a kernel: it tells how the front end asked for the cell, whose name is ``cell``."""

    cell = "one-cell"

    def get_parent(self, _channel: str) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell}}


class RedrawingShell(InteractiveShell):
    """A shell with a front end that can be redrawn, as a kernel's; there is no kernel behind it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.kernel = Asked()


class User:
    """Types cells into a shell and sees what comes of them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.display = CapturingDisplayPublisher()
        shell.display_pub = self.display

    def __call__(self, cell: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        self.display.outputs.clear()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            result = self.shell.run_cell(cell, store_history=True)
        return Ran(
            re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()),
            err.getvalue(),
            result.result,
            result.error_before_exec or result.error_in_exec,
            list(self.display.outputs),
        )

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.shell.user_ns

    def __setitem__(self, name: str, value: object) -> None:
        self.shell.user_ns[name] = value

    @property
    def last(self) -> Reply:
        """What ``_llx`` holds."""
        reply: Reply = self.shell.user_ns["_llx"]
        return reply


@contextlib.contextmanager
def opened(kind: type[InteractiveShell]) -> Iterator[User]:
    """Open a shell with the extension loaded; all it leaves in the process is taken away again."""
    main, hook = sys.modules["__main__"], sys.displayhook
    shell = kind(config=Config(HistoryManager={"enabled": False}))
    user = User(shell)
    user("%load_ext llx_magic").fine()
    try:
        yield user
    finally:
        user("%unload_ext llx_magic")
        sys.modules["__main__"], sys.displayhook = main, hook


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Poll for what another thread or process does in its own time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
