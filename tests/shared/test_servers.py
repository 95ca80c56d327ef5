"""What a server of shared facts must have and allow: an account that may do little is enough, and so is Redis 6.0."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from llx_magic.core.breaker import CircuitState
from llx_magic.shared import scripts
from tests.docs.pages import ROOT
from tests.engine.kit import DOWN
from tests.shared.kit import PROGRAM, Kernel, RedisServer, Shared, soon

TEAMS = (ROOT / "docs" / "teams.md").read_text(encoding="utf-8")
RIGHTS = re.search(r"`(~\{llx_magic\}:\*[^`]*)`", TEAMS)
"""What the page for teams says that an account needs."""

SINCE = {
    "DEL": "1.0",
    "EXISTS": "1.0",
    "EXPIRE": "1.0",
    "GET": "1.0",
    "HDEL": "2.0",
    "HEXISTS": "2.0",
    "HGET": "2.0",
    "HGETALL": "2.0",
    "HINCRBYFLOAT": "2.6",
    "HSET": "4.0",  # with several fields
    "LINDEX": "1.0",
    "LPOP": "1.0",
    "LRANGE": "1.0",
    "PEXPIRE": "2.6",
    "PTTL": "2.8",  # -2 where there is no key
    "RPUSH": "1.0",
    "SET": "2.6.12",  # NX, EX, PX
    "TIME": "2.6",
    "XADD": "5.0",  # MAXLEN ~
    "ZADD": "1.2",
    "ZCARD": "1.2",
    "ZREMRANGEBYSCORE": "1.2",
}
"""Since when Redis has each command as the scripts use it (https://redis.io/docs/latest/commands/)."""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RedisServer]:
    """A server where nobody may do anything but an account with what the page says."""
    if PROGRAM is None:
        pytest.skip("NOT RUN: there is no redis-server")
    assert RIGHTS is not None
    account = ["--user", "llx", "on", ">a-password", *RIGHTS[1].split()]
    made = RedisServer(tmp_path, *account, "--user", "default", "on", ">another-password", "~*", "+@all")
    made.start()
    yield made
    made.stop()


async def test_an_account_with_the_rights_that_the_page_for_teams_names_is_enough(guarded):
    """Outcomes, the probe and a limit are shared, and nothing is refused."""
    url = guarded.url.replace("redis://", "redis://llx:a-password@")
    settings = {"rpm_limit": 600, "circuit_breaker_recovery_timeout_ms": 1_000}
    one, other = (Kernel(url, Shared("a", "fine", DOWN, DOWN, DOWN, "fine"), Shared("b"), **settings) for _ in range(2))
    try:
        for kernel in (one, other):
            await kernel.ask()
            await soon(lambda kernel=kernel: kernel.gate("a").sharing.is_there, "the server is there")
        for _ in range(3):
            await one.ask()
        await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "the other one knows")
        await asyncio.sleep(1.1)
        await one.ask()
        await soon(lambda: other.gate("a").breaker.state is CircuitState.CLOSED, "the other one knows that too")
        assert one.gate("a").sharing.is_there
        with pytest.raises(redis.exceptions.NoPermissionError):
            redis.Redis.from_url(url).flushall()
        with pytest.raises(redis.exceptions.NoPermissionError):
            redis.Redis.from_url(url).get("another:key")
    finally:
        for kernel in (one, other):
            kernel.facts.close()


def test_the_scripts_use_no_command_that_redis_6_0_does_not_have() -> None:
    used = {name for script in scripts.ALL for name in re.findall(r"redis\.call\('(\w+)'", script)}
    assert used - set(SINCE) == set()
    assert max(tuple(int(part) for part in version.split(".")) for version in SINCE.values()) < (6, 1)
