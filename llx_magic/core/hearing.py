"""How a gate folds in what other processes have met, and what the server that they share answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.events import BackendEvent, CoolDownEnded, CoolDownStarted
from llx_magic.core.sharing import (
    Allowed,
    Answer,
    Fact,
    Failed,
    Gone,
    Granted,
    Limited,
    ProbeEnded,
    ProbeFailed,
    ProbeGranted,
    ProbeHeld,
    Recovered,
    Swept,
    There,
    Used,
)

if TYPE_CHECKING:
    from llx_magic.core.gate import Gate
    from llx_magic.settings.declaration import Settings

MINUTE = 62.0
"""How far back, in seconds, it is told what was sent: as long as it counts."""


def hear_fact(gate: Gate, fact: Fact, at: float, now: float, settings: Settings) -> tuple[BackendEvent, ...]:
    """Take what another process met at that time, which may lie some way back; return what that changed here."""
    match fact:
        case Used(tokens=tokens, seconds=seconds):
            gate.tokens.add(at - seconds, at, tokens)
        case Limited(seconds=seconds):
            return _limited(gate, at, seconds, now)
        case Allowed(seconds=seconds):
            if gate.cool_down.disprove(at - seconds):
                return (CoolDownEnded(at=now, request=0, backend=gate.name),)
        case Failed() | ProbeFailed() | Recovered():
            return _of_circuit(gate, fact, at, now, settings)
    return ()


def hear_answer(gate: Gate, answer: Answer, now: float) -> None:
    """Take what the server says."""
    sharing, ceilings = gate.sharing, gate.traffic.ceilings
    assert sharing is not None
    assert ceilings is not None
    stock = ceilings.stock
    assert stock is not None
    match answer:
        case ProbeGranted() | ProbeHeld():
            sharing.hear_of_probe(answer, now)
        case Granted():
            stock.hear(answer, now)
        case Swept():
            for unused in stock.sweep(now):
                ceilings.spend(-unused.requests, -unused.tokens, given_at=unused.given_at)
            if sharing.give_up_lease(now):
                sharing.tell(ProbeEnded())
        case There(peers=peers, fresh=fresh):
            was_lost, sharing.is_there, stock.is_there, stock.peers = not sharing.is_there, True, True, peers
            if was_lost or fresh:
                ceilings.spend_since(now - MINUTE if fresh else sharing.lost_at, now)
        case Gone():
            sharing.lose(now)
            stock.lose()


def _limited(gate: Gate, at: float, seconds: float, now: float) -> tuple[BackendEvent, ...]:
    if at + seconds <= now:
        return ()
    gate.traffic.pause(at + seconds)
    gate.cool_down.hear(at, seconds)
    return (CoolDownStarted(at=now, request=0, backend=gate.name, seconds=at + seconds - now),)


def _of_circuit(
    gate: Gate, fact: Failed | ProbeFailed | Recovered, at: float, now: float, settings: Settings
) -> tuple[BackendEvent, ...]:
    """Fold in what says something of the circuit; nothing that is older than its last recovery counts."""
    sharing, breaker = gate.sharing, gate.breaker
    assert sharing is not None
    if not settings.circuit_breaker_enabled or at <= sharing.recovered_at:
        return ()
    before = breaker.state
    if isinstance(fact, Recovered):
        sharing.recovered_at = at
        breaker.forget(at)
        cause = breaker.hear_of_recovery(at)
    elif isinstance(fact, ProbeFailed) and before is CircuitState.OPEN:
        breaker.hear_of_probe(at)
        cause = None
    else:
        cause = breaker.hear_of_failure(at, settings)
    if cause is None:
        return ()
    gate.traffic.start_anew()
    failures = breaker.failures_in_window(at, settings) if cause is Cause.FAILURES else None
    return (gate.changed(before, cause, 0, now, failures),)
