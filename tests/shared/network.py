"""What lies between a process and the server of shared facts, and can be held up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Network:
    """Passes on what it gets on a port of its own; ``delay`` seconds later, or not at all while it is ``parted``."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.delay = 0.0
        self.is_open = threading.Event()
        self.is_open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"

    def part(self) -> None:
        self.is_open.clear()

    def heal(self) -> None:
        self.is_open.set()

    def close(self) -> None:
        self.is_open.set()
        self._listening.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                time.sleep(self.delay)
                self.is_open.wait()
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)
