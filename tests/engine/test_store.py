"""Stores: what is written is read back, by whoever names the same gate."""

from __future__ import annotations

import msgspec
import pytest

from llx_magic.core.admission import Applicant
from llx_magic.core.breaker import CircuitState, Outcome
from llx_magic.core.gate import Gate, GateKey
from llx_magic.engine.store import MemoryStore
from tests.engine.kit import settings_with
from tests.engine.stores import STORES

SETTINGS = settings_with()


def state(gate: Gate) -> CircuitState:
    return gate.breaker.state


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_a_permit_moves_nothing_in_a_backend_that_took_the_place_of_its_own(store):
    """The two gates are alike in all but their keys; the circuit of each is in its generation 0."""
    kept, old, new = store(), GateKey("a", 0), GateKey("a", 1)
    permits = [kept.update(old, Gate.admit, Applicant(number), 0.0, SETTINGS).permit for number in range(3)]
    kept.update(new, Gate.admit, Applicant(9), 0.0, SETTINGS)
    for permit in permits:
        kept.update(old, Gate.settle, permit, Outcome.COUNTED_FAILURE, 1.0, SETTINGS)
    assert (kept.update(old, state), kept.update(new, state)) == (CircuitState.OPEN, CircuitState.CLOSED)


def test_a_gate_in_memory_is_dropped_when_nobody_holds_its_key():
    store, key = MemoryStore(), GateKey("a")
    store.update(key, Gate.open, 0.0)
    assert store.update(GateKey("a"), state) is CircuitState.OPEN
    del key
    assert store.update(GateKey("a"), state) is CircuitState.CLOSED


def test_a_gate_of_which_every_part_is_in_use_reads_back_equal():
    gate = Gate("a")
    for number in range(4):
        assert gate.admit(Applicant(number), 0.0, SETTINGS).permit is not None
    gate.cool_down.start(0, 1.0, 5.0, will_retry=True)
    gate.wait(Applicant(7, waiting_since=1.5), 2.0, SETTINGS)
    gate.tokens.add(0.0, 1.5, 100)
    gate.breaker.settle(gate.breaker.admit(2.0, SETTINGS), Outcome.COUNTED_FAILURE, 2.0, SETTINGS)
    assert gate.admit(Applicant(8, is_row=True), 6.0, SETTINGS).permit is None
    gate.traffic.admit(Applicant(8, is_row=True, tokens=100.0), 6.0)
    gate.traffic.refused(5.0, 7.0, 1.0)
    assert gate.cool_down.pace is not None
    assert msgspec.json.decode(msgspec.json.encode(gate), type=Gate) == gate
