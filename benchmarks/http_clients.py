"""Bare HTTP clients, each with the loop for failing over that its users write around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from contender import BODY, KEY


class OneAfterTheOther:
    """Asks each address until one answers; ``_reply`` asks one and raises ``_error`` where it fails."""

    def __init__(self, urls: list[str], error: type[Exception]) -> None:
        self._urls, self._error = [f"{url}/chat/completions" for url in urls], error

    async def call(self) -> str:
        for url in self._urls:
            try:
                return (await self._reply(url))["choices"][0]["message"]["content"]
            except self._error:
                if url == self._urls[-1]:
                    raise
        raise AssertionError


class BareHttpx(OneAfterTheOther):
    """One ``httpx.AsyncClient`` with its defaults."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import httpx

        super().__init__(urls, httpx.HTTPError)
        self._client = httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"})

    async def _reply(self, url: str):
        response = await self._client.post(url, json=BODY)
        response.raise_for_status()
        return response.json()

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


class Aiohttp(OneAfterTheOther):
    """One ``aiohttp.ClientSession`` with its defaults."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import aiohttp

        super().__init__(urls, aiohttp.ClientError)
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, raise_for_status=True)

    async def _reply(self, url: str):
        async with self._session.post(url, json=BODY) as response:
            return await response.json()

    async def stream(self) -> AsyncIterator[str]:
        async with self._session.post(self._urls[0], json={**BODY, "stream": True}) as response:
            async for line in response.content:
                if line.startswith(b"data: ") and line != b"data: [DONE]\n":
                    content = json.loads(line[6:])["choices"][0]["delta"].get("content")
                    if content:
                        yield content

    async def aclose(self) -> None:
        await self._session.close()


class Pyreqwest(OneAfterTheOther):
    """One ``pyreqwest.client.Client`` with its defaults: the work is done in Rust, on a thread of its own."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        from pyreqwest.client import ClientBuilder
        from pyreqwest.exceptions import PyreqwestError

        super().__init__(urls, PyreqwestError)
        self._client = ClientBuilder().default_headers({"Authorization": f"Bearer {KEY}"}).error_for_status().build()

    async def _reply(self, url: str):
        response = await self._client.post(url).body_json(BODY).build().send()
        return await response.json()

    async def stream(self) -> AsyncIterator[str]:
        rest = b""
        asked = self._client.post(self._urls[0]).body_json({**BODY, "stream": True})
        asked = asked.streamed_read_buffer_limit(0)  # by default nothing is given before 64 KB have come
        async with asked.build_streamed() as response:
            while (chunk := await response.body_reader.read_chunk()) is not None:
                *lines, rest = (rest + bytes(chunk)).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: ") and line != b"data: [DONE]":
                        content = json.loads(line[6:])["choices"][0]["delta"].get("content")
                        if content:
                            yield content

    async def aclose(self) -> None:
        await self._client.close()


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
