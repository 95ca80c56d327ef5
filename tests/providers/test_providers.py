"""The table of providers, and to whom a provider's usual key may go."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from llx_magic.errors import ProfileError
from llx_magic.providers.address import AddressProblem, base_url
from llx_magic.providers.find import find_provider, provider, provider_at, unknown_provider
from llx_magic.providers.table import PROVIDERS


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_provider_is_complete(name):
    """A hosted one is https and has a variable; one of the user's own machine needs no key."""
    found = provider(name)
    assert found.name == name
    assert found.note
    for url in found.urls:
        assert not url.endswith("/")
        assert base_url(url, found) == url
        assert base_url(found.compatible_url(url)) == found.compatible_url(url)
        if urlsplit(url).scheme == "https":
            assert found.key_variable
            assert found.own_url(url) == url
            assert provider_at(url + "/chat/completions") is found
        else:
            assert urlsplit(url).hostname == "localhost"
            assert not found.own_host(url)


def folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def test_every_name_and_alias_is_one_providers_alone():
    names = [folded(name) for each in PROVIDERS.values() for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names))
    assert all(find_provider(name) is each for each in PROVIDERS.values() for name in (each.name, *each.aliases))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("chutes-ai", "chutes"),
        ("Chutes.ai", "chutes"),
        ("Synthetic", "synthetic"),
        ("xAI", "xai"),
        ("x.ai", "xai"),
        ("Cerebras Code", "cerebras"),
        ("LM Studio", "lmstudio"),
        ("lm_studio", "lmstudio"),
        ("llama.cpp", "llamacpp"),
        ("llama-cpp", "llamacpp"),
        ("openaivercel", "openai"),
        ("OpenAI-Responses", "openai"),
        ("qwen-openai", "qwen"),
        ("qwenvercel", "qwen"),
        ("DashScope", "qwen"),
        ("kimi", "kimi"),
        ("Moonshot AI", "moonshot"),
        ("z.ai", "zai"),
        ("google", "gemini"),
        (" Together AI ", "together"),
        ("Hugging Face", "huggingface"),
        ("GitHub Models", "github"),
        ("codex", "codex"),
    ],
)
def test_a_provider_is_known_by_every_name_that_people_write(given, name):
    """Those of the llxprt command line tool among them."""
    assert provider(given).name == name


def test_an_unknown_provider_is_one_line_that_offers_the_nearest():
    with pytest.raises(ProfileError) as caught:
        provider("opnai")
    assert str(caught.value) == (
        "unknown provider 'opnai', did you mean 'openai'? Any other serves with --base-url URL, "
        "if it speaks OpenAI's chat completions"
    )


def test_a_name_near_nothing_lists_all():
    text = unknown_provider("zzzzzz")
    assert "did you mean" not in text
    assert all(name in text for name in PROVIDERS)
    assert "\n" not in text


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com",
        "https://api.openai.com@evil.example/v1",
        "https://user@api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com\\@evil.example/v1",
        "https://eu.api.openai.com/v1",
        "https://api.openai.com:port/v1",
        "https:///v1",
        "api.openai.com",
        "",
    ],
)
def test_only_exactly_its_own_host_over_https_is_a_providers_own(url):
    """Neither a look-alike, another port or scheme, nor an address with a user name."""
    assert not provider("openai").own_host(url)
    assert provider_at(url) is None


@pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1", "https://API.OpenAI.com:443/other", "https://api.openai.com"]
)
def test_the_path_and_the_spelling_of_the_host_do_not_matter(url):
    """Capitals and the default port name the same host."""
    assert provider("openai").own_host(url)


# --- addresses ---

ENDPOINTS = (
    "", "/", "//", "/chat/completions", "/chat/completions/", "/completions", "/models", "/responses", "/messages",
    "/embeddings", "/Chat/Completions",
)  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("base", ["https://gateway.example/v1", "http://127.0.0.1:8000/v1", "https://h.example/a/b/v3"])
def test_a_whole_address_is_cut_to_its_base(base, endpoint):
    assert base_url(base + endpoint) == base


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://api.openai.com/chat/completions", "https://api.openai.com/v1"),
        ("api.openai.com/v1", "https://api.openai.com/v1"),
        ("HTTPS://API.OpenAI.com/v1/", "https://api.openai.com/v1"),
        ("https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("https://api.groq.com/openai", "https://api.groq.com/openai/v1"),
        ("https://api.groq.com/v1/chat/completions", "https://api.groq.com/openai/v1"),
        ("openrouter.ai", "https://openrouter.ai/api/v1"),
        ("https://openrouter.ai/api", "https://openrouter.ai/api/v1"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1"),
        ("https://generativelanguage.googleapis.com", "https://generativelanguage.googleapis.com/v1beta/openai"),
        (
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ),
        ("https://api.z.ai/api/coding/paas/v4/", "https://api.z.ai/api/coding/paas/v4"),
        ("https://api.perplexity.ai/chat/completions", "https://api.perplexity.ai"),
        ("https://api.cohere.com", "https://api.cohere.com/compatibility/v1"),
        ("https://api.cohere.com/v2/chat", "https://api.cohere.com/compatibility/v1"),
        ("https://api.cohere.ai/compatibility/v1/models", "https://api.cohere.ai/compatibility/v1"),
        ("https://ollama.com/api/chat", "https://ollama.com/v1"),
        ("localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/api/chat", "http://localhost:11434/v1"),
        ("http://localhost:11434/api/generate", "http://localhost:11434/v1"),
        ("http://localhost:11434/api", "http://localhost:11434/v1"),
        ("http://gpu-box:11434", "http://gpu-box:11434/v1"),
        ("localhost:1234", "http://localhost:1234/v1"),
        ("localhost:8000/v1", "http://localhost:8000/v1"),
        ("127.0.0.1:8000/v1/chat/completions", "http://127.0.0.1:8000/v1"),
        ("[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://0.0.0.0:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::]:8000/v1", "http://[::1]:8000/v1"),
        ("gateway.example:8443/v1", "https://gateway.example:8443/v1"),
        ("//gateway.example/v1", "https://gateway.example/v1"),
        ("https://gateway.example", "https://gateway.example"),
        ("http://openwebui:3000/api/chat/completions", "http://openwebui:3000/api"),
        ("http://münchen.example:8000/v1", "http://xn--mnchen-3ya.example:8000/v1"),
        (
            "https://пример.испытание/модели/v1",
            "https://xn--e1afmkfd.xn--80akhbyknj4f/%D0%BC%D0%BE%D0%B4%D0%B5%D0%BB%D0%B8/v1",
        ),
        ('"https://h.example/v1"', "https://h.example/v1"),
        ("\u201chttps://h.example/v1\u201d,", "https://h.example/v1"),
        ("<https://h.example/v1>", "https://h.example/v1"),
        (" `https://h.example/v1`\n", "https://h.example/v1"),
        ("OPENAI_BASE_URL=https://h.example/v1", "https://h.example/v1"),
        ('export OPENAI_API_BASE="https://h.example/v1"', "https://h.example/v1"),
    ],
)
def test_an_address_is_understood_as_people_paste_it(given, meant):
    assert base_url(given) == meant
    assert base_url(meant) == meant


GOOGLE = "https://generativelanguage.googleapis.com"
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
NATIVE = {
    "gemini": PROVIDERS["gemini"],
    "gemini-vertex": PROVIDERS["vertex"],
    "ollama": provider("ollama"),
    "cohere": provider("cohere"),
    "anthropic": provider("anthropic"),
    "vertex": provider("anthropic-vertex"),
}
"""Providers that are asked in a form of their own."""

VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"


@pytest.mark.parametrize(
    ("form", "given", "meant", "spoken"),
    [
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com", "anthropic"),
        ("anthropic", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com", "anthropic"),
        ("anthropic", "https://api.anthropic.com/v1/messages/count_tokens", "https://api.anthropic.com", "anthropic"),
        ("anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com/v1", "openai"),
        ("anthropic", "https://api.anthropic.com/v1/chat/completions", "https://api.anthropic.com/v1", "openai"),
        (
            "anthropic",
            "https://r.services.ai.azure.com/anthropic/v1/messages",
            "https://r.services.ai.azure.com/anthropic",
            "anthropic",
        ),
        ("anthropic", "http://localhost:4000", "http://localhost:4000", "anthropic"),
        (
            "vertex",
            f"{VERTEX}/publishers/anthropic/models/claude-x:streamRawPredict",
            f"{VERTEX}/publishers/anthropic",
            "anthropic",
        ),
        ("vertex", VERTEX, VERTEX, "anthropic"),
        ("ollama", "localhost:11434", "http://localhost:11434", "ollama"),
        ("ollama", "http://gpu-box:11434/", "http://gpu-box:11434", "ollama"),
        ("ollama", "http://localhost:11434/api/chat", "http://localhost:11434", "ollama"),
        ("ollama", "https://gw.example/box/api/generate", "https://gw.example/box", "ollama"),
        ("ollama", "https://gw.example/api", "https://gw.example", "ollama"),
        ("ollama", "http://localhost:1234", "http://localhost:1234", "ollama"),
        ("ollama", "http://localhost:11434/v1", "http://localhost:11434/v1", "openai"),
        ("ollama", "http://localhost:11434/v1/chat/completions", "http://localhost:11434/v1", "openai"),
        ("gemini", GOOGLE, GOOGLE, "gemini"),
        ("gemini", f"{GOOGLE}/v1beta/", GOOGLE, "gemini"),
        ("gemini", f"{GOOGLE}/v1beta/models", GOOGLE, "gemini"),
        ("gemini", f"{GOOGLE}/v1beta/models/gemini-x:streamGenerateContent?alt=sse", GOOGLE, "gemini"),
        (
            "gemini",
            "https://gw.example/google/v1beta/models/gemini-x:generateContent",
            "https://gw.example/google",
            "gemini",
        ),
        ("gemini", f"{GOOGLE}/v1", f"{GOOGLE}/v1", "gemini"),
        ("gemini", f"{GOOGLE}/v1beta/openai/", f"{GOOGLE}/v1beta/openai", "openai"),
        ("gemini", f"{GOOGLE}/v1beta/openai/chat/completions", f"{GOOGLE}/v1beta/openai", "openai"),
        ("gemini-vertex", f"{VERTEX}/publishers/google/models/gemini-x:generateContent", VERTEX, "gemini"),
        ("gemini-vertex", VERTEX, VERTEX, "gemini"),
        ("gemini-vertex", f"{VERTEX}/endpoints/openapi/chat/completions", f"{VERTEX}/endpoints/openapi", "openai"),
        ("gemini", f"{VERTEX}/endpoints/openapi", f"{VERTEX}/endpoints/openapi", "openai"),
        ("gemini", f"{VERTEX}/endpoints/openapi/chat/completions", f"{VERTEX}/endpoints/openapi", "openai"),
        ("gemini", VERTEX, VERTEX, "gemini"),
        ("gemini-vertex", "https://gw.example/v1beta/openai", "https://gw.example/v1beta/openai", "openai"),
        ("cohere", "https://gw.example/cohere/v2/chat", "https://gw.example/cohere", "cohere"),
        ("cohere", "https://gw.example/v2", "https://gw.example", "cohere"),
        ("cohere", "https://gw.example/v1/models", "https://gw.example", "cohere"),
        ("cohere", "https://gw.example/compatibility/v1", "https://gw.example/compatibility/v1", "openai"),
        ("cohere", "https://gw.example/compatibility/v1/models", "https://gw.example/compatibility/v1", "openai"),
    ],
)
def test_the_end_of_an_address_says_in_which_form_its_provider_is_asked_there(form, given, meant, spoken):
    asked = NATIVE[form]
    assert base_url(given, asked) == meant
    assert base_url(meant, asked) == meant
    assert asked.form_at(meant) == spoken


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ftp://h.example/v1", "must be an http:// or https:// address, got 'ftp://h.example/v1'"),
        ("nonsense", "must be an http:// or https:// address, got 'nonsense'"),
        ("https://", "must be an http:// or https:// address"),
        ("https://h.example:0/v1", "must be an http:// or https:// address"),
        (f"https://{'ü' * 80}.example/v1", "must be an http:// or https:// address"),
        ("https://me:secret@h.example/v1", "must not hold a user name"),
        ("me@h.example/v1", "must not hold a user name"),
        ("https://h.example/v1?key=secret", "must not hold a query"),
        ("h.example/v1#secret", "must not hold a query"),
    ],
)
def test_what_is_no_address_is_refused_and_a_secret_in_it_not_repeated(given, said):
    with pytest.raises(AddressProblem) as caught:
        base_url(given)
    assert str(caught.value).startswith(said)
    assert "secret" not in str(caught.value)
