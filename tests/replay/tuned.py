"""The best change that tuning proposes for a random history, held against a real run under it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from llx_magic.core.totals import Totals, totals
from llx_magic.profiles.document import Profile
from llx_magic.replay.history import save
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.replaying import Replayer
from llx_magic.session.tuning import tune
from tests.engine.kit import settings_with
from tests.replay.profiles import member
from tests.replay.world import POLICIES, START, Script, asked_in, run, values_in

LESS_ANSWERED = 0.01
"""By how much the share of answered prompts may fall in a real run that is to be quicker."""


class Tuned(NamedTuple):
    """What was, what the best change would come to as the replay tells, and what it really comes to."""

    change: str
    was: Totals
    told: Totals
    truth: Totals

    @property
    def is_better(self) -> bool:
        """Whether a real run is quicker, and answers no fewer."""
        return self.truth.p95 < self.was.p95 and self.truth.success_rate >= self.was.success_rate - LESS_ANSWERED


def tuned_against_truth(seed: int, prompts: int, file: Path) -> Tuned | None:
    """Tune a random history for latency, and ask its world under the best change; None where nothing is proposed."""
    draw = random.Random(seed)
    names = ("a", "b", "c")[: draw.choice((2, 3))]
    asked = asked_in(draw, names, prompts)
    scripts = {name: Script(name, seed, asked[-1].at - START + 600) for name in names}
    values, policy = values_in(draw), draw.choice(POLICIES)
    was = run(scripts, asked, settings_with(**values), policy)
    save(file, was.events, "kernel", 0.0)
    in_force = {key: value for key, value in values.items() if value is not None}
    balancer = LoadBalancer(Profile("world", policy, tuple(map(member, names)), settings=in_force), isolated=True)
    best = tune(Replayer(balancer, file, 0), "latency").best
    if not best:
        return None
    trial = best[0].trial
    after = settings_with(**{**values, **trial.change.settings})
    truth = run(scripts, asked, after, trial.change.policy or policy, seed=2)
    return Tuned(
        str(trial.change),
        totals(was.prompts, was.events),
        trial.totals,
        totals(truth.prompts, truth.events),
    )
