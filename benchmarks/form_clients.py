"""Each service's own client, and ours in that service's form: both are made from the server's address.

Each runs in a process of its own (`contender_process.py`), and imports only what it is made of. None retries.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from types import MappingProxyType

from contender import KEY, MESSAGES, MODEL, PROMPT, Contender
from contenders import Anthropic, Ours


class OursIn(Ours):
    """llx_magic in the form of one service."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        super().__init__([_root(url) for url in urls], made_for)


class OursAnthropic(OursIn):
    provider = "anthropic"


class OursGemini(OursIn):
    provider = "gemini"


class OursOllama(OursIn):
    provider = "ollama"


class OursCohere(OursIn):
    provider = "cohere"


class OursBedrock(OursIn):
    provider = "bedrock"
    connection = MappingProxyType({"aws-region": "us-east-1"})


class OursResponses(Ours):
    connection = MappingProxyType({"form": "responses"})


class Gemini:
    """``google.genai.Client``, its coroutines."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        from google import genai

        self._client = genai.Client(api_key=KEY, http_options={"base_url": _root(urls[0])})

    async def call(self) -> str:
        return (await self._client.aio.models.generate_content(model=MODEL, contents=PROMPT)).text

    async def stream(self) -> AsyncIterator[str]:
        async for part in await self._client.aio.models.generate_content_stream(model=MODEL, contents=PROMPT):
            if part.text:
                yield part.text

    async def aclose(self) -> None:
        pass


class Ollama:
    """``ollama.AsyncClient``."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import ollama

        self._client = ollama.AsyncClient(host=_root(urls[0]))

    async def call(self) -> str:
        return (await self._client.chat(model=MODEL, messages=MESSAGES)).message.content

    async def stream(self) -> AsyncIterator[str]:
        async for part in await self._client.chat(model=MODEL, messages=MESSAGES, stream=True):
            if part.message.content:
                yield part.message.content

    async def aclose(self) -> None:
        pass


class Cohere:
    """``cohere.AsyncClientV2``."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import cohere

        self._client = cohere.AsyncClientV2(api_key=KEY, base_url=_root(urls[0]))

    async def call(self) -> str:
        return (await self._client.chat(model=MODEL, messages=MESSAGES)).message.content[0].text

    async def stream(self) -> AsyncIterator[str]:
        async for part in self._client.chat_stream(model=MODEL, messages=MESSAGES):
            if part.type == "content-delta":
                yield part.delta.message.content.text

    async def aclose(self) -> None:
        pass


class Boto3:
    """boto3's ``bedrock-runtime``, which blocks; it signs, as it sends no key over plain http."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import boto3

        os.environ |= {"AWS_ACCESS_KEY_ID": "AKIDOFNOBODY", "AWS_SECRET_ACCESS_KEY": KEY}
        self._client = boto3.client("bedrock-runtime", endpoint_url=_root(urls[0]), region_name="us-east-1")
        turns = [{"role": "user", "content": [{"text": PROMPT}]}]
        self._asked = {"modelId": MODEL, "messages": turns}

    async def call(self) -> str:
        return self._client.converse(**self._asked)["output"]["message"]["content"][0]["text"]

    async def stream(self) -> AsyncIterator[str]:
        for event in self._client.converse_stream(**self._asked)["stream"]:
            if "contentBlockDelta" in event:
                yield event["contentBlockDelta"]["delta"]["text"]

    async def aclose(self) -> None:
        pass


class Responses:
    """``openai.AsyncOpenAI``, its Responses."""

    def __init__(self, urls: list[str], made_for: str) -> None:
        import openai

        self._client = openai.AsyncOpenAI(base_url=urls[0], api_key=KEY, max_retries=0)

    async def call(self) -> str:
        return (await self._client.responses.create(model=MODEL, input=PROMPT)).output_text

    async def stream(self) -> AsyncIterator[str]:
        async for event in await self._client.responses.create(model=MODEL, input=PROMPT, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta

    async def aclose(self) -> None:
        await self._client.close()


def _root(url: str) -> str:
    return url.removesuffix("/v1")


FORMS: dict[str, tuple[str, type[Contender], type[Contender]]] = {
    "anthropic": ("anthropic", Anthropic, OursAnthropic),
    "gemini": ("google-genai", Gemini, OursGemini),
    "ollama": ("ollama", Ollama, OursOllama),
    "cohere": ("cohere", Cohere, OursCohere),
    "bedrock": ("boto3", Boto3, OursBedrock),
    "responses": ("openai", Responses, OursResponses),
}
"""By form: the name of the service's own client and of its environment, that client, and ours."""

CLIENTS = {f"client of {form}": theirs for form, (_, theirs, _) in FORMS.items()}
CLIENTS |= {f"ours in {form}": ours for form, (_, _, ours) in FORMS.items()}
"""By the name with which `contender_process.py` is started."""
