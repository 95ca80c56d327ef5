"""The server's side of sharing: one connection that writes and asks, one that waits for what others say."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from llx_magic.core.minute import BURST_SECONDS, GRAIN_SECONDS, LARGE, SPAN
from llx_magic.core.peers import Peers
from llx_magic.core.sharing import (
    LEASE_SECONDS,
    Answer,
    Fact,
    Granted,
    Held,
    HoldWanted,
    PlacesWanted,
    ProbeBegan,
    ProbeEnded,
    ProbeFailed,
    ProbeGranted,
    ProbeHeld,
    ProbeWanted,
    Recovered,
    Spent,
    There,
    Used,
    Wish,
)
from llx_magic.shared import scripts
from llx_magic.shared.identity import PREFIX
from llx_magic.shared.link import Entry, Number, RedisLink, as_bytes
from llx_magic.shared.looking import Grains, card_key, look

FACTS, TOKENS = f"{PREFIX}:facts", f"{PREFIX}:tokens"

ANSWER_SECONDS = 1.0
"""How long an answer is waited for before the connection counts as lost."""

BLOCK_SECONDS = 1.0
"""How long one look for what others say waits."""

KEPT_LEASE_SECONDS = 6.0
"""How long a probe that is under way holds its lease unless that is renewed."""

HELD_SECONDS = 10.0
"""How long a process holds places of a limit of requests at once unless it says so again."""

LONGEST_NUMBER = 12
"""How many digits an age in milliseconds has at most: those of thirty years."""


class Said(NamedTuple):
    """A message of a gate, and when it was said, by ``time.monotonic``."""

    link: RedisLink
    message: Fact | Wish
    at: float


class Server:
    """A connected server, used by one thread; whatever goes wrong is an exception of the client's library."""

    def __init__(self, url: str, minute: float) -> None:
        def connect(answer_within: float) -> Redis:
            return Redis.from_url(
                url,
                socket_timeout=answer_within,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
                decode_responses=False,
            )

        self._writing, self._reading = connect(ANSWER_SECONDS), connect(BLOCK_SECONDS + ANSWER_SECONDS)
        self._loaded: dict[str, str] = {}
        scale = 1000 * minute / 60
        self._minute = (SPAN * scale, GRAIN_SECONDS * scale, BURST_SECONDS * scale, LARGE)
        self._offset = 0.0

    def close(self) -> None:
        """Close both connections."""
        self._writing.close()
        self._reading.close()

    def greet(self) -> None:
        """Load the scripts and learn what the server's clock says."""
        self._writing.ping()
        for script in scripts.ALL:
            self._loaded[script] = self._writing.script_load(script)
        began = time.monotonic()
        seconds, microseconds = self._writing.time()
        self._offset = seconds + microseconds / 1e6 - (began + time.monotonic()) / 2

    def present(self, link: RedisLink) -> There:
        """Say that a link's process is there; return how many are."""
        keys = (f"{PREFIX}:peers:{link.backend}", f"{PREFIX}:known:{link.origin}")
        args = (link.origin, scripts.PEER_SECONDS, scripts.KNOWN_SECONDS)
        pipe = self._writing.pipeline(transaction=False)
        self._run(pipe, scripts.BEAT, keys, *args)
        if card := link.card():
            pipe.set(card_key(link.origin), card, ex=scripts.PEER_SECONDS)
        peers, is_known = cast("tuple[int, int]", pipe.execute()[0])
        return There(peers, fresh=not is_known)

    def look(self, backend: str, own: Mapping[str, bytes]) -> Peers:
        """Return who shares a backend; ``own`` is what this process says of itself, by its origins."""
        return look(self._writing, backend, Grains(*self._minute[:2]), own)

    def history(self) -> list[tuple[Entry, float]]:
        """Return the latest of what is still kept, oldest first."""
        found: list[tuple[Entry, float]] = []
        for stream, most in ((FACTS, scripts.MOST_FACTS), (TOKENS, scripts.MOST_TOKENS)):
            rows = cast("Sequence[tuple[bytes, dict[bytes, bytes]]]", self._writing.xrevrange(stream, count=most))
            found += self._entries(stream, rows[::-1])
        return found

    def last_numbers(self) -> dict[str, Number]:
        """Return the number of the last entry of each stream."""
        last: dict[str, Number] = {}
        for stream in (FACTS, TOKENS):
            rows = cast("Sequence[tuple[bytes, dict[bytes, bytes]]]", self._writing.xrevrange(stream, count=1))
            last[stream] = _number(rows[0][0]) if rows else (0, 0)
        return last

    def wait_for_facts(self, after: dict[str, Number]) -> Iterable[tuple[Entry, float]]:
        """Return what was said after these entries; nothing where nobody says anything for a while."""
        streams: dict[bytes | str | memoryview[int], int | bytes | str | memoryview[int]] = {
            stream: f"{number[0]}-{number[1]}" for stream, number in after.items()
        }
        # All that is kept, at once: who rests between two looks must catch up.
        answer = self._reading.xread(streams, count=scripts.MOST_TOKENS, block=int(1000 * BLOCK_SECONDS))
        pairs = answer.items() if isinstance(answer, dict) else (answer or ())
        for name, rows in cast("Iterable[tuple[bytes, Sequence[tuple[bytes, dict[bytes, bytes]]]]]", pairs):
            yield from self._entries(name.decode(), rows)

    def send(self, said: Sequence[Said]) -> list[tuple[RedisLink, Answer]]:
        """Send messages in one trip; return what the server says to them."""
        pipe, now = self._writing.pipeline(transaction=False), time.monotonic()
        makers = [self._queue(pipe, each, now) for each in said]
        results = pipe.execute()
        return [
            (each.link, answer)
            for each, maker, result in zip(said, makers, results, strict=True)
            if maker is not None and (answer := maker(result)) is not None
        ]

    def renew(self, link: RedisLink) -> None:
        """Keep the lease of a probe that is under way."""
        self._hold(self._writing, link)

    def _run(self, where: Redis, script: str, keys: Sequence[str], *args: str | bytes | float) -> object:
        """Call a script by its digest, at once or with the others of a pipeline."""
        return where.evalsha(self._loaded[script], len(keys), *keys, *args)

    def _hold(self, where: Redis, link: RedisLink) -> None:
        self._run(where, scripts.KEEP, (self._lease(link),), link.origin, int(1000 * KEPT_LEASE_SECONDS))

    def _queue(self, pipe: Redis, said: Said, now: float) -> Callable[[object], Answer | None] | None:
        link, message = said.link, said.message
        match message:
            case PlacesWanted():
                args = (*self._minute, message.places, message.tokens, message.rpm_limit or 0, message.tpm_limit or 0)
                self._run(pipe, scripts.TAKE, self._minutes(link), *args)
                return lambda result: _granted(message, result)
            case Spent():
                ago = int(1000 * (message.ago + now - said.at))
                limits = (message.rpm_limit or 0, message.tpm_limit or 0)
                spent = (*self._minute, message.requests, message.tokens, ago, *limits, message.given_at)
                self._run(pipe, scripts.SPEND, self._minutes(link), *spent)
            case HoldWanted():
                holds = (link.origin, message.places, message.in_use, message.limit, int(1000 * HELD_SECONDS))
                self._run(pipe, scripts.HOLD, (f"{PREFIX}:at-once:{link.backend}",), *holds)
                return _held
            case ProbeWanted():
                times = (int(1000 * (message.opened_ago + now - said.at)), int(1000 * message.recovery))
                wish = (link.origin, *times, int(1000 * LEASE_SECONDS))
                self._run(pipe, scripts.PROBE, (self._state(link), self._lease(link)), *wish)
                return _probe_answer
            case ProbeBegan():
                link.is_probing = True
                self._hold(pipe, link)
            case ProbeEnded():
                link.is_probing = False
                self._run(pipe, scripts.GIVE_BACK, (self._lease(link),), link.origin)
            case _:
                self._queue_fact(pipe, link, message, now - said.at)
        return None

    def _queue_fact(self, pipe: Redis, link: RedisLink, fact: Fact, age: float) -> None:
        field = "recovered" if isinstance(fact, Recovered) else "failed" if isinstance(fact, ProbeFailed) else ""
        is_small = isinstance(fact, Used)
        most = scripts.MOST_TOKENS if is_small else scripts.MOST_FACTS
        args = (link.origin, link.backend, as_bytes(fact), int(1000 * age), most, field, scripts.LASTING_SECONDS)
        self._run(pipe, scripts.TELL, (TOKENS if is_small else FACTS, self._state(link)), *args)

    def _entries(self, stream: str, rows: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> Iterable[tuple[Entry, float]]:
        now = time.monotonic() + self._offset
        for raw, fields in rows:
            number, age = _number(raw), _seconds(fields.get(b"a"))
            texts = [fields.get(key, b"").decode("ascii", "replace") for key in (b"o", b"b")]
            yield Entry(stream, number, texts[0], texts[1], fields.get(b"f", b""), age), now - number[0] / 1000 + age

    def _minutes(self, link: RedisLink) -> tuple[str, str, str, str]:
        name = link.backend
        return (
            f"{PREFIX}:rpm:{name}",
            f"{PREFIX}:rpm-grains:{name}",
            f"{PREFIX}:tpm:{name}",
            f"{PREFIX}:tpm-grains:{name}",
        )

    def _state(self, link: RedisLink) -> str:
        return f"{PREFIX}:circuit:{link.backend}"

    def _lease(self, link: RedisLink) -> str:
        return f"{PREFIX}:probe:{link.backend}"


def _granted(asked: PlacesWanted, result: object) -> Granted:
    places, wait, at, *left = cast("tuple[int, int, int, int, int]", result)
    requests, tokens = (math.inf if each < 0 else float(each) for each in left)
    return Granted(places, asked.tokens, wait / 1000, at, requests, tokens)


def _held(result: object) -> Held:
    places, wait, scarce = cast("tuple[int, int, int]", result)
    return Held(places, wait / 1000, scarce=bool(scarce))


def _probe_answer(result: object) -> ProbeGranted | ProbeHeld:
    wait = cast("int", result)
    return ProbeHeld(wait / 1000) if wait else ProbeGranted()


def _number(raw: bytes) -> Number:
    milliseconds, _, place = raw.partition(b"-")
    return int(milliseconds), int(place)


def _seconds(raw: bytes | None) -> float:
    return int(raw) / 1000 if raw is not None and raw.isdigit() and len(raw) <= LONGEST_NUMBER else 0.0
