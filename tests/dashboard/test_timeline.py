"""The recent past of a profile: what a live view is drawn from."""

from __future__ import annotations

import itertools
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.events import (
    BackendAdded,
    BackendRemoved,
    CoolDownEnded,
    CoolDownStarted,
    Event,
    ReplyRestarted,
    RequestAnswered,
    RequestFailed,
    RequestPutBack,
    RequestStarted,
    VisitCancelled,
    VisitFailed,
    VisitSucceeded,
)
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.tokens import TokenWindow
from llx_magic.dashboard.lane import CHANGES_KEPT, CONDENSED_KEPT, TOGETHER_SECONDS, VISITS_KEPT
from llx_magic.dashboard.latest import EVENTS_PER_ROUND, LATEST_KEPT, RUNNING_KEPT, STRIKING_KEPT
from llx_magic.dashboard.timeline import Timeline
from tests.engine.kit import DOWN, backend_snapshot, circuit_changed


def started(request: int, at: float = 0.0) -> Event:
    return RequestStarted(at=at, request=request, policy="failover", order=("a",))


def answered(at: float, *, seconds: float = 1.0, tokens: int | None = 60, tpm: float | None = None) -> Event:
    return VisitSucceeded(
        at=at, request=1, backend="a", attempts=1, seconds=seconds, ttft=0.1, prompt_tokens=0,
        completion_tokens=tokens, finish_reason="stop", model="m", generating_seconds=0.5, tpm=tpm,
    )  # fmt: skip


def replies(*ends: float) -> list[Event]:
    """Replies of a second and 60 tokens each, with what the load balancer measured after each."""
    window, told = TokenWindow(), []
    for at in ends:
        window.add(at - 1.0, at, 60)
        told.append(answered(at, tpm=window.rate(at, "elapsed")))
    return told


def failed(at: float) -> Event:
    return VisitFailed(at=at, request=1, backend="a", attempts=1, failure=DOWN, seconds=0.5)


def ended(request: int, at: float, *, seconds: float = 1.0) -> Event:
    return RequestAnswered(at=at, request=request, backend="a", attempts=1, seconds=seconds)


def failures(timeline: Timeline, now: float, span: float = 60.0) -> int:
    return sum(each.visits for each in strip(timeline, now, span).visits if each.kind == "failed")


def opened(at: float, failures: int | None = 3) -> Event:
    return circuit_changed(at, Cause.PROBE_FAILED if failures is None else Cause.FAILURES, failures=failures)


def half_opened(at: float) -> Event:
    return circuit_changed(at, Cause.RECOVERY_TIME)


def closed(at: float) -> Event:
    return circuit_changed(at, Cause.RECOVERED)


def folded(*events: Event) -> Timeline:
    timeline = Timeline()
    for event in events:
        timeline.fold(event)
    return timeline


def looked_at(timeline: Timeline, now: float, span: float = 60.0, state: str = "closed", tpm: float | None = None):
    backends = (backend_snapshot("a", state=state, tpm=tpm),)
    return timeline.view(Snapshot(profile="lb", at=now, backends=backends), span)


def strip(timeline: Timeline, now: float, span: float = 60.0, state: str = "closed"):
    return looked_at(timeline, now, span, state).strips[0]


def states(timeline: Timeline, now: float, span: float = 60.0, state: str = "closed"):
    return [(each.state, each.begin, each.end) for each in strip(timeline, now, span, state).periods]


def test_nothing_is_drawn_before_anything_is_known() -> None:
    assert strip(Timeline(), 100.0, state="disabled").periods == ()
    assert states(folded(started(1, at=90.0)), 100) == [("closed", 90, 100)]


def test_nothing_is_drawn_where_changes_are_no_longer_remembered() -> None:
    timeline = Timeline()
    timeline.catch_up(lambda: (started(1, 20.0), opened(30.0), started(9, 60.0)), 50.0)
    assert states(timeline, 100, state="open") == [("open", 50, 100)]


def test_a_recovery_is_closed_open_half_open_closed() -> None:
    timeline = folded(started(1), opened(50), half_opened(80), closed(81))
    assert states(timeline, 100) == [("closed", 40, 50), ("open", 50, 80), ("half-open", 80, 81), ("closed", 81, 100)]


def test_a_probe_that_fails_or_is_given_back_leads_back_to_open() -> None:
    timeline = folded(
        started(1),
        opened(50),
        half_opened(60),
        opened(61, None),
        half_opened(70),
        circuit_changed(71, Cause.PROBE_RETURNED),
    )
    assert [each[0] for each in states(timeline, 100, state="open")] == [
        "closed", "open", "half-open", "open", "half-open", "open",
    ]  # fmt: skip


def test_what_came_before_the_oldest_change_follows_from_the_change() -> None:
    assert states(folded(started(1), closed(50)), 100) == [("half-open", 40, 50), ("closed", 50, 100)]


def test_a_change_before_the_view_gives_the_state_at_its_beginning() -> None:
    assert states(folded(started(1), opened(10), half_opened(90)), 100, state="half-open") == [
        ("open", 40, 90),
        ("half-open", 90, 100),
    ]


def test_the_state_of_now_is_the_one_that_is_given() -> None:
    """A breaker that was switched off tells no event."""
    assert states(folded(started(1), opened(50)), 100, state="disabled")[-1] == ("disabled", 50, 100)


@pytest.mark.parametrize("before", ["closed", "open", "half-open"])
def test_a_circuit_set_by_hand_tells_what_it_was_before(before: str) -> None:
    by_hand = circuit_changed(70, Cause.BY_HAND, request=0, before=before, after="closed")
    assert states(folded(started(1), by_hand), 100) == [(before, 40, 70), ("closed", 70, 100)]


def test_a_backend_that_was_replaced_begins_anew_and_a_removed_one_ends() -> None:
    removed = BackendRemoved(at=70, request=0, backend="a", before=CircuitState.OPEN)
    added = BackendAdded(at=80, request=0, backend="a")
    assert states(folded(started(1), removed), 100) == [("open", 40, 70)]
    assert states(folded(started(1), removed, added), 100) == [("open", 40, 70), ("closed", 80, 100)]


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 3)), max_size=30), st.floats(1, 3600))
def test_periods_cover_the_view_without_gap_or_overlap_from_the_first_event_on(
    steps: list[tuple[float, int]], span: float
) -> None:
    at, timeline = 0.0, folded(started(1))
    for wait, kind in steps:
        at += wait
        timeline.fold([opened, half_opened, closed, failed][kind](at))
    view = looked_at(timeline, at, span)
    periods = view.strips[0].periods
    assert periods[0].begin == max(view.since, 0.0)
    assert periods[-1].end == at
    assert all(one.end == following.begin for one, following in itertools.pairwise(periods))
    assert all(each.begin <= each.end for each in periods)


def test_a_cool_down_ends_early_where_a_request_got_through() -> None:
    timeline = folded(
        CoolDownStarted(at=50, request=1, backend="a", seconds=40), CoolDownEnded(at=60, request=2, backend="a")
    )
    assert strip(timeline, 100).cool_downs == ((50, 60),)


def test_visits_outside_the_view_are_left_out() -> None:
    assert [each.end for each in strip(folded(failed(10), failed(50)), 100).visits] == [50]


def test_every_visit_says_how_it_ended_and_how_long_it_took() -> None:
    cancelled = VisitCancelled(at=95, request=1, backend="a", attempts=1, seconds=0.2)
    found = strip(folded(answered(90, seconds=0.7), failed(91), cancelled), 100).visits
    assert [(each.kind, each.end, each.low, each.reason) for each in found] == [
        ("answered", 90, 0.7, ""),
        ("failed", 91, 0.5, "503"),
        ("cancelled", 95, 0.2, ""),
    ]


def test_no_visit_of_the_last_hour_is_lost_however_many_there_were() -> None:
    """Older ones are put together by the way they ended, within half a minute."""
    timeline = folded(*(each for at in range(3000) for each in (answered(float(at), seconds=at / 1000), failed(at))))
    found = strip(timeline, 3000, 3600.0).visits
    assert sum(each.visits for each in found) == 6000
    assert len(found) <= VISITS_KEPT + CONDENSED_KEPT
    assert max(each.end - each.begin for each in found) <= TOGETHER_SECONDS
    assert (found[0].low, found[0].high) == (0.0, 0.029)


def test_the_axis_begins_where_the_data_does_and_is_as_long_as_was_asked_at_most() -> None:
    early = folded(started(1, 40.0))
    assert looked_at(early, 100.0, 300.0).since == 40.0
    assert looked_at(early, 100.0, 60.0).since == 40.0
    assert looked_at(early, 500.0, 300.0).since == 200.0
    assert looked_at(early, 41.0, 300.0).since == 31.0


def test_tokens_per_minute_are_those_by_which_is_decided() -> None:
    """Each sample is what the window of the gate gives for its moment."""
    timeline, window = folded(*replies(10, 31)), TokenWindow()
    points = dict(looked_at(timeline, 60, tpm=123.0).strips[0].tpm)
    window.add(9.0, 10.0, 60)
    assert points[20.0] == window.rate(20.0, "elapsed")
    window.add(30.0, 31.0, 60)
    assert points[50.0] == window.rate(50.0, "elapsed")
    assert points[60.0] == 123.0


@pytest.mark.parametrize("span", [60.0, 300.0, 3600.0])
def test_a_view_that_ends_ahead_of_the_moment_forgets_no_reply_before_its_time(span: float) -> None:
    window = TokenWindow()
    window.add(9.0, 10.0, 60)
    timeline = folded(*replies(10))
    now, step = 308.0, span / 150
    snapshot = Snapshot(profile="lb", at=now, backends=(backend_snapshot("a", tpm=window.rate(now, "elapsed")),))
    points = dict(timeline.view(snapshot, span, math.ceil(now / step) * step).strips[0].tpm)
    assert points[max(at for at in points if at <= now)] is not None
    assert None not in [rate for at, rate in points.items() if 12 <= at <= 308]


def test_tokens_per_minute_are_unknown_before_the_first_reply_with_usage() -> None:
    timeline = folded(started(1), answered(10, tokens=None), *replies(40))
    curve = looked_at(timeline, 60, tpm=60.0).strips[0].tpm
    assert all((value is None) == (at <= 40) for at, value in curve)


def test_a_rate_whose_replies_are_forgotten_is_the_one_that_was_measured_or_unknown() -> None:
    """After a reset few replies are remembered, and their own rate would read far too high."""
    timeline = folded(answered(100, tpm=640.0))
    curve = dict(looked_at(timeline, 110, tpm=610.0).strips[0].tpm)
    assert curve == {at: 640.0 if at in (100, 102) else 610.0 if at == 110 else None for at in curve}


def test_a_curve_has_about_thirty_points_in_every_span() -> None:
    timeline = folded(*replies(*range(0, 4000, 20)))
    for span in (60.0, 300.0, 3600.0):
        assert 20 <= len(strip(timeline, 4000, span).tpm) <= 45


def test_the_latest_requests_are_there_newest_first() -> None:
    timeline = folded(*(started(number) for number in range(1, 10)))
    assert [prompt.trace.request for prompt in looked_at(timeline, 1.0).prompts] == [9, 8, 7, 6]


def test_those_that_failed_or_were_slow_stay_longer() -> None:
    timeline = Timeline()
    for number in range(1, 30):
        timeline.fold(started(number, float(number)))
        if number == 12:
            timeline.fold(RequestFailed(at=number + 0.5, request=number, message="nobody", seconds=0.5))
        else:
            timeline.fold(ended(number, number + 0.5, seconds=9.0 if number == 20 else 1.0))
    view = looked_at(timeline, 30.0)
    assert [(prompt.trace.request, prompt.is_slow) for prompt in view.prompts] == [
        (29, False), (28, False), (27, False), (26, False), (20, True), (12, False),
    ]  # fmt: skip


def unanswered(request: int, at: float) -> Event:
    return RequestFailed(at=at, request=request, message="nobody", seconds=1.0)


def put_back(request: int, at: float) -> Event:
    return RequestPutBack(at=at, request=request, seconds=1.0)


def restarted(request: int, at: float) -> Event:
    return ReplyRestarted(at=at, request=request, failed="a", reason="503", next="b", words=7)


def requests_shown(timeline: Timeline, now: float = 100.0) -> list[int]:
    return [prompt.trace.request for prompt in looked_at(timeline, now).prompts]


MANY_AT_ONCE = [LATEST_KEPT + 1, 12, LATEST_KEPT + RUNNING_KEPT]


@pytest.mark.parametrize("at_once", MANY_AT_ONCE)
def test_one_that_failed_stays_however_many_newer_ones_run(at_once: int) -> None:
    timeline = folded(*(started(n, float(n)) for n in range(1, at_once + 1)), unanswered(1, 1000.0))
    assert requests_shown(timeline, 1100.0)[LATEST_KEPT:] == [1]


@pytest.mark.parametrize("at_once", MANY_AT_ONCE)
def test_one_that_was_slow_stays_however_many_newer_ones_run(at_once: int) -> None:
    quick = [each for n in range(1, 9) for each in (started(n, n), ended(n, n))]
    timeline = folded(*quick, *(started(n, float(n)) for n in range(10, 10 + at_once)))
    timeline.fold(ended(10, 1000.0, seconds=990.0))
    assert [(each.trace.request, each.is_slow) for each in looked_at(timeline, 1100.0).prompts[LATEST_KEPT:]] == [
        (10, True)
    ]


def test_those_that_stay_are_listed_by_when_they_were_asked_and_not_by_when_they_ended() -> None:
    timeline = folded(*(started(n, float(n)) for n in range(1, 9)), unanswered(2, 20.0), unanswered(1, 21.0))
    assert requests_shown(timeline) == [8, 7, 6, 5, 2, 1]


def test_one_that_was_answered_as_most_are_does_not_stay() -> None:
    quick = [each for n in range(1, 9) for each in (started(n, n), ended(n, n))]
    timeline = folded(*quick, *(started(n, float(n)) for n in range(10, 20)), ended(10, 30.0))
    assert requests_shown(timeline) == [19, 18, 17, 16]


def test_of_those_that_run_for_ever_no_more_are_followed_than_fit() -> None:
    timeline = folded(*(started(n, float(n)) for n in range(1, 5000)))
    timeline.fold(unanswered(1, 6000.0))
    timeline.fold(unanswered(4990, 6001.0))
    assert requests_shown(timeline, 6100.0)[LATEST_KEPT:] == [4990]


def test_a_row_that_was_put_back_is_shown_once_whatever_became_of_it_before() -> None:
    """It comes again under its own number."""
    row = [started(1), restarted(1, 1.0), put_back(1, 2.0)]
    timeline = folded(*row, *(started(n, float(n)) for n in range(3, 8)))
    assert requests_shown(timeline) == [7, 6, 5, 4]
    timeline.fold(started(1, 20.0))
    assert requests_shown(timeline) == [1, 7, 6, 5]


def test_a_row_that_failed_and_is_asked_again_is_shown_once() -> None:
    timeline = folded(started(1), unanswered(1, 1.0), *(started(n, float(n)) for n in range(3, 8)), started(1, 20.0))
    assert requests_shown(timeline) == [1, 7, 6, 5]


def test_a_row_that_runs_again_is_told_as_running_however_much_happened_before() -> None:
    again = started(1, 9.0)
    timeline = folded(started(1), *(failed(1.0) for _ in range(EVENTS_PER_ROUND)), put_back(1, 8.0), again)
    assert looked_at(timeline, 10.0).prompts[0].trace.events[-1] == again


def test_the_steps_of_a_rows_last_round_are_told_whole() -> None:
    timeline = folded(
        started(1), *(failed(1.0) for _ in range(EVENTS_PER_ROUND - 2)), put_back(1, 8.0), started(1, 9.0)
    )
    timeline.fold(failed(10.0))
    assert looked_at(timeline, 11.0).prompts[0].trace.events[-1] == failed(10.0)


def test_of_a_row_that_is_put_back_again_and_again_a_bounded_past_is_kept() -> None:
    """When it was first asked, and that it was put back, remain."""
    timeline = folded(*(each for n in range(3000) for each in (started(1, 2.0 * n), put_back(1, 2.0 * n + 1))))
    trace = looked_at(timeline, 6000.0).prompts[0].trace
    assert len(trace) <= 2 * EVENTS_PER_ROUND + 1
    assert (trace.events[0].at, trace.events[-1]) == (0.0, put_back(1, 5999.0))


def test_of_few_prompts_none_is_slow() -> None:
    timeline = folded(*(each for n in (1, 2, 3) for each in (started(n, n), ended(n, n, seconds=10.0**n))))
    assert not any(prompt.is_slow for prompt in looked_at(timeline, 4.0).prompts)


def test_the_end_of_a_request_is_kept_however_many_events_it_had() -> None:
    timeline = folded(started(1), *(failed(1.0) for _ in range(EVENTS_PER_ROUND + 50)))
    end = RequestAnswered(at=2.0, request=1, backend="a", attempts=1, seconds=2.0)
    timeline.fold(end)
    trace = looked_at(timeline, 2.0).prompts[0].trace
    assert trace.events[-1] == end
    assert len(trace) <= EVENTS_PER_ROUND + 1


def test_what_is_kept_is_bounded() -> None:
    timeline = Timeline()
    for number in range(3 * CHANGES_KEPT):
        for event in (started(number, number), failed(number), opened(number), closed(number)):
            timeline.fold(event)
    view = looked_at(timeline, 3 * CHANGES_KEPT, 3600.0)
    assert len(view.strips[0].periods) <= CHANGES_KEPT + 1
    assert len(view.strips[0].visits) <= VISITS_KEPT + CONDENSED_KEPT
    assert len(view.prompts) <= LATEST_KEPT + STRIKING_KEPT


def test_an_idle_year_is_passed_over_at_once() -> None:
    timeline = folded(*replies(10, 3.0e7))
    assert strip(timeline, 3.0e7 + 10).tpm[-2][1] is not None


def test_an_event_that_is_told_while_catching_up_counts_once() -> None:
    """An event is recorded before it is told, so it can be in the backlog and still come."""
    event, timeline = failed(50), Timeline()
    timeline.fold(event)
    timeline.catch_up(lambda: (event,), 0.0)
    timeline.fold(event)
    assert failures(timeline, 60) == 1


def test_reset_forgets_counts_and_keeps_circuits_and_rates() -> None:
    timeline = folded(started(1), *replies(40), failed(45), opened(50))
    timeline.reset()
    view = looked_at(timeline, 60.0, state="open")
    only = view.strips[0]
    assert (view.prompts, only.visits) == ((), ())
    assert only.periods[-1].state == "open"
    assert only.tpm[-2][1] is not None


def test_events_may_come_from_many_threads_while_it_is_read() -> None:
    timeline = Timeline()

    def tell() -> None:
        for at in range(300):
            timeline.fold(started(at, at))
            timeline.fold(failed(at))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        looked_at(timeline, 300.0, 300.0)
    assert failures(timeline, 300, 300) == 1200
