"""Limits of a minute that several processes keep together; the minute is shortened to some seconds where it says so."""

from __future__ import annotations

import asyncio
import time

import redis

from llx_magic.core.sharing import Granted, PlacesWanted, Spent, There
from llx_magic.core.stock import BLOCK
from llx_magic.shared.redis_facts import RedisFacts
from tests.engine.kit import answer
from tests.shared.kit import PATIENT, Heard, Shared, soon


class Timed(Shared):
    """Notes when it is asked."""

    def __init__(self, name: str, times: list[float], tokens: int = 10) -> None:
        super().__init__(name, self.note, tokens=tokens)
        self.times = times

    async def note(self, _request, _progress):
        self.times.append(time.monotonic())
        return answer(tokens=self.tokens)


def most_within(times: list[float], seconds: float) -> int:
    """The most of these times that lie in any window of such a length."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


async def test_processes_under_one_rpm_limit_never_exceed_it_together(kernel):
    """With a minute of 10 s; permits may be used half a second late, so 9 s are looked at."""
    times: list[float] = []
    kernels = [kernel(Timed("a", times), minute=10.0, rpm_limit=40, cooldown_wait_ms=60_000) for _ in range(3)]
    for each in kernels:
        await each.ask()
        await soon(lambda each=each: each.gate("a").sharing.is_there, "the server is there")
    began = time.monotonic()

    async def ask_on(each):
        while time.monotonic() < began + 14:
            await each.ask()

    await asyncio.wait([asyncio.ensure_future(ask_on(each)) for each in kernels for _ in range(3)], timeout=15)
    assert most_within(times, 9.5) <= 40
    assert len(times) >= 45


async def granted(link, heard, places, **limits) -> Granted:
    answers = len(heard.answers)
    link.send([PlacesWanted(places, limits.pop("tokens", 0.0), limits.get("rpm"), limits.get("tpm"))])
    await soon(lambda: any(isinstance(each, Granted) for each in heard.answers[answers:]), "an answer")
    return next(each for each in heard.answers[answers:] if isinstance(each, Granted))


async def joined(server, count: int = 1, minute: float = 60.0):
    made = []
    for _ in range(count):
        facts, heard = RedisFacts(server.url, minute, PATIENT), Heard()
        link = facts.join(Shared("a").account, heard)
        made.append((facts, link, heard))
    await soon(lambda: all(There in map(type, each.answers) for _, _, each in made), "the server is there")
    return made


async def test_a_block_is_cut_to_what_is_left_and_then_it_says_how_long_to_wait(server):
    ((facts, link, heard),) = await joined(server)
    assert (await granted(link, heard, 5, rpm=8)).places == 5
    assert (await granted(link, heard, 5, rpm=8)).places == 3
    none = await granted(link, heard, 5, rpm=8)
    assert none.places == 0
    assert 59 < none.wait < 62
    facts.close()


async def test_tokens_bound_the_places_too(server):
    ((facts, link, heard),) = await joined(server)
    assert (await granted(link, heard, 8, tokens=300.0, tpm=1_000)).places == 3
    facts.close()


async def test_what_is_given_back_is_another_ones(server):
    (one, link, heard), (two, other, overheard) = await joined(server, 2)
    given = await granted(link, heard, 8, rpm=8)
    assert given.places == 8
    assert (await granted(other, overheard, 1, rpm=8)).places == 0
    link.send([Spent(-6.0, 0.0, 0.0, 8, None, given.given_at)])
    await asyncio.sleep(0.05)
    assert (await granted(other, overheard, 8, rpm=8)).places == 6
    one.close()
    two.close()


async def test_places_that_are_not_used_are_given_back_by_themselves(kernel, server):
    one = kernel(Shared("a"), rpm_limit=600)
    await one.ask()
    await soon(lambda: one.gate("a").sharing.is_there, "the server is there")
    for _ in range(BLOCK):
        await one.ask()
    ((facts, link, _heard),) = await joined(server)
    await asyncio.sleep(1.3)
    total = float(redis.Redis(port=server.port).hget(f"{{llx_magic}}:rpm:{link.backend}", "total"))
    assert total == BLOCK + 1
    facts.close()


async def test_prompts_one_after_the_other_are_not_said_to_wait(kernel):
    one = kernel(Shared("a"), rpm_limit=1_000)
    await one.ask()
    await soon(lambda: one.gate("a").sharing.is_there, "the server is there")
    replies = [await one.ask() for _ in range(10)]
    assert [reply.notes for reply in replies] == [()] * 10
