"""One child process: started in a thread, heard on a pipe, ended by closing its standard input."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llx_magic.backends.local.environment import for_child, safe_folder
from llx_magic.backends.local.modelfile import CONTEXT_TOKENS, MODEL
from llx_magic.errors import ModelUnavailable
from llx_magic.install import install_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llx_magic.backends.local.modelfile import ModelFile

COMMAND = (sys.executable, "-P", str(Path(__file__).with_name("child.py")))
"""What starts the child; ``-P`` keeps its folder off its import path.

https://docs.python.org/3/using/cmdline.html#cmdoption-P
"""

STOP_SECONDS = 2.0
"""How long the child may take to leave by itself before it is killed, and again to be gone after that."""

LAST_WORDS = 4096
"""How many bytes at the end of the child's standard error are read, for the message when it dies."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a loaded model is reached; the key is good for this child only."""

    pid: int
    url: str
    key: str = field(repr=False)

    @property
    def port(self) -> int:
        """The port on loopback."""
        return int(self.url.rpartition(":")[2])


class Child:
    """The process that serves ``model``, which a thread begins to start at once.

    ``serving`` is done when the model is loaded, or has failed to load.
    """

    def __init__(self, command: Sequence[str], model: ModelFile, key: str, ready_seconds: float) -> None:
        self.serving: Future[Serving] = Future()
        self.serving.set_running_or_notify_cancel()  # so that one waiter's cancellation is not everybody's
        self._command = command
        self._model = model
        self._key = key
        self._ready_seconds = ready_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        threading.Thread(target=self._load, name="llx-local-start", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The process's number, once there is a process."""
        return None if self._process is None else self._process.pid

    @property
    def gone(self) -> bool:
        """Whether it failed to load, was stopped or has died."""
        if self._stopped or (self.serving.done() and self.serving.exception() is not None):
            return True
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> bool:
        """End it, within twice ``STOP_SECONDS``; whether it was alive."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None:
            return False
        was_alive = process.poll() is None
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        if process.poll() is None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        return was_alive

    def see_off(self, seconds: float) -> None:
        """Wait for its end, at most so long."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def disown(self) -> None:
        """In a forked copy of the parent: close our ends, so that the child still notices when the parent goes."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.returncode = 0  # not ours to wait for

    def _load(self) -> None:
        problem = "the embedded model's process cannot be started"
        try:
            with tempfile.TemporaryFile() as words:
                self.serving.set_result(self._start(words))
        except ModelUnavailable as known:
            problem = str(known)
        except OSError as error:
            problem = f"{problem}: {error.strerror or type(error).__name__}"
        finally:  # a defect must not leave everybody waiting
            if not self.serving.done():
                self.serving.set_exception(ModelUnavailable(problem))

    def _start(self, words: IO[bytes]) -> Serving:
        model, identity = str(self._model.path), self._model.identity
        order = {"model": model, "identity": identity, "key": self._key, "alias": MODEL, "context": CONTEXT_TOKENS}
        with self._lock:  # ``stop`` closes the standard input, on which the order is sent
            if self._stopped:
                raise ModelUnavailable("the embedded model was stopped while it was starting")
            self._process = process = _begun(self._command, order, words)
        giving_up = threading.Timer(self._ready_seconds, process.kill)
        giving_up.daemon = True
        giving_up.start()
        try:
            line = _answer_of(process)
        finally:
            giving_up.cancel()
        if "url" in line:
            return Serving(process.pid, line["url"], self._key)
        raise ModelUnavailable(_said(line) or self._obituary(process, words))

    def _obituary(self, process: subprocess.Popen[bytes], words: IO[bytes]) -> str:
        if self._stopped:
            return "the embedded model was stopped while it was loading"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        words.seek(max(0, words.seek(0, os.SEEK_END) - LAST_WORDS))
        last = words.read().decode(errors="replace").strip().rpartition("\n")[2].strip()
        why = f": {last[:200]}" if last.isprintable() and last else ""
        return f"the embedded model's process ended while loading (exit status {process.returncode}){why}"


def _said(line: dict[str, str]) -> str | None:
    """Return the one line that says what the child complains of, or None where it said nothing."""
    if "missing" in line:
        return f"the embedded model's runtime {line['missing']} is not installed: type {install_line('local')}"
    return line.get("error")


def _begun(command: Sequence[str], order: Mapping[str, object], words: IO[bytes] | int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        bufsize=0,
        env=for_child(),
        cwd=safe_folder(),
        start_new_session=True,  # an interrupt of the notebook goes to its whole process group
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once; its answer, or the lack of one, says why
        process.stdin.write((json.dumps(order) + "\n").encode())
    return process


def runtime_problem() -> str | None:
    """Say in one line why the runtime cannot be loaded, or None where it can; it may take seconds."""
    with _begun(COMMAND, {"model": ""}, subprocess.DEVNULL) as trial:
        return _said(_answer_of(trial))


def _answer_of(process: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return the line that the child says; empty where it is not what was agreed."""
    assert process.stdout is not None
    with process.stdout as answer, contextlib.suppress(ValueError):
        line = json.loads(answer.readline())
        if isinstance(line, dict):
            return {str(key): str(value) for key, value in line.items()}
    return {}
