"""The clients that are compared. Each runs in a process of its own, and imports only what it is made of.

A contender is made from base URLs in the order in which they are to be tried. ``call`` returns the text of a whole
reply, ``stream`` yields a reply's pieces. Those that cannot fail over themselves get the loop that their users write.
``made_for`` says what is measured: ``calls``, ``stream``, ``failover`` (one attempt each and no breaker, so that the
first is asked every time) or ``half-open`` (a breaker or cool-down that opens at once and ends after
`COOL_DOWN_SECONDS`).
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

COOL_DOWN_SECONDS = 1
KEY = "sk-benchmark"
MODEL = "some-model"
PROMPT = "Name a prime number."
MESSAGES = [{"role": "user", "content": PROMPT}]
BODY = {"model": MODEL, "messages": MESSAGES}


class Contender(Protocol):
    """One client."""

    def __init__(self, urls: list[str], made_for: str) -> None: ...

    async def call(self) -> str: ...

    def stream(self) -> AsyncIterator[str]: ...

    async def aclose(self) -> None: ...


class BareHttpx:
    """One ``httpx.AsyncClient`` with its defaults."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import httpx

        self._urls = [f"{url}/chat/completions" for url in urls]
        self._client = httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"})
        self._error = httpx.HTTPError

    async def call(self) -> str:
        for url in self._urls:
            try:
                response = await self._client.post(url, json=BODY)
                response.raise_for_status()
                return response.json()["choices"][0]["message"]["content"]
            except self._error:
                if url == self._urls[-1]:
                    raise
        raise AssertionError

    async def stream(self) -> AsyncIterator[str]:
        async with self._client.stream("POST", self._urls[0], json={**BODY, "stream": True}) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    content = json.loads(line[6:])["choices"][0]["delta"].get("content")
                    if content:
                        yield content

    async def aclose(self) -> None:
        await self._client.aclose()


class RawAsyncio:
    """Bytes on kept-alive sockets: what the machine allows."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        self._addresses = [urlsplit(url) for url in urls]
        self._idle: dict[str, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}

    async def call(self) -> str:
        for address in self._addresses:
            try:
                return json.loads(await self._body(address))["choices"][0]["message"]["content"]
            except (OSError, RuntimeError):
                if address is self._addresses[-1]:
                    raise
        raise AssertionError

    async def _body(self, address) -> bytes:
        reader, writer = await self._send(address, BODY)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        self._idle.setdefault(address.netloc, []).append((reader, writer))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head)
        return body

    async def stream(self) -> AsyncIterator[str]:
        reader, writer = await self._send(self._addresses[0], {**BODY, "stream": True})
        await reader.readuntil(b"\r\n\r\n")
        while True:
            size = int(await reader.readline(), 16)
            data = (await reader.readexactly(size + 2))[:-2]
            if not size:
                break
            if data != b"data: [DONE]\n\n" and (content := json.loads(data[6:])["choices"][0]["delta"].get("content")):
                yield content
        self._idle.setdefault(self._addresses[0].netloc, []).append((reader, writer))

    async def _send(self, address, body: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if idle := self._idle.get(address.netloc):
            reader, writer = idle.pop()
        else:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
        data = json.dumps(body).encode()
        head = f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
        head += f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        return reader, writer

    async def aclose(self) -> None:
        for idle in self._idle.values():
            for _, writer in idle:
                writer.close()


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
    "raw asyncio": RawAsyncio,
    "llx_magic": Ours,
    "llx_magic on httpx": Ours,
    "openai": OpenAISdk,
    "LiteLLM Router": LiteLLM,
    "LangChain": LangChain,
    "any-llm": AnyLLM,
}
"""By the name in the tables; bare httpx comes first, since all others are compared with it."""
