"""How services differ in speaking OpenAI's chat completions: what each calls things, and what it does not take.

An accent is a service's, not a model's: what only some models refuse is found out by asking.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from llx_magic.core.rate_facts import BY_MINUTE, DAY, Measure, Windows
from llx_magic.text.values import JsonValue

Fields = dict[str, JsonValue]
"""Fields of a request."""


class Images(enum.Enum):
    """How a service takes the images of a prompt."""

    NONE = enum.auto()
    BYTES = enum.auto()
    ANY = enum.auto()
    """Also by their addresses, which it reads itself."""


class Files(enum.Enum):
    """How a service takes the files of a prompt."""

    NONE = enum.auto()
    BYTES = enum.auto()
    ANY = enum.auto()
    """In OpenAI's way, and by their addresses as well."""
    DOCUMENT = enum.auto()
    """As Mistral does: https://docs.mistral.ai/capabilities/document_ai/document_qna"""


def _each(**fields: Fields) -> Mapping[str, Fields]:
    return fields


def _same(name: str) -> Mapping[str, Fields]:
    return {effort: {name: effort} for effort in ("none", "low", "medium", "high")}


_THINKING: Fields = {"thinking": {"type": "enabled"}}
_NO_THINKING: Fields = {"thinking": {"type": "disabled"}}
_ANY_THINKING = _each(none=_NO_THINKING, low=_THINKING, medium=_THINKING, high=_THINKING)
_NOT_IN_TEMPLATE: Fields = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
"""The variables by which the templates of Qwen, GLM and DeepSeek leave the reasoning out."""


@dataclass(frozen=True, kw_only=True)
class Accent:
    """How one service speaks OpenAI's form.

    ``names`` are its words for parameters. ``refuses`` are fields that a request has of itself and that it does not
    take. ``effort`` holds the fields that say each effort; one that is not there cannot be said. ``has_schemas`` says
    whether it takes a JSON schema, ``has_json`` whether it takes the wish for JSON without one. ``marks_beginning``
    says that a last turn of the assistant, which the reply goes on with, must be marked as such. ``windows`` says for
    how long it counts what it limits, where its headers leave that open.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    effort: Mapping[str, Fields] = field(default_factory=lambda: _same("reasoning_effort"))
    has_schemas: bool = True
    has_json: bool = True
    marks_beginning: bool = False
    images: Images = Images.ANY
    files: Files = Files.NONE
    windows: Windows = field(default_factory=dict)


_MAX_TOKENS = {"max_completion_tokens": "max_tokens"}
_HIGH: Fields = {"reasoning_effort": "high"}
_NONE_OR_HIGH = _each(none={"reasoning_effort": "none"}, low=_HIGH, medium=_HIGH, high=_HIGH)

PLAIN = Accent(files=Files.BYTES)
"""OpenAI's own, and that of whoever is not known."""

NO_FILES = Accent()
NO_ATTACHMENTS = Accent(images=Images.NONE)

AZURE = Accent(files=Files.BYTES, windows=BY_MINUTE)
"""https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota"""

GROQ = Accent(windows={**BY_MINUTE, Measure.REQUESTS: DAY})
"""https://console.groq.com/docs/rate-limits"""

TOGETHER = Accent(windows=dict.fromkeys(Measure, 1.0))
"""https://docs.together.ai/docs/rate-limits"""

MISTRAL = Accent(
    names={"seed": "random_seed", **_MAX_TOKENS},
    refuses=frozenset(("stream_options",)),
    effort=_NONE_OR_HIGH,
    marks_beginning=True,
    files=Files.DOCUMENT,
)
"""https://docs.mistral.ai/api; it answers 422 to every field that it does not know."""

OPENROUTER = Accent(effort={effort: {"reasoning": each} for effort, each in _same("effort").items()}, files=Files.ANY)
"""https://openrouter.ai/docs/use-cases/reasoning-tokens and https://openrouter.ai/docs/features/multimodal/pdfs"""

DEEPSEEK = Accent(
    names=_MAX_TOKENS,
    effort=_each(
        none=_NO_THINKING,
        low={**_THINKING, "reasoning_effort": "low"},
        medium={**_THINKING, "reasoning_effort": "high"},
        high={**_THINKING, "reasoning_effort": "high"},
    ),
    has_schemas=False,
    images=Images.NONE,
)
"""https://api-docs.deepseek.com/guides/thinking_mode and https://api-docs.deepseek.com/guides/json_mode"""

VLLM = Accent(effort={**_same("reasoning_effort"), "none": _NOT_IN_TEMPLATE})
"""vLLM and SGLang: https://docs.vllm.ai/en/latest/features/reasoning_outputs.html"""

LLAMACPP = Accent(
    effort={
        **{each: {"chat_template_kwargs": said} for each, said in _same("reasoning_effort").items()},
        "none": _NOT_IN_TEMPLATE,
    }
)
"""https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"""

LMSTUDIO = Accent(names=_MAX_TOKENS, has_json=False, images=Images.BYTES)
"""https://lmstudio.ai/docs/developer/openai-compat; "'response_format.type' must be 'json_schema' or 'text'"."""

OLLAMA_COMPATIBLE = Accent(names=_MAX_TOKENS, images=Images.BYTES)
"""https://docs.ollama.com/api/openai-compatibility"""

COHERE_COMPATIBLE = Accent(names=_MAX_TOKENS, effort=_NONE_OR_HIGH)
"""https://docs.cohere.com/docs/compatibility-api"""

CLAUDE_COMPATIBLE = Accent(effort={}, has_schemas=False, has_json=False)
"""It ignores what it does not take: https://platform.claude.com/docs/en/api/openai-sdk"""

GLM = Accent(effort=_ANY_THINKING, has_schemas=False)
"""https://docs.z.ai/guides/capabilities/thinking-mode"""

KIMI = Accent(effort=_ANY_THINKING, has_schemas=False, images=Images.BYTES)
"""https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model"""

QWEN = Accent(
    effort=_each(
        none={"enable_thinking": False},
        low={"enable_thinking": True, "thinking_budget": 1_024},
        medium={"enable_thinking": True, "thinking_budget": 8_192},
        high={"enable_thinking": True},
    )
)
"""https://www.alibabacloud.com/help/en/model-studio/deep-thinking"""

PERPLEXITY = Accent(has_json=False)
"""https://docs.perplexity.ai/guides/structured-outputs"""
