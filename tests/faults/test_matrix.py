"""Every row of the fault table through the public API: two backends, the first one faulty, on real sockets."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import traceback
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

import llx_magic as llx
from llx_magic.commands.footer import footer
from llx_magic.core.events import AttemptStarted, CoolDownStarted, RetryScheduled
from llx_magic.core.reply import Delta, Part, Reply, Restart
from llx_magic.core.snapshot import BackendSnapshot
from llx_magic.units import duration
from tests.faults.matrix import (
    CANCELLED,
    FIRST_TEXT,
    FIRST_USAGE,
    KEY_ECHO,
    NOBODY,
    ROWS,
    SECOND_TEXT,
    STREAM,
    WHOLE,
    Mark,
    Nobody,
    Place,
    Release,
    Row,
    Stopped,
    modes_in_the_table,
    script,
)
from tests.faults.modes import MODES
from tests.faults.server import FaultServer
from tests.faults.stage import KEYS, PROMPT, Stage, keys_in, stage_of, staged, surround, write_profiles

CASES = [pytest.param(row, wire, id=f"{row.fault}: {row.variant}-{wire}") for row in ROWS for wire in row.wires]


# --- the surroundings -----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch, caplog):
    """Keys in the environment, no proxies, a configuration folder of the test's own, and every library talkative."""
    surround(tmp_path, monkeypatch)
    caplog.set_level(logging.DEBUG)
    return caplog


class LoopbackLoop(asyncio.SelectorEventLoop):
    """An event loop that resolves no name, so that nothing is ever asked of a name server."""

    async def getaddrinfo(self, host, port, **options):
        if host not in ("127.0.0.1", b"127.0.0.1"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await super().getaddrinfo(host, port, **options)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, which must come."""

    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await work

    with asyncio.Runner(loop_factory=LoopbackLoop) as runner:
        return runner.run(bounded())


# --- asking ---------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What one request came to, as its caller saw it; ``shown`` is the text that was left standing."""

    parts: list[Part]
    reply: Reply | None = None
    error: llx.AllBackendsFailed | None = None
    words: str = ""

    @property
    def shown(self) -> str:
        pieces: list[str] = []
        for part in self.parts:
            if isinstance(part, Restart):
                pieces.clear()
            elif isinstance(part, Delta):
                pieces.append(part.text)
        return "".join(pieces)

    @property
    def restarts(self) -> list[Restart]:
        return [part for part in self.parts if isinstance(part, Restart)]

    @property
    def events(self) -> tuple[Any, ...]:
        outcome = self.reply or self.error
        assert outcome is not None
        return tuple(outcome.trace)


async def request(lb: llx.LoadBalancer, stage: Stage, row: Row, *, by_parts: bool) -> Seen:
    """Ask once, in pieces or as a whole, and let what holds go on when the row says so."""
    seen = Seen([])
    if row.release in (Release.AFTER_TEXT, Release.WHEN_REACHED):
        stage.first.hold_again()
    letting_go = asyncio.create_task(_let_go(stage.first, row))
    try:
        if not by_parts:
            seen.reply = await lb.ask(PROMPT)
        else:
            async for part in lb.stream(PROMPT):
                seen.parts.append(part)
                if row.release is Release.AFTER_TEXT and isinstance(part, Delta):
                    stage.first.release()
            last = seen.parts[-1]
            assert isinstance(last, Reply)
            seen.reply = last
    except llx.AllBackendsFailed as failed:
        seen.error = failed
        # As the notebook's most talkative mode shows it: the values of every frame, and the causes.
        seen.words = "".join(traceback.TracebackException.from_exception(failed, capture_locals=True).format())
    letting_go.cancel()
    return seen


async def _let_go(server: FaultServer, row: Row) -> None:
    if row.release is Release.WHEN_REACHED:
        await asyncio.to_thread(server.reached.wait, 10)
        await asyncio.sleep(0.03)  # a reset would overtake the last bytes
        server.release()


def backend(lb: llx.LoadBalancer, name: str) -> BackendSnapshot:
    return next(each for each in lb.snapshot().backends if each.name == name)


# --- the claims -----------------------------------------------------------------------------------------------------


def log_of(caplog: pytest.LogCaptureFixture) -> str:
    """Everything that was logged by anybody."""
    return "\n".join(record.getMessage() for record in caplog.records)


def assert_no_key(lb: llx.LoadBalancer, seen: Seen, log: str, *, tables: bool = True) -> None:
    """No key, plain or escaped, in anything that a user or a program can come by.

    The tables are made from the decisions, so it is enough to make them for some rows.
    """
    frames = [lb.stats(), lb.history(), lb.attempts(), lb.events(), lb.circuit(), lb.tpm()] if tables else []
    words = [frame.to_csv() for frame in frames]
    words += [repr(seen.parts), repr(seen.reply), repr(seen.error), str(seen.error), seen.words, log, repr(lb.profile)]
    words += [repr(seen.events), str(lb.trace()), repr(lb.snapshot()), repr(lb.decisions())]
    assert not keys_in("\n".join(words)), [each[:2000] for each in words if keys_in(each)]


def assert_one_line(text: str) -> None:
    assert text.isprintable(), text
    assert len(text) < 2000


def assert_told(row: Row, wire: str, seen: Seen) -> None:
    """The note under the reply, the footer, the trace and the restart say what happened."""
    says = row.whole_says if wire == WHOLE and row.whole_says else row.says
    verdict, trace = row.verdict, str(seen.reply.trace) if seen.reply else ""
    failed = re.findall(r"attempt \d+/\d+ failed after [^:]+: .", trace)
    if verdict.answered_by == "second":
        assert any(re.search(says, note) for note in seen.reply.notes), (says, seen.reply.notes)
        assert seen.reply is not None
        assert_one_line(footer(seen.reply))
        assert ("first skipped" if verdict.attempts == 0 else "first ") in footer(seen.reply)
        assert len(failed) == verdict.attempts
    elif verdict.answered_by == "first":
        assert [note for note in seen.reply.notes if re.search(says, note)] == list(seen.reply.notes)
        assert bool(seen.reply.notes) == bool(says)
        assert len(failed) == verdict.attempts - 1
    else:
        assert re.search(says, str(seen.error))
        assert_one_line(str(seen.error))
        assert seen.error.partial == row.partial
    withdrawn = r"first broke off after \d+ words?: withdrawn, second is asked from the start"
    assert len(re.findall(withdrawn, trace)) == int(verdict.restarted), trace


def assert_answered_whole(row: Row, wire: str, seen: Seen) -> None:
    """The reply is exactly one backend's text; what was shown before a restart is withdrawn, and nothing else is."""
    verdict, reply = row.verdict, seen.reply
    if verdict.answered_by is None:
        assert reply is None
        return
    own = row.whole_text if wire == WHOLE and row.whole_text is not None else row.text
    expected = SECOND_TEXT if verdict.answered_by == "second" else FIRST_TEXT if own is None else own
    assert reply is not None, seen.error
    assert (reply.text, reply.backend, reply.model) == (expected, verdict.answered_by, f"{verdict.answered_by}-model")
    if verdict.answered_by == "first":
        assert reply.finish_reason == row.finish
        assert reply.reasoning == row.reasoning
        assert (reply.usage is not None) == row.usage or row.variant.startswith("length")
        assert reply.usage in (None, llx.Usage(*FIRST_USAGE))
    if seen.parts and seen.parts[-1] is reply:
        assert seen.shown == expected
        assert [(each.failed, each.next) for each in seen.restarts] == [("first", "second")] * verdict.restarted
        assert all(each.reason in "\n".join(reply.notes) for each in seen.restarts)


def assert_counted(row: Row, lb: llx.LoadBalancer, seen: Seen) -> None:
    """Attempts, requests, successes and failures of both backends agree with the table."""
    verdict, first, second = row.verdict, backend(lb, "first"), backend(lb, "second")
    tried = [event for event in seen.events if isinstance(event, AttemptStarted) and event.backend == "first"]
    assert len(tried) == verdict.attempts
    visits, won = int(verdict.attempts > 0) + row.warm, int(verdict.answered_by == "first") + row.warm
    assert first.attempts == verdict.attempts + row.warm
    assert (first.requests, first.successes, first.failures, first.cancelled) == (visits, won, visits - won, 0)
    answered = int(verdict.answered_by == "second")
    assert (second.requests, second.successes, second.failures) == (answered, answered, 0)
    assert (first.in_flight, second.in_flight) == (0, 0)
    assert second.state == "closed"
    assert second.cooling_down is None


def assert_received(row: Row, stage: Stage, times: int = 1) -> None:
    """Each server received what the table says, with its own key and no other; it may read that after the time-out."""
    stage.first.wait_for_requests(row.expected_requests * times + row.warm)
    assert len(stage.first.requests) == row.expected_requests * times + row.warm
    assert len(stage.second.requests) == int(row.verdict.answered_by == "second") * times
    for server, name in ((stage.first, "first"), (stage.second, "second")):
        for each in server.requests:
            assert each.headers["authorization"] == f"Bearer {KEYS[name]}"
            assert each.json["model"] == f"{name}-asked"
            assert each.json["messages"] == [{"role": "user", "content": PROMPT}]


def assert_cooled(row: Row, seen: Seen) -> None:
    """The cool-down is as long as the server asked for, within bounds, and a short wait is what was waited."""
    started = [event.seconds for event in seen.events if isinstance(event, CoolDownStarted)]
    if row.verdict.mark is not Mark.COOLS:
        assert started == [] or row.variant == "40 ms, then an answer"
        return
    assert started == [row.cools] * row.verdict.attempts
    waits = [event for event in seen.events if isinstance(event, RetryScheduled)]
    assert len(waits) == row.verdict.attempts - 1
    if row.cools < 5:
        assert [(each.delay, each.asked_by_server) for each in waits] == [(row.cools, True)] * len(waits)
    assert re.search(rf"first.*cooling down for {duration(row.cools)}$", str(seen.reply.trace), re.MULTILINE)


async def assert_mark(row: Row, lb: llx.LoadBalancer, stage: Stage, *, by_parts: bool) -> None:
    """What the fault leaves behind is seen by asking again: one count a visit, a cool-down, or nothing at all."""
    mark = row.verdict.mark
    if mark is Mark.COUNTS and not row.slow:
        assert backend(lb, "first").state == "closed"  # the threshold is two: a visit counts once
        again = await request(lb, stage, row, by_parts=by_parts)
        assert_answered_whole(row, STREAM, again)
        assert_received(row, stage, times=2)
    if mark is Mark.NOTHING:
        assert backend(lb, "first").state == "closed"  # the threshold is one
        assert backend(lb, "first").cooling_down is None
    elif mark is Mark.COUNTS:
        assert backend(lb, "first").state == "open"
        await assert_passed_over(lb, stage, r"first skipped: circuit open", "circuit_open")
    elif row.cools > 5:
        assert backend(lb, "first").state == "closed"
        assert row.cools - 5 < backend(lb, "first").cooling_down <= row.cools
        await assert_passed_over(lb, stage, r"first skipped: cooling down after a rate limit", "cooling_down")


async def assert_passed_over(lb: llx.LoadBalancer, stage: Stage, note: str, why: str) -> None:
    """The next request goes straight to the second backend and says why."""
    before = stage.first.connections, len(stage.first.requests)
    reply = await lb.ask(PROMPT)
    assert reply.text == SECOND_TEXT
    assert reply.attempts == 1
    assert re.search(note, reply.notes[0]), why
    assert (stage.first.connections, len(stage.first.requests)) == before


# --- every row ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "wire"), CASES)
def test_a_fault_has_the_verdict_of_the_table(row, wire, monkeypatch, surroundings):
    """Requests received, who answers with which text, what counts, what cools down, what is said, and no key."""

    async def ask(stage: Stage) -> None:
        limits = row.whole_limits if wire == WHOLE and row.whole_limits is not None else row.limits
        once = row.slow or row.verdict.mark is not Mark.COUNTS
        settings = {"streaming": wire == STREAM, "circuit_breaker_failure_threshold": 1 if once else 2, **row.settings}
        by_parts = wire == STREAM or row.release is Release.AFTER_TEXT
        async with stage.balancer(limits, **settings) as lb:
            if row.warm:
                await lb.ask(PROMPT)
            seen = await request(lb, stage, row, by_parts=by_parts)
            assert_answered_whole(row, wire, seen)
            assert_counted(row, lb, seen)
            assert_received(row, stage)
            assert all(each.json.get("stream", False) is (wire == STREAM) for each in stage.first.requests)
            assert_told(row, wire, seen)
            assert_cooled(row, seen)
            assert_no_key(lb, seen, log_of(surroundings), tables=row.fault == KEY_ECHO)
            await assert_mark(row, lb, stage, by_parts=by_parts)
            if row.release is Release.NEVER:
                assert await asyncio.to_thread(stage.first.requests[-1].disconnected.wait, 5)

    with stage_of(row, monkeypatch) as stage:
        run(ask(stage))


SYNCHRONOUS = {
    row.fault: row
    for row in reversed(ROWS)
    if row.release in (Release.AT_ONCE, Release.NEVER) and row.place is not Place.UNKNOWN and not row.warm
}


def allow_keys(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the user consent to what a profile that is loaded by its path does with keys."""
    addresses = {"FAULTS_KEY_FIRST": stage.address, "FAULTS_KEY_SECOND": stage.second.base_url}
    pairs = (f"{key}@{'/'.join(address.split('/')[:3])}" for key, address in addresses.items())
    monkeypatch.setenv("LLX_TRUST", ",".join(pairs))


@pytest.mark.parametrize("row", SYNCHRONOUS.values(), ids=SYNCHRONOUS)
def test_a_fault_has_its_verdict_in_synchronous_code_too(row, monkeypatch, tmp_path):
    """``llx.ask`` of a profile file: the first variant of each fault, with the state that the file's users share."""
    with stage_of(row, monkeypatch) as stage:
        allow_keys(stage, monkeypatch)
        path = write_profiles(tmp_path, stage, row)
        seen = Seen([])
        try:
            seen.reply = llx.ask(PROMPT, profile=path)
        except llx.AllBackendsFailed as failed:
            seen.error = failed
        assert_answered_whole(row, STREAM, seen)
        assert_told(row, STREAM, seen)
        assert len(stage.first.requests) == row.expected_requests
        state = backend(llx.load(path), "first")
        assert state.state == ("open" if row.verdict.mark is Mark.COUNTS else "closed")
        assert (state.cooling_down is not None) == (row.verdict.mark is Mark.COOLS)


# --- nobody answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [STREAM, WHOLE])
@pytest.mark.parametrize("case", NOBODY, ids=lambda case: case.case)
def test_where_nobody_answers_one_line_names_every_backend(case: Nobody, wire, surroundings):
    """Its own error, how long it is kept away, and the longest text that had come."""

    async def ask(stage: Stage) -> None:
        async with stage.balancer(streaming=wire == STREAM) as lb:
            seen = await request(lb, stage, ROWS[0], by_parts=True)
            parts, error = seen.parts, seen.error
            assert error is not None
            assert re.match(case.begins, str(error)), str(error)
            assert all(re.search(name, str(error)) for name in case.names), str(error)
            assert_one_line(str(error))
            first, *others = error._render_traceback_()
            assert first.startswith(f"AllBackendsFailed: {error.headline}")
            assert [line.split()[0] for line in others] == [reason.backend for reason in error.reasons]
            assert [reason.backend for reason in error.reasons] == ["first", "second"]
            assert error.partial == case.partial
            assert not any(isinstance(part, Reply) for part in parts)
            assert len([part for part in parts if isinstance(part, Restart)]) == int(case.first == "text-then-end")
            assert_no_key(lb, seen, log_of(surroundings))

    with staged(*script((case.first,)), second=script((case.second,))[0]) as stage:
        run(ask(stage))


@pytest.mark.parametrize("wire", [STREAM, WHOLE])
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("open", r"circuit open.*\(may be tried again in (?:30|29|28|27) s\)"),
        ("cooling", r"cooling down after a rate limit.*429 .*\(may be tried again in (?:2 min|1 min 5\d s)\)"),
        ("key", r"no key for {name}: set the environment variable FAULTS_KEY_{NAME}$"),
    ],
)
def test_where_every_backend_is_refused_nothing_is_sent_and_the_error_says_for_how_long(how, says, wire, monkeypatch):
    """No connection is made and nothing is waited for; each backend is named with its last error and the seconds."""

    async def ask(stage: Stage) -> None:
        async with stage.balancer(streaming=wire == STREAM) as lb:
            if how == "open":
                lb.open_circuit("first")
                lb.open_circuit("second")
            elif how == "cooling":
                with pytest.raises(llx.AllBackendsFailed):
                    await lb.ask(PROMPT)
            else:
                monkeypatch.delenv("FAULTS_KEY_FIRST")
                monkeypatch.delenv("FAULTS_KEY_SECOND")
            before = [(server.connections, len(server.requests)) for server in (stage.first, stage.second)]
            with pytest.raises(llx.AllBackendsFailed) as caught:
                await lb.ask(PROMPT)
            assert [(server.connections, len(server.requests)) for server in (stage.first, stage.second)] == before
            assert_one_line(str(caught.value))
            for name in ("first", "second"):
                wanted = says.replace("{name}", name).replace("{NAME}", name.upper())
                [reason] = [str(each) for each in caught.value.reasons if each.backend == name]
                assert re.search(wanted, reason), reason
                assert reason in str(caught.value)
            assert not any(isinstance(event, AttemptStarted | RetryScheduled) for event in caught.value.trace)

    limited = script(("429",))[0] if how == "open" else limiting
    with staged(limited, second=limited) as stage:
        run(ask(stage))


def limiting(exchange) -> None:
    """Limit the rate for two minutes."""
    exchange.whole(429, b'{"error": {"message": "scripted"}}', {"Retry-After": "120"})


@pytest.mark.parametrize("wire", [STREAM, WHOLE])
def test_where_every_backend_is_too_slow_the_first_answers_after_all(wire):
    """A slow answer beats none; a note says so, and it counts as nobody's failure."""

    async def ask(stage: Stage) -> None:
        async with stage.balancer(streaming=wire == STREAM) as lb:
            await lb.ask(PROMPT, backend="first")
            await lb.ask(PROMPT, backend="second")
            reply = await lb.ask(PROMPT, settings={"tpm_threshold": 1e12})
            assert (reply.text, reply.backend) == (FIRST_TEXT, "first")
            assert any(
                re.fullmatch(r"second put aside: TPM [\d,]+ below 1,000,000,000,000", note) for note in reply.notes
            )
            assert "nothing answered, trying first, second after all" in str(reply.trace)
            assert [each.failures for each in lb.snapshot().backends] == [0, 0]
            assert [each.state for each in lb.snapshot().backends] == ["closed", "closed"]

    with staged("ok") as stage:
        run(ask(stage))


@pytest.mark.parametrize("wire", [STREAM, WHOLE])
def test_a_backend_below_its_tokens_per_minute_is_passed_over_for_one_that_is_not_known_to_be(wire):
    """No visit and no failure: the next one answers."""

    async def ask(stage: Stage) -> None:
        async with stage.balancer(streaming=wire == STREAM) as lb:
            await lb.ask(PROMPT, backend="first")
            reply = await lb.ask(PROMPT, settings={"tpm_threshold": 1e12})
            assert (reply.text, reply.backend) == (SECOND_TEXT, "second")
            assert re.search(r"first put aside: TPM [\d,]+ below", reply.notes[0])
            assert (backend(lb, "first").requests, backend(lb, "first").failures) == (1, 0)

    with staged("ok") as stage:
        run(ask(stage))


# --- the user stops a request ---------------------------------------------------------------------------------------


STOPS = [
    pytest.param(case, as_probe, wire, id=f"{case.phase}-{'probe' if as_probe else 'closed'}-{wire}")
    for case in CANCELLED
    for as_probe in (False, True)
    for wire in (STREAM, WHOLE)
    if not (as_probe and case.knows_by == "wait")  # a probe makes one attempt, so it never waits for another
]


@pytest.mark.parametrize(("case", "as_probe", "wire"), STOPS)
def test_a_request_that_the_user_stops_counts_for_nothing(case: Stopped, as_probe, wire):
    """The connection is closed at once, nobody else is asked, nothing is counted, and a probe gives its permit back."""

    async def ask(stage: Stage) -> None:
        settings = {"circuit_breaker_failure_threshold": 1, "streaming": wire == STREAM, **case.settings}
        recovery = {"circuit_breaker_recovery_timeout_ms": 1} if as_probe else {}
        async with stage.balancer(**settings, **recovery) as lb:
            if as_probe:
                lb.open_circuit("first")
                await asyncio.sleep(0.01)  # longer than the recovery time
            await stop(lb, stage, case)
            first, second = backend(lb, "first"), backend(lb, "second")
            assert (first.requests, first.cancelled, first.failures, first.in_flight) == (1, 1, 0, 0)
            assert (second.requests, len(stage.second.requests)) == (0, 0)
            assert first.state == ("open" if as_probe else "closed")
            assert first.cooling_down is None
            assert "cancelled after" in lb.trace().headline
            if as_probe:
                [(_, verdict), _] = await lb.explain(lb.prepare(PROMPT))
                assert verdict == "asked once, as the probe of its half-open circuit"

    with staged(*script((case.mode,)), place=case.place) as stage:
        stage.first.chunk_delay = 0.001
        run(ask(stage))


async def stop(lb: llx.LoadBalancer, stage: Stage, case: Stopped) -> None:
    """Ask, stop the request at its point, and see the connection closed."""
    happened = asyncio.Event()
    lb.subscribe(lambda event: happened.set() if isinstance(event, RetryScheduled) else None)

    async def consume() -> None:
        async for part in lb.stream(PROMPT):
            if isinstance(part, Delta):
                happened.set()

    asking = asyncio.create_task(consume())
    peer = None
    if case.knows_by == "connection":
        peer, _ = await asyncio.to_thread(stage.silent.accept)
        assert await asyncio.to_thread(peer.recv, 65536)
    elif case.knows_by == "reached":
        assert await asyncio.to_thread(stage.first.reached.wait, 10)
    else:
        await asyncio.wait_for(happened.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    if peer is not None:
        with peer:
            peer.settimeout(5)
            assert await asyncio.to_thread(peer.recv, 65536) == b""
    elif case.knows_by == "wait":
        assert len(stage.first.requests) == 1
    else:
        assert await asyncio.to_thread(stage.first.requests[-1].disconnected.wait, 5)


# --- the table is complete ------------------------------------------------------------------------------------------


def test_every_mode_of_the_fault_server_stands_in_the_table():
    """A way to fail without a verdict would be a way that nobody has thought through."""
    missing = set(MODES) - modes_in_the_table()
    assert not missing


def test_no_variant_stands_in_the_table_twice():
    """Else one of the two verdicts would not be looked at."""
    named = [(row.fault, row.variant) for row in ROWS]
    assert len(named) == len(set(named))
