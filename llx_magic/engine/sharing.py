"""How the gates of one profile share facts with other processes; a request waits for them a moment at most."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, cast

from llx_magic.core.events import SharingChanged
from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.hearing import asks, hear_answer, hear_fact, share
from llx_magic.core.peers import Card, Peers, Recent
from llx_magic.core.ports import Account, Accountable, Link, Ready, SharedFacts
from llx_magic.core.sharing import Answer, Fact, GaveUp, Gone, Granted, Held, Saying, There
from llx_magic.engine.card import card_of_gate
from llx_magic.locks import ForkSafeLock

if TYPE_CHECKING:
    from llx_magic.core.admission import Applicant
    from llx_magic.engine.live import LiveProfile
    from llx_magic.engine.plan import Candidate
    from llx_magic.settings.declaration import Settings


BLIP_SECONDS = 1.0
"""How long the server may be away before that is worth a word: this process may just have been busy."""

AWAY = "the shared facts (LLX_SHARED) are away: circuits and limits are this process's own until they are back"
BACK = "the shared facts (LLX_SHARED) are back"
"""What is said once, with the next reply."""


class SharedGates:
    """The links of one profile's gates; a gate joins when it is first visited, since only then its key is read."""

    def __init__(self, live: LiveProfile, facts: SharedFacts) -> None:
        self._live = live
        self._facts = facts
        self._links = weakref.WeakKeyDictionary[GateKey, _Ear]()
        self._lock = ForkSafeLock()
        self._lost_at: float | None = None
        self._is_said = False

    def send(self, gate: GateKey, messages: Sequence[Saying]) -> None:
        """Say what a gate has to say; called under the profile's lock, and returns at once."""
        if (ear := self._links.get(gate)) is None or ear.link is None:
            return
        to_others = [each for each in messages if not isinstance(each, GaveUp)]
        if to_others:
            ear.link.send(to_others)
        if len(to_others) < len(messages):  # by another thread, since who hears of it locks what is locked now
            threading.Thread(target=ear.give_up, name="llx_magic gives up", daemon=True).start()

    async def get_ready(self, candidate: Candidate, ready: Ready, applicant: Applicant) -> None:
        """Ask the others for what admission will need, and wait for the answer a moment at most."""
        gate, settings = candidate.gate, candidate.settings
        ear = self._ear_of(gate, ready, settings)
        if ear is None:
            return
        ear.settings = settings
        patience = self._facts.patience
        ends = time.monotonic() + patience
        if ear.is_joining and not await ear.answered(patience):
            ear.is_joining = False  # nobody waits for that a second time
        while self._live.ask(gate, asks, applicant, self._live.clock.now(), settings, ear.waiting):
            if (left := ends - time.monotonic()) <= 0:
                return  # others were first; it stands in line like everybody
            await ear.answered(left)

    def news(self) -> tuple[str, ...]:
        """Return what has to be said of the server once: that it has been away for a while, and that it is back."""
        now = self._live.clock.now()
        with self._lock:
            if self._lost_at is not None and not self._is_said and now - self._lost_at >= BLIP_SECONDS:
                self._is_said = True
                return (AWAY,)
            if self._lost_at is None and self._is_said:
                self._is_said = False
                return (BACK,)
        return ()

    def note(self, answer: There | Gone) -> None:
        """Note that the server is away, or there."""
        if isinstance(answer, Gone) and answer.is_usual:
            return
        is_there, now = isinstance(answer, There), self._live.clock.now()
        with self._lock:
            if is_there is (self._lost_at is None):
                return
            self._lost_at = None if is_there else now
        self._live.publish(SharingChanged(at=now, request=0, is_sharing=is_there))

    def account_of(self, gate: GateKey) -> Account | None:
        """Return by what the others know a gate's backend; None where it has not joined them."""
        ear = self._links.get(gate)
        return None if ear is None else ear.account

    def look(self, account: Account) -> Future[Peers]:
        """Begin to find out who shares a backend; see ``SharedFacts.look``."""
        return self._facts.look(account)

    def _ear_of(self, gate: GateKey, ready: Ready, settings: Settings) -> _Ear | None:
        """Return where a gate hears of others; it joins those of another account where its key has changed."""
        ear = self._links.get(gate)
        if ear is None and not isinstance(ready, Accountable):
            return None
        account = cast("Accountable", ready).account
        if ear is not None and ear.account == account:
            return ear
        with self._lock:
            known = self._links.get(gate)
            if known is not None and known.account == account:
                return known
            ear = self._links[gate] = _Ear(self, self._live, gate, account, settings)
        if known is not None and known.link is not None:
            known.link.leave()
        self._live.ask(gate, share, self._facts.patience)
        ear.link = self._facts.join(account, ear)
        weakref.finalize(gate, ear.link.leave)
        return ear


class _Ear:
    """Hears for one gate, on the threads of whoever shares, and lets requests wait for that."""

    def __init__(
        self, sharing: SharedGates, live: LiveProfile, gate: GateKey, account: Account, settings: Settings
    ) -> None:
        self._sharing = weakref.ref(sharing)
        self._live = weakref.ref(live)
        self._gate = weakref.ref(gate)
        self._lock = ForkSafeLock()
        self._waiting: list[asyncio.Future[bool]] = []
        (seen,), now = live.snapshot([(gate, settings)]).backends, live.clock.now()
        self._recent = Recent(seen.requests, now)
        self.account = account
        self.settings = settings
        self.link: Link | None = None
        self.is_joining = True

    def hear(self, fact: Fact, age: float) -> None:
        """Fold in what another process met, so many seconds ago."""
        live, gate = self._live(), self._gate()
        if live is not None and gate is not None:
            at = live.clock.now() - age
            live.hear(gate, lambda each, now: hear_fact(each, fact, at, now, self.settings))

    def be_told(self, answer: Answer) -> None:
        """Take what the server says, and wake whoever waits for it."""
        live, gate, sharing = self._live(), self._gate(), self._sharing()
        if live is None or gate is None or sharing is None:
            return

        def change(each: Gate, now: float) -> tuple[()]:
            hear_answer(each, answer, now)
            return ()

        live.hear(gate, change)
        if isinstance(answer, There | Gone):
            self.is_joining = False
            sharing.note(answer)
        most = len(self._waiting)
        if isinstance(answer, Granted | Held) and answer.places:
            most = answer.places + 1  # the last of them asks for all others
        with self._lock:
            waiting, self._waiting = self._waiting[:most], self._waiting[most:]
        for future in waiting:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                future.get_loop().call_soon_threadsafe(functools.partial(_ring, future, came=True))

    def card(self, since: float) -> Card | None:
        """Return what is told of this process and the backend, which it has shared for so many seconds."""
        live, gate = self._live(), self._gate()
        if live is None or gate is None:
            return None
        now, (seen,) = live.clock.now(), live.snapshot([(gate, self.settings)]).backends
        return card_of_gate(seen, self.settings, since, self._recent.count(seen.requests, now))

    def give_up(self) -> None:
        """Go on alone: an answer was waited for in vain."""
        if self.link is not None:
            self.link.give_up()
        self.be_told(Gone())

    @property
    def waiting(self) -> int:
        """How many requests wait for an answer."""
        return len(self._waiting)

    async def answered(self, seconds: float) -> bool:
        """Wait for the next answer; return whether one came in so many seconds of real time."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(future)
        timer = asyncio.get_running_loop().call_later(seconds, functools.partial(_ring, future, came=False))
        try:
            return await future
        finally:
            timer.cancel()
            with self._lock:
                if future in self._waiting:
                    self._waiting.remove(future)


def _ring(future: asyncio.Future[bool], *, came: bool) -> None:
    if not future.done():
        future.set_result(came)
