"""A second store of gates, which holds them as another process would read them, and a gate that lies in a store."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.ports import StateStore
from llx_magic.engine.store import MemoryStore


class JsonStore:
    """Keeps each gate as JSON, reads it anew for each change, and is always too late at the first try.

    So a change that has an effect on anything but the gate has it twice.
    """

    def __init__(self) -> None:
        self.texts: dict[GateKey, bytes] = {}

    def update(self, key, change, *args, **kwargs):
        text = self.texts.get(key) or msgspec.json.encode(Gate(key.name))
        for _try in range(2):
            gate = msgspec.json.decode(text, type=Gate)
            result = change(gate, *args, **kwargs)
        self.texts[key] = msgspec.json.encode(gate)
        return result


STORES: dict[str, Callable[[], StateStore]] = {"in memory": MemoryStore, "as JSON": JsonStore}


class StoredGate:
    """A gate that lies in a store: each call and each look goes through it."""

    kind: Callable[[], StateStore] = MemoryStore

    def __init__(self, name: str) -> None:
        self.store, self.key = self.kind(), GateKey(name)

    def __getattr__(self, name: str):
        if name in Gate.__struct_fields__:
            return self.store.update(self.key, lambda gate: getattr(gate, name))
        return lambda *args, **kwargs: self.store.update(self.key, getattr(Gate, name), *args, **kwargs)

    def add_tokens(self, started: float, finished: float, tokens: int) -> None:
        self.store.update(self.key, lambda gate: gate.tokens.add(started, finished, tokens))
