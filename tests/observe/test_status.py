"""The sentence on how a profile is, and the line of each backend: every state in words, calm where all is well."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.routing import FAILOVER, ROUTINGS
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import Prompts
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe.status.sentence import MOST_NAMED
from llx_magic.observe.status.standing import State
from llx_magic.observe.status.status import MARK, status_of
from tests.engine.kit import backend_snapshot, balancer, clock_of, simulated


def of(*backends: BackendSnapshot, policy: str = "failover", **more) -> Snapshot:
    return Snapshot(profile="work", at=0.0, backends=backends, policy=policy, **more)


def well(name: str, p50: float = 0.9, **more) -> BackendSnapshot:
    known = {
        "requests": 5,
        "successes": 5,
        "success_rate": 1.0,
        "p50_latency": p50,
        "p95_latency": 2 * p50,
        "ttft": 0.3,
    }
    return backend_snapshot(name, **{**known, **more})


def out(name: str, left: float = 12.0, **more) -> BackendSnapshot:
    broken = {"state": "open", "seconds_until_probe": left, "failures": 3, "success_rate": 0.625,
              "in_vain": (("503", 3),), "opened_by": Cause.FAILURES}  # fmt: skip
    return well(name, **{**broken, **more})


def cooling(name: str, left: float, **more) -> BackendSnapshot:
    return well(name, cooling_down=left, **more)


new = backend_snapshot

SENTENCES = {
    "All three answer.": of(well("fast"), well("deep"), well("mine")),
    "Both answer.": of(well("fast"), well("deep")),
    "All three answer; deep is slow (half within 9 s, 900 ms is usual).": of(
        well("fast"), well("deep", 9), well("mine")
    ),
    "fast answers, deep and mine are spare; deep is slow (half within 9 s, 900 ms is usual).": of(
        well("fast"), well("deep", 9), new("mine")
    ),
    "a answers. a is slow (half within 9 s, 900 ms is usual). c is out: 503 three times, next try in 12 s.": of(
        well("a", 9), well("b"), out("c")
    ),
    "All four answer; b and c are slow.": of(well("a"), well("b", 9), well("c", 8), well("d"), policy="roundrobin"),
    "a is out: 503 three times, next try in 12 s. b and c answer instead. "
    "c is slow (half within 9 s, 900 ms is usual).": of(out("a"), well("b"), well("c", 9), policy="roundrobin"),
    "fast answers.": of(well("fast"), policy="single"),
    "fast answers, deep and mine are spare.": of(well("fast"), new("deep"), new("mine")),
    "fast has not answered yet, deep is spare.": of(new("fast", requests=1, in_flight=1), new("deep")),
    "Nobody has been asked yet: fast is first, deep and mine are spare.": of(new("fast"), new("deep"), new("mine")),
    "Nobody has been asked yet: there are a and b.": of(new("a"), new("b"), policy="roundrobin"),
    "a answers, b is not asked yet.": of(well("a"), new("b"), policy="roundrobin"),
    "fast is out: 503 three times, next try in 12 s. deep answers instead, slower (2.1 s instead of 900 ms).": of(
        out("fast"), well("deep", 2.1), well("mine")
    ),
    "fast is out: 503 three times, the next prompt tries it. deep answers instead, faster (500 ms instead of 900 ms).":
        of(out("fast", 0.0), well("deep", 0.5)),
    "fast is out: opened by hand, next try in 12 s. deep is asked instead; it has not answered yet.": of(
        out("fast", opened_by=Cause.BY_HAND), new("deep")
    ),
    "fast is out: 503 three times, a prompt is trying it again. deep answers instead, as fast (900 ms).": of(
        out("fast", 0.0, state="half-open"), well("deep")
    ),
    "fast is out, next try in 1 min 30 s. deep answers instead (half within 900 ms).": of(
        out("fast", 89.2, in_vain=(), p50_latency=None), well("deep")
    ),
    "fast answers. deep is out: 503 three times, next try in 12 s.": of(well("fast"), out("deep"), well("mine")),
    "fast is cooling down after a rate limit, next try in 41 s. "
    "deep answers instead, about as fast (910 ms instead of 900 ms).": of(cooling("fast", 41.0), well("deep", 0.91)),
    "fast comes back from cooling down, one prompt goes first. deep answers instead, as fast (900 ms).": of(
        cooling("fast", 0.0), well("deep")
    ),
    "fast is below its floor (499.7 of 500 tokens per minute). deep answers instead, as fast (900 ms).": of(
        well("fast", tpm=499.7, tpm_threshold=500.0), well("deep")
    ),
    "fast is failing: 503 once and time-out twice. deep answers instead, as fast (900 ms).": of(
        well("fast", in_vain=(("503", 1), ("time-out", 2))), well("deep")
    ),
    "fast is at its rpm_limit of 8, next try in 3 s. deep answers instead, as fast (900 ms).": of(
        well("fast", at_ceiling="at its rpm_limit of 8", ceiling_seconds=3.0), well("deep")
    ),
    "fast is at its concurrency_limit of 2. deep answers instead, as fast (900 ms).": of(
        well("fast", at_ceiling="at its concurrency_limit of 2"), well("deep")
    ),
    "fast cannot be asked: no key. deep answers instead (half within 900 ms).": of(
        new("fast", passed_over="no key"), well("deep")
    ),
    "a is out: 503 three times, next try in 12 s. b and c answer instead.": of(
        out("a"), well("b"), well("c"), policy="roundrobin"
    ),
    "fast is out: 503 three times, next try in 12 s. deep is out: 503 three times, next try in 4 s. "
    "Every prompt fails until deep is tried in 4 s.": of(out("fast"), out("deep", 4.0)),
    "fast is cooling down after a rate limit, next try in 41 s. deep is cooling down after a rate limit, next try in "
    "5 s. Nobody else answers, so a prompt waits 5 s for deep.": of(
        cooling("fast", 41.0), cooling("deep", 5.0, is_waited_for=True)
    ),
    "fast is cooling down after a rate limit, next try in 59 min 1 s. deep is cooling down after a rate limit, next "
    "try in 15 min. Every prompt fails until deep is tried in 15 min.": of(
        cooling("fast", 3541.0), cooling("deep", 900.0)
    ),
    "fast is below its floor (1 of 5 tokens per minute). deep is out: 503 three times, next try in 4 s. "
    "Nobody else answers, so fast is asked all the same.": of(
        well("fast", tpm=1.0, tpm_threshold=5.0), out("deep", 4.0)
    ),
    "a cannot be asked: no key. b cannot be asked: no key. Nobody answers.": of(
        new("a", passed_over="no key"), new("b", passed_over="no key")
    ),
    "fast is out (503 three times) and asked all the same, since there is no other.": of(out("fast"), policy="single"),
    "fast is cooling down after a rate limit, next try in 7 s.": of(cooling("fast", 7.0), policy="single"),
}  # fmt: skip


@pytest.mark.parametrize("said", SENTENCES, ids=lambda said: said[:60])
def test_the_sentence_says_who_does_not_answer_why_and_what_happens_instead(said):
    assert status_of(SENTENCES[said]).sentence == said


@pytest.mark.parametrize(
    ("backend", "now", "why"),
    [
        (out("x"), "out, next try in 12 s", "503 three times"),
        (out("x", 0.0), "out, the next prompt tries it", "503 three times"),
        (out("x", state="half-open"), "out, being tried again", "503 three times"),
        (cooling("x", 41.0), "cooling down, 41 s", "after a rate limit"),
        (cooling("x", 0.0), "cooling down, one prompt goes first", "after a rate limit"),
        (well("x", tpm=420.0, tpm_threshold=500.0), "below its floor, asked when y fails",
         "420 of 500 tokens per minute"),
        (well("x", in_vain=(("401", 12),)), "failing, asked first", "401 12 times"),
        (well("x", at_ceiling="at its rpm_limit of 8", ceiling_seconds=3.0), "at its own limit, 3 s",
         "at its rpm_limit of 8"),
        (new("x", passed_over="no key"), "cannot be asked", "no key"),
        (new("x"), "not asked yet, but first", ""),
        (new("x", requests=1, in_flight=1), "not answered yet, asked first", ""),
        (well("x"), "answering, asked first", ""),
    ],
)  # fmt: skip
def test_every_state_of_a_backend_has_words_with_the_next_try(backend, now, why):
    [first, _other] = status_of(of(backend, well("y"))).standings
    assert (first.now, first.why) == (now, why)


TURNS = [
    ((well("a"), well("b"), new("c")),
     ["answering, asked first", "spare, asked when a fails", "spare, asked when b fails"]),
    ((out("a"), well("b"), well("c")),
     ["out, next try in 12 s", "answering, asked first", "spare, asked when b fails"]),
    ((well("a"), out("b", 0.0), well("c")),
     ["answering, asked first", "out, tried again when a fails", "spare, asked when b fails"]),
    ((well("a"), cooling("b", 0.0)), ["answering, asked first", "cooling down, tried again when a fails"]),
    ((well("a", in_vain=(("503", 1),)), new("b")), ["failing, asked first", "not asked yet, asked when a fails"]),
    ((well("a", tpm=1.0, tpm_threshold=5.0), out("b"), cooling("c", 5.0)),
     ["below its floor, asked first", "out, next try in 12 s", "cooling down, 5 s"]),
    ((well("a" * 40), well("b")), ["answering, asked first", f"spare, asked when {'a' * 23}… fails"]),
    ((well("a"),), ["answering"]),
]  # fmt: skip


@pytest.mark.parametrize(("backends", "said"), TURNS)
def test_in_an_order_each_backend_says_after_whom_it_is_asked(backends, said):
    assert [each.now for each in status_of(of(*backends)).standings] == said


@pytest.mark.parametrize("policy", [name for name in ROUTINGS if name != FAILOVER.name])
def test_without_an_order_each_backend_says_by_what_it_is_asked(policy):
    backends = (well("a"), well("b", tpm=1.0, tpm_threshold=5.0), new("c"), out("d"))
    said = [each.now for each in status_of(of(*backends, policy=policy)).standings]
    turn = ROUTINGS[policy].turn
    below, broken = "below its floor, asked after the others", "out, next try in 12 s"
    assert said == [f"answering, asked {turn}", below, f"not asked yet, asked {turn}", broken]


FIRST = {"asked first", "but first", "the next prompt tries it", "one prompt goes first"}


@given(
    st.lists(st.lists(st.sampled_from(["ok", "503", "429:5", "500"]), min_size=1, max_size=6), min_size=2, max_size=4)
)
def test_the_one_that_is_said_to_be_asked_first_is_the_first_that_the_next_prompt_visits(scripts):
    members = [simulated(f"b{at}", ",".join(script), cycle=True) for at, script in enumerate(scripts)]
    lb = balancer(*members, circuit_breaker_failure_threshold=2, circuit_breaker_recovery_timeout_ms=9000,
                  failover_retry_count=1, cooldown_wait_ms=0)  # fmt: skip

    async def main() -> None:
        for _ in range(12):
            clock_of(lb).advance(2)
            said = [each.name for each in lb.status().standings if each.then in FIRST]
            before = len(tuple(lb.decisions()))
            await asyncio.gather(lb.ask("why"), return_exceptions=True)
            visits = [
                event.backend for event in tuple(lb.decisions())[before:] if isinstance(event, facts.VisitStarted)
            ]
            assert said == visits[:1]

    asyncio.run(main())


def test_where_backends_take_turns_none_is_spare():
    standings = status_of(of(well("a"), well("b"), policy="roundrobin")).standings
    assert {each.state for each in standings} == {State.ANSWERING}


def test_of_forty_backends_a_few_are_named_and_the_others_counted():
    said = status_of(of(*(out(f"b{n}") for n in range(8)), *(well(f"w{n}") for n in range(32)))).sentence
    assert said.count(" is out") == MOST_NAMED
    assert "Five more do not answer. w0 answers instead" in said


def test_the_table_has_a_row_for_each_backend_and_the_prompts_above_it():
    shown = str(
        status_of(
            of(
                out("fast"),
                well("deep", tpm=1230.0, tpm_threshold=500.0),
                prompts=Prompts(answered=48, failed=2, median_seconds=1.2, p95_seconds=4.0),
            )
        )
    )
    head, prompts, _blank, columns, _rule, fast, deep = shown.splitlines()
    assert head.startswith("work: fast is out")
    assert prompts == "Prompts: 50 asked, 48 answered, 2 failed · half within 1.2 s, 19 of 20 within 4 s"
    assert columns.split("  ")[0] == "backend"
    assert fast.index("5 of 8 (62.5%)") + len("5 of 8 (62.5%)") == columns.index("answered") + len("answered")
    assert all(
        text in fast for text in ("out, next try in 12 s", "503 three times", "5 of 8 (62.5%)", "900 ms", "1.8 s")
    )
    assert all(text in deep for text in ("answering", "5 of 5 (100.0%)", "1,230, floor 500"))


def test_the_table_tells_what_is_not_known_from_what_is_nothing():
    shown = str(status_of(of(new("a", tpm_threshold=500.0), new("b", failures=2, requests=2, success_rate=0.0))))
    first, second = shown.splitlines()[-2:]
    assert [cell.strip() for cell in first.split("  ") if cell.strip()][-5:] == [
        "0 of 0",
        *["N/A"] * 3,
        "0, floor 500",
    ]
    assert "0 of 2 (0.0%)" in second


def test_a_backend_that_is_much_slower_than_the_others_says_so_in_its_row_and_all_is_calm():
    status = status_of(of(well("fast"), well("deep", 2.7)))
    assert [each.why for each in status.standings] == ["", "slow (half within 2.7 s, 900 ms is usual)"]
    assert status.is_calm
    assert "slow (half within 2.7 s" in str(status)


@pytest.mark.parametrize(
    "backends",
    [
        (well("a"), well("b", 2.69)),
        (well("a", 0.1), well("b", 0.99)),
        (well("a"), well("b", 9, successes=2)),
        (well("a", successes=2), well("b", 9)),
        (well("a"), well("b", 9), well("c", 9)),
    ],
    ids=["less than three times", "within a second", "seldom answered", "others seldom answered", "most are as slow"],
)
def test_no_backend_is_called_slow_that_is_about_as_fast_or_hardly_known(backends):
    assert "slow" not in str(status_of(of(*backends)))


def test_the_table_is_escaped_and_marked_only_where_something_is_wrong():
    hostile = "<b>\x1b[31m$x$"
    shown = status_of(of(out(hostile), new("deep", passed_over=hostile)))._repr_html_()
    assert "<b>\x1b" not in shown
    assert "&lt;b&gt;" in shown
    assert MARK in shown
    assert MARK not in status_of(of(well("a")))._repr_html_()


names = st.text(st.characters(codec="utf-8"), max_size=80)


@given(st.lists(st.builds(
    backend_snapshot, names, state=st.sampled_from(["closed", "open", "half-open", "disabled"]),
    seconds_until_probe=st.floats(0, 1e5), cooling_down=st.none() | st.floats(0, 1e5), requests=st.integers(0, 9),
    successes=st.integers(0, 9), p50_latency=st.none() | st.floats(0, 1e4), tpm=st.none() | st.floats(0, 1e9),
    tpm_threshold=st.none() | st.floats(0.1, 1e9), passed_over=st.text(max_size=20), is_waited_for=st.booleans(),
), min_size=1, max_size=8), st.sampled_from(["failover", "roundrobin", "single"]))  # fmt: skip
def test_there_is_one_printable_line_of_sentences_whatever_the_snapshot(backends, policy):
    status = status_of(of(*backends, policy=policy))
    assert "\n" not in status.sentence
    assert status.sentence.endswith(".")
    assert ".." not in status.sentence or any("." in each.name or ".." in each.passed_over for each in backends)
    assert len(status.standings) == len(backends)
    assert str(status)
    assert status._repr_html_()


def told_by(lb, *advances: float) -> list[str]:
    """Ask once after each advance of the clock; what is said after each."""
    said = []

    async def main() -> None:
        for seconds in advances:
            clock_of(lb).advance(seconds)
            try:
                await lb.ask("why")
            except AllBackendsFailed:
                said.append("nobody answered")
            said.append(lb.status().sentence)

    asyncio.run(main())
    return said


def test_the_sentence_follows_a_backend_out_and_back():
    lb = balancer(
        simulated("fast", "ok,503,503,503,ok", latency_ms=900), simulated("deep", latency_ms=2100),
        failover_retry_count=1, circuit_breaker_recovery_timeout_ms=12_000,
    )  # fmt: skip
    assert lb.status().sentence == "Nobody has been asked yet: fast is first, deep is spare."
    assert told_by(lb, 1, 1, 1, 1, 12) == [
        "fast answers, deep is spare.",
        "fast is failing: 503 once. deep answers instead, slower (2.1 s instead of 900 ms).",
        "fast is failing: 503 twice. deep answers instead, slower (2.1 s instead of 900 ms).",
        "fast is out: 503 three times, next try in 10 s. deep answers instead, slower (2.1 s instead of 900 ms).",
        "Both answer.",
    ]


def test_a_circuit_that_was_opened_by_hand_says_so():
    lb = balancer(simulated("a"), simulated("b"))
    lb.open_circuit("a")
    assert lb.status().sentence.startswith("a is out: opened by hand, next try in 30 s.")
    lb.close_circuit("a")
    assert lb.status().sentence.startswith("Nobody has been asked yet")


def is_wait(event) -> bool:
    return isinstance(event, facts.CoolDownWaitStarted)


def test_a_prompt_fails_where_it_is_said_to_fail_and_waits_where_it_is_said_to_wait():
    lb = balancer(simulated("a", "429:5,ok", cycle=True), simulated("b", "429:70", cycle=True), failover_retry_count=1,
                  cooldown_wait_ms=1)  # fmt: skip
    assert "Every prompt fails until a is tried in 5 s." in told_by(lb, 1)[1]
    assert told_by(lb, 1)[0] == "nobody answered"

    patient = balancer(simulated("a", "429:5,ok"), simulated("b", "429:70"), failover_retry_count=1)
    said = []
    patient.subscribe(lambda event: said.append(patient.status().sentence) if is_wait(event) else None)
    assert asyncio.run(patient.ask("why")).backend == "a"
    assert "so a prompt waits 5 s for a." in said[0]


def test_a_limit_of_the_users_own_is_said_with_its_end():
    lb = balancer(simulated("a", latency_ms=0), simulated("b", latency_ms=0), rpm_limit=1)
    told_by(lb, 0)
    assert "a is at its rpm_limit of 1, next try in 1 min" in lb.status().sentence


def test_a_reset_of_the_statistics_keeps_why_a_backend_is_out():
    lb = balancer(simulated("a", "503", cycle=True), simulated("b"), failover_retry_count=1)
    told_by(lb, 1, 1, 1)
    lb.reset_statistics()
    assert lb.status().sentence.startswith("a is out: 503 three times")


def test_a_circuit_that_failures_between_answers_have_opened_tells_all_of_them():
    lb = balancer(simulated("a", "503,ok,503,ok,503"), simulated("b"), failover_retry_count=1)
    assert told_by(lb, 1, 1, 1, 1, 1)[-1].startswith("a is out: 503 three times")
