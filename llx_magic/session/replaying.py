"""What a profile's past would have been: under other settings, by another policy, and under those that serve best."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llx_magic.core.events import AttemptStarted, Event, RequestStarted
from llx_magic.core.past import Asked, Course, Past
from llx_magic.core.routing import FAILOVER, Routing, routing_named
from llx_magic.core.totals import Expected, Prompts, Totals, as_recorded, totals, what_if
from llx_magic.engine.leaps import never
from llx_magic.errors import UsageProblem
from llx_magic.files.folders import absolute
from llx_magic.observe.frames import frames
from llx_magic.profiles.document import SINGLE
from llx_magic.replay.history import latest, load, numbered
from llx_magic.replay.run import Place, Terms, Told, courses_for, draws, extremes_of, told
from llx_magic.session.prices import Costs
from llx_magic.settings.declaration import SETTINGS
from llx_magic.settings.layers import Values, read_values
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import listed, shown_path
from llx_magic.units import plural

if TYPE_CHECKING:
    import pandas as pd

    from llx_magic.session.record import ProfileRecord

THIN = 50
"""Fewer attempts at a backend, and more to draw from them than they are, say little of its slow replies."""


@dataclass(frozen=True)
class Change:
    """What is tried: settings in place of those in force, and another policy."""

    settings: Values
    policy: str | None = None

    def __str__(self) -> str:
        said = [f"{key}={SETTINGS[key].show(value)}" for key, value in self.settings.items()]
        return ", ".join([*([f"policy={self.policy}"] if self.policy else []), *said]) or "the settings in force"


class Replayer:
    """A profile and a past; each trial meets the same outages and the same draws, so that trials can be compared.

    With ``most`` only so many of the latest prompts of each kernel are looked at. As soon as ``is_stopped`` says so, a
    trial ends with ``Stopped``.
    """

    def __init__(
        self,
        record: ProfileRecord,
        history: str | os.PathLike[str] | None,
        seed: int,
        most: int | None = None,
        is_stopped: Callable[[], bool] = never,
    ) -> None:
        kernels: Sequence[Sequence[Event]] = [record.decisions()] if history is None else load(absolute(history))
        if most is not None:
            kernels = [latest(events, most) for events in kernels]
        self.record = record
        self._seed = seed
        self._is_stopped = is_stopped
        self.epoch = record.epoch if history is None else 0.0
        self._kernels: Sequence[Sequence[Event]] = numbered(kernels)
        self._past = Past(self._kernels)
        self._courses = list[Course]()
        self.asked: list[Asked] = self._past.asked_of(record.members)
        if not self.asked:
            raise UsageProblem(_nothing_of(record, history, self._events()))
        self._silent = [name for name in record.members if self._past.never_answered(name)]
        if not any(self._past.knows(name) for name in record.members):
            raise UsageProblem(
                f"nothing is known of {listed(record.members)} in this history, so nothing can be told of it"
            )

    @cached_property
    def was(self) -> Prompts:
        """What became of the prompts."""
        return as_recorded(self.asked, self._events())

    @cached_property
    def was_totals(self) -> Totals:
        """The same in figures."""
        return totals(self.was, self._events())

    def try_out(self, change: Change, courses: int | None = None) -> Trial:
        """Return what the prompts would have come to, in so many courses; without a number in as many as are enough."""
        drawn = self._in_courses(courses or courses_for(len(self.asked)))
        terms = Terms(self._places(change), self._routing(change), self._seed, self._is_stopped)
        return Trial(change, told(drawn, terms, extremes_of(self._past, self.record.members, self._seed)))

    def why_untold(self, trial: Trial) -> str:
        """Return why figures of a trial cannot be told, in words; empty where all can be."""
        if not trial.expected.untold:
            return ""
        silent = [f"{name} was asked {plural(count, 'time')} and never answered" for name, count in self.silent(trial)]
        counts = self.thin(trial).items()
        thin = [f"{name} was {'asked ' + plural(count, 'time') if count else 'never asked'}" for name, count in counts]
        return listed([*silent, *thin]) or "it hangs on what is drawn"

    def silent(self, trial: Trial) -> list[tuple[str, int]]:
        """Return the backends that never answered in full, where figures hang on one, with their attempts."""
        silent = self._silent if trial.expected.hangs_on_silence else ()
        return [(name, self._past.attempts_at(name)) for name in silent]

    def thin(self, trial: Trial) -> Mapping[str, int]:
        """Return the backends of which little is known and more would have to be, with their attempts.

        Those that never answered are not among them.
        """
        events = trial.told.typical.decided.events
        would = Counter(event.backend for event in events if isinstance(event, AttemptStarted))
        known = {name: self._past.attempts_at(name) for name in self.record.members if name not in self._silent}
        return {name: count for name, count in known.items() if count < THIN and would[name] > 2 * count}

    def is_groundless(self, trial: Trial, *claims: str) -> bool:
        """Return whether one of the claims cannot be told since too little is known of a backend."""
        return bool(trial.expected.untold.intersection(claims) and (self.silent(trial) or self.thin(trial)))

    def frame(self, trial: Trial) -> pd.DataFrame:
        """Return a row per prompt: what it would have come to, and what it came to."""
        was = {asked.request: record for asked, record in self.was}
        typical = trial.told.typical
        prompts = zip(typical.decided.prompts, typical.drawn, strict=True)
        rows = [(would, was[asked.request], asked.request, drawn.drawn) for (asked, would), drawn in prompts]
        frame = frames.replay_frame(rows, self.epoch)
        frame.attrs["drawn_share"] = typical.drawn_share
        frame.attrs["answered_from_to"] = trial.expected.spread(lambda each: each.success_rate)
        frame.attrs["cannot_be_told"] = {name: self.why_untold(trial) for name in sorted(trial.expected.untold)}
        frame.attrs["p95_from_to"] = trial.expected.spread(lambda each: each.p95)
        return frame

    def _in_courses(self, count: int) -> Iterator[Course]:
        """Yield so many courses of the past; they are the same for every trial."""
        for number in range(count):
            if number == len(self._courses):
                self._courses.append(self._past.course(draws(self._seed + number)))
            yield self._courses[number]

    def _events(self) -> Iterator[Event]:
        return (event for events in self._kernels for event in events)

    def _places(self, change: Change) -> list[Place]:
        settings, profile = self.record.settings(change.settings), self.record.profile
        return [
            Place(
                name=member.name,
                settings=settings[member.name],
                tariff=Costs(member),
                weight=profile.weights.get(member.name, 1.0),
                params=member.params,
            )
            for member in profile.members
        ]

    def _routing(self, change: Change) -> Routing:
        policy = change.policy or self.record.profile.policy
        return FAILOVER if policy == SINGLE else routing_named(policy)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a change would have made of a past."""

    change: Change
    told: Told

    @property
    def expected(self) -> Expected:
        """What it would come to, and how sure that is."""
        return self.told.expected

    @property
    def totals(self) -> Totals:
        """The middle of that."""
        return self.told.expected.middle

    def line(self, now: Trial) -> str | None:
        """Return in one line what is other than in a trial of the settings in force, or None where that is nothing."""
        return what_if(now.expected, self.expected, str(self.change))


def _nothing_of(record: ProfileRecord, history: str | os.PathLike[str] | None, events: Iterable[Event]) -> str:
    if history is not None:
        file = shown_path(absolute(history))
        asked = dict.fromkeys(name for event in events if isinstance(event, RequestStarted) for name in event.order)
        if not asked.keys() - set(record.members):
            return f"{file}: no prompt of {record.name} has ended in this history"
        return f"{file} holds prompts to {listed(asked)}, none of {record.name}; name the profile that asked them (-p)"
    return (
        f"no prompt of {record.name} that has ended is remembered, so there is nothing to replay: ask it first, or "
        "give a history that was saved (--history FILE)"
    )


def change_of(settings: Mapping[str, JsonValue] | None, policy: str | None) -> Change:
    """Return what is to be tried, checked.

    Raises:
        SettingError: for a setting that does not exist, or a value that is not allowed.
        ProfileError: for a policy that does not exist.
    """
    if policy is not None:
        routing_named(policy)
    return Change(read_values(settings or {}), policy)
