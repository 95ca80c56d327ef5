"""The line before a backend that limits its rate, over random histories: in order, one first, and nobody lost."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llx_magic.core.cooldown import CoolDown
from llx_magic.core.line import Patience

FOR_EVER = Patience(since=0.0, limit=math.inf)


class LineAgainstModel(RuleBasedStateMachine):
    """Requests join, leave, are called, answered, refused and cancelled; time passes; somebody lifts the cool-down."""

    def __init__(self) -> None:
        super().__init__()
        self.cool_down = CoolDown()
        self.now = 0.0
        self.numbers = iter(range(1, 10**6))
        self.waiting: set[int] = set()
        self.visiting: set[int] = set()

    @rule()
    def somebody_comes(self):
        """Who is refused waits; who is let in visits."""
        number = next(self.numbers)
        if self.cool_down.refuses(number, self.now):
            self.cool_down.join(number, FOR_EVER)
            self.waiting.add(number)
        else:
            assert not self.waiting, f"{number} was let in before {min(self.waiting)}"
            self.cool_down.admit(number)
            self.visiting.add(number)

    @rule()
    def places_are_given(self):
        while (number := self.cool_down.call_next(self.now)) is not None:
            assert number == min(self.waiting), "not the one that came first"
            self.waiting.remove(number)
            self.visiting.add(number)
            assert not self.cool_down.refuses(number, self.now)

    @precondition(lambda self: self.visiting)
    @rule(which=st.integers(0, 30), outcome=st.sampled_from(["answered", "answered", "refused", "cancelled"]))
    def a_visit_ends(self, which, outcome):
        number = sorted(self.visiting)[which % len(self.visiting)]
        if outcome == "refused":
            self.cool_down.start(number, self.now, 2.0, will_retry=False)
        conclusive = outcome == "answered"
        self.cool_down.settle(number, self.now, conclusive=conclusive)
        self.visiting.remove(number)
        if outcome == "refused":
            self.cool_down.join(number, FOR_EVER)
            self.waiting.add(number)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 30))
    def somebody_leaves(self, which):
        number = sorted(self.waiting)[which % len(self.waiting)]
        self.cool_down.leave(number)
        self.waiting.remove(number)

    @rule(seconds=st.sampled_from([0.5, 2.0, 9.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def it_is_lifted(self):
        self.cool_down.lift()

    @invariant()
    def the_line_is_who_waits(self):
        assert self.cool_down.has_line == bool(self.waiting)

    @invariant()
    def while_it_cools_down_nobody_is_called(self):
        if self.cool_down.seconds_left(self.now):
            assert self.cool_down.call_next(self.now) is None

    def teardown(self):
        """Once the cool-down is over and every visit is answered, everybody who waits has been called."""
        self.now += 3600.0
        for _ in range(2 * len(self.waiting) + 2):
            for number in sorted(self.visiting):
                self.cool_down.settle(number, self.now, conclusive=True)
            self.visiting.clear()
            self.places_are_given()
        assert not self.waiting


TestLineAgainstModel = LineAgainstModel.TestCase
TestLineAgainstModel.settings = settings(stateful_step_count=40, suppress_health_check=list(HealthCheck))
