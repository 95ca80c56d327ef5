"""The simulated model does what its script says, in virtual time, and fails as real servers do."""

from __future__ import annotations

import asyncio
import threading

import pytest

from llx_magic.backends.simulated import SimulatedBackend, SimulatedScript, simulated_script
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.message import Message
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.errors import SettingError

EIGHT_WORDS = "one two three four five six seven eight"


class JumpingClock:
    """Time that jumps to the end of each sleep."""

    epoch = 0.0

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def call_later(self, delay, callback):
        raise NotImplementedError(delay, callback)

    async def sleep(self, delay: float) -> None:
        self.seconds += delay

    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass


class Pieces:
    """Notes each piece with the time at which it came."""

    def __init__(self, clock: JumpingClock) -> None:
        self.clock = clock
        self.got: list[tuple[float, str]] = []
        self.rates: list[RateFacts] = []

    def on_sending(self, to: str) -> None:
        pass

    def on_connected(self) -> None:
        pass

    def on_text(self, piece: str) -> None:
        self.got.append((self.clock.seconds, piece))

    def on_reasoning(self, piece: str) -> None:
        raise AssertionError(piece)

    def on_usage(self, usage: Usage) -> None:
        pass

    def on_rates(self, facts: RateFacts) -> None:
        self.rates.append(facts)

    @property
    def text(self) -> str:
        return "".join(piece for _, piece in self.got)


class Trial:
    """One backend with its clock, asked any number of times."""

    def __init__(self, **params) -> None:
        self.clock = JumpingClock()
        self.pieces = Pieces(self.clock)
        self.backend = SimulatedBackend("sim", "sim-1", simulated_script(params), self.clock)

    def ask(self, prompt: str = "why is it so", *, streaming: bool = True, **params) -> Answer:
        self.pieces = Pieces(self.clock)
        request = ChatRequest(messages=(Message("user", prompt),), params=params, streaming=streaming)
        return asyncio.run(self.backend.answer(request, self.pieces))

    def failure(self, **options) -> Failure:
        with pytest.raises(BackendFailed) as caught:
            self.ask(**options)
        return caught.value.failure


def test_the_default_reply_names_the_backend_and_counts_the_words_of_the_prompt():
    assert Trial().ask("why is it so").text == "This is sim, answering a prompt of 4 words."


@pytest.mark.parametrize(("reply", "text"), [({"label": "ä"}, '{"label": "ä"}'), ([2, 3], "[2, 3]")])
def test_a_reply_that_is_an_object_or_an_array_is_answered_as_its_json(reply, text):
    assert Trial(reply=reply).ask().text == text


def test_a_streamed_reply_comes_word_by_word_and_adds_up_exactly():
    trial = Trial(reply="  two\n\nlines, and\ta tab \n")
    assert trial.ask().text == "  two\n\nlines, and\ta tab \n" == trial.pieces.text
    assert len(trial.pieces.got) == 5


def test_without_streaming_the_text_is_reported_once_and_whole():
    trial = Trial(reply=EIGHT_WORDS, latency_ms=500, tokens_per_second=8)
    trial.ask(streaming=False)
    assert trial.pieces.got == [(1.5, EIGHT_WORDS)]


def test_latency_passes_before_the_first_piece_and_the_rate_spaces_the_others():
    trial = Trial(reply=EIGHT_WORDS, latency_ms=500, tokens_per_second=4)
    trial.ask()
    assert [when for when, _ in trial.pieces.got] == [0.5 + 0.25 * n for n in range(8)]
    assert trial.clock.seconds == 2.5


def test_usage_counts_words_unless_the_script_names_other_counts():
    assert Trial(reply=EIGHT_WORDS).ask("why is it so").usage == Usage(4, 8)
    named = Trial(reply=EIGHT_WORDS, prompt_tokens=100, completion_tokens=800, tokens_per_second=80)
    assert named.ask().usage == Usage(100, 800)
    assert named.clock.seconds == pytest.approx(10.0)


def test_each_attempt_takes_one_step_and_the_last_one_repeats():
    trial = Trial(script="503, 401, ok")
    assert [trial.failure().message, trial.failure().message] == ["503 Service Unavailable", "401 Unauthorized"]
    assert trial.ask().finish_reason == trial.ask().finish_reason == "stop"


def test_a_cycle_starts_over_after_the_last_step():
    trial = Trial(script=["ok", 503], cycle=True)
    for _ in range(3):
        trial.ask()
        assert trial.failure().status == 503


@pytest.mark.parametrize(
    ("step", "kind", "status", "message"),
    [
        ("400", FailureKind.BAD_REQUEST, 400, "400 Bad Request"),
        ("401", FailureKind.ACCESS, 401, "401 Unauthorized"),
        ("404", FailureKind.ACCESS, 404, "404 Not Found"),
        ("408", FailureKind.SERVER, 408, "408 Request Timeout"),
        ("409", FailureKind.CONFLICT, 409, "409 Conflict"),
        ("429", FailureKind.RATE_LIMIT, 429, "429 Too Many Requests"),
        ("451", FailureKind.OTHER_STATUS, 451, "451 Unavailable For Legal Reasons"),
        ("500", FailureKind.SERVER, 500, "500 Internal Server Error"),
        ("503", FailureKind.SERVER, 503, "503 Service Unavailable"),
        ("529", FailureKind.SERVER, 529, "529 Overloaded"),
        ("context", FailureKind.CONTEXT_LENGTH, 400, "400 Bad Request: the prompt is too long"),
        ("quota", FailureKind.RATE_LIMIT, 429, "429 Too Many Requests: the quota is used up"),
        ("refused", FailureKind.NETWORK, None, "connection refused"),
        ("reset", FailureKind.NETWORK, None, "connection reset"),
        ("dns", FailureKind.NETWORK, None, None),
        ("tls", FailureKind.TLS, None, None),
        ("html", FailureKind.BAD_REPLY, None, "a web page instead of a reply: Simulated"),
        ("empty", FailureKind.BAD_REPLY, None, "empty reply"),
        ("filter", FailureKind.CONTENT_FILTER, None, "filtered by sim"),
    ],
)
def test_each_failing_step_fails_in_its_own_way(step, kind, status, message):
    failure = Trial(script=step).failure()
    assert (failure.kind, failure.status) == (kind, status)
    assert message is None or failure.message == message
    assert "\n" not in failure.message


def test_a_redirect_is_a_redirect():
    assert Trial(script="302").failure().kind is FailureKind.REDIRECT


def test_a_rate_limit_carries_the_seconds_to_wait_and_a_quota_says_that_it_is_used_up():
    assert Trial(script="429:30").failure().retry_after == 30
    assert Trial(script="503:2").failure().retry_after == 2
    assert Trial(script="quota").failure().quota_exhausted


def test_a_status_comes_after_the_latency_and_a_refused_connection_at_once():
    late, at_once = Trial(script="503", latency_ms=800), Trial(script="refused", latency_ms=800)
    late.failure()
    at_once.failure()
    assert (late.clock.seconds, at_once.clock.seconds) == (0.8, 0.0)


@pytest.mark.parametrize(("step", "words"), [("cut:3", 3), ("stall:3", 3), ("cut:0", 0), ("cut:99", 8)])
def test_a_reply_that_breaks_off_shows_the_words_before_the_break_and_never_succeeds(step, words):
    trial = Trial(reply=EIGHT_WORDS, script=step)
    trial.failure()
    assert len(trial.pieces.text.split()) == words
    assert EIGHT_WORDS.startswith(trial.pieces.text)


def test_a_stall_sends_nothing_for_a_day():
    trial = Trial(script="stall")
    trial.failure()
    assert trial.pieces.got == []
    assert trial.clock.seconds == 86_400


def test_slow_replaces_the_latency_of_one_attempt():
    trial = Trial(script="slow:3000,ok", latency_ms=100)
    trial.ask()
    assert trial.clock.seconds == 3.0
    trial.ask()
    assert trial.clock.seconds == 3.1


def test_length_cuts_the_reply_and_says_so():
    answer = Trial(reply=EIGHT_WORDS, script="length").ask()
    assert (answer.text, answer.finish_reason) == ("one two three four", "length")


def test_a_blank_reply_is_an_empty_reply():
    assert Trial(reply=" \n").failure().message == "empty reply"


def test_a_parameter_of_one_request_holds_for_that_request_only():
    trial = Trial(reply="profile")
    assert trial.ask(reply="request", temperature=0.2).text == "request"
    assert trial.ask().text == "profile"


def test_a_bad_parameter_of_one_request_is_refused_as_a_server_would():
    trial = Trial()
    failure = trial.failure(latency_ms="soon")
    assert failure.kind is FailureKind.BAD_REQUEST
    assert failure.message == "400 Bad Request: latency_ms must be a number of milliseconds, 0 or more, got 'soon'"


def test_threads_share_one_counter_of_steps():
    backend = Trial(script=[*["ok"] * 100, *["503"] * 100]).backend
    outcomes: list[bool] = []

    def ask_many() -> None:
        for _ in range(50):
            clock = JumpingClock()
            try:
                asyncio.run(backend.answer(ChatRequest(messages=(Message("user", "x"),)), Pieces(clock)))
                outcomes.append(True)
            except BackendFailed:
                outcomes.append(False)

    threads = [threading.Thread(target=ask_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count(True), outcomes.count(False)) == (100, 100)


def test_it_is_always_ready_and_nothing_is_to_close():
    backend = Trial().backend
    assert asyncio.run(backend.prepare()) is backend
    asyncio.run(backend.aclose())


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"replay": "x"}, ["'replay'", "did you mean reply?"]),
        ({"zzz": "x"}, ["'zzz'", "there are: reply, latency_ms"]),
        ({"script": "ok, refusd"}, ["'refusd'", "refused", "cut:WORDS"]),
        ({"script": "99"}, ["99", "a status from 300 to 599"]),
        ({"script": "200"}, ["200", "a status from 300 to 599"]),
        ({"script": "503:soon"}, ["'503:soon'"]),
        ({"script": "cut"}, ["'cut'", "needs a number of words", "cut:12"]),
        ({"script": "ok:3"}, ["'ok:3'"]),
        ({"script": ""}, ["unknown step ''"]),
        ({"script": []}, ["script must be steps", "[]"]),
        ({"script": {"a": 1}}, ["script must be steps"]),
        ({"script": [True]}, ["True"]),
        ({"latency_ms": -1}, ["latency_ms", "-1", "0 or more"]),
        ({"latency_ms": True}, ["latency_ms", "True"]),
        ({"latency_ms": float("nan")}, ["latency_ms", "nan"]),
        ({"tokens_per_second": 0}, ["tokens_per_second", "positive", "0"]),
        ({"prompt_tokens": 1.5}, ["prompt_tokens", "whole", "1.5"]),
        ({"completion_tokens": -2}, ["completion_tokens", "-2"]),
        ({"cycle": "yes"}, ["cycle", "true or false", "'yes'"]),
        ({"reply": 7}, ["reply", "text", "7"]),
        ({"tells_rate": 1}, ["tells_rate", "true or false", "1"]),
        ({"rate": 8}, ["rate", "8/2", "got 8"]),
        ({"rate": "0/2"}, ["rate", "'0/2'"]),
        ({"rate": "8/0"}, ["rate", "'8/0'"]),
    ],
)
def test_a_wrong_parameter_is_named_in_one_line_with_what_is_allowed(params, words):
    with pytest.raises(SettingError) as caught:
        simulated_script(params)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_beyond_its_rate_it_refuses_and_names_the_seconds_that_are_left():
    trial = Trial(rate="2/2.5", latency_ms=500)
    assert [trial.ask().text, trial.ask().text] == ["This is sim, answering a prompt of 4 words."] * 2
    failure = trial.failure()
    assert (failure.kind, failure.status, failure.retry_after) == (FailureKind.RATE_LIMIT, 429, 1.5)
    trial.clock.seconds = 2.5
    assert trial.ask().finish_reason == "stop"


def test_what_is_left_of_its_rate_is_told_with_each_reply_where_that_is_wanted():
    trial, silent, told = Trial(rate="2/2.5", latency_ms=500, tells_rate=True), Trial(rate="2/2.5"), []
    for attempt in (trial.ask, trial.ask, trial.failure):
        attempt()
        told += [(each.limit, each.remaining, each.resets_in, each.window) for (each,) in trial.pieces.rates]
    assert told == [(2, 1, 2.5, 2.5), (2, 0, 2.0, 2.5), (2, 0, 1.5, 2.5)]
    silent.ask()
    assert silent.pieces.rates == []


def test_no_parameters_make_a_model_that_just_answers():
    assert simulated_script({}) == SimulatedScript()


def test_a_bare_status_may_be_given_as_a_number():
    assert Trial(script=503).failure().status == 503
