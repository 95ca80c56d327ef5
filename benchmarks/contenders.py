"""The clients that are compared. Each runs in a process of its own, and imports only what it is made of.

Those that cannot fail over themselves get the loop that their users write.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

from contender import COOL_DOWN_SECONDS, KEY, MESSAGES, MODEL, PROMPT, Contender
from http_clients import Aiohttp, BareHttpx, Pyreqwest, RawAsyncio


class Ours:
    """llx_magic on the caller's loop; ``LLX_HTTP_TRANSPORT`` chooses what is beneath it."""

    provider = "openai"
    connection: Mapping[str, str] = MappingProxyType({})
    """What a profile says beside its address and its key."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import llx_magic

        os.environ["BENCHMARK_KEY"] = KEY
        with tempfile.TemporaryDirectory() as folder:
            names = [f"member{number}" for number in range(len(urls))]
            for name, url in zip(names, urls, strict=True):
                connection = {"base-url": url, "auth-key-env": "BENCHMARK_KEY", **self.connection}
                self._write(folder, name, connection, self.provider, MODEL)
            if len(names) > 1:
                self._write(folder, "balancer", {}, "", "", type="loadbalancer", policy="failover", profiles=names)
            path = Path(folder, f"{'balancer' if len(names) > 1 else names[0]}.json")
            self._balancer = llx_magic.load(str(path), trust=True)
        self._delta = llx_magic.Delta
        self._settings: dict[str, object] = {} if made_for == "stream" else {"streaming": "disabled"}
        if made_for == "failover":
            self._settings |= {"failover_retry_count": 1, "circuit_breaker_enabled": False}
        if made_for == "half-open":
            self._settings |= {"failover_retry_count": 1}

    @staticmethod
    def _write(folder: str, name: str, settings: dict[str, str], provider: str, model: str, **more: object) -> None:
        if "profiles" in more:
            settings = {
                "circuit_breaker_failure_threshold": 1,
                "circuit_breaker_recovery_timeout_ms": COOL_DOWN_SECONDS * 1000,
            }
        document = {"version": 1, "provider": provider, "model": model, "modelParams": {}}
        Path(folder, f"{name}.json").write_text(
            json.dumps({**document, "ephemeralSettings": settings, **more}), encoding="utf-8"
        )

    async def call(self) -> str:
        return (await self._balancer.ask(PROMPT, settings=self._settings)).text

    async def stream(self) -> AsyncIterator[str]:
        async for part in self._balancer.stream(PROMPT, settings=self._settings):
            if isinstance(part, self._delta):
                yield part.text

    async def aclose(self) -> None:
        await self._balancer.aclose()


class OpenAISdk:
    """``openai.AsyncOpenAI``, one client for each URL, without retries."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import openai

        self._error = openai.APIError
        self._clients = [openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) for url in urls]

    async def call(self) -> str:
        for client in self._clients:
            try:
                reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
                return reply.choices[0].message.content
            except self._error:
                if client is self._clients[-1]:
                    raise
        raise AssertionError

    async def stream(self) -> AsyncIterator[str]:
        parts = await self._clients[0].chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        async for part in parts:
            if part.choices[0].delta.content:
                yield part.choices[0].delta.content

    async def aclose(self) -> None:
        for client in self._clients:
            await client.close()


class Anthropic:
    """``anthropic.AsyncAnthropic`` in its own form, one client for each URL, without retries."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import anthropic

        roots = [url.removesuffix("/v1") for url in urls]
        self._error = anthropic.APIError
        self._clients = [anthropic.AsyncAnthropic(base_url=root, api_key=KEY, max_retries=0) for root in roots]
        self._asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 1000}

    async def call(self) -> str:
        for client in self._clients:
            try:
                return (await client.messages.create(**self._asked)).content[0].text
            except self._error:
                if client is self._clients[-1]:
                    raise
        raise AssertionError

    async def stream(self) -> AsyncIterator[str]:
        async with self._clients[0].messages.stream(**self._asked) as stream:
            async for text in stream.text_stream:
                yield text

    async def aclose(self) -> None:
        for client in self._clients:
            await client.close()


class LiteLLM:
    """LiteLLM's Router with fallbacks, without retries."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches one when it is imported
        import litellm

        litellm.suppress_debug_info = True
        members = [
            {
                "model_name": f"m{number}",
                "litellm_params": {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY},
            }
            for number, url in enumerate(urls)
        ]
        self._router = litellm.Router(
            model_list=members,
            fallbacks=[{"m0": ["m1"]}] if len(urls) > 1 else [],
            num_retries=0,
            allowed_fails=0,
            cooldown_time=COOL_DOWN_SECONDS,
            disable_cooldowns=made_for != "half-open",
        )

    async def call(self) -> str:
        return (await self._router.acompletion(model="m0", messages=MESSAGES)).choices[0].message.content

    async def stream(self) -> AsyncIterator[str]:
        async for part in await self._router.acompletion(model="m0", messages=MESSAGES, stream=True):
            if part.choices[0].delta.content:
                yield part.choices[0].delta.content

    async def aclose(self) -> None:
        pass


class LangChain:
    """``ChatOpenAI`` with ``with_fallbacks``, without retries."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        from langchain_openai import ChatOpenAI

        models = [ChatOpenAI(base_url=url, api_key=KEY, model=MODEL, max_retries=0) for url in urls]
        self._model = models[0].with_fallbacks(models[1:]) if len(models) > 1 else models[0]

    async def call(self) -> str:
        return (await self._model.ainvoke(PROMPT)).content

    async def stream(self) -> AsyncIterator[str]:
        async for part in self._model.astream(PROMPT):
            if part.content:
                yield part.content

    async def aclose(self) -> None:
        pass


class AnyLLM:
    """any-llm's client for OpenAI's protocol."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        from any_llm import AnyLLM as Library

        self._clients = [Library.create("openai", api_key=KEY, api_base=url, max_retries=0) for url in urls]

    async def call(self) -> str:
        for client in self._clients:
            try:
                return (await client.acompletion(model=MODEL, messages=MESSAGES)).choices[0].message.content
            except Exception:
                if client is self._clients[-1]:
                    raise
        raise AssertionError

    async def stream(self) -> AsyncIterator[str]:
        async for part in await self._clients[0].acompletion(model=MODEL, messages=MESSAGES, stream=True):
            if part.choices[0].delta.content:
                yield part.choices[0].delta.content

    async def aclose(self) -> None:
        pass


CONTENDERS: dict[str, type[Contender]] = {
    "httpx": BareHttpx,
    "aiohttp": Aiohttp,
    "pyreqwest": Pyreqwest,
    "raw asyncio": RawAsyncio,
    "llx_magic": Ours,
    "llx_magic on httpx": Ours,
    "openai": OpenAISdk,
    "anthropic": Anthropic,
    "LiteLLM Router": LiteLLM,
    "LangChain": LangChain,
    "any-llm": AnyLLM,
}
"""By the name in the tables; bare httpx comes first, since all others are compared with it."""
