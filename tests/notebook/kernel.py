"""A real kernel, driven as a front end drives it: a test can act between the beginning and the end of a cell."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from tests.notebook.kit import ROOT

PATIENCE = 60.0
"""Seconds after which a kernel is taken to hang; no claim is about how fast it is."""


@dataclass
class KernelCell:
    """What a front end knows of one cell: its outputs as they would be saved, and the kernel's own reply."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] | None = None
    idle: bool = False

    @property
    def displays(self) -> list[dict[str, str]]:
        """The bundles that stand in the output, as they are now."""
        return [each["data"] for each in self.outputs if "data" in each]

    @property
    def plain(self) -> str:
        """What stands in the output as plain text, printed lines and displays together."""
        return "\n".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in self.outputs)

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [each for each in self.outputs if "ename" in each]

    def fine(self) -> KernelCell:
        """Return the cell, which must not have failed."""
        assert not self.errors, self.errors
        return self

    @property
    def failure(self) -> str:
        """Its one error as it is shown: one line, and an indented one for each backend where none answered."""
        (error,) = self.errors
        _first, *others = error["traceback"]
        assert all(line.startswith("  ") for line in others)
        assert not any("\n" in line for line in error["traceback"])
        assert self.reply["status"] == "error"
        return "\n".join(error["traceback"])


class Kernel:
    """One kernel process and its front end, which sends requests as JupyterLab does, or as jupyter console does."""

    def __init__(self, manager: KernelManager, *, console: bool) -> None:
        self.manager = manager
        self._console = console
        self._sent = 0
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self._cells: dict[str, KernelCell] = {}
        self._displays: dict[str, list[dict[str, Any]]] = {}

    @property
    def pid(self) -> int:
        pid: int = self.manager.provisioner.pid
        return pid

    def begin(self, code: str) -> KernelCell:
        """Send a cell and return at once."""
        cell = KernelCell()
        self._sent += 1
        metadata = {} if self._console else {"cellId": f"cell-{self._sent}"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True,
                   "stop_on_error": False}  # fmt: skip
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        self._cells[message["header"]["msg_id"]] = cell
        return cell

    def finish(self, cell: KernelCell) -> KernelCell:
        """Wait until the cell has ended and its output is complete."""
        self.wait_for(lambda: cell.idle and cell.reply is not None)
        return cell

    def run(self, code: str) -> KernelCell:
        """Run a cell to its end."""
        return self.finish(self.begin(code))

    def value(self, expression: str) -> Any:
        """Return what an expression is in the kernel, by way of JSON."""
        cell = self.run(f"import json as _json; print('=>', _json.dumps({expression}))").fine()
        return json.loads(cell.plain.rpartition("=> ")[2])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Take in messages until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"the kernel hangs: {self._cells}"
            with contextlib.suppress(queue.Empty):
                self._take(self.client.get_iopub_msg(timeout=0.02))
            with contextlib.suppress(queue.Empty):
                reply = self.client.get_shell_msg(timeout=0)
                if cell := self._cells.get(reply["parent_header"].get("msg_id")):
                    cell.reply = reply["content"]

    def wait_for_text(self, cell: KernelCell, text: str) -> None:
        """Wait until a cell shows a text."""
        self.wait_for(lambda: text in cell.plain or any(text in each.get("text/html", "") for each in cell.displays))

    def interrupt(self) -> None:
        """Interrupt as the stop button does."""
        self.manager.interrupt_kernel()

    def stop(self) -> None:
        """Shut the kernel down as a front end does, and wait for it to be gone."""
        if self.client.channels_running:
            self.client.stop_channels()
        if self.manager.is_alive():
            self.manager.shutdown_kernel()
        self.manager.cleanup_resources()

    def _take(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        cell = self._cells.get(message["parent_header"].get("msg_id"))
        if kind == "update_display_data":
            for output in self._displays.get(content["transient"]["display_id"], []):
                output["data"] = content["data"]
        elif cell is None:
            return
        elif kind == "status":
            cell.idle = cell.idle or content["execution_state"] == "idle"
        elif kind == "stream":
            last = cell.outputs[-1] if cell.outputs else {}
            if last.get("name") == content["name"]:
                last["text"] += content["text"]
            else:
                cell.outputs.append(dict(content))
        elif kind in ("display_data", "execute_result", "error"):
            cell.outputs.append(output := dict(content))
            if display_id := content.get("transient", {}).get("display_id"):
                self._displays.setdefault(display_id, []).append(output)


@contextlib.contextmanager
def started(folder: Path, *, console: bool = False, kind: str = "python3", **variables: str) -> Iterator[Kernel]:
    """Start a kernel in a folder; ``variables`` are added to its environment."""
    manager = KernelManager(kernel_name=kind)
    path = os.pathsep.join(filter(None, [variables.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    manager.start_kernel(env={**os.environ, **variables, "PYTHONPATH": path}, cwd=str(folder))
    try:
        kernel = Kernel(manager, console=console)
    except BaseException:
        manager.shutdown_kernel(now=True)
        raise
    try:
        yield kernel
    finally:
        kernel.stop()


STATE = """
import gc, json, os, sys, threading
from pathlib import Path

def _state():
    ip = get_ipython()
    formatters = {
        kind: sorted(map(str, [*each.type_printers, *each.deferred_printers]))
        for kind, each in ip.display_formatter.formatters.items()
    }
    return {
        "line magics": sorted(ip.magics_manager.magics["line"]),
        "cell magics": sorted(ip.magics_manager.magics["cell"]),
        "registry": sorted(ip.magics_manager.registry),
        "matchers": [str(each) for each in ip.Completer.custom_matchers],
        "cleanup": [each.__name__ for each in ip.input_transformers_cleanup if hasattr(each, "__name__")],
        "post": [str(each) for each in ip.input_transformers_post],
        "formatters": {kind: [name for name in names if "llx" in name] for kind, names in formatters.items()},
        "configurables": sorted(type(each).__name__ for each in ip.configurables),
        "callbacks": {event: [str(each) for each in them] for event, them in ip.events.callbacks.items()},
        "threads": sorted(each.name for each in threading.enumerate() if "llx" in each.name),
        "names": sorted(name for name in ip.user_ns if "llx" in name),
        "children": [
            pid
            for task in Path("/proc/self/task").iterdir()
            for pid in (task / "children").read_text().split()
        ],
    }
"""
