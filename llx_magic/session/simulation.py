"""What the kernels of a team would do to the backends that they share, on time that leaps."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llx_magic.backends.simulated import SimulatedBackend, simulated_script
from llx_magic.core.events import AttemptFailed, AttemptStarted, BackendSkipped, Event, VisitFailed, VisitSucceeded
from llx_magic.core.failure import FailureKind
from llx_magic.core.past import Asked, Past
from llx_magic.core.ports import Backend
from llx_magic.core.routing import FAILOVER, routing_named
from llx_magic.core.statistics import percentile
from llx_magic.core.totals import totals
from llx_magic.engine.leaps import LeapingClock
from llx_magic.errors import UsageProblem
from llx_magic.files.folders import absolute
from llx_magic.observe.frames import frames
from llx_magic.profiles.document import SINGLE, ModelProfile, Profile
from llx_magic.replay.history import load
from llx_magic.replay.playback import Drawn, Playback
from llx_magic.replay.run import Place, Terms, Trial, draws
from llx_magic.session.prices import Costs
from llx_magic.session.wiring import script_params
from llx_magic.settings.declaration import Settings

if TYPE_CHECKING:
    import pandas as pd

MOST_PROMPTS = 1_000_000
"""No simulation asks more prompts."""


def simulated(
    profile: Profile,
    settings: dict[str, Settings],
    asked: Sequence[Asked],
    history: str | os.PathLike[str] | None,
    seed: int,
) -> pd.DataFrame:
    """Return a row per backend: what the prompts that were ``asked`` would do to it.

    Raises:
        UsageProblem: for members of which nothing is known.
    """
    world = _World(profile, history, seed)
    places = [
        Place(name=member.name, settings=settings[member.name], tariff=Costs(member),
              weight=profile.weights.get(member.name, 1.0))
        for member in profile.members
    ]  # fmt: skip
    routing = FAILOVER if profile.policy == SINGLE else routing_named(profile.policy)
    decided = Trial(Terms(places, routing, seed), world.backend).decide(asked)
    frame = frames.simulation_frame(_rows([place.name for place in places], decided.events))
    found = totals(decided.prompts, decided.events)
    frame.attrs |= {"prompts": found.prompts, "answered_share": found.success_rate, "p50": found.p50, "p95": found.p95}
    return frame


class _World:
    """The backends that all kernels share: simulated ones as they are, others as their history tells."""

    def __init__(self, profile: Profile, history: str | os.PathLike[str] | None, seed: int) -> None:
        self._members = {member.name: member for member in profile.members}
        past = None if history is None else Past(load(absolute(history)))
        self._course = None if past is None else past.course(draws(seed))
        self._simulated: dict[str, SimulatedBackend] = {}
        for name, member in self._members.items():
            if member.provider != "simulated" and not (past and past.knows(name)):
                raise UsageProblem(
                    f"{name} is no simulated model, and no history tells how it answers; give history=, as "
                    "save_history wrote it"
                )

    def backend(self, name: str, _one: Asked, clock: LeapingClock) -> Backend:
        """Return a backend; nothing of the past is known of a prompt that was never asked."""
        member = self._members[name]
        if member.provider != "simulated":
            assert self._course is not None
            return Playback(name, self._course, 0, clock, Drawn())
        if (known := self._simulated.get(name)) is None:
            known = self._simulated[name] = _simulated(member, clock)
        return known


def _simulated(member: ModelProfile, clock: LeapingClock) -> SimulatedBackend:
    return SimulatedBackend(member.name, member.model, simulated_script(script_params(member)), clock)


def asked_by(
    profile: Profile, traffic: float | Sequence[float], kernels: int, minutes: float, seed: int
) -> Sequence[Asked]:
    """Return the prompts: at random times, or at those that were given; each of a kernel at random.

    Raises:
        UsageProblem: for traffic or kernels that make no sense.
    """
    if kernels < 1:
        raise UsageProblem(f"kernels must be 1 or more, got {kernels}")
    draw, order = draws(seed), tuple(member.name for member in profile.members)
    if isinstance(traffic, int | float):
        if not traffic > 0 or not minutes > 0 or traffic * minutes > MOST_PROMPTS:
            raise UsageProblem(
                f"traffic must be a number of prompts a minute above 0, and at most {MOST_PROMPTS:,} prompts in all, "
                f"got {traffic} for {minutes} minutes"
            )
        times = sorted(draw() * minutes * 60 for _ in range(round(traffic * minutes)))
    else:
        times = sorted(float(each) for each in traffic)
        if not times or times[0] < 0 or len(times) > MOST_PROMPTS:
            raise UsageProblem("traffic as times must be seconds of 0 or more, at least one of them")
    return [
        Asked(at, number, profile.policy, order, int(draw() * kernels), prompt_tokens=None)
        for number, at in enumerate(times, 1)
    ]


@dataclass(slots=True)
class _Load:
    """What happened at one backend."""

    by_minute: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    requests: int = 0
    failures: int = 0
    limited: int = 0
    skipped: int = 0

    def fold(self, event: Event) -> None:
        match event:
            case AttemptStarted():
                self.requests += 1
                self.by_minute[int(event.at // 60)] += 1
            case AttemptFailed() if event.failure.kind is FailureKind.RATE_LIMIT:
                self.limited += 1
            case VisitSucceeded():
                self.seconds.append(event.seconds)
            case VisitFailed():
                self.failures += 1
            case BackendSkipped():
                self.skipped += 1


def _rows(names: Iterable[str], events: Iterable[Event]) -> list[tuple[object, ...]]:
    loads = defaultdict[str, _Load](_Load)
    for event in events:
        if (name := getattr(event, "backend", None)) is not None:
            loads[name].fold(event)
    answered = sum(len(each.seconds) for each in loads.values())
    return [
        (
            name,
            load.requests,
            max(load.by_minute.values(), default=0),
            len(load.seconds),
            load.failures,
            load.limited,
            load.skipped,
            len(load.seconds) / answered if answered else None,
            percentile(load.seconds, 0.5),
            percentile(load.seconds, 0.95),
        )
        for name in dict.fromkeys(names)
        for load in [loads[name]]
    ]
