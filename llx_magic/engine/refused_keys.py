"""Keys that backends have refused: where another one has taken its place, an open circuit says nothing any more."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.ports import Accountable, Ready

if TYPE_CHECKING:
    from llx_magic.core.events import BackendEvent
    from llx_magic.core.gate import Gate, GateKey
    from llx_magic.keys.secret import Secret

Secrets = tuple["Secret", ...]


class RefusedKeys:
    """Which backends have, since they last answered, failed by nothing but refusals of their key, and of which key."""

    def __init__(self) -> None:
        self._keys = WeakKeyDictionary["GateKey", Secrets | None]()
        """None stands for one that has failed in another way too. A gate is gone when nobody else holds its key."""

    def __contains__(self, gate: GateKey) -> bool:
        return self._keys.get(gate) is not None

    def learn(self, gate: GateKey, ready: Ready, failure: Failure | None) -> None:
        """Take how a visit ended, which was made with the key of ``ready``."""
        if failure is None:
            self.forget(gate)
        elif failure.counts:
            is_alone = failure.kind is FailureKind.ACCESS and self._keys.get(gate, ()) is not None
            self._keys[gate] = _secrets_of(ready) if is_alone else None

    def forget(self, gate: GateKey) -> None:
        """Take that the user has changed the circuit, or that the backend answers."""
        self._keys.pop(gate, None)

    def is_mended(self, gate: GateKey, ready: Ready) -> bool:
        """Return whether there is another key now than the one that was refused."""
        refused = self._keys.get(gate)
        return refused is not None and refused != _secrets_of(ready)


def close_for_new_key(gate: Gate, now: float) -> tuple[BackendEvent, ...]:
    """Close an open circuit, since the key that opened it is no longer used; returns the event of that."""
    return gate.close(now, Cause.KEY_CHANGED) if gate.breaker.state is CircuitState.OPEN else ()


def _secrets_of(ready: Ready) -> Secrets:
    return ready.account.secrets if isinstance(ready, Accountable) else ()
