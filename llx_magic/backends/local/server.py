"""The process that serves the embedded model: one for all profiles, loops and threads, started by the first prompt."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.backends.local.modelfile import ModelFile, inspect
from llx_magic.backends.local.process import COMMAND, Child, Serving
from llx_magic.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_SECONDS = 60.0
"""How long loading may take before the process is given up."""

DYING_SECONDS = 1.0
"""How long a process that broke a connection off is watched for its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The model's process as it was found; ``memory_bytes`` is resident memory, None where it is not cheap to know."""

    state: str
    pid: int | None = None
    port: int | None = None
    memory_bytes: int | None = None

    def __str__(self) -> str:
        """One line."""
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 1e6:.0f} MB of memory"
        port = "" if self.port is None else f", port {self.port}"
        return self.state if self.pid is None else f"{self.state}, process {self.pid}{port}{memory}"


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """The embedded model at a glance: its file and its process."""

    file: ModelFile
    server: ServerStatus

    def __str__(self) -> str:
        """Two lines."""
        return f"model: {self.file}\nserver: {self.server}"


class LocalServer:
    """Keeps at most one child process and hands its address to whoever asks; safe from any thread and loop.

    ``command`` starts the child; the one shipped with this package is the default. ``ready_seconds`` bounds loading.
    """

    def __init__(self, command: Sequence[str] = COMMAND, ready_seconds: float = READY_SECONDS) -> None:
        self._command = command
        self._ready_seconds = ready_seconds
        self._lock = threading.Lock()
        self._child: Child | None = None
        _SERVERS.add(self)

    async def ready(self, model: ModelFile) -> Serving:
        """Return where the model is served, once it is loaded; start the process unless it is alive.

        Callers that come while it loads share it. Cancelling one returns at once and disturbs nobody.

        Raises:
            ModelUnavailable: where it cannot be started; one line that says why.
        """
        try:
            return await asyncio.wrap_future(self._alive(model).serving)
        except ModelUnavailable as problem:  # the future's own exception is shared by all who wait
            raise ModelUnavailable(str(problem)) from None

    async def see_off(self) -> None:
        """Wait a moment for a process that broke a connection off to be gone, so that the next prompt starts another.

        Its connections end before the process itself does, by a few milliseconds or, on a busy machine, more.
        """
        if (child := self._child) is not None:
            await asyncio.to_thread(child.see_off, DYING_SECONDS)

    def stop(self) -> bool:
        """End the process, within four seconds; whether there was one. The next prompt starts it again."""
        with self._lock:
            child, self._child = self._child, None
        return child is not None and child.stop()

    def status(self) -> ServerStatus:
        """Tell whether the process runs, and what it costs."""
        child = self._child
        if child is None or child.gone:
            return ServerStatus(state="stopped")
        try:
            serving = child.serving.result(0)
        except TimeoutError:
            return ServerStatus(state="starting", pid=child.pid)
        except ModelUnavailable:  # it failed since ``gone`` was looked at
            return ServerStatus(state="stopped")
        return ServerStatus(
            state="running", pid=serving.pid, port=serving.port, memory_bytes=_resident_bytes(serving.pid)
        )

    def forget(self) -> None:
        """Leave the child to the process that started it; called in a forked copy of that process."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        if child is not None:
            child.disown()

    def _alive(self, model: ModelFile) -> Child:
        with self._lock:
            if self._child is None or self._child.gone:
                if self._child is not None:
                    self._child.stop()
                self._child = Child(self._command, model, secrets.token_urlsafe(24), self._ready_seconds)
            return self._child


def _resident_bytes(pid: int) -> int | None:
    # https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


_SERVERS: weakref.WeakSet[LocalServer] = weakref.WeakSet()


def _stop_all() -> None:
    for server in list(_SERVERS):
        server.stop()


def _forget_all() -> None:
    for server in list(_SERVERS):
        server.forget()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)

SERVER = LocalServer()
"""The one that every profile of this process shares."""


def stop() -> bool:
    """End the embedded model's process; whether there was one."""
    return SERVER.stop()


def status(cache: Path | None = None) -> LocalStatus:
    """Tell what is fetched and what runs."""
    return LocalStatus(inspect(cache), SERVER.status())
