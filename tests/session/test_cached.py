"""``cache=True``: a reply that is in the store is returned without asking, and a new one is kept there."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator

import pydantic
import pytest

from llx_magic.core.reply import Delta, Thought
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.replies.store import ReplyStore, default_path
from llx_magic.session.balancer import LoadBalancer
from tests.faults.server import FaultServer, status
from tests.home import own_home


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    return own_home(tmp_path, monkeypatch)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer("ok", text="It is a bug.", model="m-2026") as running:
        yield running


def balancer(*servers: FaultServer, model: str = "m", params=None, **settings) -> LoadBalancer:
    members = [
        ModelProfile(
            f"m{number}",
            "openai",
            model,
            params=params or {},
            connection=Connection(base_url=each.base_url, price_input=1, price_output=2),
        )
        for number, each in enumerate(servers)
    ]
    wanted = {"failover_retry_count": 1, **settings}
    profile = Profile.failover("lb", members, wanted) if len(members) > 1 else Profile.single(members[0])
    return LoadBalancer(profile, clock=LoopClock())


def ask(lb: LoadBalancer, prompt="Is it?", **options):
    async def run():
        async with lb:
            return await lb.ask(prompt, **{"cache": True, **options})

    return asyncio.run(run())


def parts(lb: LoadBalancer, prompt="Is it?"):
    async def run():
        async with lb:
            return [part async for part in lb.stream(prompt, cache=True)]

    return asyncio.run(run())


def test_the_same_prompt_is_asked_once(server):
    first, again = ask(balancer(server)), ask(balancer(server))
    assert len(server.requests) == 1
    assert (again.text, again.model, again.usage, again.cost) == (first.text, first.model, first.usage, first.cost)
    assert (again.finish_reason, again.attempts, again.seconds) == ("stop", 1, first.seconds)


def test_the_reply_says_that_it_is_from_the_store(server):
    first, again = ask(balancer(server)), ask(balancer(server))
    assert not any("store" in note for note in first.notes)
    assert again.notes[-1].startswith("from the store, asked ")


def test_a_reply_from_the_store_has_a_frame():
    with FaultServer("ok", text="a,b\n1,2") as server:
        frames = [ask(balancer(server)).frame() for _ in range(2)]
    assert [frame.to_dict("list") for frame in frames] == [{"a": [1], "b": [2]}] * 2


def test_without_cache_nothing_is_kept_or_looked_up(server):
    ask(balancer(server), cache=False)
    assert not default_path().exists()
    ask(balancer(server))
    ask(balancer(server), cache=None)
    assert len(server.requests) == 3


def test_a_stored_reply_streams_as_one_piece(server):
    parts(balancer(server))
    *pieces, reply = parts(balancer(server))
    assert pieces == [Delta("It is a bug.")]
    assert reply.text == "It is a bug."


def test_reasoning_comes_back_before_the_text():
    with FaultServer("reasoning-content", text="Yes.") as server:
        first = ask(balancer(server))
        *pieces, reply = parts(balancer(server))
    assert reply.reasoning == first.reasoning != ""
    assert pieces == [Thought(first.reasoning), Delta(first.text)]


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "Is it not?"},
        {"system": "Be brief."},
        {"params": {"temperature": 1}},
        {"effort": "low"},
        {"schema": {}},
    ],
)
def test_what_changes_the_answer_is_asked(server, options):
    ask(balancer(server))
    ask(balancer(server), **options)
    assert len(server.requests) > 1


def test_another_model_of_the_profile_is_asked_and_the_old_reply_is_still_there(server):
    ask(balancer(server))
    ask(balancer(server, model="other"))
    assert len(server.requests) == 2
    ask(balancer(server))
    assert len(server.requests) == 2


def test_other_parameters_in_the_profile_are_asked(server):
    ask(balancer(server))
    ask(balancer(server, params={"temperature": 1}))
    assert len(server.requests) == 2


def test_a_backend_more_asks_nothing_again(server):
    ask(balancer(server))
    ask(balancer(server, server))
    assert len(server.requests) == 1


def test_a_structured_reply_has_its_value():
    with FaultServer("ok", text='{"n": 3}') as server:
        ask(balancer(server), schema={"n": int})
        again = ask(balancer(server), schema={"n": int})
    assert again.value == {"n": 3}
    assert len(server.requests) == 1


def test_a_reply_that_does_not_fit_is_not_kept():
    with FaultServer("ok", text="not JSON") as server:
        ask(balancer(server, schema_retries=0), schema={"n": int})
        before = len(server.requests)
        ask(balancer(server, schema_retries=0), schema={"n": int})
        assert len(server.requests) > before


def test_a_kept_reply_that_fits_no_more_is_asked_anew():
    """The schema is the same, and what the class checks beside it is not."""

    def number(allowed: int) -> type:
        class N(pydantic.BaseModel):
            n: int

            @pydantic.field_validator("n")
            @classmethod
            def within(cls, value: int) -> int:
                if value > allowed:
                    raise ValueError("too large")
                return value

        return N

    with FaultServer("ok", text='{"n": 3}') as server:
        ask(balancer(server), schema=number(5))
        ask(balancer(server), schema=number(2))
        assert len(server.requests) > 1


def test_a_failed_prompt_is_not_kept(server):
    server.script(status(400))
    with pytest.raises(AllBackendsFailed):
        ask(balancer(server))
    assert ask(balancer(server)).text == "It is a bug."


def test_a_store_that_is_none_is_said_before_anything_is_sent(server):
    default_path().parent.mkdir(parents=True)
    with sqlite3.connect(default_path()) as other:
        other.execute("CREATE TABLE mine (it)")
    with pytest.raises(UsageProblem, match="is another program's database"):
        ask(balancer(server))
    assert server.requests == []


def test_a_reply_that_cannot_be_kept_is_given_with_a_note(server):
    """While it is asked, the store is replaced by a file that is none."""

    def replace_the_store(exchange) -> None:
        for path in default_path().parent.iterdir():
            path.unlink()
        default_path().write_text("no store\n" * 500)
        exchange.whole(200, json.dumps(exchange.completion()).encode(), {"content-type": "application/json"})

    server.script(replace_the_store)
    reply = ask(balancer(server))
    assert reply.text == "It is a bug."
    assert reply.notes[-1].startswith("not kept: ")
    assert reply.notes[-1].endswith("is not a store of replies; name another file for it")


def test_prompts_are_kept_only_where_that_is_set(server):
    ask(balancer(server), "SECRET plan")
    with ReplyStore.open() as store:
        assert [stored.prompt for _key, stored in store.export()] == [None]
    assert b"SECRET" not in b"".join(path.read_bytes() for path in default_path().parent.iterdir())


@pytest.mark.parametrize("key", ["sk-live-0123456789abcdef0123456789abcdef", "a-word-that-was-used-as-a-key"])
def test_no_key_is_in_a_prompt_that_is_kept(server, key):
    LIVE_KEYS.add("a-word-that-was-used-as-a-key")
    ask(balancer(server), f"Why does {key} not work?", settings={"keep_prompts": True})
    with ReplyStore.open() as store:
        assert [stored.prompt for _key, stored in store.export()] == ["Why does *** not work?"]


def test_with_keep_prompts_the_whole_prompt_is_kept(server):
    ask(balancer(server), "Is it?", system="Be brief.", settings={"keep_prompts": True})
    with ReplyStore.open() as store:
        assert [stored.prompt for _key, stored in store.export()] == ["[system]\nBe brief.\n\n[user]\nIs it?"]
