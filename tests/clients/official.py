"""Services' own clients: each asks one server twice, whole and streamed, and says what it read, as a line of JSON.

    python official.py NAME '{"root": "http://127.0.0.1:…", "key": "…", "model": "…"}'

It runs in the environment of `requirements.txt`, so it imports nothing of ours. Each client is made as its
documentation shows, without retries. It sends a system prompt, a limit of tokens and mostly a temperature too, so
that the names of these are the client's own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

SYSTEM = "Be brief."
PROMPT = "Name a prime number."
TOKENS, TEMPERATURE = 100, 0.5

Given = SimpleNamespace
Found = tuple[str, Iterator[str]]
"""The text of a whole reply, and the pieces of a streamed one."""


def _messages(client, given: Given) -> Found:
    asked = {"model": given.model, "max_tokens": TOKENS, "system": SYSTEM}
    asked["messages"] = [{"role": "user", "content": PROMPT}]
    whole = client.messages.create(**asked)

    def pieces() -> Iterator[str]:
        with client.messages.stream(**asked) as stream:
            yield from stream.text_stream
            final = stream.get_final_message()
        assert final.stop_reason == whole.stop_reason == "end_turn"
        assert final.usage.output_tokens == whole.usage.output_tokens

    return whole.content[-1].text, pieces()


def anthropic(given: Given) -> Found:
    from anthropic import Anthropic

    return _messages(Anthropic(base_url=given.root, api_key=given.key, max_retries=0), given)


def anthropic_vertex(given: Given) -> Found:
    from anthropic import AnthropicVertex

    place = {"region": "us-east5", "project_id": "p", "base_url": f"{given.root}/v1"}
    return _messages(AnthropicVertex(**place, access_token=given.key, max_retries=0), given)


def anthropic_foundry(given: Given) -> Found:
    from anthropic import AnthropicFoundry

    return _messages(AnthropicFoundry(base_url=given.root, api_key=given.key, max_retries=0), given)


def anthropic_mantle(given: Given) -> Found:
    from anthropic import AnthropicBedrockMantle

    client = AnthropicBedrockMantle(base_url=given.root, api_key=given.key, aws_region="us-east-1", max_retries=0)
    return _messages(client, given)


def _chat(client, given: Given) -> Found:
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    asked = {"model": given.model, "messages": turns, "max_completion_tokens": TOKENS, "temperature": TEMPERATURE}
    whole = client.chat.completions.create(**asked)

    def pieces() -> Iterator[str]:
        usage = None
        for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                yield (choice.delta.content if choice.delta else None) or ""
        assert usage.completion_tokens == whole.usage.completion_tokens

    return whole.choices[0].message.content, pieces()


def _responses(client, given: Given) -> Found:
    asked = {"model": given.model, "input": PROMPT, "instructions": SYSTEM, "max_output_tokens": TOKENS}
    whole = client.responses.create(**asked)

    def pieces() -> Iterator[str]:
        with client.responses.stream(**asked) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta
            final = stream.get_final_response()
        assert final.output_text == whole.output_text
        assert final.usage.output_tokens == whole.usage.output_tokens

    return whole.output_text, pieces()


def _openai(given: Given, path: str):
    from openai import OpenAI

    return OpenAI(base_url=f"{given.root}{path}", api_key=given.key, max_retries=0)


def _azure(given: Given):
    from openai import AzureOpenAI

    return AzureOpenAI(azure_endpoint=given.root, api_key=given.key, api_version="2025-03-01-preview", max_retries=0)


def mistral(given: Given) -> Found:
    from mistralai.client import Mistral

    client = Mistral(server_url=given.root, api_key=given.key)
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    asked = {"model": given.model, "messages": turns, "max_tokens": TOKENS, "temperature": TEMPERATURE}
    whole = client.chat.complete(**asked)
    parts = client.chat.stream(**asked)
    return whole.choices[0].message.content, (part.data.choices[0].delta.content or "" for part in parts)


def _generate(client, given: Given) -> Found:
    config = {"system_instruction": SYSTEM, "max_output_tokens": TOKENS, "temperature": TEMPERATURE}
    asked = {"model": given.model, "contents": PROMPT, "config": config}
    whole = client.models.generate_content(**asked)

    def pieces() -> Iterator[str]:
        for part in client.models.generate_content_stream(**asked):
            yield part.text or ""
        assert part.candidates[0].finish_reason == whole.candidates[0].finish_reason == "STOP"
        assert part.usage_metadata.candidates_token_count == whole.usage_metadata.candidates_token_count

    return whole.text, pieces()


def gemini(given: Given) -> Found:
    from google.genai import Client

    return _generate(Client(api_key=given.key, http_options={"base_url": given.root}), given)


def gemini_vertex(given: Given) -> Found:
    from google.genai import Client
    from google.oauth2.credentials import Credentials

    place = {"project": "p", "location": "us-east5", "http_options": {"base_url": given.root}}
    return _generate(Client(vertexai=True, credentials=Credentials(given.key), **place), given)


def ollama(given: Given) -> Found:
    from ollama import Client

    client = Client(host=given.root)
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    options = {"num_predict": TOKENS, "temperature": TEMPERATURE}
    asked = {"model": given.model, "messages": turns, "options": options}
    whole = client.chat(**asked)
    return whole.message.content, (part.message.content for part in client.chat(**asked, stream=True))


def cohere(given: Given) -> Found:
    from cohere import ClientV2

    client = ClientV2(api_key=given.key, base_url=given.root)
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    asked = {"model": given.model, "messages": turns, "max_tokens": TOKENS, "temperature": TEMPERATURE}
    whole = client.chat(**asked)
    deltas = (each for each in client.chat_stream(**asked) if each.type == "content-delta")
    return whole.message.content[-1].text, (each.delta.message.content.text or "" for each in deltas)


def bedrock(given: Given) -> Found:
    import boto3
    from botocore.config import Config

    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client("bedrock-runtime", endpoint_url=given.root, region_name=given.region, config=once)
    asked = {"modelId": given.model, "system": [{"text": SYSTEM}]}
    asked["messages"] = [{"role": "user", "content": [{"text": PROMPT}]}]
    asked["inferenceConfig"] = {"maxTokens": TOKENS, "temperature": TEMPERATURE}
    whole = client.converse(**asked)

    def pieces() -> Iterator[str]:
        kinds = []
        for event in client.converse_stream(**asked)["stream"]:
            kinds += event
            yield event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        assert kinds[-2:] == ["messageStop", "metadata"]

    return whole["output"]["message"]["content"][0]["text"], pieces()


CLIENTS: dict[str, Callable[[Given], Found]] = {
    "anthropic": anthropic,
    "anthropic-vertex": anthropic_vertex,
    "anthropic-foundry": anthropic_foundry,
    "anthropic-mantle": anthropic_mantle,
    "openai-chat": lambda given: _chat(_openai(given, "/v1"), given),
    "openai-responses": lambda given: _responses(_openai(given, "/v1"), given),
    "azure-chat": lambda given: _chat(_openai(given, "/openai/v1"), given),
    "azure-responses": lambda given: _responses(_openai(given, "/openai/v1"), given),
    "azure-dated-chat": lambda given: _chat(_azure(given), given),
    "azure-dated-responses": lambda given: _responses(_azure(given), given),
    "mistral": mistral,
    "gemini": gemini,
    "gemini-vertex": gemini_vertex,
    "ollama": ollama,
    "cohere": cohere,
    "bedrock-key": bedrock,
    "bedrock-signed": bedrock,
}


def main() -> None:
    given = Given(**json.loads(sys.argv[2]))
    os.environ |= getattr(given, "env", {})
    whole, pieces = CLIENTS[sys.argv[1]](given)
    sys.stdout.write(json.dumps({"whole": whole, "streamed": list(pieces)}) + "\n")


if __name__ == "__main__":
    main()
