"""The providers known by name: where they are, and which variable holds their key.

Base URLs and variables are those of the providers' own documentation of their OpenAI-compatible endpoints. Completion,
the table of the documentation, OpenTelemetry's names and the question whose own host an address is at are all made from
``PROVIDERS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from llx_magic.errors import ProfileError
from llx_magic.text.wording import closest

OPENAI = "openai"
"""The form of OpenAI's chat completions, which most providers speak."""

ANTHROPIC = "anthropic"
GEMINI = "gemini"
OLLAMA = "ollama"
COHERE = "cohere"
"""The forms of services that speak one of their own."""

RESPONSES = "responses"
"""OpenAI's other form."""

FORMS = {
    "openai-chat": OPENAI,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "ollama": OLLAMA,
    "cohere": COHERE,
}
"""The forms that a profile may name, and the module of ``backends/wires`` that speaks each."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider.

    ``base_url`` is None where the address is not a fixed one; ``more_urls`` are further addresses of the provider's
    own, where the same variable holds the key. ``key_variable`` names the environment variable that its users set;
    None where there is none. ``note`` says in a few words what to know. ``aliases`` are other names under which people
    know it. ``otel_name`` is the name of OpenTelemetry's conventions where it differs. ``wire`` names the form in which
    it is asked, a module of ``backends/wires``; ``compatible`` is the end of the path at which it speaks OpenAI's chat
    completions as well, if it does. ``refuses`` holds what it does not take of that form, by the form's own names.
    ``problem`` says why it cannot be asked at all.
    """

    name: str
    base_url: str | None
    more_urls: tuple[str, ...] = ()
    key_variable: str | None = None
    key_required: bool = True
    note: str = ""
    aliases: tuple[str, ...] = ()
    otel_name: str | None = None
    wire: str = OPENAI
    compatible: str = ""
    refuses: tuple[str, ...] = ()
    problem: str = ""

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """Every address of the provider's own, the usual one first."""
        return (*((self.base_url,) if self.base_url else ()), *self.more_urls)

    def form_at(self, url: str) -> str:
        """Return the form in which it is asked at an address: at its compatible endpoint, that of OpenAI."""
        return OPENAI if self.compatible and url.rstrip("/").endswith(self.compatible) else self.wire

    def compatible_url(self, url: str) -> str:
        """Return the address of the compatible endpoint beside its own form's root."""
        return url if self.form_at(url) == OPENAI else url.rstrip("/") + self.compatible

    def root_url(self, url: str) -> str:
        """Return the root of its own form beside its compatible endpoint."""
        return url.rstrip("/").removesuffix(self.compatible)

    def own_url(self, url: str) -> str | None:
        """Return the provider's own base URL at the host and port of ``url``, or None; https only."""
        origin = _origin(url)
        return next((own for own in self.urls if origin is not None and _origin(own) == origin), None)

    def own_host(self, url: str) -> bool:
        """Return whether ``url`` is https at exactly this provider's own host and port.

        Only there may a key go that was found in the provider's usual variable and not named by the user. A provider
        of the user's own machine has no host of its own in this sense.
        """
        return self.own_url(url) is not None


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


def _hosted(
    name: str, base_url: str, key_variable: str, note: str, *, aliases: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> Provider:
    return Provider(name=name, base_url=base_url, key_variable=key_variable, note=note, aliases=aliases, more_urls=more)


def _claude_at(cloud: str, key_variable: str, note: str, otel_name: str, other: str) -> Provider:
    """Return the provider of Anthropic's models in one of the clouds, whose address is each customer's own."""
    return Provider(
        name=f"anthropic-{cloud}",
        base_url=None,
        key_variable=key_variable,
        note=f"Claude models in {cloud.capitalize()}: {note} `--key-env {key_variable}`",
        aliases=(f"{cloud}-anthropic", f"claude-{cloud}", f"anthropic-{other}", f"claude-{other}"),
        otel_name=otel_name,
        wire=ANTHROPIC,
    )


def _own_machine(name: str, base_url: str, note: str, *aliases: str) -> Provider:
    return Provider(name=name, base_url=base_url, key_required=False, note=note, aliases=aliases)


_DECLARED = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        note="OpenAI",
        aliases=("openai-responses", "openai-vercel", "openai-chat", "chatgpt"),
    ),
    _hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "Groq, open models, free tier"),
    _hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "OpenRouter, many models"),
    Provider(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        note="Mistral AI; reports usage in a stream unasked",
        aliases=("mistralai",),
        otel_name="mistral_ai",
        refuses=("stream_options",),
    ),
    _hosted("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "DeepSeek"),
    _hosted(
        "together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "Together AI, open models",
        aliases=("together-ai",), more=("https://api.together.ai/v1",),
    ),
    _hosted(
        "fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "Fireworks AI, open models",
        aliases=("fireworks-ai",),
    ),
    _hosted(
        "cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "Cerebras, open models, very fast",
        aliases=("cerebras-code", "cerebras-ai"),
    ),
    Provider(
        name="xai",
        base_url="https://api.x.ai/v1",
        key_variable="XAI_API_KEY",
        note="xAI",
        aliases=("grok",),
        otel_name="x_ai",
    ),
    _hosted("synthetic", "https://api.synthetic.new/openai/v1", "SYNTHETIC_API_KEY", "Synthetic, open models"),
    _hosted("chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY", "Chutes, open models", aliases=("chutes-ai",)),
    Provider(
        name="anthropic",
        base_url="https://api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        note="Anthropic, Claude models",
        aliases=("claude", "anthropic-messages"),
        wire=ANTHROPIC,
        compatible="/v1",
    ),
    Provider(
        name="gemini",
        base_url="https://generativelanguage.googleapis.com",
        key_variable="GEMINI_API_KEY",
        note="Google Gemini",
        aliases=("google", "google-ai", "google-gemini", "google-ai-studio"),
        otel_name="gcp.gemini",
        wire=GEMINI,
        compatible="/v1beta/openai",
    ),
    Provider(
        name="vertex",
        base_url=None,
        key_variable="GOOGLE_OAUTH_ACCESS_TOKEN",
        note="Gemini on Vertex AI, with a token as the key: "
        "`--base-url https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION`",
        aliases=("vertexai", "google-vertex", "google-vertex-ai"),
        otel_name="gcp.vertex_ai",
        wire=GEMINI,
        compatible="/endpoints/openapi",
    ),
    _hosted(
        "moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "Moonshot AI, Kimi models",
        aliases=("moonshot-ai",), more=("https://api.moonshot.cn/v1",),
    ),
    _hosted(
        "kimi", "https://api.kimi.com/coding/v1", "KIMI_API_KEY", "Kimi for Coding, a subscription",
        aliases=("kimi-for-coding", "kimi-code", "kimi-coding"),
    ),
    _hosted(
        "zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "Z.ai, GLM models; `…/api/coding/paas/v4` for its plans",
        aliases=("glm",),
    ),
    _hosted(
        "zhipu", "https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY", "Zhipu BigModel, GLM models",
        aliases=("zhipu-ai", "bigmodel"),
    ),
    _hosted(
        "qwen", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY",
        "Alibaba's Model Studio, outside of China; `https://dashscope.aliyuncs.com/compatible-mode/v1` within",
        aliases=("qwen-openai", "qwen-vercel", "dashscope", "alibaba", "modelstudio"),
        more=("https://dashscope.aliyuncs.com/compatible-mode/v1",),
    ),
    _hosted(
        "minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY", "MiniMax", more=("https://api.minimaxi.com/v1",)
    ),
    _hosted(
        "perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "Perplexity, answers with web search",
        aliases=("perplexity-ai", "pplx", "sonar"),
    ),
    _hosted(
        "nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", "NVIDIA NIM, open models",
        aliases=("nvidia-nim", "nim"),
    ),
    _hosted("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", "SambaNova, open models"),
    _hosted("hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY", "Hyperbolic, open models"),
    _hosted("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", "DeepInfra, open models"),
    _hosted(
        "huggingface", "https://router.huggingface.co/v1", "HF_TOKEN", "Hugging Face's router, open models",
        aliases=("hf",),
    ),
    _hosted(
        "github", "https://models.github.ai/inference", "GITHUB_TOKEN", "GitHub Models",
        aliases=("github-models",),
    ),
    _hosted(
        "novita", "https://api.novita.ai/v3/openai", "NOVITA_API_KEY", "Novita AI, open models", aliases=("novita-ai",)
    ),
    _hosted(
        "siliconflow", "https://api.siliconflow.com/v1", "SILICONFLOW_API_KEY", "SiliconFlow, open models",
        more=("https://api.siliconflow.cn/v1",),
    ),
    _hosted(
        "vercel", "https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_API_KEY", "Vercel's AI Gateway, many models",
        aliases=("vercel-ai-gateway", "ai-gateway", "vercel-gateway"),
    ),
    Provider(
        name="cohere",
        base_url="https://api.cohere.com",
        more_urls=("https://api.cohere.ai",),
        key_variable="COHERE_API_KEY",
        note="Cohere; `…/compatibility/v1` is its compatible endpoint",
        aliases=("cohere-ai",),
        wire=COHERE,
        compatible="/compatibility/v1",
    ),
    Provider(
        name="azure",
        base_url=None,
        key_variable="AZURE_OPENAI_API_KEY",
        note="Azure OpenAI: `--base-url https://RESOURCE.openai.azure.com/openai/v1 --key-env AZURE_OPENAI_API_KEY`",
        aliases=("azure-openai", "azure-ai"),
        otel_name="azure.ai.openai",
    ),
    _claude_at(
        "azure", "ANTHROPIC_FOUNDRY_API_KEY", "`--base-url https://RESOURCE.services.ai.azure.com/anthropic`",
        "azure.ai.inference", "foundry",
    ),
    _claude_at(
        "bedrock", "AWS_BEARER_TOKEN_BEDROCK", "`--base-url https://bedrock-mantle.REGION.api.aws/anthropic`",
        "aws.bedrock", "mantle",
    ),
    _claude_at(
        "vertex", "GOOGLE_OAUTH_ACCESS_TOKEN",
        "`--base-url https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION`",
        "gcp.vertex_ai", "google",
    ),
    Provider(
        name="ollama",
        base_url="http://localhost:11434",
        more_urls=("https://ollama.com",),
        key_variable="OLLAMA_API_KEY",
        note="Ollama on this machine, no key; `https://ollama.com` is its cloud, `…/v1` the compatible endpoint",
        aliases=("ollama-cloud",),
        wire=OLLAMA,
        compatible="/v1",
    ),
    _own_machine("lmstudio", "http://localhost:1234/v1", "LM Studio on this machine"),
    _own_machine("vllm", "http://localhost:8000/v1", "vLLM on this machine", "hosted-vllm"),
    _own_machine("llamacpp", "http://localhost:8080/v1", "llama.cpp's server on this machine", "llama-server"),
    _own_machine("llamafile", "http://localhost:8080/v1", "llamafile on this machine"),
    _own_machine("sglang", "http://localhost:30000/v1", "SGLang on this machine"),
    _own_machine("tgi", "http://localhost:8080/v1", "Text Generation Inference on this machine"),
    _own_machine("litellm", "http://localhost:4000/v1", "LiteLLM's proxy on this machine", "litellm-proxy"),
    _own_machine("jan", "http://localhost:1337/v1", "Jan on this machine"),
    _own_machine("localai", "http://localhost:8080/v1", "LocalAI on this machine"),
    Provider(
        name="codex",
        base_url=None,
        note="signs in with a ChatGPT subscription: cannot be asked from here",
        problem="signs in with a ChatGPT subscription, which llx_magic cannot do; use openai with a key",
    ),
    Provider(
        name="local", base_url=None, key_required=False, note="the embedded model, needs no key", aliases=("embedded",)
    ),
    Provider(name="simulated", base_url=None, key_required=False, note="scripted replies for tests and demos"),
)  # fmt: skip

PROVIDERS: dict[str, Provider] = {each.name: each for each in _DECLARED}
"""Every provider by its name."""


def _folded(name: str) -> str:
    """Return a name as it is compared: ``Chutes.ai``, ``chutes-ai`` and ``ChutesAI`` are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_BY_FOLDED_NAME = {_folded(name): each for each in _DECLARED for name in (each.name, *each.aliases)}


def find_provider(name: str) -> Provider | None:
    """Return the provider of that name or alias, or None; capitals, blanks and punctuation do not matter."""
    return _BY_FOLDED_NAME.get(_folded(name))


def provider(name: str) -> Provider:
    """Return the provider of that name or alias; capitals, blanks and punctuation do not matter.

    Raises:
        ProfileError: for an unknown name; the text says what it says in ``unknown_provider``.
    """
    found = find_provider(name)
    if found is None:
        raise ProfileError(unknown_provider(name))
    return found


def unknown_provider(name: str) -> str:
    """Say that no provider has that name: with the nearest one, or all where none is near, and what serves as well."""
    near = closest(_folded(name), _BY_FOLDED_NAME)
    hint = f"did you mean {_BY_FOLDED_NAME[near].name!r}?" if near else f"known: {', '.join(sorted(PROVIDERS))};"
    return f"unknown provider {name!r}, {hint} any other serves with a base-url, if it speaks OpenAI's chat completions"


def provider_at(url: str) -> Provider | None:
    """Return the provider whose own host ``url`` is at, or None."""
    return next((each for each in _DECLARED if each.own_host(url)), None)
