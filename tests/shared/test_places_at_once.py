"""A limit of requests at once that several processes keep together."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from llx_magic.core.sharing import Held, HoldWanted
from llx_magic.shared.link import RedisLink
from tests.engine.kit import answer
from tests.shared.kit import PATIENT, Heard, Shared, soon
from tests.shared.test_shared_limits import joined

LONG = {"cooldown_wait_ms": 60_000, "patience": PATIENT}


class Counted(Shared):
    """A backend whose replies take a while; all that share ``under_way`` see how many there are at once."""

    def __init__(self, under_way: list[int], seconds: float = 0.03) -> None:
        super().__init__("a", self.reply)
        self.under_way, self.seconds = under_way, seconds

    async def reply(self, _request, _progress):
        self.under_way[0] += 1
        self.under_way[1] = max(self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way[0] -= 1
        return answer()


async def there(*kernels) -> None:
    for each in kernels:
        await each.ask()
    await all_have_the_server(kernels)


async def all_have_the_server(kernels) -> None:
    await soon(lambda: all(each.gate("a").sharing.is_there for each in kernels), "the server is there")


async def held(link, heard, wanted: int, in_use: int, limit: int) -> Held:
    answers = len(heard.answers)
    link.send([HoldWanted(wanted, in_use, limit)])
    await soon(lambda: any(isinstance(each, Held) for each in heard.answers[answers:]), "an answer")
    return next(each for each in heard.answers[answers:] if isinstance(each, Held))


@pytest.mark.parametrize(("limit", "processes"), [(5, 3), (2, 4), (1, 3)])
async def test_processes_never_have_more_under_way_together_than_the_limit(kernel, limit, processes):
    under_way = [0, 0]
    kernels = [kernel(Counted(under_way), concurrency_limit=limit, **LONG) for _ in range(processes)]
    await there(*kernels)
    await asyncio.sleep(1.3)
    under_way[1] = 0
    replies = await asyncio.gather(*(each.ask() for each in kernels for _ in range(12)))
    assert {reply.backend for reply in replies} == {"a"}
    assert under_way == [0, limit]


async def test_a_process_that_begins_later_gets_its_part_of_the_places(kernel):
    ended, under_way = [], [0, 0]
    greedy, late = (kernel(Counted(under_way, 0.05), concurrency_limit=4, **LONG) for _ in range(2))
    await there(greedy, late)
    asked = asyncio.gather(*(greedy.ask() for _ in range(60)))
    await asyncio.sleep(0.2)
    for _ in range(6):
        await late.ask()
        ended.append(asked.done())
    assert ended == [False] * 6
    await asked


async def test_places_that_are_not_needed_are_another_ones_soon(kernel, server):
    under_way = [0, 0]
    one = kernel(Counted(under_way), concurrency_limit=3, **LONG)
    await there(one)
    await asyncio.gather(*(one.ask() for _ in range(6)))
    ((facts, link, heard),) = await joined(server)
    await asyncio.sleep(2.0)
    assert (await held(link, heard, 3, 0, 3)).places == 3
    facts.close()


async def test_a_killed_process_frees_its_places_after_a_while(server):
    (one, link, heard), (two, other, overheard) = await joined(server, 2)
    assert (await held(link, heard, 3, 0, 3)).places == 3
    none = await held(other, overheard, 2, 0, 3)
    assert none.places == 0
    assert 0 < none.wait <= 0.5
    client, key = redis.Redis(port=server.port), f"{{llx_magic}}:at-once:{link.backend}"
    has, wants, since, ends = client.hget(key, link.origin).split()
    now, _ = client.time()
    assert 5 < int(ends) / 1000 - now <= 11
    client.hset(key, link.origin, b" ".join([has, wants, since, b"%d" % (1000 * now - 1000)]))
    assert (await held(other, overheard, 2, 0, 3)).places == 2
    one.close()
    two.close()


async def test_who_holds_more_than_its_part_is_told_when_others_lack_some(server):
    (one, link, heard), (two, other, overheard) = await joined(server, 2)
    assert (await held(link, heard, 4, 0, 4)) == Held(4)
    assert (await held(other, overheard, 4, 0, 4)).places == 0
    told = await held(link, heard, 4, 4, 4)
    assert (told.places, told.scarce) == (4, True)
    assert (await held(link, heard, 4, 1, 4)).places == 2
    assert (await held(other, overheard, 4, 0, 4)).places == 2
    one.close()
    two.close()


async def test_where_there_are_more_processes_than_places_they_take_turns(server):
    """Who has not asked for longer than a second and a half is taken for one that wants none any more."""
    made = await joined(server, 3)
    for _ in range(5):
        served, longest = await turns([(link, heard) for _, link, heard in made])
        if longest < 1.0:  # the machine was not so busy that one was forgotten
            break
    assert len(set(served[:3])) == len(set(served[3:])) == 3, "nobody twice before all others"
    for facts, _, _ in made:
        facts.close()


async def turns(links: list[tuple[RedisLink, Heard]]) -> tuple[list[str], float]:
    """Who has the place in six turns, one after the other, and how many seconds the longest turn took."""
    served, took = [], []
    places = {link.origin: (await held(link, heard, 1, 0, 1)).places for link, heard in links}
    for turn in range(6):
        began = time.monotonic()
        holder = next(each for each in links if places[each[0].origin])
        served.append(holder[0].origin)
        # Its request has ended, and it has another.
        for link, heard in (holder, *(each for each in links if each is not holder)):
            places[link.origin] = (await held(link, heard, 1, 0, 1)).places
        assert sum(places.values()) == 1, turn
        took.append(time.monotonic() - began)
    return served, max(took)


async def test_alone_a_process_keeps_to_its_part_of_the_places(kernel, server):
    under_way = [0, 0]
    one, other = (kernel(Counted(under_way), concurrency_limit=6, cooldown_wait_ms=60_000) for _ in range(2))
    await there(one, other)
    await soon(lambda: one.gate("a").traffic.ceilings.stock.peers == 2, "it knows of the other", 10.0)
    server.stop()
    await soon(lambda: not one.gate("a").sharing.is_there, "it notices", 10.0)
    under_way[1] = 0
    await asyncio.gather(*(one.ask() for _ in range(10)))
    assert under_way[1] == 3


async def test_a_server_that_has_forgotten_all_is_told_what_is_under_way(kernel, server):
    under_way = [0, 0]
    one = kernel(Counted(under_way, 8.0), concurrency_limit=3, **LONG)
    await asyncio.sleep(0.3)
    asked = [asyncio.ensure_future(one.ask()) for _ in range(2)]
    await soon(lambda: under_way[0] == 2, "two are under way")
    server.stop()
    await soon(lambda: not one.gate("a").sharing.is_there, "it notices", 10.0)
    server.start()
    await soon(lambda: one.gate("a").sharing.is_there, "it is back", 15.0)
    ((facts, link, heard),) = await joined(server)
    assert (await held(link, heard, 3, 0, 3)).places == 1
    facts.close()
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
