"""Whether a server queues what it is sent, as far as the time to the first token tells.

The whole time of a reply tells nothing: it is the reply's length. The time to the first token grows with the prompt
too, so the suspicion is put to the test: a queue gets shorter when less is sent.
"""

from __future__ import annotations

import msgspec

FEWEST = 16
"""From how many replies on the mean tells anything."""

SHARE = 0.05
"""The share of one time in the mean, once there are many."""

DRIFT = 1.0001
"""How the least mean rises with each reply, so that it is not for ever that of an idle night."""

TIMES, SLACK_SECONDS = 2.0, 0.05
"""A mean beyond so many times the least and so many seconds more is suspicious."""

LESS_SENT, LESS_WAITED = 0.6, 0.8
"""Where so much less is sent and the mean has not fallen below this share, the suspicion was wrong."""

UNKNOWN = 1_000_000.0
"""Stands for a mean that is not known yet."""


class Queueing(msgspec.Struct):
    """The mean time to first token, the least that it was, and a suspicion. Times are in seconds.

    ``level`` is the level when a suspicion began, 0 where there is none, and ``highest`` the highest mean since then.
    """

    taken: int = 0
    mean: float = 0.0
    least: float = UNKNOWN
    level: float = 0.0
    highest: float = 0.0

    def take(self, seconds: float) -> None:
        """Take the time to the first token of one reply."""
        self.taken += 1
        self.mean += max(SHARE, 1.0 / self.taken) * (seconds - self.mean)
        if self.taken >= FEWEST:
            self.least = min(DRIFT * self.least, self.mean)
            self.highest = max(self.highest, self.mean)
            if not self.is_suspected:
                self.level = self.highest = 0.0

    @property
    def is_suspected(self) -> bool:
        """Whether the mean is so high that there may be a queue."""
        return self.mean > TIMES * self.least + SLACK_SECONDS

    def acquits(self, at_most: float) -> float | None:
        """Take that the level is ``at_most`` now; return the level to go back to where there was no queue after all."""
        if not self.level:
            self.level = at_most
        elif at_most <= LESS_SENT * self.level and self.mean > LESS_WAITED * self.highest:
            before, self.least, self.level = self.level, self.mean, 0.0
            return before
        return None
