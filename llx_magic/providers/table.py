"""The providers known by name: where they are, and which variable holds their key.

Base URLs and variables are those of the providers' own documentation of their OpenAI-compatible endpoints. Completion,
the table of the documentation, OpenTelemetry's names and the question whose own host an address is at are all made from
``PROVIDERS``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

from llx_magic.providers import accents
from llx_magic.providers.accents import Accent
from llx_magic.providers.provider import ANTHROPIC, BEDROCK, COHERE, GEMINI, OLLAMA, VERTEX_HOSTS, Provider


class _More(TypedDict, total=False):
    """What rows of the same kind may say besides."""

    aliases: tuple[str, ...]
    more_urls: tuple[str, ...]


_COMPATIBLE_GEMINI = ("/v1beta/openai", "/endpoints/openapi")
"""Where Gemini speaks OpenAI's form: https://ai.google.dev/gemini-api/docs/openai, and in Vertex AI
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview
"""

_LOGIN_OF_GOOGLE = "Google's login (the extra `google`), or a token in the variable"


def _hosted(
    name: str, base_url: str, key_variable: str, note: str, accent: Accent = accents.NO_FILES, **more: Unpack[_More]
) -> Provider:
    return Provider(name=name, base_url=base_url, key_variable=key_variable, note=note, accent=accent, **more)


def _claude_at(cloud: str, key_variable: str, note: str, otel_name: str, other: str, **more: Unpack[_More]) -> Provider:
    """Return the provider of Anthropic's models in one of the clouds, whose address is each customer's own."""
    return Provider(
        name=f"anthropic-{cloud}",
        base_url=None,
        key_variable=key_variable,
        note=f"Claude models in {cloud.capitalize()}: {note}",
        aliases=(f"{cloud}-anthropic", f"claude-{cloud}", f"anthropic-{other}", f"claude-{other}"),
        otel_name=otel_name,
        wire=ANTHROPIC,
    )


def _own_machine(
    name: str, base_url: str, note: str, accent: Accent = accents.NO_FILES, **more: Unpack[_More]
) -> Provider:
    return Provider(name=name, base_url=base_url, key_required=False, note=note, accent=accent, **more)


_DECLARED = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        note="OpenAI",
        aliases=("openai-responses", "openai-vercel", "openai-chat", "chatgpt"),
    ),
    _hosted(
        "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "Groq, open models, free tier",
        accent=accents.GROQ,
    ),
    _hosted(
        "openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "OpenRouter, many models",
        accent=accents.OPENROUTER,
    ),
    Provider(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        note="Mistral AI; reports usage in a stream unasked",
        aliases=("mistralai",),
        otel_name="mistral_ai",
        accent=accents.MISTRAL,
    ),
    _hosted("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "DeepSeek", accent=accents.DEEPSEEK),
    _hosted(
        "together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "Together AI, open models",
        aliases=("together-ai",), more_urls=("https://api.together.ai/v1",), accent=accents.TOGETHER,
    ),
    _hosted(
        "fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "Fireworks AI, open models",
        aliases=("fireworks-ai",),
    ),
    _hosted(
        "cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "Cerebras, open models, very fast",
        aliases=("cerebras-code", "cerebras-ai"), accent=accents.NO_ATTACHMENTS,
    ),
    Provider(
        name="xai",
        base_url="https://api.x.ai/v1",
        key_variable="XAI_API_KEY",
        note="xAI",
        aliases=("grok",),
        otel_name="x_ai",
        accent=accents.NO_FILES,
    ),
    _hosted("synthetic", "https://api.synthetic.new/openai/v1", "SYNTHETIC_API_KEY", "Synthetic, open models"),
    _hosted(
        "chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY", "Chutes, open models",
        aliases=("chutes-ai",), accent=accents.VLLM,
    ),
    Provider(
        name="anthropic",
        base_url="https://api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        note="Anthropic, Claude models; `…/v1` is its compatible endpoint",
        aliases=("claude", "anthropic-messages"),
        wire=ANTHROPIC,
        compatible=("/v1",),
        accent=accents.CLAUDE_COMPATIBLE,
    ),
    Provider(
        name="gemini",
        base_url="https://generativelanguage.googleapis.com",
        key_variable="GEMINI_API_KEY",
        note="Google Gemini",
        aliases=("google", "google-ai", "google-gemini", "google-ai-studio"),
        otel_name="gcp.gemini",
        wire=GEMINI,
        compatible=_COMPATIBLE_GEMINI,
        accent=accents.NO_FILES,
    ),
    Provider(
        name="vertex",
        base_url=None,
        key_variable="GOOGLE_OAUTH_ACCESS_TOKEN",
        note="Gemini on Vertex AI: "
        "`--base-url https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION` with "
        f"{_LOGIN_OF_GOOGLE}",
        aliases=("vertexai", "google-vertex", "google-vertex-ai"),
        otel_name="gcp.vertex_ai",
        wire=GEMINI,
        compatible=_COMPATIBLE_GEMINI[::-1],
        accent=accents.NO_FILES,
        hosts=VERTEX_HOSTS,
        auth="google",
    ),
    _hosted(
        "moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "Moonshot AI, Kimi models",
        aliases=("moonshot-ai",), more_urls=("https://api.moonshot.cn/v1",), accent=accents.KIMI,
    ),
    _hosted(
        "kimi", "https://api.kimi.com/coding/v1", "KIMI_API_KEY", "Kimi for Coding, a subscription",
        aliases=("kimi-for-coding", "kimi-code", "kimi-coding"), accent=accents.KIMI,
    ),
    _hosted(
        "zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "Z.ai, GLM models; `…/api/coding/paas/v4` for its plans",
        aliases=("glm",), accent=accents.GLM,
    ),
    _hosted(
        "zhipu", "https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY", "Zhipu BigModel, GLM models",
        aliases=("zhipu-ai", "bigmodel"), accent=accents.GLM,
    ),
    _hosted(
        "qwen", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY",
        "Alibaba's Model Studio, outside of China; `https://dashscope.aliyuncs.com/compatible-mode/v1` within",
        aliases=("qwen-openai", "qwen-vercel", "dashscope", "alibaba", "modelstudio"),
        more_urls=("https://dashscope.aliyuncs.com/compatible-mode/v1",), accent=accents.QWEN,
    ),
    _hosted(
        "minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY", "MiniMax", more_urls=("https://api.minimaxi.com/v1",)
    ),
    _hosted(
        "perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "Perplexity, answers with web search",
        aliases=("perplexity-ai", "pplx", "sonar"), accent=accents.PERPLEXITY,
    ),
    _hosted(
        "nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", "NVIDIA NIM, open models",
        aliases=("nvidia-nim", "nim"), accent=accents.VLLM,
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
        aliases=("github-models",), accent=accents.PLAIN,
    ),
    _hosted(
        "novita", "https://api.novita.ai/v3/openai", "NOVITA_API_KEY", "Novita AI, open models", aliases=("novita-ai",)
    ),
    _hosted(
        "siliconflow", "https://api.siliconflow.com/v1", "SILICONFLOW_API_KEY", "SiliconFlow, open models",
        more_urls=("https://api.siliconflow.cn/v1",), accent=accents.QWEN,
    ),
    _hosted(
        "vercel", "https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_API_KEY", "Vercel's AI Gateway, many models",
        aliases=("vercel-ai-gateway", "ai-gateway", "vercel-gateway"), accent=accents.PLAIN,
    ),
    Provider(
        name="cohere",
        base_url="https://api.cohere.com",
        more_urls=("https://api.cohere.ai",),
        key_variable="COHERE_API_KEY",
        note="Cohere; `…/compatibility/v1` is its compatible endpoint",
        aliases=("cohere-ai",),
        wire=COHERE,
        compatible=("/compatibility/v1",),
        accent=accents.COHERE_COMPATIBLE,
    ),
    Provider(
        name="azure",
        base_url=None,
        key_variable="AZURE_OPENAI_API_KEY",
        note="Azure OpenAI: `--base-url https://RESOURCE.openai.azure.com --key-env AZURE_OPENAI_API_KEY` (or "
        "`--auth entra`), with the "
        "deployment's name as the model; `--api-version` for a dated address, or that whole address as the base-url",
        aliases=("azure-openai", "azure-ai"),
        otel_name="azure.ai.openai",
        accent=accents.AZURE,
    ),
    _claude_at(
        "azure", "ANTHROPIC_FOUNDRY_API_KEY",
        "`--base-url https://RESOURCE.services.ai.azure.com/anthropic` with `--auth entra` or "
        "`--key-env ANTHROPIC_FOUNDRY_API_KEY`",
        "azure.ai.inference", "foundry",
    ),
    replace(
        _claude_at(
            "vertex", "GOOGLE_OAUTH_ACCESS_TOKEN",
            "`--base-url https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION` with "
            f"{_LOGIN_OF_GOOGLE}",
            "gcp.vertex_ai", "google",
        ),
        hosts=VERTEX_HOSTS,
        auth="google",
    ),
    Provider(
        name="ollama",
        base_url="http://localhost:11434",
        more_urls=("https://ollama.com",),
        key_variable="OLLAMA_API_KEY",
        note="Ollama on this machine, no key; `https://ollama.com` is its cloud, `…/v1` the compatible endpoint",
        aliases=("ollama-cloud",),
        wire=OLLAMA,
        compatible=("/v1",),
        accent=accents.OLLAMA_COMPATIBLE,
    ),
    Provider(
        name="bedrock",
        base_url=None,
        regional=(
            "https://bedrock-runtime.{region}.amazonaws.com",
            "https://bedrock-runtime-fips.{region}.amazonaws.com",
        ),
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        note="Amazon Bedrock in the region that `AWS_REGION` or `--aws-region` names, with a key or AWS credentials",
        aliases=("aws", "aws-bedrock", "amazon-bedrock", "bedrock-converse"),
        otel_name="aws.bedrock",
        wire=BEDROCK,
        compatible=("/openai/v1",),
        auth="sigv4",
    ),
    Provider(
        name="bedrock-mantle",
        base_url=None,
        regional=("https://bedrock-mantle.{region}.api.aws/v1",),
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        note="Bedrock's OpenAI-compatible endpoint, which has some of its models",
        aliases=("bedrock-openai",),
        otel_name="aws.bedrock",
        auth="sigv4",
    ),
    Provider(
        name="anthropic-bedrock",
        base_url=None,
        regional=("https://bedrock-mantle.{region}.api.aws/anthropic",),
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        note="Claude models in Bedrock in Anthropic's own form, in the region and with the credentials of `bedrock`",
        aliases=("bedrock-anthropic", "claude-bedrock", "anthropic-mantle", "claude-mantle"),
        otel_name="aws.bedrock",
        wire=ANTHROPIC,
        auth="sigv4",
    ),
    _own_machine("lmstudio", "http://localhost:1234/v1", "LM Studio on this machine", accent=accents.LMSTUDIO),
    _own_machine(
        "vllm", "http://localhost:8000/v1", "vLLM on this machine",
        aliases=("hosted-vllm",), accent=accents.VLLM,
    ),
    _own_machine(
        "llamacpp", "http://localhost:8080/v1", "llama.cpp's server on this machine",
        aliases=("llama-server",), accent=accents.LLAMACPP,
    ),
    _own_machine("llamafile", "http://localhost:8080/v1", "llamafile on this machine", accent=accents.LLAMACPP),
    _own_machine("sglang", "http://localhost:30000/v1", "SGLang on this machine", accent=accents.VLLM),
    _own_machine("tgi", "http://localhost:8080/v1", "Text Generation Inference on this machine"),
    _own_machine(
        "litellm", "http://localhost:4000/v1", "LiteLLM's proxy on this machine",
        aliases=("litellm-proxy",), accent=accents.PLAIN,
    ),
    _own_machine("jan", "http://localhost:1337/v1", "Jan on this machine", accent=accents.LLAMACPP),
    _own_machine("localai", "http://localhost:8080/v1", "LocalAI on this machine"),
    Provider(
        name="codex",
        base_url=None,
        note="signs in with a ChatGPT subscription: cannot be asked from here",
        problem="signs in with a ChatGPT subscription, which llx_magic cannot do; use openai with a key",
    ),
    Provider(
        name="local",
        base_url=None,
        key_required=False,
        note="the embedded model, needs no key",
        aliases=("embedded",),
        rows_at_once=2,  # it answers one after the other; the second one is there when the first has ended
    ),
    Provider(name="simulated", base_url=None, key_required=False, note="scripted replies for tests and demos"),
)  # fmt: skip

PROVIDERS: dict[str, Provider] = {each.name: each for each in _DECLARED}
"""Every provider by its name."""
