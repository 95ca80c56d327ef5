"""A run over rows: what is asked, what is answered from the store, and how it ends."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time
from collections import UserList
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace

import pandas as pd
import pytest

import llx_magic as llx
from llx_magic import hosts
from llx_magic.errors import UsageProblem
from llx_magic.profiles.connection import Connection
from llx_magic.rows.records import Records
from llx_magic.session.feed import SLOW_SECONDS
from llx_magic.session.mapping import MapRun
from llx_magic.session.session import Session
from llx_magic.units import duration
from tests.engine.kit import balancer, simulated
from tests.faults.modes import find_mode
from tests.faults.server import Exchange, FaultServer, unused_url

ROWS = [f"row {number}" for number in range(20)]
TEMPLATE = "say {{ row }}"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "replies.sqlite"


def profile_of(server: FaultServer) -> llx.Profile:
    connection = llx.Connection(base_url=server.base_url)
    return llx.Profile.single(llx.ModelProfile("a", "openai", "m", connection=connection))


def attempts(lb) -> int:
    return sum(backend.attempts for backend in lb.snapshot().backends)


def counts(result) -> dict[str, int]:
    """How many rows came to what, without the noughts."""
    told = result.summary
    every = {name: getattr(told, name) for name in ("answered", "stored", "shared", "failed", "not_asked")}
    return {name: count for name, count in every.items() if count}


async def test_every_row_is_answered_in_its_place(store):
    frame = pd.DataFrame({"word": ["a", "b c", "d e f"]}, index=["x", "y", "z"])
    lb = balancer(simulated("a", latency_ms=100))
    result = await lb.map(frame, "{{ word }}", store=store)
    assert list(result.frame.index) == ["x", "y", "z"]
    assert [text.split()[-2] for text in result.frame.reply] == ["1", "2", "3"]
    assert set(result.frame.llx_status) == {"answered"}


async def test_a_backend_that_tells_what_is_left_of_its_rate_refuses_no_row(store):
    """Sixty rows at twenty each two seconds, on virtual time; one that says nothing is found out by refusals."""
    told, silent = (balancer(simulated("a", rate="20/2", latency_ms=50, tells_rate=tells)) for tells in (True, False))
    for lb, refuses in ((told, False), (silent, True)):
        result = await lb.map(range(60), TEMPLATE, store=store, fresh=True)
        assert counts(result) == {"answered": 60}
        assert (attempts(lb) > 60) == refuses


class SlowRows(Records):
    """Rows each of which takes longer than one may on the loop; ``read_on_loop`` are those that were read there."""

    def __init__(self, data: list[int]) -> None:
        super().__init__(data)
        self.read_on_loop: set[int] = set()

    def records(self) -> Iterator[Mapping[Hashable, object]]:
        for number, record in enumerate(super().records()):
            if asyncio._get_running_loop() is not None:
                self.read_on_loop.add(number)
            time.sleep(SLOW_SECONDS * 1.5)
            yield record


async def test_one_slow_row_moves_the_reading_of_those_behind_it_off_the_loop(store):
    rows = SlowRows(list(range(10)))
    assert counts(await balancer(simulated("a")).map(rows, TEMPLATE, store=store)) == {"answered": 10}
    assert rows.read_on_loop == {0}


class Lazy:
    """A value of a user's class that runs a loop to show itself, as synchronous faces of asynchronous libraries do."""

    def __str__(self) -> str:
        return asyncio.run(asyncio.sleep(0, "a value"))


@pytest.mark.parametrize(
    "given", [list, iter, UserList, pd.Series, lambda values: [{"row": value, "n": 1} for value in values]]
)
async def test_code_of_the_users_never_runs_on_the_loop(store, given):
    """It may wait, and much of it refuses to run where a loop runs."""
    rows = given([Lazy(), Lazy()])
    result = await balancer(simulated("a")).map(rows, TEMPLATE, store=store, dedupe=False)
    assert counts(result) == {"answered": 2}


def test_a_variable_of_a_users_class_is_never_shown_on_the_loop(store):
    run = MapRun(balancer(simulated("a")), ["a"], "{{ row }} {{ lazy }}", {"store": store}, namespace={"lazy": Lazy()})
    assert counts(run.follow()) == {"answered": 1}


async def test_the_same_call_again_asks_nothing(store):
    await balancer(simulated("a")).map(ROWS, TEMPLATE, store=store)
    lb = balancer(simulated("a"))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert (counts(result), attempts(lb)) == ({"stored": 20}, 0)


async def test_one_more_row_in_front_and_a_new_order_ask_one_row(store):
    await balancer(simulated("a")).map(ROWS, TEMPLATE, store=store)
    lb = balancer(simulated("a"))
    result = await lb.map(["new", *reversed(ROWS)], TEMPLATE, store=store)
    assert (counts(result), attempts(lb)) == ({"answered": 1, "stored": 20}, 1)


async def test_rows_that_are_dropped_ask_nothing_and_one_that_is_changed_asks_itself(store):
    table = pd.DataFrame({"n": range(200), "text": [f"text {number}" for number in range(200)]})
    await balancer(simulated("a")).map(table, "{{ n }}: {{ text }}", store=store)
    fewer = table.sample(frac=1, random_state=1).iloc[10:].copy()
    lb = balancer(simulated("a"))
    assert counts(await lb.map(fewer, "{{ n }}: {{ text }}", store=store)) == {"stored": 190}
    fewer.iloc[100, 1] = "another"
    assert counts(await lb.map(fewer, "{{ n }}: {{ text }}", store=store)) == {"stored": 189, "answered": 1}
    assert attempts(lb) == 1


@pytest.mark.parametrize(
    ("template", "options"), [("say {{ raw }}", {}), (TEMPLATE, {"schema": {"n": str}}), (TEMPLATE, {"budget": 0.0})]
)
async def test_what_is_refused_after_the_first_row_of_an_iterator_was_read_says_so(store, template, options):
    """A second call with the same iterator would leave that row out, and nobody would know."""
    source = iter([{"row": "a", "n": 1}, {"row": "b", "n": 2}])
    with pytest.raises(UsageProblem) as caught:
        await balancer(simulated("a")).map(source, template, store=store, **options)
    assert ("; the iterator's first row is read: make it anew" in str(caught.value)) == (len(list(source)) == 1)


async def test_equal_prompts_are_asked_once(store):
    lb = balancer(simulated("a", latency_ms=100))
    result = await lb.map(["same", "other"] * 50, TEMPLATE, store=store)
    assert (counts(result), attempts(lb)) == ({"answered": 2, "shared": 98}, 2)
    assert result.frame.reply.notna().all()


async def test_without_dedupe_each_is_asked_and_found_again(store):
    lb = balancer(simulated("a"))
    await lb.map(["same"] * 5, TEMPLATE, dedupe=False, store=store)
    assert attempts(lb) == 5
    await lb.map(["same"] * 6, TEMPLATE, dedupe=False, store=store)
    assert attempts(lb) == 6


async def test_samples_ask_each_row_so_often(store):
    lb = balancer(simulated("a"))
    result = await lb.map(["x", "y", "x"], TEMPLATE, samples=3, store=store)
    assert attempts(lb) == 6
    assert len(result.frame) == 9
    await lb.map(["x", "y", "x"], TEMPLATE, samples=4, store=store)
    assert attempts(lb) == 8


async def test_fresh_asks_all_again_but_equal_prompts_once(store):
    lb = balancer(simulated("a", latency_ms=10))
    await lb.map(ROWS, TEMPLATE, store=store)
    result = await lb.map([*ROWS, *ROWS, *ROWS], TEMPLATE, fresh=True, store=store)
    assert (counts(result), attempts(lb)) == ({"answered": 20, "shared": 40}, 40)


async def test_a_rows_own_fault_is_stored_and_asked_again_on_request(store):
    lb = balancer(simulated("a", script="context, ok"))
    first = await lb.map(["one", "two"], TEMPLATE, store=store)
    assert counts(first) == {"answered": 1, "failed": 1}
    again = await lb.map(["one", "two"], TEMPLATE, store=store)
    assert (counts(again), attempts(lb)) == ({"stored": 1, "failed": 1}, 2)
    assert "too long" in first.failed.llx_error.iloc[0]
    assert "asked again" not in str(first.summary)
    assert str(again.summary).endswith("1 row: failed earlier, not asked again (--retry errors asks again)")
    retried = await lb.map(["one", "two"], TEMPLATE, retry="errors", store=store)
    assert (counts(retried), attempts(lb)) == ({"stored": 1, "answered": 1}, 3)
    assert "asked again" not in str(retried.summary)


async def test_a_row_with_the_prompt_of_one_that_failed_in_the_same_run_did_not_fail_earlier(store):
    lb = balancer(simulated("a", script="context, ok"), concurrency=1)
    result = await lb.map(["one", *map(str, range(100)), "one"], TEMPLATE, store=store)
    assert counts(result) == {"answered": 100, "failed": 2}
    assert "failed earlier" not in str(result.summary)


async def test_a_stored_fault_stands_for_the_profile_that_found_it_alone(store):
    first = balancer(simulated("a", script="context"))
    await first.map(["one"], TEMPLATE, store=store)
    again, more = balancer(simulated("a")), balancer(simulated("a"), simulated("b"))
    assert counts(await again.map(["one"], TEMPLATE, store=store)) == {"failed": 1}
    assert counts(await more.map(["one"], TEMPLATE, store=store)) == {"answered": 1}
    assert counts(await again.map(["one"], TEMPLATE, store=store)) == {"stored": 1}


async def test_what_one_backend_refuses_the_next_is_asked(store):
    lb = balancer(simulated("a", script="context"), simulated("b"))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"answered": 20}
    assert set(result.frame.llx_backend) == {"b"}


@pytest.mark.parametrize("fault", ["503", "429:30", "reset", "429", "529", "stall", "html"])
async def test_a_backend_that_is_gone_for_a_while_is_waited_for(store, fault):
    script = ", ".join([fault] * 12 + ["ok"])
    lb = balancer(simulated("a", script=script, latency_ms=500))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"answered": 20}


async def test_where_nobody_can_ever_answer_the_run_stops_with_what_is_done(store):
    lb = balancer(simulated("a", script="ok, ok, 401", latency_ms=100), simulated("b", script="quota"))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert result.summary.answered == 2
    assert result.summary.not_asked > 0
    assert "401" in result.summary.stopped
    assert "quota" in result.summary.stopped


async def test_who_refuses_everybody_is_asked_no_more_and_the_summary_says_so(store):
    lb = balancer(simulated("k", script="401"), simulated("b", script="503, 503, 503, 503, 503, ok", latency_ms=50))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"answered": 20}
    assert lb.snapshot().backends[0].attempts <= 4
    assert "asked no more: k: 401 Unauthorized" in str(result.summary)


@pytest.mark.parametrize("never", ["401", "404", "quota", "503"])
async def test_beside_one_that_is_down_for_good_rows_fail_in_the_end(store, never):
    lb = balancer(simulated("k", script=never, latency_ms=70), simulated("b", script="503", latency_ms=50))
    assert counts(await lb.map(ROWS[:3], TEMPLATE, store=store)) == {"failed": 3}


async def test_a_server_that_refuses_at_once_beside_one_that_answers_is_not_flooded(store):
    lb = balancer(simulated("a", script="429"), simulated("b", latency_ms=100))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"answered": 20}
    assert lb.snapshot().backends[0].attempts < 10


@pytest.mark.parametrize("ends_it", [{}, {"max_errors": 3}])
async def test_what_is_under_way_when_a_run_stops_by_itself_is_answered_and_kept(store, ends_it):
    fault = "context" if ends_it else "401"
    lb = balancer(simulated("a", script=f"{fault}, {fault}, {fault}, slow:5000, {fault}", latency_ms=100))
    result = await lb.map(ROWS, TEMPLATE, store=store, **ends_it)
    assert result.summary.answered == 1
    assert result.summary.stopped
    assert lb.snapshot().prompts.cancelled == 0


async def test_a_run_that_ends_by_itself_can_be_interrupted_meanwhile(store):
    lb = balancer(simulated("a", script="401, stall", latency_ms=100))
    run = MapRun(lb, ROWS, TEMPLATE, {"store": store})
    result = await run.run(lambda _part: run.stop() if run.progress().at >= 5 else None)
    assert "401" in result.summary.stopped
    assert lb.clock.now() < 10


async def test_a_single_refusal_of_access_among_answers_stops_nothing(store):
    lb = balancer(simulated("a", script="ok, ok, 403, ok", latency_ms=100))
    assert counts(await lb.map(ROWS, TEMPLATE, store=store)) == {"answered": 20}


async def test_a_run_of_backends_that_answer_nobody_gives_up_when_told_to(store):
    lb = balancer(simulated("a", script="503"))
    result = await lb.map(ROWS, TEMPLATE, store=store, give_up_after=100)
    assert counts(result) == {"not_asked": 20}
    assert "nobody has answered for 1 min 40 s" in result.summary.stopped
    assert 100 <= lb.clock.now() < 140


async def test_what_came_of_a_row_that_was_asked_in_vain_until_the_run_ended_is_said(store):
    lb = balancer(simulated("a", script="ok, 503", latency_ms=100))
    run = MapRun(lb, ROWS[:2], TEMPLATE, {"store": store, "settings": {"concurrency": 1, "failover_retry_count": 1}})
    result = await run.run(lambda _part: run.stop() if run.progress().at >= 1 else None)
    assert result.frame[["llx_status", "llx_attempts"]].to_numpy().tolist() == [["answered", 1], ["not asked", 1]]
    assert "tried in vain until the run ended: " in result.frame.llx_error[1]
    assert "503" in result.frame.llx_error[1]
    assert "1 answered, 1 not asked (tried in vain)" in str(result.summary)
    assert "1 row: tried in vain until the run ended: " in repr(result)


NO_COLUMN = "the prompt names no column, so all rows ask the same; {{ %s }} stands for one"


@pytest.mark.parametrize(
    ("data", "template", "said"),
    [
        (["a", "b"], "Rate it.", NO_COLUMN % "row"),
        ({"text": ["a", "b"], "n": [1, 2]}, "Rate {text}.", NO_COLUMN % "text"),
        ({"text": ["a", "b"]}, "{{ 1 + 1 }}", NO_COLUMN % "text"),
        ({"text": ["a", "b"]}, "{{ text }}", ""),
        ({"text": ["a", "b"]}, "{{ row['text'] }}", ""),
        ({"text": ["a", None]}, "{{ text | default('none') }}", ""),
        ({"sum": [1, 2]}, "{{ sum }}", ""),
    ],
)
async def test_a_prompt_that_names_no_column_is_said(store, data, template, said):
    assert (await balancer(simulated("a")).map(data, template, store=store)).summary.note == said


@pytest.mark.parametrize("script", ["stall", "ok, stall", "slow:600000"])
async def test_a_run_of_backends_that_are_silent_gives_up_when_told_to(store, script):
    lb = balancer(simulated("a", script=script, latency_ms=500))
    result = await lb.map(ROWS[:4], TEMPLATE, store=store, give_up_after=20)
    assert result.summary.not_asked >= 3
    assert "nobody has answered for 20 s" in result.summary.stopped
    assert lb.clock.now() <= 21


async def test_rows_that_nobody_answers_for_a_long_time_fail(store):
    lb = balancer(simulated("a", script="503"))
    result = await lb.map(ROWS[:2], TEMPLATE, store=store)
    assert counts(result) == {"failed": 2}
    assert lb.clock.now() >= 300


@pytest.mark.parametrize("how", ["refused", "dns", "tls"])
async def test_where_there_never_was_a_way_to_anybody_the_run_ends_soon_and_says_what_to_do(store, how):
    lb = balancer(simulated("a", script=how), simulated("b", script=how))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"not_asked": 20}
    assert result.summary.stopped.startswith("nobody can be reached: a: ")
    assert result.summary.stopped.endswith("let it wait: --give-up-after SECONDS (in Python give_up_after=))")
    assert lb.clock.now() < 20


async def test_a_server_that_is_not_there_ends_a_run_soon_and_names_it(store):
    connection = llx.Connection(base_url=unused_url())
    profile = llx.Profile.single(llx.ModelProfile("a", "openai", "m", connection=connection))
    async with llx.load(profile, trust=True, isolated=True) as lb:
        result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"not_asked": 20}
    assert "nobody can be reached: a: connection refused by 127.0.0.1:" in result.summary.stopped


@pytest.mark.parametrize("options", [{}, {"give_up_after": 600}])
async def test_who_has_answered_before_or_is_to_be_waited_for_is_waited_for(store, options):
    script = ", ".join(["refused"] * 6 + ["ok"])
    lb = balancer(simulated("a", script=script if options else f"ok, {script}", latency_ms=100))
    assert counts(await lb.map(ROWS, TEMPLATE, store=store, **options)) == {"answered": 20}
    assert lb.clock.now() > 60


async def test_where_one_can_be_reached_the_others_end_nothing(store):
    lb = balancer(simulated("a", script="refused"), simulated("b", script="503, 503, 503, 503, 503, 503, ok"))
    assert counts(await lb.map(ROWS, TEMPLATE, store=store)) == {"answered": 20}


async def test_a_bar_says_why_nobody_answers(store):
    lb = balancer(simulated("a", script="ok, reset, reset, reset, reset, reset, reset, ok", latency_ms=100))
    run, told = MapRun(lb, ROWS, TEMPLATE, {"store": store}), set()
    await run.run(lambda progress: told.update(share.trouble for share in progress.shares))
    assert told == {"", "connection reset"}


async def test_it_stops_after_so_many_errors(store):
    lb = balancer(simulated("a", script="context", latency_ms=100))
    result = await lb.map(ROWS, TEMPLATE, store=store, max_errors=3)
    assert 3 <= result.summary.failed < 10
    assert "max_errors" in result.summary.stopped


@pytest.mark.parametrize("most", [2, 5])
@pytest.mark.parametrize("fault", ["cut:3", "503", "reset"])
async def test_rows_that_fail_again_and_again_while_nobody_answers_are_errors_too(store, fault, most):
    """In ten rounds of a circuit's probes for each of them the run would take half an hour."""
    lb = balancer(simulated("a", script=fault, latency_ms=100))
    result = await lb.map(ROWS[:5], TEMPLATE, store=store, max_errors=most)
    assert result.summary.stopped.startswith(f"max_errors={most} is reached ({most} times a row was asked again in")
    assert result.summary.failed == 0 < result.summary.in_vain
    assert lb.clock.now() < 60 * most


@pytest.mark.parametrize("script", ["429:60, 429:60, 429:60, ok", "ok, 503, 503, 503, 503, 503, ok"])
async def test_a_rate_limit_or_a_short_outage_is_no_error(store, script):
    lb = balancer(simulated("a", script=script, latency_ms=100))
    assert counts(await lb.map(ROWS, TEMPLATE, store=store, max_errors=3)) == {"answered": 20}


async def test_the_same_failure_of_many_rows_is_one_text_that_stays_true(store):
    """What holds a backend back from now on is no part of what happened to a row."""
    lb = balancer(simulated("a", script="cut:3", latency_ms=100))
    result = await lb.map(ROWS[:5], TEMPLATE, store=store, give_up_after=20)
    assert result.frame.llx_error.nunique() == 1
    assert "may be tried again" not in result.frame.llx_error[0]
    lb = balancer(simulated("a", script="context", latency_ms=100))
    for _ in range(2):  # the second time from the store
        frame = (await lb.map(ROWS, TEMPLATE, store=store)).frame
        assert frame.llx_error.nunique() == 1


def priced(name: str, **params):
    member = simulated(name, latency_ms=100, completion_tokens=500, **params)
    return replace(member, connection=Connection(price_input=0.0, price_output=1000.0))


async def test_a_run_keeps_within_its_budget(store):
    lb = balancer(priced("a"))
    result = await lb.map(ROWS, TEMPLATE, store=store, budget=2.75)
    assert counts(result) == {"answered": 5, "not_asked": 15}
    assert result.summary.spent.cost == 2.5
    assert "budget of 2.75 USD" in result.summary.stopped


async def test_a_question_is_worth_its_while_from_a_set_sum_on_and_without_a_budget(store):
    dear = balancer(priced("a"))

    def question(data=ROWS, lb=dear, **options):
        return MapRun(lb, data, TEMPLATE, {"store": store, **options}).question()

    assert question() is None  # about 10 USD
    told = question(ROWS * 2, dedupe=False)
    assert told == "the 40 rows to ask will cost about 20 (6 to 40), more than ask_above_usd=10"
    assert question(settings={"ask_above_usd": 0.5})
    assert question(ROWS * 2, dedupe=False, budget=5) is None
    assert question(ROWS * 2, dedupe=False, settings={"ask_above_usd": None}) is None
    assert question(iter(ROWS * 2), dedupe=False) is None
    assert question(ROWS * 2, balancer(simulated("a")), dedupe=False) is None


async def test_python_is_never_asked_and_a_question_changes_nothing(store):
    lb = balancer(priced("a"))
    run = MapRun(lb, ROWS * 2, TEMPLATE, {"store": store, "dedupe": False})
    assert run.question()
    assert counts(await run.run()) == {"answered": 40}


async def test_a_budget_needs_a_price(store):
    with pytest.raises(UsageProblem, match=r"^a budget needs prices; a: none is known; a profile says it"):
        await balancer(simulated("a")).map(ROWS, TEMPLATE, store=store, budget=5)


async def test_who_has_no_price_is_not_asked_under_a_budget_and_the_summary_says_so(store):
    lb = balancer(simulated("u"), priced("p"))
    result = await lb.map(ROWS, TEMPLATE, store=store, budget=2.75)
    assert counts(result) == {"answered": 5, "not_asked": 15}
    assert "u: not asked: its price is not known" in str(result.summary)


async def test_a_row_at_a_slow_backend_is_asked_of_a_faster_one_too_once_that_is_free(store):
    a, b = simulated("a", latency_ms=100), simulated("b", latency_ms=60_000)
    lb = balancer(a, b, hedge_after_ms=500, concurrency=1)
    result = await lb.map(["one", "two"], "{{ row }}", store=store)
    assert counts(result) == {"answered": 2}
    assert [outcome.backend for outcome in result.outcomes] == ["a", "a"]
    assert lb.clock.now() == pytest.approx(0.6)


async def test_the_embedded_model_is_sent_no_more_rows_than_it_can_use():
    lb = llx.load(llx.Profile.single(llx.ModelProfile("here", "local", "smollm2-135m-instruct")))
    assert lb.prepare("why").candidates[0].settings.concurrency == 2


async def test_a_limit_looks_at_the_first_rows_alone(store):
    lb = balancer(simulated("a"))
    result = await lb.map(ROWS, TEMPLATE, store=store, limit=5)
    assert (counts(result), attempts(lb)) == ({"answered": 5, "not_asked": 15}, 5)


async def test_a_row_has_its_own_limit_of_time_with_all_waits(store):
    lb = balancer(simulated("a", script="ok, slow:90000, ok", latency_ms=100))
    result = await lb.map(ROWS, TEMPLATE, store=store, settings={"row_timeout_ms": 60_000})
    assert counts(result) == {"answered": 19, "failed": 1}
    assert "row_timeout_ms" in result.failed.llx_error.iloc[0]


async def test_a_row_that_waits_for_a_backend_has_its_limit_too(store):
    lb = balancer(simulated("a", script="429:300, ok"))
    result = await lb.map(["one"], TEMPLATE, store=store, settings={"row_timeout_ms": 60_000})
    assert counts(result) == {"failed": 1}
    assert lb.clock.now() == 60


async def test_a_name_that_is_no_column_is_refused_before_anything_is_sent(store):
    lb = balancer(simulated("a"))
    frame = pd.DataFrame({"text": ["a"], "label": ["b"]})
    with pytest.raises(
        UsageProblem,
        match=r"'txt' is no column; the columns are 'text', 'label'; nothing was sent; did you mean text\?$",
    ):
        await lb.map(frame, "{{ label }} {{ txt }}", store=store)
    assert attempts(lb) == 0


@pytest.mark.parametrize("column", ["my col", "b-c", "size (cm)", "a.b", "it's", "price $", "not", "2nd", "a|b"])
async def test_a_column_whose_name_is_no_name_is_told_as_it_is_written(store, column):
    frame = pd.DataFrame({"text": ["a"], column: ["b"]})
    says = f"{{{{ {column} }}}}: {column!r} is a column, but no name; write {{{{ row[{column!r}] }}}}; nothing was sent"
    with pytest.raises(UsageProblem) as problem:
        await balancer(simulated("a")).map(frame, f"{{{{ {column} }}}}", store=store)
    assert str(problem.value) == says


async def test_a_column_is_found_as_its_error_writes_it(store):
    frame = pd.DataFrame({"my col": ["b"]})
    result = await balancer(simulated("a")).map(frame, "{{ row['my col'] }}", store=store)
    assert counts(result) == {"answered": 1}


async def test_an_iterator_keeps_its_first_row_where_the_template_cannot_be_read(store):
    rows = iter([{"my col": 1}])
    with pytest.raises(UsageProblem, match="is not an expression"):
        await balancer(simulated("a")).map(rows, "{{ my col }}", store=store)
    assert list(rows) == [{"my col": 1}]


async def test_a_column_that_is_meant_is_told_as_it_is_written(store):
    frame = pd.DataFrame({"my col": ["b"]})
    with pytest.raises(UsageProblem, match=r"did you mean row\['my col'\]\?$"):
        await balancer(simulated("a")).map(frame, "{{ my_col }}", store=store)


async def test_a_name_with_a_default_may_be_missing(store):
    lb = balancer(simulated("a"))
    result = await lb.map(
        [{"a": 1}], "{{ a }} {{ b | default('none') }} {{ 'x' if c is defined else 'y' }}", store=store
    )
    assert counts(result) == {"answered": 1}


async def test_a_row_without_a_prompt_fails_by_itself(store):
    lb = balancer(simulated("a"))
    result = await lb.map(["", "x"], "{{ row }}", store=store)
    assert counts(result) == {"answered": 1, "failed": 1}
    assert result.failed.llx_error.iloc[0] == "the prompt is empty"


async def test_a_row_whose_value_is_missing_is_not_asked(store):
    lb = balancer(simulated("a"))
    table = pd.DataFrame({"text": ["x", None, "None"]})
    result = await lb.map(table, "{{ text }}", store=store)
    assert (counts(result), attempts(lb)) == ({"answered": 2, "failed": 1}, 2)
    assert result.failed.llx_error.tolist() == ["the prompt is empty: its value is missing"]


async def test_a_stopped_run_keeps_what_is_finished_and_the_next_goes_on(store):
    lb = balancer(simulated("a", latency_ms=1000))
    run = MapRun(lb, ROWS, TEMPLATE, {"store": store})
    result = await run.run(lambda _part: run.stop() if run.progress().done >= 4 else None)
    assert result.summary.stopped == "interrupted"
    done = result.summary.answered
    assert 4 <= done < 20
    assert lb.snapshot().prompts.running == 0
    asked = attempts(lb)
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert (counts(result), attempts(lb) - asked) == ({"answered": 20 - done, "stored": done}, 20 - done)


async def test_rows_come_as_they_end_and_no_more_are_read_than_are_needed(store):
    read = []

    def numbers():
        for number in range(10_000):
            read.append(number)
            yield {"number": number}

    lb = balancer(simulated("a", latency_ms=100))
    async for outcome in lb.map_rows(numbers(), "{{ number }}", store=store):
        if outcome.place == 30:
            break
    assert len(read) < 400


async def test_a_value_of_a_schema_is_given_with_the_row(store):
    lb = balancer(simulated("a", reply='{"good": true}'))
    rows = [each async for each in lb.map_rows(["x"], TEMPLATE, schema={"good": bool}, store=store)]
    assert [row.value for row in rows] == [{"good": True}]


async def test_the_same_again_with_another_backend_asks_nothing(store):
    await balancer(simulated("a")).map(ROWS, TEMPLATE, store=store)
    lb = balancer(simulated("b"), simulated("a"))
    await lb.map(ROWS, TEMPLATE, store=store)
    assert attempts(lb) == 0


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"samples": 0}, "samples must be a whole number, 1 or more; got 0"),
        ({"limit": 2.5}, "limit must be a whole number, 1 or more; got 2.5"),
        ({"budget": -1}, "budget must be a positive number; got -1"),
        ({"retry": "all"}, "retry must be 'errors' or None; got 'all'"),
        ({"give_up_after": float("nan")}, "give_up_after must be a positive number; got nan"),
    ],
)
async def test_an_option_that_makes_no_sense_is_refused(store, option, told):
    with pytest.raises(UsageProblem, match=told):
        await balancer(simulated("a")).map(ROWS, TEMPLATE, store=store, **option)


def test_the_synchronous_call_gives_the_same(store):
    profile = llx.Profile.single(simulated("a"))
    result = llx.map(ROWS, TEMPLATE, profile=profile, store=store, progress=False)
    assert counts(result) == {"answered": 20}


async def test_a_row_that_waits_is_no_prompt_that_failed(store):
    lb = balancer(simulated("a", script="429:30, 429:30, ok"))
    await lb.map(ROWS, TEMPLATE, store=store)
    prompts = lb.snapshot().prompts
    assert (prompts.asked, prompts.answered, prompts.failed) == (20, 20, 0)
    assert "put back" in set(lb.history().outcome)


async def test_a_row_keeps_its_number_when_it_comes_again_and_prompts_are_counted_without_a_gap(store):
    lb = balancer(simulated("a", script="429:30, 429:30, ok"))
    await lb.map(ROWS, TEMPLATE, store=store)
    history = lb.history()
    assert sorted(set(history.request)) == list(range(1, 21))
    assert sorted(history.request[history.outcome == "answered"]) == list(range(1, 21))
    assert (await lb.ask("and now?")).request == 21 == lb.snapshot().prompts.asked


async def test_stored_rows_and_equal_ones_take_no_numbers(store):
    lb = balancer(simulated("a"))
    await lb.map(ROWS, TEMPLATE, store=store)
    await lb.map([*ROWS, "new", "new"], TEMPLATE, store=store)
    assert sorted(lb.history().request) == list(range(1, 22))


async def test_the_trace_of_a_row_that_was_put_back_tells_how_long_it_waited(store):
    lb = balancer(simulated("a", script="429:30, 429:30, ok"))
    await lb.map(["one"], TEMPLATE, store=store)
    trace = lb.trace()
    waits = [step.end - step.begin for step in trace.steps if step.kind == "wait"]
    assert trace.headline.startswith("Request 1: answered by a")
    assert (trace.seconds, waits) == (60.0, [30.0, 30.0])


async def test_the_wait_of_a_row_that_was_put_back_is_part_of_its_seconds_wherever_they_are_told(store):
    lb = balancer(simulated("a", script="429:30, 429:30, ok", latency_ms=100))
    first = (await lb.map(["one"], TEMPLATE, store=store)).frame
    again = (await lb.map(["one"], TEMPLATE, store=store)).frame
    for told in (first, again):
        assert (list(told.llx_attempts), list(told.llx_seconds)) == ([3], [pytest.approx(60.3, abs=0.3)])
    prompts, history = lb.snapshot().prompts, lb.history()
    seconds = first.llx_seconds[0]
    assert (prompts.median_seconds, prompts.p95_seconds) == (pytest.approx(seconds), pytest.approx(seconds))
    assert list(history.seconds)[-1] == pytest.approx(seconds)
    assert history.started.nunique() == 1
    assert list(history.ttft_seconds)[-1] == pytest.approx(60.3, abs=0.3)
    assert f"answered by a in {duration(seconds)}" in lb.trace().headline


async def test_a_row_that_stands_in_line_behind_others_has_not_begun(store):
    lb = balancer(simulated("a", latency_ms=100))
    result = await lb.map(ROWS, TEMPLATE, store=store, settings={"concurrency_limit": 1})
    assert list(result.frame.llx_seconds) == [pytest.approx(0.1)] * 20
    assert lb.snapshot().prompts.p95_seconds == pytest.approx(0.1)


async def test_what_is_said_of_many_replies_is_said_once(store):
    lb = balancer(simulated("a", script="length"))
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert "20 rows: cut at max_tokens" in str(result.summary)


async def test_a_row_is_asked_again_for_the_json_it_is_to_be_and_its_tokens_count(store):
    lb = balancer(simulated("a", reply="no json", prompt_tokens=10, completion_tokens=5))
    result = await lb.map(["x"], TEMPLATE, schema={"good": bool}, store=store)
    (outcome,) = result.outcomes
    assert (outcome.status, outcome.text, outcome.attempts) == ("failed", "no json", 3)
    assert (outcome.tokens_in, outcome.tokens_out) == (30, 15)
    assert "JSON" in (outcome.error or "")
    again = await lb.map(["x"], TEMPLATE, schema={"good": bool}, store=store)
    assert (counts(again), attempts(lb)) == ({"failed": 1}, 3)


async def test_a_stopped_run_closes_its_connections_at_once(store):
    with FaultServer("ok", "ok", "stall") as server:
        lb = llx.load(profile_of(server), trust=True)
        run = MapRun(lb, ROWS, TEMPLATE, {"store": store})
        task = asyncio.ensure_future(run.run())
        await asyncio.to_thread(server.reached.wait, 10)
        run.stop()
        result = await task
        assert all(request.disconnected.wait(5) for request in server.requests if request.mode == "stall")
        assert result.summary.stopped == "interrupted"
        done = result.summary.answered
        server.release()
        server.script(*["ok"] * 30)
        result = await lb.map(ROWS, TEMPLATE, store=store)
        assert counts(result) == {"answered": 20 - done, **({"stored": done} if done else {})}
        await lb.aclose()


def test_an_interrupt_returns_what_is_finished_and_the_same_call_goes_on(store):
    profile = llx.Profile.single(simulated("a", latency_ms=30))

    def rows():
        for number in range(400):
            if number == 100:
                _thread.interrupt_main()
            yield number

    result = llx.map(list(range(400)), TEMPLATE, profile=profile, store=store, limit=1, progress=False)
    result = llx.map(rows(), TEMPLATE, profile=profile, store=store, progress=False)
    assert result.summary.stopped == "interrupted"
    done = result.summary.answered + result.summary.stored
    assert 0 < done < 400
    result = llx.map(range(400), TEMPLATE, profile=profile, store=store, progress=False)
    assert counts(result) == {"answered": 400 - done, "stored": done}


def test_a_run_that_is_stopped_before_it_begins_asks_nothing(store):
    lb = balancer(simulated("a"))
    run = MapRun(lb, ROWS, TEMPLATE, {"store": store})
    run.stop()
    assert counts(asyncio.run(run.run())) == {"not_asked": 20}


@pytest.fixture
def in_session():
    """A notebook with a session of its own."""
    session = Session()
    hosts.enter(of_host := lambda: session)
    yield session
    hosts.leave(of_host)


@pytest.mark.usefixtures("in_session")
def test_in_a_notebook_the_template_sees_the_callers_variables_behind_the_columns(store):
    style, row = "short", "mine"
    profile = llx.Profile.single(simulated("a"))
    result = llx.map(["x"], "{{ style }}: {{ row }}", profile=profile, store=store, progress=False)
    assert counts(result) == {"answered": 1}
    assert "row is the column, not your variable" in str(result.summary)
    assert (style, row) == ("short", "mine")


def test_outside_of_notebooks_a_template_sees_columns_alone(store):
    style = "short"
    with pytest.raises(UsageProblem, match="'style' is no column"):
        llx.map(["x"], "{{ style }}: {{ row }}", profile=llx.Profile.single(simulated("a")), store=store)
    assert style


async def test_a_cancelled_call_ends_all_that_it_began_and_keeps_what_was_answered(store):
    lb = balancer(simulated("a", latency_ms=1000))
    task = asyncio.ensure_future(lb.map(ROWS, TEMPLATE, store=store))
    await lb.clock.sleep(2.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    answered = lb.snapshot().prompts.answered
    result = await lb.map(ROWS, TEMPLATE, store=store)
    assert counts(result) == {"answered": 20 - answered, "stored": answered}
    assert 0 < answered < 20


async def test_leaving_the_rows_early_ends_all_that_was_begun(store):
    lb = balancer(simulated("a", latency_ms=1000))
    rows = lb.map_rows(ROWS, TEMPLATE, store=store)
    async for _outcome in rows:
        break
    await rows.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert lb.snapshot().prompts.running == 0


async def test_what_the_data_raises_is_raised_and_what_was_answered_is_kept(store):
    def rows():
        yield from ROWS[:10]
        raise OSError("the disk of the data is gone")

    lb = balancer(simulated("a"))
    with pytest.raises(OSError, match="the disk of the data is gone"):
        await lb.map(rows(), TEMPLATE, store=store)
    answered = attempts(lb)
    await lb.map(ROWS, TEMPLATE, store=store)
    assert attempts(lb) <= 20
    assert answered <= 10


@pytest.mark.parametrize("ending", [SystemExit("bye"), KeyboardInterrupt(), GeneratorExit()])
async def test_data_that_would_end_the_process_ends_the_run_alone(store, ending):
    def rows():
        yield "one"
        raise ending

    with pytest.raises(RuntimeError, match=f"{type(ending).__name__} was raised"):
        await balancer(simulated("a")).map(rows(), TEMPLATE, store=store)


async def test_rows_that_fail_while_others_are_answered_are_given_up(store):
    """A server that fails for these rows alone."""

    def mode(exchange: Exchange) -> None:
        poisoned = "row 7" in exchange.request.body.decode()
        find_mode("500" if poisoned else "ok")(exchange)

    with FaultServer(mode) as server:
        lb = llx.load(profile_of(server), trust=True)
        settings = {"failover_retry_delay_ms": 1, "circuit_breaker_enabled": False}
        result = await lb.map(["row 7", *ROWS[8:]], TEMPLATE, store=store, settings=settings)
        assert counts(result) == {"answered": 12, "failed": 1}
        assert sum("row 7" in request.body.decode() for request in server.requests) == 3
        await lb.aclose()


async def test_a_row_is_asked_while_an_iterator_takes_its_time_over_the_next(store):
    answered, waited_for = threading.Event(), []

    def rows():
        yield "the first"
        time.sleep(0.06)
        yield "the second"
        waited_for.append(answered.wait(10))
        yield "the third"

    async for _outcome in balancer(simulated("a")).map_rows(rows(), TEMPLATE, store=store):
        answered.set()
    assert waited_for == [True]


async def test_that_replies_were_cut_is_said_again_where_they_come_from_the_store(store):
    lb = balancer(simulated("a", script="length"))
    await lb.map(ROWS, TEMPLATE, store=store)
    again = await lb.map(ROWS, TEMPLATE, store=store)
    assert "20 rows: cut at max_tokens" in again.summary.note
