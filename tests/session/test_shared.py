"""Profiles that are loaded while ``LLX_SHARED`` names a server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import llx_magic
from llx_magic.consent.trust import Foreign, Trust
from llx_magic.core.events import CoolDownStarted
from llx_magic.errors import ProfileError
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.travel import pack, unpack
from llx_magic.session import sharing
from llx_magic.session.members import remarks
from llx_magic.session.session import Session
from tests.engine.kit import balancer, simulated
from tests.faults.server import FaultServer, status
from tests.shared.kit import PROGRAM, RedisServer, free_port, until


@pytest.fixture
def redis_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server that is up, and named by the variable."""
    if PROGRAM is None:
        pytest.skip("NOT RUN: there is no redis-server")
    made = RedisServer(tmp_path)
    made.start()
    monkeypatch.setenv(sharing.VARIABLE, made.url)
    yield made
    if (facts := sharing.shared_facts()) is not None:
        facts.close()
    made.stop()


def saved(folder: Path, name: str, server: FaultServer, **settings: int) -> str:
    """Save a profile of a model without a key; return its path."""
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "provider": "vllm-here",
                "model": "m",
                "ephemeralSettings": {"base-url": server.base_url, "failover_retry_count": 1, **settings},
            }
        )
    )
    return str(path)


def in_another_process(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


CHILD = """
import sys
import llx_magic
lb = llx_magic.load(sys.argv[1])
import asyncio
async def main():
    for _ in range(2):
        try:
            print((await lb.ask("why")).text, flush=True)
        except llx_magic.AllBackendsFailed as failed:
            print("failed", flush=True)
        await asyncio.sleep(0.3)
asyncio.run(main())
"""


async def test_a_429_of_another_process_is_heeded_in_this_one(redis_server, tmp_path):
    with FaultServer("ok") as server:
        path = saved(tmp_path, "one", server)
        lb = llx_magic.load(path)
        await lb.ask("why")
        server.script("ok", status(429, {"Retry-After": "90"}))
        child = in_another_process(CHILD, path)
        assert child.stdout.split("\n")[-2] == "failed", child.stderr
        until(lambda: any(isinstance(each, CoolDownStarted) for each in lb.decisions()), "it cools down")
        (started,) = (each for each in lb.decisions() if isinstance(each, CoolDownStarted))
        assert 80 < started.seconds <= 90


async def test_two_profiles_of_a_process_that_ask_the_same_model_share_too(redis_server, tmp_path):
    with FaultServer("ok") as server:
        one, other = (llx_magic.load(saved(tmp_path, name, server)) for name in ("first", "second"))
        await one.ask("why")
        await other.ask("why")
        server.script(status(429, {"Retry-After": "90"}))
        with pytest.raises(llx_magic.AllBackendsFailed):
            await one.ask("why")
        until(lambda: any(isinstance(each, CoolDownStarted) for each in other.decisions()), "it cools down")


async def test_rows_of_two_profiles_keep_one_limit_together(redis_server, tmp_path):
    with FaultServer("ok") as server:
        profiles = [llx_magic.load(saved(tmp_path, name, server, rpm_limit=6_000)) for name in ("first", "second")]
        for lb in profiles:
            await lb.ask("why")
        runs = [lb.map(range(100), f"{lb.name} {{{{ row }}}}", store=tmp_path / lb.name) for lb in profiles]
        results = await asyncio.gather(*runs)
    assert [result.summary.answered for result in results] == [100, 100]
    client = redis.Redis(port=redis_server.port)
    (minute,) = client.keys("*:rpm:*")
    # Each is counted once; so is what a process took in advance and gave up, which on a busy machine is more.
    assert 202 <= float(client.hget(minute, "total") or 0) < 2 * 202


async def test_that_the_server_is_away_is_said_with_one_reply(redis_server, tmp_path):
    redis_server.stop()
    with FaultServer("ok") as server:
        lb = llx_magic.load(saved(tmp_path, "alone", server))
        notes = []
        end = time.monotonic() + 10
        while not notes and time.monotonic() < end:
            notes = [note for note in (await lb.ask("why")).notes if "LLX_SHARED" in note]
        assert len(notes) == 1
        replies = [await lb.ask("why") for _ in range(3)]
        assert all("LLX_SHARED" not in note for reply in replies for note in reply.notes)


async def test_an_isolated_profile_shares_nothing(redis_server, tmp_path):
    with FaultServer("ok") as server:
        assert llx_magic.load(saved(tmp_path, "own", server), isolated=True).live.sharing is None


def test_simulated_profiles_share_nothing(redis_server):
    assert balancer(simulated("a")).live.sharing is None


@pytest.mark.parametrize(
    "address", ["localhost:6379", "http://localhost", "redis://", "redis://:secret-word@", "redis://h:0"]
)
def test_an_address_that_is_none_is_refused_and_not_repeated(address, tmp_path, monkeypatch):
    monkeypatch.setenv(sharing.VARIABLE, address)
    with FaultServer("ok") as server, pytest.raises(ProfileError, match="LLX_SHARED must be") as refused:
        llx_magic.load(saved(tmp_path, "refused", server))
    assert "secret-word" not in str(refused.value)


def test_a_server_that_cannot_be_used_is_not_blamed_on_the_default_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv(sharing.VARIABLE, "foo")
    session = Session()
    session.store.save(ModelProfile("mine", "openai", "m"))
    session.store.set_default("mine")
    with pytest.raises(ProfileError, match=r"^LLX_SHARED must be"):
        session.in_force()


def test_where_no_server_is_named_nothing_of_it_is_imported(tmp_path):
    code = (
        "import sys, llx_magic; llx_magic.load('openai:m'); "
        "print('redis' in sys.modules, 'llx_magic.shared.server' in sys.modules)"
    )
    ran = in_another_process(code)
    assert ran.stdout.strip() == "False False", ran.stderr


def member(name: str, shared: str | None, **more) -> llx_magic.ModelProfile:
    return llx_magic.ModelProfile(name, "openai", "m", connection=llx_magic.Connection(shared=shared), **more)


def test_a_profile_of_the_users_own_names_the_server_where_the_variable_does_not(tmp_path, monkeypatch):
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    url = f"redis://127.0.0.1:{free_port()}/0"
    facts = sharing.shared_facts([member("a", url), member("b", None)])
    assert facts is not None
    assert sharing.shared_facts([member("c", url)]) is facts
    facts.close()


def test_a_profile_from_elsewhere_names_no_server(tmp_path, monkeypatch):
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    foreign = member(
        "a", "redis://127.0.0.1/0", foreign=Foreign(tmp_path / "a.json", "is elsewhere", Trust(tmp_path, None))
    )
    assert sharing.shared_facts([foreign]) is None
    assert any("shared is not used" in said for said in remarks(llx_magic.Profile.single(foreign)))
    (travelled,) = unpack(pack(llx_magic.Profile.single(foreign))).members
    assert sharing.shared_facts([travelled]) is None


def test_members_that_name_different_servers_are_refused_by_name(monkeypatch):
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    with pytest.raises(ProfileError, match="the profiles a, b name different servers"):
        sharing.shared_facts([member("a", "redis://one"), member("b", "redis://two")])


@pytest.mark.parametrize("address", ["redis://:secret-word@host", "host:6379", "http://host", "redis://"])
def test_a_profile_holds_no_address_with_a_password_and_does_not_repeat_it(address):
    with pytest.raises(ProfileError, match="shared must be an address without a password") as refused:
        member("a", address)
    assert "secret-word" not in str(refused.value)
