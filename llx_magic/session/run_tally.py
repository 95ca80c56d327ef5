"""What a run over rows has come to so far, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from llx_magic.core.progress import MapProgress, Share
from llx_magic.rows.outcome import Outcome
from llx_magic.session.answering import Answering
from llx_magic.session.row_notes import RowNotes

KEPT_FAULT = "failed earlier, not asked again (--retry errors asks again)"
"""The note on a row whose failure was in the store before the run."""


class RunTally:
    """Counts the outcomes of a run; ``total`` is how many rows there are, None where only reading tells."""

    def __init__(self, answering: Answering, backends: Iterable[str], total: int | None) -> None:
        self._answering = answering
        self._clock = answering.clock
        self._total = total
        self._began = self._clock.now()
        self._done = self._failed = self._stored = self._shared = 0
        self._tokens_in = self._tokens_out = 0
        self._latest: float | None = None
        self._answered: Counter[str] = Counter()
        self.cost: float | None = None
        """What the run has cost; None where no price is known."""
        self.cost_is_estimate = False
        self._notes = RowNotes()
        self._names = tuple(f"{name} " for name in backends)

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return self._clock.now() - self._began

    @property
    def asked(self) -> int:
        """How many rows were answered by a backend."""
        return self._answered.total()

    def pay(self, cost: float | None, *, is_estimate: bool) -> None:
        """Take what a reply cost."""
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost
            self.cost_is_estimate = is_estimate

    def note(self, notes: Iterable[str]) -> None:
        """Take what is said of one row; who else was asked, and why, is no matter of its reply."""
        self._notes.take(note for note in notes if not note.startswith(self._names))

    def told_notes(self) -> Iterator[str]:
        """Return what is said of the most rows."""
        return self._notes.told()

    def take(self, outcome: Outcome) -> None:
        """Take an outcome into account."""
        self._done += 1
        if outcome.status in ("answered", "failed"):
            self._latest = self._clock.now()
        if outcome.status == "answered" and outcome.backend is not None:
            self._answered[outcome.backend] += 1
            self._tokens_in += outcome.tokens_in or 0
            self._tokens_out += outcome.tokens_out or 0
        elif outcome.status == "failed":
            self._failed += 1
        elif outcome.status == "shared":
            self._shared += 1
        else:
            self._stored += 1

    def progress(self, in_flight: int, waiting_for: str | None, troubles: Mapping[str, str]) -> MapProgress:
        """Return how far the run has come at this moment; ``troubles`` is why backends that do not answer do not."""
        now = self._clock.now()
        return MapProgress(
            at=now,
            began=self._began,
            total=self._total,
            done=self._done,
            failed=self._failed,
            stored=self._stored,
            shared=self._shared,
            in_flight=in_flight,
            latest=self._latest,
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            cost=self.cost,
            cost_is_estimate=self.cost_is_estimate,
            waiting_for=waiting_for,
            shares=tuple(
                Share(name, self._answered[name], *each, trouble=troubles.get(name, ""))
                for name, each in self._answering.standings().items()
            ),
            workers=tuple(Share(name, answered, *each) for name, (answered, each) in self._answering.workers().items()),
        )
