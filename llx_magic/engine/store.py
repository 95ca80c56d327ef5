"""Where gates are kept when no other process shares them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Concatenate

from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.ports import P, T


class MemoryStore:
    """Keeps the gates of one profile in this process, each as long as anybody holds its key.

    Not thread-safe: the profile locks around each call.
    """

    def __init__(self) -> None:
        self._gates = weakref.WeakKeyDictionary[GateKey, Gate]()

    def update(self, key: GateKey, change: Callable[Concatenate[Gate, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Change the gate where it lies."""
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate(key.name)
        return change(gate, *args, **kwargs)
