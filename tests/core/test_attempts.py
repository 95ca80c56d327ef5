"""What an attempt meets that was never made, drawn from those that were."""

from __future__ import annotations

import math
import random
from statistics import median

import msgspec
import pytest

from llx_magic.core.attempts import FEW_REPLIES, Attempted, Attempts, changes, in_order, seen_in, strangeness
from llx_magic.core.events import (
    AttemptStarted,
    BackendSkipped,
    RequestStarted,
    SkipReason,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.failure import Failure, FailureKind, Limit
from llx_magic.core.outages import Outages, outages
from llx_magic.core.past import Past

NEVER = Outages((), begins_out=False, fails_up=0.0, fails_out=0.0)
ALWAYS = Outages((), begins_out=True, fails_up=0.0, fails_out=1.0)

DOWN = Failure(kind=FailureKind.SERVER, message="503 Service Unavailable", status=503)


def reply(at: float, seconds: float, model: str = "m") -> Attempted:
    return Attempted(at, seconds, seconds / 3, reply=came(at + seconds, seconds, model))


def came(at: float, seconds: float, model: str = "m") -> VisitSucceeded:
    return VisitSucceeded(
        at=at,
        request=1,
        backend="a",
        attempts=1,
        seconds=seconds,
        ttft=seconds / 3,
        prompt_tokens=None,
        completion_tokens=None,
        finish_reason=None,
        model=model,
        generating_seconds=0.0,
    )


def failed(at: float) -> Attempted:
    return Attempted(at, 0.1, failure=DOWN, has_failed=True)


def timed_out(at: float, seconds: float, ttft: float | None = None) -> Attempted:
    late = Failure(kind=FailureKind.TIMEOUT, message="too late", limit=Limit.TOTAL, limit_ms=round(seconds * 1000))
    return Attempted(at, seconds, ttft, failure=late, is_cut=True, has_failed=True)


def outrun(at: float, seconds: float) -> Attempted:
    return Attempted(at, seconds, is_cut=True, has_failed=True)


def draws(seed: int = 0):
    return random.Random(seed).random


def made(attempts: list[Attempted], draw) -> Attempts:
    every = in_order(attempts)
    return Attempts(every, outages(seen_in(every), draw, None, (0.0, 8000.0)))


def spread(count: int, usual: float, seed: int = 1, model: str = "m") -> list[Attempted]:
    draw = random.Random(seed)
    return [reply(20.0 * place, usual * math.exp(draw.gauss(0, 0.5)), model) for place in range(count)]


def seconds_drawn(attempts: Attempts, count: int = 400) -> list[float]:
    draw = draws(3)
    return [attempts.drawn(None, 20.0 * place, draw).seconds for place in range(count)]


def cut_at(limit: float) -> list[Attempted]:
    """400 replies of which those that take longer are cut in the midst of their text."""
    return [each if each.seconds <= limit else timed_out(each.at, limit, each.seconds / 3) for each in spread(400, 4.0)]


def test_a_reply_that_was_cut_in_the_midst_of_its_text_is_no_sign_of_an_outage():
    replies = made(cut_at(8.0), draws()).replies
    assert sum(each.is_cut for each in replies) == sum(each.seconds > 8 for each in spread(400, 4.0)) > 20


def test_where_no_reply_is_known_that_took_longer_one_goes_on_as_replies_get_rarer():
    attempts = made(cut_at(8.0), draws())
    draw, cut = draws(5), next(each for each in attempts.replies if each.is_cut)
    longer = [attempts.longer_than(cut, 100.0, draw) for _ in range(400)]
    assert all(each is not None and each.seconds > 8 for each in longer)
    really = [each.seconds for each in spread(4000, 4.0, seed=2) if each.seconds > 8]
    assert median(each.seconds for each in longer) == pytest.approx(median(really), rel=0.15)


def test_a_silence_beyond_all_replies_is_a_sign_of_an_outage_though_another_was_first():
    """While a hedge answers, nobody waits for the time-out of a backend that hangs."""
    hung = [outrun(each.at, 9.0) if 2000 <= each.at < 4000 else each for each in spread(400, 2.0)]
    attempts = made(hung, draws())
    assert attempts.longer_than(outrun(3000.0, 9.0), 3000.0, draws()) is None
    assert sum(attempts.drawn(None, 3000.0, draws(seed)).is_cut for seed in range(50)) > 45
    assert sum(attempts.drawn(None, 6000.0, draws(seed)).is_cut for seed in range(50)) < 5


def test_few_replies_lie_as_far_apart_as_those_of_others_around_what_is_usual_of_their_own():
    few, many = made(spread(3, 8.0, seed=4, model="slow"), draws()), made(spread(300, 1.0), draws())
    usual = few.usual_seconds
    few.borrow([few, many])
    assert len(few.replies) == FEW_REPLIES
    assert {each.reply.model for each in few.replies if each.reply} == {"slow"}
    told = seconds_drawn(few)
    assert usual is not None
    assert median(told) == pytest.approx(usual, rel=0.3)
    assert max(told) > 1.5 * usual


def test_enough_replies_borrow_nothing():
    own = made(spread(FEW_REPLIES, 8.0), draws())
    before = list(own.replies)
    own.borrow([made(spread(300, 1.0), draws())])
    assert list(own.replies) == before


def test_of_a_backend_that_was_never_asked_another_stands_for_its_times_and_not_for_its_outages():
    out = [failed(each.at) if 2000 <= each.at < 4000 else each for each in spread(400, 2.0)]
    like = made(out, draws()).of_one_like_it("new", 0, NEVER)
    assert {each.reply.model for each in like.replies if each.reply} == {"new"}
    assert median(seconds_drawn(like)) == pytest.approx(2.0, rel=0.2)
    assert not any(like.drawn(None, 3000.0, draws(seed)).has_failed for seed in range(50))
    assert made(out, draws()).of_one_like_it("new", 0, ALWAYS).drawn(None, 3000.0, draws()).has_failed


def test_what_stands_for_a_backend_that_nobody_asked_may_take_longer():
    like = made(spread(400, 2.0), draws()).of_one_like_it("new", 0, NEVER, 1.5)
    assert median(seconds_drawn(like)) == pytest.approx(3.0, rel=0.2)


@pytest.mark.parametrize(("replies", "least", "most"), [(0, 1.9, 2.1), (3, 1.3, 1.5), (99, 1.0, 1.1)])
def test_the_more_replies_are_known_the_less_strange_a_backend_is(replies, least, most):
    assert least < strangeness(1.0, replies) < most
    assert strangeness(0.0, replies) == 1.0


@pytest.mark.parametrize(("failures", "least", "most"), [(1, 0.1, 0.3), (5, 0.4, 0.65), (15, 0.7, 0.9)])
def test_the_oftener_it_only_failed_the_likelier_it_fails(failures, least, most):
    like, draw = made([*spread(300, 2.0), failed(7000.0)], draws()).of_one_like_it("new", failures, NEVER), draws(7)
    assert least < sum(like.drawn(None, 1.0, draw).has_failed for _ in range(400)) / 400 < most


def test_a_sample_is_of_the_same_replies_in_other_numbers():
    attempts = made(spread(100, 2.0), draws())
    before = {each.at for each in attempts.replies}
    attempts.sample(draws(1))
    after = [each.at for each in attempts.replies]
    assert len(after) == 100
    assert after == sorted(after)
    assert set(after) < before


def test_load_that_comes_and_goes_is_told_from_chance():
    steady = [each.seconds for each in spread(800, 2.0)]
    busy = [each * (2.0 if 300 <= place < 500 else 1.0) for place, each in enumerate(steady)]
    assert not changes(steady)
    assert changes(busy)


def test_where_load_comes_and_goes_what_is_drawn_is_from_about_that_time():
    busy = [reply(each.at, each.seconds * (4 if 6000 <= each.at < 10_000 else 1)) for each in spread(800, 2.0)]
    attempts = made(busy, draws())
    at_noon, at_night = (
        median(attempts.drawn(None, at, draw).seconds for _ in range(200))
        for at, draw in ((8000.0, draws(1)), (2000.0, draws(2)))
    )
    assert at_noon > 2.5 * at_night


def test_who_waited_until_a_model_was_loaded_waits_again_and_nobody_else():
    events = [
        RequestStarted(at=0.0, request=1, policy="failover", order=("a",)),
        VisitStarted(at=8.0, request=1, backend="a", is_probe=False),
        AttemptStarted(at=8.0, request=1, backend="a", attempt=1, attempts=1),
        came(9.0, 1.0),
        RequestStarted(at=20.0, request=2, policy="failover", order=("a",)),
        VisitStarted(at=20.0, request=2, backend="a", is_probe=False),
        RequestStarted(at=30.0, request=3, policy="failover", order=("b", "a")),
        VisitStarted(at=30.0, request=3, backend="b", is_probe=False),
        AttemptStarted(at=30.0, request=3, backend="b", attempt=1, attempts=1),
        VisitStarted(at=35.0, request=3, backend="a", is_probe=False),
    ]
    past = Past([events])
    assert [past.ready_after("a", request) for request in (1, 2, 3)] == [8.0, 0.0, 0.0]


def test_a_backend_that_could_never_be_asked_stays_so_for_its_reason():
    keyless = BackendSkipped(at=0.0, request=1, backend="b", reason=SkipReason.NOT_READY, message="no key")
    asked = AttemptStarted(at=0.0, request=1, backend="a", attempt=1, attempts=1)
    course = Past([[keyless, asked, came(1.0, 1.0)]]).course(draws())
    assert course.why_not("b", 2) == "no key"
    assert course.why_not("c", 2) is None


def test_what_stands_for_a_backend_that_nobody_asked_takes_none_of_the_draws_of_its_attempts():
    """Else a first trial of a past would draw other numbers than the next."""
    events = []
    for number in range(60):
        stamp = {"at": 20.0 * number, "request": number + 1}
        for backend in ("a", "b"):
            events.append(AttemptStarted(**stamp, backend=backend, attempt=1, attempts=1))
            ended = came(stamp["at"] + 1.0, 1.0 + number % 7)
            events.append(msgspec.structs.replace(ended, request=number + 1, backend=backend))
    course = Past([events]).course(draws())

    def told() -> list[Attempted]:
        course.draw = draws(3)
        return [course.meets(name, 100, 1, at)[0] for at in (100.0, 500.0, 900.0) for name in ("c", "d", "a")]

    assert told() == told()
