"""Where gates are kept: in this process, and what they have to say to other processes is sent."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Concatenate

from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.hearing import unsent
from llx_magic.core.ports import P, StateStore, T
from llx_magic.core.sharing import Saying


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


class SendingStore:
    """Keeps gates in another store, and sends what they have to say to other processes after each change."""

    def __init__(self, kept: StateStore, send: Callable[[GateKey, Sequence[Saying]], None]) -> None:
        self._kept = kept
        self._send = send

    def update(self, key: GateKey, change: Callable[Concatenate[Gate, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Change the gate, and send."""
        result, said = self._kept.update(key, _changed, change, *args, **kwargs)
        if said:
            self._send(key, said)
        return result


def _changed(
    gate: Gate, change: Callable[Concatenate[Gate, P], T], /, *args: P.args, **kwargs: P.kwargs
) -> tuple[T, Sequence[Saying]]:
    """Change a gate; return also what it has to say."""
    return change(gate, *args, **kwargs), unsent(gate)
