"""How a gate shares: what it asks and says, and how it folds in what others have met and what their server answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.ceilings import Ceilings
from llx_magic.core.cooldown import LONGEST_SECONDS
from llx_magic.core.events import BackendEvent, CoolDownEnded, CoolDownStarted
from llx_magic.core.sharing import (
    ANSWER_SECONDS,
    Allowed,
    Answer,
    Fact,
    Failed,
    Gone,
    Granted,
    Held,
    Limited,
    ProbeEnded,
    ProbeFailed,
    ProbeGranted,
    ProbeHeld,
    Recovered,
    Saying,
    Sharing,
    Swept,
    There,
    Used,
)
from llx_magic.core.stock import Stock
from llx_magic.core.tokens import WINDOW_SECONDS

if TYPE_CHECKING:
    from llx_magic.core.admission import Applicant
    from llx_magic.core.gate import Gate
    from llx_magic.settings.declaration import Settings

MOST_TOKENS = 100_000_000
"""The most tokens that replies of a moment can have taken, whatever somebody else says."""

MINUTE = 62.0
"""How far back, in seconds, it is told what was sent: as long as it counts."""


def share(gate: Gate, patience: float = ANSWER_SECONDS) -> None:
    """From now on let a gate tell other processes what is met here, and keep to limits together with them.

    For the answers of their server it waits so many seconds.
    """
    gate.sharing = Sharing(patience=patience)
    gate.traffic.ceilings = gate.traffic.ceilings or Ceilings()
    gate.traffic.ceilings.stock = Stock(patience=patience)


def unsent(gate: Gate) -> Sequence[Saying]:
    """Return what a gate has to say, once."""
    sharing, ceilings = gate.sharing, gate.traffic.ceilings
    if sharing is None or ceilings is None or (stock := ceilings.stock) is None:
        return ()
    if not sharing.outbox and not stock.outbox:
        return ()
    said: list[Saying] = [*sharing.outbox, *stock.outbox]
    sharing.outbox, stock.outbox = [], []
    return said


def asks(gate: Gate, applicant: Applicant, now: float, settings: Settings, waiting: int = 0) -> bool:
    """Ask the others for what admission will need; return whether an answer is to come, which is worth a moment.

    ``waiting`` are the requests that wait for such an answer already.
    """
    if gate.sharing is None or not gate.sharing.is_there:
        return False
    if gate.probe_due(now, settings) and not gate.sharing.may_probe(now):
        return gate.sharing.ask_for_probe(gate.breaker, now, settings)
    ceilings = gate.traffic.bounded_by(settings)
    if ceilings is None or applicant.request in ceilings.called or not ceilings.line.is_empty:
        return False
    waits = ceilings.ask_at_once(gate.traffic.under_way, waiting + 1, now)
    return ceilings.ask(gate.traffic.expected.load(applicant.tokens), waiting + 1, now) or waits


def hear_fact(gate: Gate, fact: Fact, at: float, now: float, settings: Settings) -> tuple[BackendEvent, ...]:
    """Take what another process met at that time, which may lie some way back; return what that changed here."""
    match fact:
        case Used(tokens=tokens, seconds=seconds):
            if 0 < tokens <= MOST_TOKENS and at > now - WINDOW_SECONDS:
                gate.tokens.add(at - _within(seconds, WINDOW_SECONDS), at, tokens)
        case Limited(seconds=seconds):
            return _limited(gate, at, _within(seconds, LONGEST_SECONDS), now)
        case Allowed(seconds=seconds):
            if gate.cool_down.disprove(at - _within(seconds, LONGEST_SECONDS)):
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
            ceilings.hear(answer, now)
        case Held():
            stock.holding.hear(answer, ceilings.limits.concurrency_limit or 0, now)
        case Swept():
            ceilings.renew(gate.traffic.under_way, now)
            sharing.tell_of_tokens(now)
            for unused in stock.sweep(now):
                ceilings.spend(-unused.requests, -unused.tokens, given_at=unused.given_at)
            if sharing.give_up_lease(now):
                sharing.tell(ProbeEnded())
        case There(peers=peers, fresh=fresh):
            since, was_lost = stock.lost_at if stock.peers else None, not stock.is_there
            sharing.find()
            stock.find(peers)
            if was_lost or fresh:
                ceilings.spend_since(now - MINUTE if fresh or since is None else since, now)
                ceilings.renew(gate.traffic.under_way, now)
            sharing.tell_of_tokens(now)
        case Gone():
            sharing.lose(now)
            stock.lose(now)


def _within(seconds: float, most: float) -> float:
    """Return a time that somebody else says, within what can be; what is no time at all is none."""
    return min(seconds, most) if seconds >= 0.0 else 0.0


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
