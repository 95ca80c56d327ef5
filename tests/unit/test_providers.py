"""The table of providers, and to whom a provider's usual key may go."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from llx_magic.backends.providers import ALIASES, PROVIDERS, provider, provider_at
from llx_magic.errors import ProfileError


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_provider_is_complete(name):
    """A hosted one is https and has a variable; one of the user's own machine needs no key."""
    found = provider(name)
    assert found.name == name
    assert found.note
    if found.base_url is None:
        assert not found.key_required
        return
    parts = urlsplit(found.base_url)
    assert not found.base_url.endswith("/")
    if found.key_required:
        assert parts.scheme == "https"
        assert found.key_variable.endswith("_API_KEY")
        assert found.own_host(found.base_url)
        assert provider_at(found.base_url + "/chat/completions") is found
    else:
        assert parts.hostname == "localhost"
        assert not found.own_host(found.base_url)


def test_aliases_lead_to_providers():
    """Every other name is that of a provider and no provider's own."""
    assert set(ALIASES.values()) <= set(PROVIDERS)
    assert not set(ALIASES) & set(PROVIDERS)
    assert provider("google").name == "gemini"
    assert provider("LM-Studio").name == "lmstudio"
    assert provider("llama.cpp").name == "llamacpp"


def test_an_unknown_provider_is_one_line_that_offers_the_nearest():
    """The text names what was given, the nearest, and all that are allowed."""
    with pytest.raises(ProfileError) as caught:
        provider("opnai")
    text = str(caught.value)
    assert "'opnai'" in text
    assert "did you mean 'openai'?" in text
    assert all(name in text for name in PROVIDERS)
    assert "\n" not in text


def test_a_name_near_nothing_offers_nothing():
    """No far-fetched suggestion is made."""
    with pytest.raises(ProfileError) as caught:
        provider("zzz")
    assert "did you mean" not in str(caught.value)


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


def test_mistral_is_not_asked_for_stream_options():
    """It answers 422 to a request that holds them."""
    assert not provider("mistral").takes_stream_options
    assert provider("openai").takes_stream_options
