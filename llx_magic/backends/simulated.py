"""A model that follows a script: for demonstrations, documentation and tests that must come out the same each time.

It fails in the ways in which real servers fail, with the same kinds and the same words, and waits only on the clock
it is given; on virtual time its latencies are exact and cost nothing.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, NoReturn, Self

import msgspec

from llx_magic.backends.reading.errors import read_error
from llx_magic.backends.reading.kinds import refused
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.machine import in_words
from llx_magic.core.message import File, Image, attachments
from llx_magic.core.rate_facts import Allowance, Measure
from llx_magic.core.reply import Answer, Usage
from llx_magic.errors import SettingError, brief
from llx_magic.locks import ForkSafeLock
from llx_magic.text.wording import nearest
from llx_magic.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llx_magic.core.message import Message
    from llx_magic.core.ports import Clock, Progress
    from llx_magic.core.reply import ChatRequest
from llx_magic.text.values import JsonValue

SILENCE_SECONDS = 86_400.0
"""How long a stalled reply stays silent before the connection is given up, where no time-out ends it sooner."""

LARGEST = 10**12
"""The largest number that a parameter takes: more milliseconds and tokens than anybody lives to see."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]

_WORDS = {
    "reply": "text",
    "latency_ms": "a number of milliseconds, 0 or more",
    "tokens_per_second": "a positive number",
    "prompt_tokens": "a whole number, 0 or more",
    "completion_tokens": "a whole number, 0 or more",
    "cycle": "true or false",
    "tells_rate": "true or false",
}
"""What ``SimulatedScript`` takes under each name, as the end of a sentence."""

PARAMETERS = (*_WORDS, "script", "rate")
"""Every parameter that a simulated model takes."""

PLAIN_STEPS = (
    "ok", "length", "refused", "reset", "dns", "tls", "local", "html", "empty", "filter", "context", "quota", "stall",
)  # fmt: skip
"""Steps of a script that take no number."""

NUMBERED_STEPS = {"cut": "words", "stall": "words", "slow": "milliseconds"}
"""Steps of a script that take a number after a colon, and what it counts."""

_ALLOWED = (
    f"{', '.join(PLAIN_STEPS)}, cut:WORDS, stall:WORDS, slow:MILLISECONDS, "
    "a status from 300 to 599, or STATUS:SECONDS with a Retry-After"
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one attempt meets: ``kind`` is a word, or ``status``; ``number`` is what followed the colon."""

    kind: str
    number: int | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in each window of so many seconds; a window begins with the first request after the last one."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedScript:
    """How a simulated model behaves.

    ``reply`` None is a sentence that names the backend and says how many words the prompt had. ``latency_ms`` is from
    sending to the first piece; ``tokens_per_second`` None makes the rest come at once. Token counts of None are counted
    as words. Each attempt takes the next of ``steps``; the last one repeats, or with ``cycle`` they start over. What is
    beyond the ``rate`` is refused at once, with the seconds until the window ends, and takes no step. With
    ``tells_rate`` each reply says what is left of it, as the headers of many services do.
    """

    reply: str | None = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=LARGEST)] = 0.0
    tokens_per_second: Annotated[float, msgspec.Meta(gt=0, le=LARGEST)] | None = None
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    steps: tuple[Step, ...] = (Step("ok"),)
    cycle: bool = False
    rate: Rate | None = None
    tells_rate: bool = False


def simulated_script(params: Mapping[str, JsonValue]) -> SimulatedScript:
    """Read a script from a model profile's parameters.

    Raises:
        SettingError: in one line that names the parameter or the step, what was given and what is allowed.
    """
    for key in params:
        if key not in PARAMETERS:
            raise SettingError(f"a simulated model has no parameter {key!r}{nearest(key, PARAMETERS)}")
    return _with_values(SimulatedScript(), params)


class SimulatedBackend:
    """Answers by its script; one counter of steps for all threads and loops, so each attempt takes one step."""

    def __init__(self, name: str, model: str, script: SimulatedScript, clock: Clock) -> None:
        self.name = name
        self.model = model
        self._script = script
        self._clock = clock
        self._positions: dict[tuple[Step, ...], Iterator[int]] = collections.defaultdict(itertools.count)
        self._lock = ForkSafeLock()
        self._window_began = -math.inf
        self._in_window = 0

    async def prepare(self) -> Self:
        """Return itself: it needs no key and no network."""
        return self

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        """Do what the next step of the script says.

        A parameter of the request that the script also knows holds for this request; others are ignored, as a model
        ignores what it does not know.

        Raises:
            BackendFailed: where the step is a failure.
        """
        progress.on_sending(self.name)
        progress.on_connected()
        if self._script.rate is not None:
            self._keep_to(self._script.rate, progress)
        try:
            script = _with_values(self._script, request.params)
            step = self._next_step(script)
        except SettingError as problem:
            _refuse(self.name, 400, str(problem).encode())
        await self._meet(step, script)
        text = script.reply
        if text is None:
            text = f"This is {self.name}, answering a prompt of {_counted(request.messages[-1])}."
        return await self._speak(text, step, script, request, progress)

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""

    def _keep_to(self, rate: Rate, progress: Progress) -> None:
        with self._lock:
            now = self._clock.now()
            if now >= self._window_began + rate.seconds:
                self._window_began, self._in_window = now, 0
            left = self._window_began + rate.seconds - now
            self._in_window += 1
            remaining = rate.count - self._in_window
        if self._script.tells_rate:
            limit = Allowance(
                measure=Measure.REQUESTS,
                limit=rate.count,
                remaining=max(0, remaining),
                resets_in=left,
                window=rate.seconds,
            )
            progress.on_rates((limit,))
        if remaining < 0:
            _refuse(self.name, 429, retry_after=left)

    def _next_step(self, script: SimulatedScript) -> Step:
        """Return the next step; a script that a request brings along has a position of its own."""
        steps = script.steps
        with self._lock:
            position = next(self._positions[steps])
        return steps[position % len(steps) if script.cycle else min(position, len(steps) - 1)]

    async def _meet(self, step: Step, script: SimulatedScript) -> None:
        """Wait until the first piece is due; fail where the step leaves no first piece."""
        if step.kind in _AT_ONCE:
            _fail(*_AT_ONCE[step.kind], unconnected=step.kind in ("refused", "dns"))
        if step.kind == "stall" and not step.number:
            await self._break_off(step)
        latency = script.latency_ms if step.kind != "slow" or step.number is None else step.number
        if latency > 0:
            await self._clock.sleep(latency / 1000)
        match step.kind:
            case "status":
                _refuse(self.name, step.status, retry_after=step.number)
            case "context" | "quota":
                _refuse(self.name, *_BODIES[step.kind])
            case "html":
                _fail(FailureKind.BAD_REPLY, "a web page instead of a reply: Simulated")
            case "empty":
                _fail(FailureKind.BAD_REPLY, "empty reply")
            case "filter":
                _fail(FailureKind.CONTENT_FILTER, f"filtered by {self.name}")

    async def _speak(
        self, text: str, step: Step, script: SimulatedScript, request: ChatRequest, progress: Progress
    ) -> Answer:
        pieces = re.findall(r"\s*\S+(?:\s+$)?", text)
        if step.kind == "length":
            pieces = pieces[: max(1, len(pieces) // 2)]
        if not pieces:
            _fail(FailureKind.BAD_REPLY, "empty reply")
        tokens = len(pieces) if script.completion_tokens is None else script.completion_tokens
        pause = tokens / len(pieces) / script.tokens_per_second if script.tokens_per_second else 0.0
        breaks = step.number is not None and step.kind in ("cut", "stall")
        sent = pieces[: step.number] if breaks else pieces
        for piece in sent:
            if request.streaming:
                progress.on_text(piece)
            if pause > 0:
                await self._clock.sleep(pause)
        if breaks:
            await self._break_off(step)
        whole = "".join(sent)
        if not request.streaming:
            progress.on_text(whole)
        prompt = sum(_words(message.text) for message in request.messages)
        return Answer(
            text=whole,
            model=self.model,
            usage=Usage(prompt if script.prompt_tokens is None else script.prompt_tokens, tokens),
            finish_reason="length" if step.kind == "length" else "stop",
        )

    async def _break_off(self, step: Step) -> NoReturn:
        if step.kind == "stall":
            await self._clock.sleep(SILENCE_SECONDS)
        _fail(FailureKind.NETWORK, "connection closed before the reply was complete")


_AT_ONCE = {
    "refused": (FailureKind.NETWORK, "connection refused"),
    "reset": (FailureKind.NETWORK, "connection reset"),
    "dns": (FailureKind.NETWORK, "could not resolve host"),
    "local": (FailureKind.LOCAL, in_words("no file descriptors left in this process")),
    "tls": (FailureKind.TLS, "the certificate was refused: certificate has expired"),
}
"""Failures of the connection itself, which no latency precedes."""

_BODIES = {
    "context": (400, b'{"error": {"code": "context_length_exceeded", "message": "the prompt is too long"}}'),
    "quota": (429, b'{"error": {"code": "insufficient_quota", "message": "the quota is used up"}}'),
}
"""Steps that a server would answer with a status and an explanation."""


def _fail(kind: FailureKind, message: str, *, unconnected: bool = False) -> NoReturn:
    raise BackendFailed(Failure(kind=kind, message=message, unconnected=unconnected))


def _refuse(name: str, status: int, body: bytes = b"", retry_after: float | None = None) -> NoReturn:
    """Fail as the status would over HTTP, through the same reading of it."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    raise BackendFailed(refused(status, headers, read_error(body), name=name, wall_clock=0.0))


def _counted(message: Message) -> str:
    """Return how many words, images and files a message has."""
    kinds = Counter(type(piece) for piece in attachments([message]))
    told = [plural(_words(message.text), "word")]
    told += [plural(kinds[kind], noun) for kind, noun in ((Image, "image"), (File, "file")) if kind in kinds]
    return ", ".join(told)


def _words(text: str) -> int:
    return len(text.split())


def _with_values(script: SimulatedScript, params: Mapping[str, JsonValue]) -> SimulatedScript:
    """Return the script with the values that ``params`` names in place of its own."""
    if params.keys().isdisjoint(PARAMETERS):
        return script
    values: dict[str, object] = {each.name: getattr(script, each.name) for each in fields(script)}
    values |= {name: value for name, value in params.items() if name in _WORDS}
    if isinstance(reply := params.get("reply"), dict | list):  # JSON is text too, when a model answers with it
        with contextlib.suppress(ValueError, RecursionError):  # of a number too long, say; then it is refused below
            values["reply"] = json.dumps(reply, ensure_ascii=False)
    if (steps := params.get("script")) is not None:
        values["steps"] = _steps(steps)
    if (rate := params.get("rate")) is not None:
        values["rate"] = _rate(rate)
    try:
        return msgspec.convert(values, SimulatedScript)
    except msgspec.ValidationError as problem:
        name = str(problem).rpartition("$.")[2].rstrip("`")
    raise SettingError(f"{name} must be {_WORDS[name]}, got {brief(params[name])}")


def _rate(value: JsonValue) -> Rate:
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([0-9]{1,9}(?:\.[0-9]{1,9})?)", value) if isinstance(value, str) else None
    if found is None or float(found[2]) == 0:
        raise SettingError(f"rate must be requests and seconds, as in 8/2 for eight in two seconds, got {brief(value)}")
    return Rate(int(found[1]), float(found[2]))


def _steps(script: JsonValue) -> tuple[Step, ...]:
    if isinstance(script, int | str) and not isinstance(script, bool):
        script = [step.strip() for step in str(script).split(",")]
    if not isinstance(script, list) or not script:
        raise SettingError(f"script must be steps separated by commas, or a list of steps, got {brief(script)}")
    return tuple(_step(step) for step in script)


def _step(given: JsonValue) -> Step:
    text = str(given).strip().lower() if isinstance(given, str | int) and not isinstance(given, bool) else ""
    word, colon, digits = text.partition(":")
    number = int(digits) if re.fullmatch(r"[0-9]{1,9}", digits) else None
    if not colon and word in PLAIN_STEPS:
        return Step(word)
    if number is not None and word in NUMBERED_STEPS:
        return Step(word, number)
    if re.fullmatch(r"[345][0-9]{2}", word) and (number is not None or not colon):
        return Step("status", number, int(word))
    if word in NUMBERED_STEPS:
        raise SettingError(
            f"step {brief(given)} of the script needs a number of {NUMBERED_STEPS[word]}, as in {word}:12"
        )
    raise SettingError(f"unknown step {brief(given)} of the script; allowed are {_ALLOWED}")
