"""The providers known by name: where they are, and which variable holds their key.

Base URLs and variables are those of the providers' own documentation of their OpenAI-compatible endpoints.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from urllib.parse import urlsplit

from llx_magic.errors import ProfileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider.

    ``base_url`` is None where the address is not a fixed one. ``key_variable`` names the environment variable that
    its users set; None where there is none. ``note`` says in a few words what to know. ``takes_stream_options`` is
    False where a request that holds ``stream_options`` is refused.
    """

    name: str
    base_url: str | None
    key_variable: str | None = None
    key_required: bool = True
    note: str = ""
    takes_stream_options: bool = True

    def own_host(self, url: str) -> bool:
        """Return whether ``url`` is https at exactly this provider's own host and port.

        Only there may a key go that was found in the provider's usual variable and not named by the user. A provider
        of the user's own machine has no host of its own in this sense.
        """
        own, other = _origin(self.base_url or ""), _origin(url)
        return own is not None and own == other


def _origin(url: str) -> tuple[str, int] | None:
    """Return host and port of an https URL that names no user; None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or "\\" in url:
        return None
    return parts.hostname, 443 if port is None else port


def _hosted(name: str, base_url: str, key_variable: str, note: str) -> Provider:
    return Provider(name=name, base_url=base_url, key_variable=key_variable, note=note)


def _own_machine(name: str, base_url: str, note: str) -> Provider:
    return Provider(name=name, base_url=base_url, key_required=False, note=note)


PROVIDERS: dict[str, Provider] = {
    each.name: each
    for each in (
        _hosted("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "OpenAI"),
        _hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "Groq, open models, free tier"),
        _hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "OpenRouter, many models"),
        Provider(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            key_variable="MISTRAL_API_KEY",
            note="Mistral AI; reports usage in a stream unasked",
            takes_stream_options=False,
        ),
        _hosted("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "DeepSeek"),
        _hosted("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "Together AI, open models"),
        _hosted("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "Fireworks AI, open models"),
        _hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "Cerebras, open models, very fast"),
        _hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY", "xAI"),
        _hosted("synthetic", "https://api.synthetic.new/openai/v1", "SYNTHETIC_API_KEY", "Synthetic, open models"),
        _hosted("chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY", "Chutes, open models"),
        _hosted("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "Anthropic's compatible endpoint"),
        _hosted(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
            "Google Gemini's compatible endpoint",
        ),
        _own_machine("ollama", "http://localhost:11434/v1", "Ollama on this machine"),
        _own_machine("lmstudio", "http://localhost:1234/v1", "LM Studio on this machine"),
        _own_machine("vllm", "http://localhost:8000/v1", "vLLM on this machine"),
        _own_machine("llamacpp", "http://localhost:8080/v1", "llama.cpp's server on this machine"),
        Provider(name="local", base_url=None, key_required=False, note="the embedded model, no key"),
        Provider(name="simulated", base_url=None, key_required=False, note="scripted replies for tests and demos"),
    )
}
"""Every provider by its name."""

ALIASES = {
    "google": "gemini",
    "googleai": "gemini",
    "claude": "anthropic",
    "x.ai": "xai",
    "mistralai": "mistral",
    "togetherai": "together",
    "fireworksai": "fireworks",
    "lm-studio": "lmstudio",
    "llama.cpp": "llamacpp",
    "llama-cpp": "llamacpp",
    "llama-server": "llamacpp",
    "embedded": "local",
}
"""Other names under which people know a provider."""


def provider(name: str) -> Provider:
    """Return the provider of that name or alias; capitals do not matter.

    Raises:
        ProfileError: for an unknown name; the text offers the nearest and lists those allowed.
    """
    folded = name.strip().casefold()
    found = PROVIDERS.get(ALIASES.get(folded, folded))
    if found is not None:
        return found
    near = difflib.get_close_matches(folded, [*PROVIDERS, *ALIASES], n=1)
    hint = f", did you mean {ALIASES.get(near[0], near[0])!r}?" if near else ""
    raise ProfileError(f"unknown provider {name!r}{hint} (allowed: {', '.join(sorted(PROVIDERS))})")


def provider_at(url: str) -> Provider | None:
    """Return the provider whose own host ``url`` is at, or None."""
    return next((each for each in PROVIDERS.values() if each.own_host(url)), None)
