"""The places within shared limits that this process was given, and has not used yet."""

from __future__ import annotations

import math

import msgspec

from llx_magic.core.holding import SOON_SECONDS, Holding
from llx_magic.core.load import PLENTY, Load
from llx_magic.core.minute import GRAIN_SECONDS, SPAN
from llx_magic.core.sharing import ANSWER_SECONDS, GaveUp, Granted, HoldWanted, PlacesWanted, Spent, is_overdue

KEPT_SECONDS = 0.5
"""For how long a place may be used: it counts from when it was given, so its use must not be much later."""

BLOCK = 8
"""How many places are asked for at once where the traffic is dense."""

AT_ONCE_SECONDS, MOST = 0.05, 256
"""Where more are used within this time, so many are asked for, but no more than the second."""

LONGEST_WAIT = 62.0
"""How long the server can say to wait at most: after a minute all that was sent counts no more."""

UNKNOWN_PEERS = 8
"""As one of how many a process counts that has never reached the server; each minute as one of half as many."""

HEARD_SECONDS = 10.0
"""How long what is left of the common limits is known that the server has told."""

ROUNDING = 1e-6
"""How much a sum may be wrong by."""


class Given(msgspec.Struct):
    """So many requests and tokens, to be used by then; ``given_at`` is the server's own time."""

    given_at: int
    until: float
    requests: float
    tokens: float

    def is_used(self, *, counts_tokens: bool) -> bool:
        """Return whether nothing of it is left."""
        return self.requests < ROUNDING and (not counts_tokens or self.tokens < ROUNDING)


class Stock(msgspec.Struct):
    """What was given, oldest first, and what the server of all is to be told in ``outbox``.

    ``patience`` is how many seconds its answers are waited for. ``is_there`` says whether it answers, ``lost_at``
    since when it did not, None while nothing has been heard of it; ``peers`` are the processes that share the limits,
    this one included, 0 where that was never heard. ``block`` is how many were asked for, ``asked_at`` when, as long
    as no answer has come; before ``none_until`` there is none. ``taken`` are the times at which the latest were used.
    ``left`` is what the limits still allowed everybody at ``heard_at``, in requests and tokens; ``spare`` what may be
    sent of it, in the first minute alone.
    """

    patience: float = ANSWER_SECONDS
    is_there: bool = False
    lost_at: float | None = None
    peers: int = 0
    heard_at: float = -math.inf
    left: Load = Load(math.inf, math.inf)
    spare: Load = Load(math.inf, math.inf)
    outbox: list[PlacesWanted | HoldWanted | Spent | GaveUp] = []
    given: list[Given] = []
    block: int = 0
    asked_at: float | None = None
    none_until: float = 0.0
    taken: list[float] = []
    holding: Holding = msgspec.field(default_factory=Holding)

    def places(self, load: Load, now: float, *, counts_tokens: bool) -> int:
        """Return how many requests of such a load may be sent now."""
        requests = tokens = 0.0
        for each in self.given:
            if each.until > now:
                requests += each.requests
                tokens += each.tokens
        if counts_tokens and load.tokens:
            requests = min(requests, tokens / load.tokens)
        return int(requests + ROUNDING)

    def due_at(self, now: float) -> float:
        """Return when to look again, where there is no place now."""
        return max(self.none_until, now + SOON_SECONDS)

    def ask(self, now: float, waiting: int) -> None:
        """Begin to wait for a block: of places for those who wait, or of as many as were just used in such a time."""
        recent = sum(at > now - KEPT_SECONDS for at in self.taken)
        at_once = sum(at > now - AT_ONCE_SECONDS for at in self.taken)
        self.block = max(1, min(BLOCK, max(waiting, recent)), at_once)
        self.asked_at = now

    def is_dense(self, now: float) -> bool:
        """Return whether so much is sent that more should be asked for before the last place is used."""
        return len(self.taken) >= BLOCK and self.taken[-BLOCK] > now - KEPT_SECONDS / 2

    def may_ask(self, now: float) -> bool:
        """Return whether to ask for more: nobody has, and there may be some."""
        return self.hears(now) and self.asked_at is None and now >= self.none_until

    def hears(self, now: float) -> bool:
        """Return whether the server answers, and has not left anything unanswered for too long."""
        if any(is_overdue(asked_at, now, self.patience) for asked_at in (self.asked_at, self.holding.asked_at)):
            self.lose(now)
            self.outbox.append(GaveUp())
        return self.is_there

    def hold(self, wanted: HoldWanted | None) -> None:
        """Ask the server for places at once, where there is something to ask."""
        if wanted is not None:
            self.outbox.append(wanted)

    def take(self, load: Load, now: float, *, counts_tokens: bool) -> tuple[float, float]:
        """Use a place, of the oldest first; return what had not been given of it, in requests and tokens."""
        del self.taken[: -MOST + 1]
        self.taken.append(now)
        requests, tokens = load.requests, load.tokens if counts_tokens else 0.0
        for each in self.given:
            if each.until > now:
                used = min(each.requests, requests)
                each.requests, requests = each.requests - used, requests - used
                used = min(each.tokens, tokens)
                each.tokens, tokens = each.tokens - used, tokens - used
        while self.given and self.given[0].is_used(counts_tokens=counts_tokens):
            del self.given[0]
        return requests, tokens

    def promised(self, now: float) -> float:
        """Return how many requests may be sent of what was given."""
        return sum(each.requests for each in self.given if each.until > now)

    def hear(self, answer: Granted, left: float, now: float) -> None:
        """Take the answer, no more than can be asked for, nor than is left of the limit for this process alone.

        A place counts from when it was asked for at the latest.
        """
        asked_at, self.asked_at = now if self.asked_at is None else self.asked_at, None
        places = min(answer.places, MOST, int(left + ROUNDING))
        if places > 0:
            self.given.append(Given(answer.given_at, asked_at + KEPT_SECONDS, float(places), places * answer.tokens))
        self.none_until = 0.0 if places > 0 else now + max(SOON_SECONDS, min(answer.wait, LONGEST_WAIT))
        self.heard_at, self.left = now, Load(answer.requests_left, answer.tokens_left)

    def sweep(self, now: float) -> list[Given]:
        """Give up what was not used in time, and return it."""
        old = [each for each in self.given if each.until <= now or each.requests < ROUNDING]
        self.given = [each for each in self.given if each not in old]
        return [each for each in old if each.requests > ROUNDING or each.tokens > ROUNDING]

    def parts(self, now: float) -> int:
        """Return as one of how many this process counts while the server is away."""
        if self.peers or self.lost_at is None:
            return self.peers or UNKNOWN_PEERS
        return max(1, UNKNOWN_PEERS >> min(int((now - self.lost_at) / SPAN), UNKNOWN_PEERS))

    def spared(self, load: Load, now: float) -> tuple[int, float]:
        """Return how many requests of such a load were left to this process when it lost the server, and until when."""
        until = now if self.lost_at is None else self.lost_at + SPAN + GRAIN_SECONDS
        if now >= until:
            return PLENTY, until
        places = self.spare.requests if not load.tokens else min(self.spare.requests, self.spare.tokens / load.tokens)
        return int(min(max(0.0, places + ROUNDING), PLENTY)), until

    def find(self, peers: int) -> None:
        """Take that the server answers."""
        self.is_there, self.peers = True, max(1, peers)

    def lose(self, now: float) -> None:
        """Forget all, since who gave it does not answer; what others may still send then is theirs."""
        if self.is_there or self.lost_at is None:
            self.lost_at, self.spare = now, Load(math.inf, math.inf)
        if self.is_there and now - self.heard_at < HEARD_SECONDS:
            mine = Load(sum(each.requests for each in self.given), sum(each.tokens for each in self.given))
            self.spare = mine.plus(Load(self.left.requests / self.peers, self.left.tokens / self.peers))
        self.is_there = False
        self.given.clear()
        self.outbox.clear()
        self.asked_at, self.none_until = None, 0.0
        self.holding.lose()
