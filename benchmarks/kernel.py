"""A real kernel to measure, and the tables in which the benchmarks answer."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

Message = dict[str, Any]


class Kernel:
    """A fresh ipykernel with a configuration folder of its own.

    ``base_url`` is what its default profile asks, ``python`` the interpreter where it is not this one.
    """

    def __init__(
        self, base_url: str | None = None, env: Mapping[str, str] | None = None, python: str | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LLX", "OPENAI"))}
        environment |= {"LLXPRT_CONFIG_HOME": self._folder.name, **(env or {})}
        if base_url is not None:
            environment["LLX_PROFILE"] = self._profile(base_url)
        self.manager = KernelManager()
        self.manager.kernel_spec.argv[0] = python or sys.executable
        self.manager.start_kernel(env=environment, extra_arguments=["--log-level=ERROR"])
        self._client = self.manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    def start(self, code: str) -> str:
        """Send a cell as JupyterLab does and return its identity, without waiting for it."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True,
                   "stop_on_error": True}  # fmt: skip
        message = self._client.session.msg("execute_request", content, metadata={"cellId": "cell"})
        self._client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def follow(self, cell: str, see: Callable[[Message, float], None] = lambda _message, _at: None) -> str:
        """Wait until a cell has ended and return what it printed; ``see`` gets each message and when it came."""
        printed: list[str] = []
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            at = time.monotonic()
            if message["parent_header"].get("msg_id") != cell:
                continue
            see(message, at)
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                printed.append(content["text"])
            if message["msg_type"] == "error" and "interrupted" not in str(content):
                raise RuntimeError("\n".join(content["traceback"]))
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(printed)

    def run(self, code: str) -> str:
        """Run a cell and return what it printed."""
        return self.follow(self.start(code))

    def _profile(self, base_url: str) -> str:
        folder = Path(self._folder.name, "profiles")
        folder.mkdir(mode=0o700)
        document = {
            "version": 1,
            "provider": "openai",
            "model": "mock",
            "modelParams": {},
            "ephemeralSettings": {"base-url": base_url},
        }
        Path(folder, "mock.json").write_text(json.dumps(document), encoding="utf-8")
        return "mock"


def arguments(description: str | None, rounds: int) -> argparse.Namespace:
    """Return what the command line says: how many rounds, and where the figures go as JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each way is measured ({rounds})")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    return parser.parse_args()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    for row in (columns, ["---"] * len(columns), *rows):
        print(f"| {' | '.join(map(str, row))} |")
    print()


def save(file: Path | None, figures: Mapping[str, object]) -> None:
    """Write the figures with what they were measured on."""
    if file is not None:
        machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
        file.write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n", encoding="utf-8")
