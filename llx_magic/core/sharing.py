"""What processes that use the same backend with the same account tell each other, and what one gate knows of that.

They share facts and not their state: each keeps its own gate and folds in what others have met. A gate asks for what is
scarce (a place within the user's limits, being the probe of a circuit) and is told; what it wants to say lies in its
``outbox`` until whoever keeps it sends that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from llx_magic.core.breaker import Cause, Outcome
from llx_magic.core.tokens import WINDOW_SECONDS

if TYPE_CHECKING:
    from llx_magic.core.breaker import CircuitBreaker
    from llx_magic.settings.declaration import Settings

ANSWER_SECONDS = 0.05
"""How long an answer of the server is waited for as a rule; after that it is none, and everybody goes on alone."""

LEASE_SECONDS = 2.0
"""For how long a process that may be the probe is waited for to begin; one that has begun renews that."""

TOKENS_SECONDS = 0.25
"""How long the tokens of replies are added up before they are told."""

LONGEST_HELD = 600.0
"""How long another process can be the probe at most, whatever the server says."""

MOST_UNSENT = 256
"""How many messages are kept for a server that is away; the oldest are dropped."""


class Message(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Something that one process says to the others, or to the server, or hears from there."""


class Failed(Message, frozen=True, tag=True):
    """A visit failed in a way that counts for the circuit."""


class ProbeFailed(Message, frozen=True, tag=True):
    """A probe failed: the circuit is open from then on, as long as its recovery time says."""


class Recovered(Message, frozen=True, tag=True):
    """A circuit that was not closed is: the backend has answered."""


class Limited(Message, frozen=True, tag=True):
    """The service has refused a request for so many seconds."""

    seconds: float


class Allowed(Message, frozen=True, tag=True):
    """A request was answered that was admitted so many seconds before: cool-downs from before that are over."""

    seconds: float


class Used(Message, frozen=True, tag=True):
    """Replies took so many tokens, within so many seconds."""

    tokens: int
    seconds: float


Fact = Failed | ProbeFailed | Recovered | Limited | Allowed | Used


class PlacesWanted(Message, frozen=True, tag=True):
    """So many requests of so many tokens each are to be sent within the limits of a minute."""

    places: int
    tokens: float
    rpm_limit: int | None
    tpm_limit: int | None


class HoldWanted(Message, frozen=True, tag=True):
    """So many requests are to be under way at once, ``in_use`` of them already, within a limit of all."""

    places: int
    in_use: int
    limit: int


class Spent(Message, frozen=True, tag=True):
    """So much was sent so many seconds ago, or less where it is negative, that the server does not know of yet.

    ``given_at`` is the server's own time of a grant of which something was not used, else 0.
    """

    requests: float
    tokens: float
    ago: float
    rpm_limit: int | None
    tpm_limit: int | None
    given_at: int = 0


class ProbeWanted(Message, frozen=True, tag=True):
    """A circuit that opened so many seconds ago may be probed; its recovery time is ``recovery`` seconds."""

    opened_ago: float
    recovery: float


class ProbeBegan(Message, frozen=True, tag=True):
    """The probe is under way."""


class ProbeEnded(Message, frozen=True, tag=True):
    """The probe is over: whoever asks next may be it."""


class GaveUp(Message, frozen=True, tag=True):
    """An answer was waited for in vain: this process goes on alone until the server answers again."""


Wish = PlacesWanted | HoldWanted | Spent | ProbeWanted | ProbeBegan | ProbeEnded
Saying = Fact | Wish | GaveUp

OF_THE_MOMENT = (HoldWanted, PlacesWanted, ProbeWanted, Spent)
"""What means nothing any more when a server is back."""

FACTS_TO_KEEP = (Allowed, Failed, Limited, ProbeFailed, Recovered)
"""What is told later where it could not be sent; it may be told twice."""


class Granted(Message, frozen=True, tag=True):
    """So many places are this process's; where there is none, ``wait`` is how long to wait before asking again.

    ``given_at`` is the server's own time, by which what is not used can be given back. ``requests_left`` and
    ``tokens_left`` are what the limits still allow everybody.
    """

    places: int
    tokens: float
    wait: float
    given_at: int = 0
    requests_left: float = math.inf
    tokens_left: float = math.inf


class Held(Message, frozen=True, tag=True):
    """So many requests may be under way at once here; whoever wanted more asks again after ``wait`` seconds.

    Where places are ``scarce``, others lack some of those that are held here.
    """

    places: int
    wait: float = 0.0
    scarce: bool = False


class ProbeGranted(Message, frozen=True, tag=True):
    """Whoever asked may be the probe, if it begins soon."""


class ProbeHeld(Message, frozen=True, tag=True):
    """Another process is the probe, or has just been; ask again after so many seconds."""

    seconds: float


class Swept(Message, frozen=True, tag=True):
    """Some time has passed: places that were not used are to be given back."""


class There(Message, frozen=True, tag=True):
    """The server answers, and so many processes share the backend. A ``fresh`` one knows nothing of the last minute."""

    peers: int
    fresh: bool = False


class Gone(Message, frozen=True, tag=True):
    """The server does not answer: everybody goes on alone. Where ``is_usual``, it has not been reached yet."""

    is_usual: bool = False


Answer = Granted | Held | ProbeGranted | ProbeHeld | Swept | There | Gone


def is_overdue(asked_at: float | None, now: float, patience: float) -> bool:
    """Return whether an answer has not come in so many seconds to what was asked then; None is nothing."""
    return asked_at is not None and now - asked_at >= patience


class Sharing(msgspec.Struct):
    """What one gate knows of the others that share its backend, and what it has to say to them.

    ``patience`` is how many seconds its server's answers are waited for; ``is_there`` says whether it answers.
    ``recovered_at`` is when the circuit last closed: failures from before that count no more. ``probe_asked_at`` is
    when the server was asked for the probe, as long as no answer has come. ``lease_until`` is how long this process may
    begin one, ``held_until`` how long another one is known to be it, or may be, since it may still hear the server.
    ``used`` are the tokens of replies that have not been told yet, of which the first were taken at ``used_since``; the
    latest were told at ``told_at``.
    """

    patience: float = ANSWER_SECONDS
    is_there: bool = False
    outbox: list[Saying] = []
    recovered_at: float = -1.0
    probe_asked_at: float | None = None
    lease_until: float = 0.0
    held_until: float = 0.0
    used: int = 0
    used_since: float = 0.0
    told_at: float = -1.0

    def tell(self, *messages: Saying) -> None:
        """Say something to the others."""
        self.outbox.extend(messages)
        del self.outbox[:-MOST_UNSENT]

    def use(self, tokens: int, seconds: float, now: float) -> None:
        """Take that a reply took so many tokens within such a time; that is told together with others."""
        since = now - seconds
        if self.used_since < now - WINDOW_SECONDS:  # the server was away: nobody asks for these any more
            self.used = 0
        self.used_since = min(self.used_since, since) if self.used else since
        self.used += tokens
        if now - self.told_at >= TOKENS_SECONDS:
            self.tell_of_tokens(now)

    def tell_of_tokens(self, now: float) -> None:
        """Tell the tokens that have not been told yet."""
        if self.used and self.is_there:
            self.tell(Used(self.used, now - self.used_since))
            self.told_at, self.used = now, 0

    def tell_of_visit(self, outcome: Outcome | None, cause: Cause | None, now: float, *, was_probe: bool) -> None:
        """Tell the others what a visit means for the circuit; an ``outcome`` of None came too late to count."""
        if cause is Cause.RECOVERED:
            self.recovered_at = now
            self.tell(Recovered())
        elif cause is Cause.PROBE_FAILED:
            self.tell(ProbeFailed())
        elif outcome is Outcome.COUNTED_FAILURE:
            self.tell(Failed())
        if was_probe:
            self.tell(ProbeEnded())

    def may_probe(self, now: float) -> bool:
        """Return whether a circuit's probe may begin here."""
        return now < self.lease_until if self.is_there else now >= self.held_until

    def ask_for_probe(self, breaker: CircuitBreaker, now: float, settings: Settings) -> bool:
        """Ask for being the probe, where nobody is known to be; return whether an answer is to come."""
        if now < self.held_until:
            return False
        if is_overdue(self.probe_asked_at, now, self.patience):
            self.lose(now)
            self.tell(GaveUp())
            return False
        if self.probe_asked_at is None:
            self.probe_asked_at = now
            recovery = settings.circuit_breaker_recovery_timeout_ms / 1000
            self.tell(ProbeWanted(now - breaker.opened_at, recovery))
        return True

    def begin_probe(self) -> None:
        """Use the lease."""
        self.lease_until = 0.0
        self.tell(ProbeBegan())

    def give_up_lease(self, now: float) -> bool:
        """Return whether a lease was not used in time, so that another may be the probe."""
        is_over = 0.0 < self.lease_until <= now
        if is_over:
            self.lease_until = 0.0
        return is_over

    def hear_of_probe(self, answer: ProbeGranted | ProbeHeld, now: float) -> None:
        """Take whether this process may be the probe."""
        self.probe_asked_at = None
        if isinstance(answer, ProbeGranted):
            self.lease_until = now + LEASE_SECONDS / 4
        else:
            self.held_until = now + max(0.0, min(answer.seconds, LONGEST_HELD))

    def find(self) -> None:
        """Take that the server answers."""
        if not self.is_there:
            self.is_there, self.held_until = True, 0.0

    def lose(self, now: float) -> None:
        """Take that the server does not answer: it may be this process that is slow, so others go first as probes."""
        if self.is_there:
            self.held_until = now + LEASE_SECONDS
        self.is_there, self.probe_asked_at, self.lease_until = False, None, 0.0
