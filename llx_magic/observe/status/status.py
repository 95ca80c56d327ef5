"""How a profile is, made from a snapshot by one pure function for every view that speaks in words."""

from __future__ import annotations

import html
from dataclasses import dataclass

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.observe.report import (
    AS_WRITTEN,
    brief_rate,
    html_table,
    prompts_in_words,
    spent_in_words,
    text_table,
    times_in_words,
)
from llx_magic.observe.status.sentence import sentence
from llx_magic.observe.status.standing import LONGEST_NAME, Standing, is_in_order, standings_of
from llx_magic.text.screen import one_line, printable
from llx_magic.units import below, duration, exact, number, percent

_COLUMNS = ("backend", "now", "why", "answered", "half within", "19 of 20 within", "first token", "tokens/min")
_NUMBERS = range(_COLUMNS.index("answered"), len(_COLUMNS))

MARK = "\N{BLACK UP-POINTING TRIANGLE}"
"""Stands before the sentence where not all is well."""


@dataclass(frozen=True, slots=True, repr=False)
class Status:
    """How a profile is: a sentence, and each backend in priority order. A cell shows it as a table.

    ``prompts`` is what became of the prompts, and what was used and spent; empty before the first.
    """

    profile: str
    sentence: str
    prompts: str
    standings: tuple[Standing, ...]

    @property
    def is_calm(self) -> bool:
        """Whether every backend is well."""
        return all(standing.is_well for standing in self.standings)

    def __str__(self) -> str:
        """The sentence, the prompts, and the backends as a table in plain text."""
        prompts = [self.prompts] if self.prompts else []
        table = text_table(_COLUMNS, self._rows(), numbers=_NUMBERS)
        return "\n".join([f"{self.profile}: {self.sentence}", *prompts, "", table])

    def __repr__(self) -> str:
        return printable(str(self))

    def _repr_html_(self) -> str:
        """The same in HTML, every text escaped."""
        prompts = f"<div {AS_WRITTEN}>{html.escape(self.prompts)}</div>" if self.prompts else ""
        return self.headline() + prompts + html_table(_COLUMNS, self._rows(), numbers=_NUMBERS)

    def headline(self) -> str:
        """Return the sentence in HTML, behind the profile's name."""
        mark = "" if self.is_calm else f"{MARK} "
        said = f"{html.escape(self.profile)}: <b>{mark}{html.escape(self.sentence)}</b>"
        return f'<div {AS_WRITTEN} style="overflow-wrap:anywhere">{said}</div>'

    def _rows(self) -> list[tuple[str, ...]]:
        return [(each.name, each.now, each.why, *_figures(each.backend)) for each in self.standings]


def status_of(snapshot: Snapshot) -> Status:
    """Return how a profile is at the moment of the snapshot."""
    standings = standings_of(snapshot)
    return Status(
        one_line(snapshot.profile, LONGEST_NAME),
        sentence(standings, in_order=is_in_order(snapshot)),
        _prompts(snapshot),
        standings,
    )


def _figures(backend: BackendSnapshot) -> tuple[str, ...]:
    """Return what was answered, how fast, and how much; times are of answered visits alone."""
    ended, rate = backend.successes + backend.failures, backend.success_rate
    answered = f"{number(backend.successes)} of {number(ended)}" + (f" ({percent(rate)})" if ended else "")
    return (answered, *map(duration, (backend.p50_latency, backend.p95_latency, backend.ttft)), _rate(backend))


def _rate(backend: BackendSnapshot) -> str:
    tpm, floor = backend.tpm, backend.tpm_threshold
    shown = number(backend.shown_tpm)
    if tpm is not None and floor is not None and tpm < floor:
        shown = below(tpm, floor, ",")
    told = " ".join([shown, *brief_rate(backend)])
    return told if floor is None else f"{told}, floor {exact(floor, ',')}"


def _prompts(snapshot: Snapshot) -> str:
    if not snapshot.prompts.asked:
        return ""
    tokens, spent = sum(backend.tokens for backend in snapshot.backends), spent_in_words(snapshot)
    told = [f"Prompts: {prompts_in_words(snapshot.prompts)}", *times_in_words(snapshot.prompts)]
    told += [f"{number(tokens)} tokens" if tokens else ""]
    return " · ".join(filter(None, [*told, f"spent {spent}" if spent else ""]))
