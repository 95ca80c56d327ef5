"""The live state of one profile: its gates and its ledger, under one short lock, and the events that leave it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Concatenate

from llx_magic.core.admission import Admission, Applicant, Permit, Wait
from llx_magic.core.breaker import Outcome
from llx_magic.core.events import (
    BackendAdded,
    BackendRemoved,
    Event,
    VisitCancelled,
)
from llx_magic.core.failure import Failure
from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.ledger import Ledger
from llx_magic.core.ports import Clock, P, SharedFacts, StateStore, T
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.routing import Order, Standing
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import Tally
from llx_magic.engine.rivals import Rivals
from llx_magic.engine.sharing import SharedGates
from llx_magic.engine.store import MemoryStore, SendingStore
from llx_magic.engine.visit import Visit
from llx_magic.engine.waiting import Waiter, WaitingRoom
from llx_magic.locks import ForkSafeLock, set_right_in_copies
from llx_magic.settings.declaration import Settings

Subscriber = Callable[[Event], None]
"""Takes each event once, in the order of its request, on whatever thread made it."""

_log = logging.getLogger(__name__)

_NO_TALLY = Tally()


class LiveProfile:
    """Circuits, cool-downs, tokens per minute and statistics of one profile, shared by whoever uses it.

    Threads and event loops may mix freely: each method takes one short lock and never waits while it holds it.
    ``turns`` is how many requests have taken a turn before the first of these.
    """

    def __init__(
        self,
        name: str,
        backends: Iterable[str],
        clock: Clock,
        store: StateStore | None = None,
        facts: SharedFacts | None = None,
        *,
        turns: int = 0,
    ) -> None:
        self.name = name
        self.clock = clock
        self._lock = ForkSafeLock()
        self._store: StateStore = store or MemoryStore()
        self.sharing = None if facts is None else SharedGates(self, facts)
        """What connects the gates with other processes; None where nothing is shared."""
        if self.sharing is not None:
            self._store = SendingStore(self._store, self.sharing.send)
        self._gates = {backend: GateKey(backend) for backend in backends}
        self._generation = 0
        self._ledger = Ledger(self._gates, Settings().history_limit)
        self._subscribers: tuple[Subscriber, ...] = ()
        self._requests = 0
        self._followers: dict[int, Subscriber] = {}
        self._turns = turns
        self._heading: dict[int, str] = {}
        """Requests that have not asked for admission yet, and the backend that they will ask first."""
        self._out: dict[tuple[GateKey, int], tuple[Permit, Settings]] = {}
        self._room = WaitingRoom(self._store)
        self.rivals = Rivals(self)
        _ALL.add(self)

    def replace_backends(self, fresh: Iterable[str], kept: Iterable[str]) -> None:
        """Start the state of ``fresh`` backends anew, keep that of ``kept`` ones, forget all others."""
        with self._lock:
            now = self.clock.now()
            self._generation += 1
            gates = {name: self._gates[name] for name in kept}
            removed = [gate for name, gate in self._gates.items() if name not in gates]
            added = {name: GateKey(name, self._generation) for name in fresh}

            def removal(gate: Gate) -> BackendRemoved:
                return BackendRemoved(at=now, request=0, backend=gate.name, before=gate.breaker.state)

            events = (
                *(self._store.update(gate, removal) for gate in removed),
                *(BackendAdded(at=now, request=0, backend=name) for name in added),
            )
            self._gates = gates | added
            self._ledger.start_anew(gates)
            self._record(events)
            self._room.call_all()
        self._tell(events)

    def gates(self) -> dict[str, GateKey]:
        """Return what names the backends' gates now.

        Each loaded profile keeps these: after a reload, results of old requests go to the old gates.
        """
        with self._lock:
            return dict(self._gates)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Deliver every later event to ``subscriber`` too."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop delivering; harmless when it was not subscribed."""
        with self._lock:
            self._subscribers = tuple(known for known in self._subscribers if known != subscriber)

    def with_ledger(self, act: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read the ledger, or change what it keeps, such as by ``Ledger.reset``."""
        with self._lock:
            return act(self._ledger, *args, **kwargs)

    def open(self, follower: Subscriber, number: int = 0) -> int:
        """Return a request's number, from 1; ``follower`` gets its events until it is closed.

        One that has a ``number`` keeps it, as a row does that was put back: there are as many as prompts.
        """
        with self._lock:
            if not number:
                number = self._requests = self._requests + 1
            self._followers[number] = follower
            return number

    def close(self, request: int) -> None:
        """Follow the request no longer."""
        self._followers.pop(request, None)
        self._heading.pop(request, None)

    def in_order(self, places: Iterable[Standing], order: Order, request: int) -> Sequence[int]:
        """Return the places in the order in which a request asks them; their standings get what is known here.

        Until it asks for admission somewhere the request counts as under way at the first: others that begin meanwhile
        see it. Request 0 looks only, and takes no turn.
        """
        with self._lock:
            tallies, heading = self._ledger.tallies, Counter(self._heading.values())
            standings = []
            for place in places:
                tally = tallies.get(place.name, _NO_TALLY)
                in_flight = tally.in_flight + heading[place.name]
                standings.append(
                    place._replace(in_flight=in_flight, is_known=tally.ended > 0, first_text=tally.first_text)
                )
            found = order(standings, self._turns)
            if request:
                self._turns += 1
                self._heading[request] = standings[found[0]].name
            return found

    def ask(self, gate: GateKey, question: Callable[Concatenate[Gate, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a backend's gate answers to a question that changes nothing."""
        with self._lock:
            return self._store.update(gate, question, *args, **kwargs)

    def publish(self, event: Event) -> None:
        """Record an event, then tell the subscribers and whoever follows the request."""
        with self._lock:
            self._ledger.fold(event)
        self._tell((event,))

    def admit(self, gate: GateKey, applicant: Applicant, settings: Settings) -> Admission:
        """Ask the backend's gate; what it decided is recorded and told."""
        with self._lock:
            self._heading.pop(applicant.request, None)
            admission = self._store.update(gate, Gate.admit, applicant, self.clock.now(), settings)
            self._record(admission.events)
            if admission.permit is not None:
                self._out[gate, applicant.request] = (admission.permit, settings)
                self._room.use_turn(applicant.request, gate)
        try:
            self._tell(admission.events)
        except BaseException:  # an interrupt, say: nobody will settle what nobody got
            self._take_back(gate, applicant.request)
            raise
        return admission

    def settle(self, visit: Visit) -> None:
        """Take the visit's outcome and give back what its permit held; to be called on every way out of a visit."""
        with self._lock:
            now = self.clock.now()
            self._out.pop((visit.gate, visit.permit.request), None)
            events = self._store.update(visit.gate, visit.settle, now)
            self._record(events)
            self._room.look(now)
        self._tell(events)
        self.rivals.look(visit.gate, visit.permit.run)

    def limited(self, visit: Visit, failure: Failure, *, will_retry: bool) -> bool:
        """Start the cool-down that a 429 asks for; return whether the visit may wait for its end."""
        with self._lock:
            now = self.clock.now()
            limited = self._store.update(visit.gate, Gate.limited, visit.permit, failure, now, will_retry=will_retry)
            started, goes_first = limited
            self._record(started)
            self._room.look(now)
        self._tell(started)
        return goes_first

    def may_send_again(self, visit: Visit) -> bool:
        """Return whether the user's own limits leave a place for a further attempt; it is counted."""
        with self._lock:
            return self._store.update(visit.gate, Gate.may_send_again, visit.permit, self.clock.now(), visit.settings)

    def overloaded(self, visit: Visit, failure: Failure) -> None:
        """Tell the backend's gate of a failure that comes from too much at once."""
        with self._lock:
            self._store.update(visit.gate, Gate.overloaded, visit.permit, failure, self.clock.now())

    def learn_rates(self, visit: Visit, facts: RateFacts, sent_at: float | None) -> None:
        """Tell the backend's gate what its service tells of its limits, with the reply to what was sent then."""
        with self._lock:
            now = self.clock.now()
            as_of = now if sent_at is None else sent_at
            self._store.update(visit.gate, Gate.learn_rates, visit.permit, facts, as_of, now)

    def join_line(
        self, waiter: Waiter, wanted: Iterable[tuple[GateKey, Settings]], *, only_candidate: bool
    ) -> tuple[GateKey, Wait] | None:
        """Let a request wait for those of the backends for which that is worth while.

        Returns the one that may be asked first and for what it waits, or None where there is none to wait for.
        """
        applicant = Applicant(
            request=waiter.request,
            only_candidate=only_candidate,
            waiting_since=waiter.since,
            tokens=waiter.tokens,
        )
        with self._lock:
            now = self.clock.now()
            self._room.leave(waiter, now)
            first = self._room.join(waiter, applicant, wanted, now)
            self._room.look(now)
            return first

    async def wait_in_line(self, waiter: Waiter) -> None:
        """Return when the waiter is called."""
        while True:
            with self._lock:
                now = self.clock.now()
                self._room.look(now)
                if waiter.is_called:
                    return
                seconds = self._room.seconds_until_look(waiter, now)
            await waiter.sleep(self.clock, seconds)

    def leave_line(self, waiter: Waiter) -> None:
        """Wait no longer; to be called when the request ends, however it does."""
        with self._lock:
            now = self.clock.now()
            self._room.leave(waiter, now)
            self._room.look(now)

    def snapshot(self, backends: Iterable[tuple[GateKey, Settings]]) -> Snapshot:
        """Return the state and the counts of these backends at this moment, by the settings in force."""
        with self._lock:
            now = self.clock.now()
            tallies = self._ledger.tallies
            taken = tuple(
                self._store.update(gate, BackendSnapshot.of, tallies.get(gate.name, _NO_TALLY), settings, now)
                for gate, settings in backends
            )
            prompts = self._ledger.prompts
        return Snapshot(profile=self.name, at=now, backends=taken, prompts=prompts)

    def change_by_hand(self, gate: GateKey, change: Callable[[Gate, float], tuple[Event, ...]]) -> None:
        """Change a gate because the user says so; those who wait look whether that lets them go on."""
        with self._lock:
            events = self._store.update(gate, change, self.clock.now())
            self._record(events)
            self._room.call_all()
        self._tell(events)

    def hear(self, gate: GateKey, change: Callable[[Gate, float], tuple[Event, ...]]) -> None:
        """Change a gate by what other processes have met; those who wait are called where that lets them go on."""
        with self._lock:
            now = self.clock.now()
            events = self._store.update(gate, change, now)
            self._record(events)
            self._room.look(now)
        self._tell(events)

    def news(self) -> tuple[str, ...]:
        """Return what has to be said once of the server of shared facts."""
        return () if self.sharing is None else self.sharing.news()

    def leave_visits(self) -> None:
        """After a fork, release the permits of running visits, which only the parent will finish."""
        now = self.clock.now()
        for (gate, _request), (permit, settings) in self._out.items():
            self._record(self._store.update(gate, Gate.settle, permit, Outcome.GIVEN_BACK, now, settings))
        self._out.clear()
        self.rivals.abandon(self._gates.values())
        self._followers.clear()
        self._heading.clear()
        self._room.abandon(now)
        self._ledger.forget_running()

    def _take_back(self, gate: GateKey, request: int) -> None:
        with self._lock:
            if (gate, request) not in self._out:
                return
            permit, settings = self._out.pop((gate, request))
            now = self.clock.now()
            seconds = now - permit.admitted_at
            cancelled = VisitCancelled(at=now, request=request, backend=gate.name, attempts=0, seconds=seconds)
            settled = self._store.update(gate, Gate.settle, permit, Outcome.GIVEN_BACK, now, settings)
            events = (cancelled, *settled)
            self._record(events)
            self._room.look(now)
        self._tell(events)

    def _record(self, events: Iterable[Event]) -> None:
        for event in events:
            self._ledger.fold(event)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:  # noqa: BLE001 - an observer's fault must not decide where a prompt goes
                    _log.warning("an observer of events failed", exc_info=True)
            if follower := self._followers.get(event.request):
                follower(event)


_ALL = set_right_in_copies(LiveProfile.leave_visits)
