"""A history that is written as it happens: a line per event, appended by a thread that nobody waits for."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import operator
import os
import queue
import threading
import uuid
import weakref
from pathlib import Path
from typing import BinaryIO

from llx_magic.core.events import Event
from llx_magic.engine.live import LiveProfile
from llx_magic.locks import ForkSafeLock
from llx_magic.replay.history import lines_of

LARGEST = 64_000_000
"""Beyond so many bytes the file is renamed, with ``.1`` at its end, and a new one is begun."""

PATIENCE_SECONDS = 1.0
"""How long the end of the process waits for what is not written yet."""

_log = logging.getLogger(__name__)


class HistoryWriter:
    """Writes the events of one live profile; an observer of them, which takes a fraction of a microsecond for each."""

    def __init__(self, epoch: float, path: Path) -> None:
        self.path: Path | None = path
        self._epoch = epoch
        self._kernel = uuid.uuid4().hex[:12]
        self._events: queue.SimpleQueue[tuple[Path, Event] | threading.Event] = queue.SimpleQueue()
        """Each with the file that it belongs into: another may be named before it is written."""
        self._thread: threading.Thread | None = None
        self._has_failed = False

    def take(self, event: Event) -> None:
        """Have an event written."""
        if self.path is None:
            return
        self._events.put((self.path, event))
        if self._thread is None or not self._thread.is_alive():  # of a forked process it is not there
            self._thread = threading.Thread(target=self._write_all, name="llx-history", daemon=True)
            self._thread.start()

    def flush(self, patience: float) -> None:
        """Wait a moment for what is to be written."""
        if self._thread is not None and self._thread.is_alive():
            is_written = threading.Event()
            self._events.put(is_written)
            is_written.wait(patience)

    def _write_all(self) -> None:
        while True:
            batch, waiting = list[tuple[Path, Event]](), list[threading.Event]()
            each = self._events.get()
            while True:
                if isinstance(each, threading.Event):
                    waiting.append(each)
                else:
                    batch.append(each)
                try:
                    each = self._events.get_nowait()
                except queue.Empty:
                    break
            for path, belonging in itertools.groupby(batch, operator.itemgetter(0)):
                self._append(path, [event for _, event in belonging])
            for done in waiting:
                done.set()

    def _append(self, path: Path, events: list[Event]) -> None:
        kernel = f"{self._kernel}-{os.getpid()}"
        data = b"".join(line + b"\n" for line in lines_of(events, kernel, self._epoch))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size + len(data) > LARGEST:
                    path.replace(path.with_name(f"{path.name}.1"))
            with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+b") as file:
                file.write(data if _ends_a_line(file) else b"\n" + data)
            self._has_failed = False
        except OSError as problem:
            if not self._has_failed:  # once is enough, until it works again
                _log.warning("the history file cannot be written: %s", problem.strerror)
            self._has_failed = True


def _ends_a_line(file: BinaryIO) -> bool:
    """Return whether what is written next begins a line: whoever wrote last may have ended in the middle of one."""
    if not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


_writers: weakref.WeakKeyDictionary[LiveProfile, HistoryWriter] = weakref.WeakKeyDictionary()
_begun: weakref.WeakSet[HistoryWriter] = weakref.WeakSet()
"""Those too whose profile nobody has any more: its thread keeps each, and what it has not written yet."""
_lock = ForkSafeLock()


def write_history(live: LiveProfile, path: Path | None) -> None:
    """Have every later event of a live profile written there, once, whoever asks for it; None ends that."""
    with _lock:
        writer = _writers.get(live)
        if writer is not None:
            writer.path = path
        elif path is not None:
            writer = _writers[live] = HistoryWriter(live.clock.epoch, path)
            _begun.add(writer)
            live.subscribe(writer.take)


def flush_histories(patience: float = PATIENCE_SECONDS) -> None:
    """Wait for so many seconds at most until what has happened so far is written."""
    for writer in list(_begun):
        writer.flush(patience)


atexit.register(flush_histories)
