"""The page that Prometheus scrapes: read back by Prometheus's own parser, equal to the snapshot, hard to break."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from llx_magic.core.circuits import STATES
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.observe.prometheus import CONTENT_TYPE, exposition
from tests.engine.kit import balancer, simulated

NEW = {
    "state": "closed", "seconds_until_probe": 0.0, "cooling_down": None, "requests": 0, "successes": 0, "failures": 0,
    "cancelled": 0, "in_flight": 0, "attempts": 0, "timeouts": 0, "prompt_tokens": 0, "completion_tokens": 0,
    "tpm": None, "tpm_threshold": None, "success_rate": None, "mean_latency": None, "p50_latency": None,
    "p95_latency": None, "ttft": None, "tokens_per_second": None, "last_error": None,
}  # fmt: skip

FULL = {
    "state": "open", "seconds_until_probe": 12.5, "cooling_down": 7.0, "requests": 7, "successes": 3, "failures": 1,
    "cancelled": 2, "in_flight": 1, "attempts": 9, "timeouts": 1, "prompt_tokens": 3000, "completion_tokens": 200,
    "tpm": 640.0, "tpm_threshold": 500.0, "success_rate": 0.75, "mean_latency": 1.5, "p50_latency": 1.25,
    "p95_latency": 3.0, "ttft": 0.25, "tokens_per_second": 80.0, "last_error": "503 SERVER-TEXT",
    "skips": (("circuit open", 4), ("tokens per minute", 2)),
}  # fmt: skip


def backend(name: str = "a", **facts) -> BackendSnapshot:
    return BackendSnapshot(**{"name": name, **NEW, **facts})


def snapshot(*backends: BackendSnapshot, profile: str = "lb") -> Snapshot:
    return Snapshot(profile=profile, at=0.0, backends=backends)


def read_back(page: str) -> dict[tuple, float]:
    """Every sample by its name and its labels, as Prometheus's parser reads them."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(page: str, name: str, **labels: str) -> float | None:
    return read_back(page).get((name, *sorted({"profile": "lb", "backend": "a", **labels}.items())))


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("llx_skips_total", {"reason": "circuit open"}, 4),
        ("llx_skips_total", {"reason": "tokens per minute"}, 2),
        ("llx_skips_total", {"reason": "cooling down"}, 0),
        ("llx_visits_total", {"outcome": "success"}, 3),
        ("llx_visits_total", {"outcome": "failure"}, 1),
        ("llx_visits_total", {"outcome": "cancelled"}, 2),
        ("llx_attempts_total", {}, 9),
        ("llx_timeouts_total", {}, 1),
        ("llx_tokens_total", {"type": "input"}, 3000),
        ("llx_tokens_total", {"type": "output"}, 200),
        ("llx_in_flight", {}, 1),
        ("llx_circuit_state", {"state": "open"}, 1),
        ("llx_circuit_state", {"state": "closed"}, 0),
        ("llx_circuit_probe_seconds", {}, 12.5),
        ("llx_cool_down_seconds", {}, 7),
        ("llx_tokens_per_minute", {}, 640),
        ("llx_tokens_per_minute_threshold", {}, 500),
        ("llx_success_ratio", {}, 0.75),
        ("llx_visit_duration_seconds", {"quantile": "0.5"}, 1.25),
        ("llx_visit_duration_seconds", {"quantile": "0.95"}, 3.0),
        ("llx_visit_duration_seconds_sum", {}, 4.5),
        ("llx_visit_duration_seconds_count", {}, 3),
        ("llx_time_to_first_token_seconds", {}, 0.25),
        ("llx_output_tokens_per_second", {}, 80),
    ],
)
def test_each_fact_of_a_snapshot_is_a_sample(name, labels, expected):
    assert value(exposition(snapshot(backend(**FULL))), name, **labels) == expected


def test_what_is_not_known_yet_is_left_out_and_its_help_stays():
    page = exposition(snapshot(backend()))
    assert value(page, "llx_success_ratio") is None
    told_none = exposition(snapshot(backend(successes=1)))
    assert value(told_none, "llx_tokens_per_minute") is None
    assert value(page, "llx_tokens_per_minute") == 0
    assert value(page, "llx_visit_duration_seconds_count") == 0
    assert "# HELP llx_success_ratio " in page


@pytest.mark.parametrize("state", STATES)
def test_exactly_the_state_of_the_circuit_is_one(state):
    page = exposition(snapshot(backend(state=state)))
    assert {each: value(page, "llx_circuit_state", state=each) for each in STATES} == {
        each: float(each == state) for each in STATES
    }


def test_every_line_is_a_comment_or_a_sample_and_each_metric_is_one_group_of_its_type():
    page = exposition(snapshot(backend(**FULL), backend("b")))
    assert page.endswith("\n")
    order = []
    for line in page.splitlines():
        match = re.match(r"# (?:HELP|TYPE) (\w+) |(\w+?)(?:_sum|_count)?\{.*\} [-+0-9.e]+$", line)
        assert match, line
        name = match[1] or match[2]
        if not order or order[-1] != name:
            order.append(name)
    assert len(order) == len(set(order))
    for name in re.findall(r"^# TYPE (\w+) counter$", page, re.MULTILINE):
        assert name.endswith("_total")


def test_the_page_is_the_same_for_the_same_snapshot_and_keeps_the_backends_order():
    page = exposition(snapshot(backend("z"), backend("a"), backend("m")))
    assert page == exposition(snapshot(backend("z"), backend("a"), backend("m")))
    assert re.findall(r'llx_in_flight\{profile="lb",backend="(\w)"\}', page) == ["z", "a", "m"]


def test_no_text_of_a_server_is_on_the_page():
    assert "SERVER-TEXT" not in exposition(snapshot(backend(**FULL)))


@given(st.lists(st.text(), min_size=1, max_size=4, unique=True), st.text())
def test_no_name_of_backend_or_profile_breaks_the_format(names, profile):
    """A lone surrogate is not in the strategy: what becomes of it is the next test's."""
    page = exposition(snapshot(*(backend(name) for name in names), profile=profile))
    found = [
        (sample.labels["profile"], sample.labels["backend"])
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "llx_in_flight"
    ]
    assert found == [(profile, name) for name in names]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('a"} 1\nllx_in_flight{backend="b', r"a\"} 1\nllx_in_flight{backend=\"b"),
        ("back\\slash", r"back\\slash"),
        ("ends in \\", r"ends in \\"),
        ("\ud800", "?"),
    ],
)
def test_a_hostile_name_stays_within_its_quotes(name, written):
    page = exposition(snapshot(backend(name)))
    assert f'llx_in_flight{{profile="lb",backend="{written}"}} 0\n' in page
    page.encode("utf-8")
    assert page.count("\nllx_in_flight{") == 1


@pytest.mark.parametrize(("number", "written"), [(float("nan"), "NaN"), (float("inf"), "+Inf"), (-0.5, "-0.5")])
def test_numbers_are_written_as_the_format_has_them(number, written):
    page = exposition(snapshot(backend(tpm=number)))
    assert f'llx_tokens_per_minute{{profile="lb",backend="a"}} {written}\n' in page


def test_several_load_balancers_share_a_page_metric_by_metric():
    page = exposition([snapshot(backend(), profile="one"), snapshot(backend(), profile="two")])
    assert re.findall(r'llx_in_flight\{profile="(\w+)"', page) == ["one", "two"]
    assert page.count("# TYPE llx_in_flight gauge") == 1


def test_prompts_are_counted_by_what_became_of_them_however_many_backends_each_met():
    lb = balancer(simulated("a", "503"), simulated("b", "ok,503,503"))
    before = read_back(exposition(lb))
    asyncio.run(lb.ask("why"))
    for _ in range(2):
        with pytest.raises(AllBackendsFailed):
            asyncio.run(lb.ask("why"))
    page = read_back(exposition(lb))
    assert {key: before[key] for key in before if key[0] == "llx_requests_total"} == {
        ("llx_requests_total", ("outcome", outcome), ("profile", "lb")): 0
        for outcome in ("answered", "failed", "cancelled")
    }
    assert page["llx_requests_total", ("outcome", "answered"), ("profile", "lb")] == 1
    assert page["llx_requests_total", ("outcome", "failed"), ("profile", "lb")] == 2
    assert page["llx_requests_in_flight", ("profile", "lb")] == 0


def test_backends_passed_over_are_counted_by_reason():
    lb = balancer(simulated("a", "503"), simulated("b"), circuit_breaker_failure_threshold=1)
    for _ in range(3):
        asyncio.run(lb.ask("why"))
    assert value(exposition(lb), "llx_skips_total", reason="circuit open") == 2


def test_two_profiles_of_one_name_are_refused_since_their_prompts_would_have_the_same_labels():
    with pytest.raises(UsageProblem, match="profile 'lb' is there twice"):
        exposition([snapshot(backend("a")), snapshot(backend("b"))])


def test_the_same_backend_twice_is_refused_since_prometheus_refuses_such_a_page():
    with pytest.raises(UsageProblem, match="backend 'a' of profile 'lb' is there twice"):
        exposition([snapshot(backend()), snapshot(backend())])


def test_no_load_balancer_makes_a_page_without_samples():
    assert read_back(exposition([])) == {}


def test_a_load_balancer_is_read_at_the_moment_of_the_call():
    lb = balancer(
        simulated("a", "503"), simulated("b", latency_ms=250, prompt_tokens=7, completion_tokens=5),
        circuit_breaker_failure_threshold=1, circuit_breaker_recovery_timeout_ms=30_000,
    )  # fmt: skip
    before = exposition(lb)
    asyncio.run(lb.ask("why"))
    after = exposition(lb)
    assert value(before, "llx_attempts_total") == 0
    assert value(after, "llx_visits_total", outcome="failure") == 1
    assert value(after, "llx_circuit_state", state="open") == 1
    assert value(after, "llx_circuit_probe_seconds") == 29.75
    assert value(after, "llx_tokens_total", backend="b", type="input") == 7
    assert value(after, "llx_visit_duration_seconds_sum", backend="b") == 0.25


def test_a_cool_down_is_counted_down_in_seconds():
    lb = balancer(simulated("a", "429:30"), simulated("b", latency_ms=10_000))
    asyncio.run(lb.ask("why"))
    assert value(exposition(lb), "llx_cool_down_seconds") == 20


def test_every_metric_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
    names = re.findall(r"^# TYPE (\w+) ", exposition([]), re.MULTILINE)
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_content_type_names_the_formats_version():
    assert "version=0.0.4" in CONTENT_TYPE


def test_no_package_but_our_own_is_needed():
    code = (
        "import sys, llx_magic.observe.prometheus; print('prometheus_client' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_race_of_two_backends_is_counted_on_both_sides():
    lb = balancer(simulated("a", "slow:60000"), simulated("b"), hedge_after_ms=2000)
    asyncio.run(lb.ask("why"))
    page = exposition(lb)
    assert 'llx_hedges_total{profile="lb",backend="b"} 1' in page
    assert 'llx_outrun_total{profile="lb",backend="a"} 1' in page
    assert 'llx_visits_total{profile="lb",backend="a",outcome="cancelled"} 1' in page
