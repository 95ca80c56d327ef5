"""What users write, as a type checker sees it; it is checked and never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

import pandas as pd

import llx_magic as llx
from llx_magic.observe.otel import instrument
from llx_magic.observe.prometheus import exposition


def profile() -> llx.Profile:
    """A failover profile that is made in Python."""
    own = llx.ModelProfile(
        "own",
        "openai",
        "gpt-4o-mini",
        connection=llx.Connection(base_url="https://gateway.example/v1"),
        params={"temperature": 0.2},
    )
    spare = llx.ModelProfile("spare", "simulated", "small")
    return llx.Profile.failover("mine", [own, spare], {"failover_retry_count": 2})


def from_a_script() -> str:
    """One question in synchronous code."""
    reply = llx.ask("Why is the sky blue?", profile="mine", settings={"timeout_ms": 5000})
    assert_type(reply, llx.Reply)
    assert_type(reply.text, str)
    assert_type(reply.ok, bool)
    assert_type(reply.cost, float | None)
    assert_type(reply.usage, llx.Usage | None)
    assert_type(reply.notes, tuple[str, ...])
    assert_type(reply.frame(), pd.DataFrame)
    for block in reply.code.blocks:
        assert_type(block.text, str)
    return reply.text


async def from_a_program(loaded: llx.LoadBalancer) -> list[str]:
    """Several questions at once, in asynchronous code."""
    replies = await asyncio.gather(*(loaded.ask(f"What is {number}?") for number in range(3)))
    assert_type(replies, list[llx.Reply])
    answer = await loaded.ask([llx.Message("user", "hello")], system="Be brief.", backend="own")
    return [answer.text, *(each.text for each in replies)]


async def streamed(loaded: llx.LoadBalancer) -> AsyncIterator[str]:
    """The pieces of a reply; what came is void after a restart."""
    async for part in loaded.stream("Tell me a story."):
        assert_type(part, llx.Delta | llx.Thought | llx.Restart | llx.Reply)
        match part:
            case llx.Delta(text=text):
                yield text
            case llx.Restart():
                yield "\n"
            case llx.Reply():
                assert_type(part.seconds, float)


async def observed() -> str:
    """The tables, the exporters, and circuits by hand."""
    async with llx.load(profile(), isolated=True) as loaded:
        assert_type(loaded, llx.LoadBalancer)
        assert_type(loaded.stats(), pd.DataFrame)
        assert_type(loaded.history(), pd.DataFrame)
        loaded.open_circuit("own")
        loaded.reset()
        instrument(loaded)
        return exposition(loaded)


def refused() -> str:
    """What can go wrong, from the particular to the general."""
    try:
        return llx.load(str(Path("profile.json"))).name
    except llx.AllBackendsFailed as failed:
        return failed.partial or str(failed)
    except (llx.ProfileError, llx.SettingError, llx.KeyMissing) as problem:
        return str(problem)
    except llx.LlxError as problem:
        return str(problem)


origin: str = llx.current().origin
assert_type(llx.__version__, str)

# What a type checker must refuse: each of these lines is an error that is expected here, and nothing else is.
llx.ask(42)  # type: ignore[arg-type]
llx.ask("why", model="m")  # type: ignore[call-arg]
llx.load(b"mine")  # type: ignore[arg-type]
str(llx.nonsense)  # type: ignore[attr-defined]
