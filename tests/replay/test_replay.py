"""``LoadBalancer.replay``: a row per prompt, beside what happened."""

from __future__ import annotations

import pytest

from llx_magic.core.events import RequestCancelled, RequestPutBack, RequestStarted
from llx_magic.core.past import Past
from llx_magic.errors import ProfileError, SettingError, UsageProblem
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.replaying import Change, Replayer
from tests.replay.profiles import asked, member, profile

ONCE = {"failover_retry_count": 1, "circuit_breaker_enabled": False}
SLOW = "ok, 503, slow:9000"


async def test_a_shorter_time_out_is_known_to_fail_what_took_longer():
    balancer = await asked(profile(member("a", SLOW), member("b"), **ONCE), 30)
    frame = balancer.replay({"timeout_ms": 5000})

    went_on = frame[frame["was_seconds"] > 5]
    assert len(went_on) == 10
    assert set(went_on["backend"]) == {"b"}
    assert (went_on["seconds"] > 5).all()
    assert (went_on["drawn"] == 1).all()  # what b would have answered; that a takes longer is known
    rest = frame[frame["was_seconds"] < 5]
    assert list(rest["backend"]) == list(rest["was_backend"])
    assert (rest["drawn"] == 0).all()


async def test_what_was_never_asked_is_taken_to_answer_as_another_does():
    balancer = await asked(profile(member("a", "ok, slow:9000"), member("b", latency_ms=70_000), **ONCE))
    frame = balancer.replay({"timeout_ms": 5000})
    went_on = frame[frame["backend"] == "b"]
    assert len(went_on) > 0
    assert (went_on["drawn"] > 0).all()
    assert (frame[frame["outcome"] == "failed"]["attempts"] == 2).all()


async def test_an_attempt_that_was_cut_goes_on_as_longer_ones_did():
    balancer = LoadBalancer(profile(member("a", "slow:9000"), member("b")), isolated=True)
    for number in range(10):
        await balancer.ask("long", settings={"timeout_ms": 5000 if number % 5 == 0 else 60_000})
        await balancer.clock.sleep(60)
    cut = balancer.replay().query("was_backend == 'b'")
    assert len(cut) == 2
    assert list(cut["backend"]) == ["a", "a"]
    assert list(cut["seconds"].round(3)) == [9.0, 9.0]
    assert (cut["drawn"] == 1).all()


async def test_another_policy_asks_the_others_in_turn():
    balancer = await asked(profile(member("a", "ok, ok, 503"), member("b"), **ONCE), 30)
    frame = balancer.replay(policy="roundrobin")
    assert list(frame["backend"].iloc[:4].isin(["a", "b"])) == [True] * 4
    assert frame["backend"].value_counts()["b"] >= 12
    assert 0 < frame.attrs["drawn_share"] < 1


def test_a_row_that_was_put_back_and_cancelled_is_cancelled_as_long_after_it_was_asked_again():
    """The seconds of its last event count from when it was first sent."""
    asked_once, again = (
        RequestStarted(at=at, request=1, policy="failover", order=("a",), waited=at) for at in (0.0, 60.0)
    )
    back = RequestPutBack(at=1.0, request=1, seconds=1.0)
    cancelled = RequestCancelled(at=62.0, request=1, seconds=62.0)
    [one] = Past([[asked_once, back, again, cancelled]]).asked_of(["a"])
    assert (one.at, one.cancelled_after) == (60.0, 2.0)


async def test_round_robin_goes_on_at_the_turn_that_it_had():
    balancer = LoadBalancer(profile(member("a"), member("b"), member("c"), policy="roundrobin"), isolated=True)
    await balancer.ask("one")
    balancer.reset_statistics()
    for number in range(5):
        await balancer.ask(f"prompt {number}")
    frame = balancer.replay()
    assert list(frame["backend"]) == list(frame["was_backend"]) == ["b", "c", "a", "b", "c"]
    assert frame.attrs["drawn_share"] == 0


async def test_the_frame_says_what_cannot_be_told_and_why():
    balancer = await asked(profile(member("a", "ok, ok, slow:9000"), member("b")), 60)
    assert balancer.replay(policy="roundrobin").attrs["cannot_be_told"]["p95"] == "b was never asked"
    assert balancer.replay().attrs["cannot_be_told"] == {}


@pytest.mark.parametrize("script", ["503, 503, 503, ok", "ok, slow:9000, 503", "429:30, ok"])
@pytest.mark.parametrize("pause", [0.0, 0.7, 1.0], ids=str)
@pytest.mark.parametrize("is_saved", [False, True], ids=["remembered", "saved"])
async def test_under_the_same_settings_every_tie_is_decided_as_it_was(script, pause, is_saved, tmp_path):
    """A prompt begins just when the last one has ended, or when a circuit's or a cool-down's wait ends."""
    fast = {"failover_retry_count": 1, "timeout_ms": 5000, "circuit_breaker_failure_threshold": 1}
    balancer = await asked(profile(member("a", script), member("b", latency_ms=2000), **fast), 60, pause)
    history = tmp_path / "history.jsonl" if is_saved else None
    if history is not None:
        balancer.save_history(history)
    frame = balancer.replay(history=history)
    assert frame.attrs["drawn_share"] == 0
    assert list(frame["backend"]) == list(frame["was_backend"])
    assert list(frame["seconds"].round(3)) == list(frame["was_seconds"].round(3))


async def test_the_same_seed_tells_the_same():
    balancer = await asked(profile(member("a", "ok, ok, 503"), member("b")), 30)
    first, again = (balancer.replay(policy="roundrobin", seed=7) for _ in range(2))
    assert first.equals(again)


async def test_what_was_done_by_hand_is_done_again():
    balancer = await asked(profile(member("a"), member("b")), 2)
    balancer.open_circuit("a")
    await balancer.ask("a is open")
    frame = balancer.replay()
    assert list(frame["backend"]) == ["a", "a", "b"]


async def test_nothing_is_changed_and_nothing_is_sent():
    balancer = await asked(profile(member("a", "503"), member("b")), 5)
    before = balancer.snapshot(), balancer.events()
    balancer.replay({"circuit_breaker_failure_threshold": 1})
    assert balancer.snapshot() == before[0]
    assert balancer.events().equals(before[1])


async def test_wrong_words_are_refused_in_one_line():
    balancer = await asked(profile(member("a"), member("b")), 1)
    with pytest.raises(SettingError, match="timeout_ms must be a number of milliseconds, got 'soon'"):
        balancer.replay({"timeout_ms": "soon"})
    with pytest.raises(ProfileError, match="unknown policy 'quickest'"):
        balancer.replay(policy="quickest")


def test_a_profile_that_was_not_asked_has_nothing_to_replay():
    with pytest.raises(UsageProblem, match=r"no prompt of pair that has ended is remembered.*ask it first"):
        LoadBalancer(profile(member("a"), member("b")), isolated=True).replay()


async def test_rows_that_were_put_back_are_prompts_that_were_answered(tmp_path):
    """From a map whose backends refuse, to a replay and to one of its saved history."""
    flaky = profile(member("a", "429:30, ok"), member("b", "503, ok"))
    balancer = LoadBalancer(flaky, isolated=True)
    await balancer.map(range(12), "say {{ row }}", store=tmp_path / "replies.sqlite")
    balancer.save_history(tmp_path / "map.jsonl")
    assert sum(balancer.history().outcome == "put back") > 0

    for history in (None, tmp_path / "map.jsonl"):
        was = Replayer(balancer, history, 0).was_totals
        assert (was.prompts, was.answered, was.failed) == (12, 12, 0)
        frame = balancer.replay({"timeout_ms": 5000}, history=history)
        assert list(frame["was_outcome"]) == ["answered"] * 12


async def test_the_same_trial_again_comes_to_the_same_where_a_backend_was_never_asked():
    members = (member("a", "ok, slow:9000"), member("b", "slow:4000", latency_ms=2000), member("c"))
    balancer = LoadBalancer(profile(*members, **ONCE), isolated=True)
    for number in range(30):
        await balancer.ask("why", backend="ab"[number % 2])
        await balancer.clock.sleep(10)
    await balancer.ask("why")
    replayer = Replayer(balancer, None, 0)
    change = Change({"timeout_ms": 3000}, "roundrobin")
    first, *others = (replayer.try_out(change, 3).expected for _ in range(3))
    assert others == [first, first]


async def test_the_latest_prompts_alone_can_be_looked_at():
    balancer = await asked(profile(member("a", "429:30, ok"), member("b")), 10)
    assert [each.request for each in Replayer(balancer, None, 0, 4).asked] == [7, 8, 9, 10]
    assert len(Replayer(balancer, None, 0, 40).asked) == 10


def impatient():
    """A profile whose first backend has its first text after 3 s and its last after 5.8 s, and is not waited for."""
    slow = member("slow", latency_ms=3000, completion_tokens=28, tokens_per_second=10)
    good = member("good", latency_ms=200)
    return profile(slow, good, first_token_timeout_ms=2000, failover_retry_count=1)


@pytest.mark.parametrize("prompts", [5, 30])
@pytest.mark.parametrize("change", [{"first_token_timeout_ms": 4000}, {"first_token_timeout_ms": None}], ids=str)
async def test_what_hangs_on_a_backend_that_never_answered_cannot_be_told(prompts, change):
    balancer = await asked(impatient(), prompts, pause=1)
    would = balancer.replay(change)
    assert set(would.attrs["cannot_be_told"]) == {"p50", "p95"}
    assert would.attrs["cannot_be_told"]["p95"].startswith("slow was asked ")
    assert would.attrs["cannot_be_told"]["p95"].endswith(" times and never answered")
    least, greatest = would.attrs["p95_from_to"]
    assert least < 5.8 < greatest


async def test_what_is_known_without_a_backend_that_never_answered_is_told():
    balancer = await asked(impatient(), 5, pause=1)
    assert balancer.replay({"first_token_timeout_ms": 1000}).attrs["cannot_be_told"] == {}
    assert balancer.replay().attrs["drawn_share"] == 0


async def test_a_reply_that_only_began_is_no_answer():
    slow = member("slow", latency_ms=3000, completion_tokens=28, tokens_per_second=10)
    quick_to_leave = profile(slow, member("good", latency_ms=200), timeout_ms=4000, failover_retry_count=1)
    balancer = await asked(quick_to_leave, 5, pause=1)
    assert set(balancer.replay({"timeout_ms": 5000}).attrs["cannot_be_told"]) == {"p50", "p95"}


async def test_one_that_always_refused_at_once_is_known_to_do_so():
    balancer = await asked(profile(member("down", "503"), member("good", latency_ms=200), **ONCE), 30)
    assert balancer.replay({"timeout_ms": 30_000}).attrs["cannot_be_told"] == {}
    assert balancer.replay({"failover_retry_count": 2}).attrs["cannot_be_told"] == {}
