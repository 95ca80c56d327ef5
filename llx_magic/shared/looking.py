"""A look at who shares a backend. Nothing is written, so it works on a server that is full too."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

from redis import Redis
from redis.exceptions import ResponseError

from llx_magic.core.peers import Peer, Peers, Used, card_of, peers_of
from llx_magic.shared.identity import PREFIX
from llx_magic.shared.scripts import PEER_SECONDS

MOST = 100
"""How many of the processes that share a backend are looked at."""


LONGEST_PLACES = 100
"""How many characters what a process holds has at most; more is not read."""


class Grains(NamedTuple):
    """In milliseconds: how long what was sent counts, and the length of a grain, whose number is its key."""

    span: float
    grain: float

    def counted(self, sent: Mapping[bytes, bytes], now: float) -> float:
        """Return how much of what was sent still counts at the server's time ``now``."""
        total = 0.0
        for number, amount in sent.items():
            with contextlib.suppress(ValueError, OverflowError):  # beside the grains there are sums
                total += float(amount) if (int(number) + 1) * self.grain + self.span > now else 0.0
        return max(0.0, total) if math.isfinite(total) else 0.0


def held(places: Mapping[bytes, bytes], now: float) -> int:
    """Return how many requests at once the processes have places for, by what each holds until when."""
    total = 0
    for each in places.values():
        match each.split():
            case [has, _, _, ends] if has.isdigit() and ends.isdigit() and len(each) < LONGEST_PLACES:
                total += int(has) if int(ends) >= now else 0
    return total


def card_key(origin: str) -> str:
    """Return under what key a process says who it is."""
    return f"{PREFIX}:card:{origin}"


def look(client: Redis, backend: str, grains: Grains, own: Mapping[str, bytes]) -> Peers:
    """Return who shares a backend now; ``own`` is what this process says of itself now, by its origins."""
    pipe, peers = client.pipeline(transaction=False), f"{PREFIX}:peers:{backend}"
    pipe.time()
    pipe.zrevrange(peers, 0, MOST - 1, withscores=True)
    pipe.get(f"{PREFIX}:probe:{backend}")
    for limit in ("rpm", "tpm", "at-once"):
        pipe.hgetall(f"{PREFIX}:{limit}:{backend}")
    (seconds, microseconds), ranked, holder, requests, tokens, places = pipe.execute()
    now = 1000 * seconds + microseconds / 1000
    oldest = now - 1000 * PEER_SECONDS
    probe = (holder or b"").decode("ascii", "replace")
    heard = {raw.decode("ascii", "replace"): score for raw, score in ranked if score > oldest}
    heard = {**dict.fromkeys((*own, *([probe] if probe else ())), now), **heard}  # they may not be among the latest
    pipe = client.pipeline(transaction=False)
    pipe.zcount(peers, oldest, "+inf")
    pipe.mget([card_key(origin) for origin in heard] or [card_key("")])
    count, cards = pipe.execute()
    said = {**dict(zip(heard, cards, strict=False)), **own}
    ages = {origin: 0.0 if origin in own else max(0.0, (now - at) / 1000) for origin, at in heard.items()}
    found = [Peer(card_of(raw), ages[origin], origin in own, origin == probe) for origin, raw in said.items()]
    used = Used(grains.counted(requests, now), grains.counted(tokens, now), held(places, now))
    return peers_of(found, count, used)


class Looks:
    """Those who want to know who shares a backend, until the thread that talks to the server looks; for any thread."""

    def __init__(self) -> None:
        self._asked: deque[tuple[str, Future[Peers]]] = deque()

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, backend: str) -> Future[Peers]:
        """Want to know who shares a backend."""
        asked: Future[Peers] = Future()
        self._asked.append((backend, asked))
        return asked

    def answer(self, look: Callable[[str], Peers]) -> None:
        """Tell all who asked what is found; whatever goes wrong is told them too, and raised where it is the server."""
        while self._asked:
            backend, asked = self._asked.popleft()
            if not asked.set_running_or_notify_cancel():
                continue
            try:
                asked.set_result(look(backend))
            except ResponseError as problem:  # somebody has put something else there
                asked.set_exception(OSError(type(problem).__name__))
            except Exception as problem:
                asked.set_exception(OSError(type(problem).__name__))
                raise

    def lose(self) -> None:
        """Tell all who asked that the server does not answer."""
        while self._asked:
            _, asked = self._asked.popleft()
            if asked.set_running_or_notify_cancel():
                asked.set_exception(OSError("the server does not answer"))
