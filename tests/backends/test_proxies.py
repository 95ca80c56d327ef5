"""Which proxy serves an address: one decision, the same for every transport, whatever the variables hold."""

from __future__ import annotations

import importlib.util

import pytest

from llx_magic.backends.http.proxies import Proxy, is_excepted, proxy_for, read_proxy
from llx_magic.core.failure import NotReady

MATCHED = [
    ("https://models.example/v1", "*"),
    ("https://models.example/v1", "models.example"),
    ("https://models.example/v1", "MODELS.example"),
    ("https://MODELS.EXAMPLE/v1", "models.example"),
    ("https://models.example/v1", "example"),
    ("https://models.example/v1", ".example"),
    ("https://models.example/v1", "*.example"),
    ("https://a.b.corp/v1", "*.corp"),
    ("https://corp/v1", ".corp"),
    ("https://models.example./v1", "models.example"),
    ("https://models.example/v1", "models.example."),
    ("https://models.example/v1", "models.example:443"),
    ("http://models.example/v1", "models.example:80"),
    ("https://models.example:8443/v1", "models.example:8443"),
    ("https://models.example:8443/v1", "models.example"),
    ("https://models.example/v1", "other.example, models.example"),
    ("https://models.example/v1", "other.example models.example"),
    ("https://models.example/v1", "other.example;models.example"),
    ("https://models.example/v1", " ,, \t models.example ,"),
    ("https://models.example/v1", "'models.example'"),
    ("https://models.example/v1", "https://models.example/"),
    ("https://models.example/v1", "all://models.example"),
    ("https://gpu-box/v1", "<local>"),
    ("https://10.1.2.3/v1", "10.0.0.0/8"),
    ("https://10.1.2.3/v1", "10.1.2.3/8"),
    ("https://10.1.2.3/v1", "10.1.2.3"),
    ("https://10.1.2.3/v1", "10.*"),
    ("https://10.1.2.3:8443/v1", "10.1.2.3:8443"),
    ("https://10.1.2.3/v1", "10.0.0.0/255.0.0.0"),
    ("https://[fd00::1]/v1", "fd00::/8"),
    ("https://[fd00::1]/v1", "[fd00::]/8"),
    ("https://[fd00::1]/v1", "[fd00::/8]"),
    ("https://[fd00::1]/v1", "FD00::1"),
    ("https://[fd00::1]/v1", "fd00:0:0::0001"),
    ("https://[fd00::1]/v1", "[fd00::1]"),
    ("https://[fe80::1]:8080/v1", "[fe80::1]:8080"),
    ("https://[fe80::1]:8080/v1", "http://x, https://[fe80::1]:8080/"),
    ("https://[::ffff:10.1.2.3]/v1", "10.0.0.0/8"),
    ("https://[::1]/v1", "::1"),
    ("https://models.example/v1", "fd00::/8,[::1],%%%,a/b/c,models.example"),
]


@pytest.mark.parametrize(("url", "exceptions"), MATCHED)
def test_an_item_of_no_proxy_matches(url, exceptions):
    assert is_excepted(url, exceptions)


PASSED_OVER = [
    ("https://models.example/v1", ""),
    ("https://models.example/v1", " , ,"),
    ("https://models.example/v1", "odels.example"),
    ("https://models.example/v1", "models.example:8443"),
    ("https://models.example/v1", "models.example:0"),
    ("https://models.example/v1", "http://models.example"),
    ("https://models.example.evil/v1", "models.example"),
    ("https://corp/v1", "*.corp"),
    ("https://models.example/v1", "<local>"),
    ("https://10.1.2.3/v1", "11.0.0.0/8"),
    ("https://10.1.2.3/v1", "2.3"),
    ("https://10.1.2.3/v1", "10.0.0.0/99"),
    ("https://10.1.2.3/v1", "fd00::/8"),
    ("https://[fd00::1]/v1", "10.0.0.0/8"),
    ("https://[fd00::1]/v1", "fc00::/9"),
    ("https://[fe80::1]:8080/v1", "[fe80::1]:9090"),
    *(("https://models.example/v1", junk) for junk in (
        "fd00::/8", "[::1]", "[fe80::1]:8080", "::1", "fe80::1%eth0", "[", "]", "[]", ":", "::", ":::", "/", "//", "://",
        "http://", "%", "\\", "@", "a@b", "[[::1]]", "[::1", "::1]", "1.2.3.4/33", "1.2.3", ".", "..", "?", "\x00", "é",
        "a:b:c", "http://[", "{}", "$HOME", "=x",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("url", "exceptions"), PASSED_OVER)
def test_what_is_another_host_or_nothing_at_all_is_passed_over(url, exceptions):
    """And nothing is raised, so that no backend fails for it."""
    assert not is_excepted(url, exceptions)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P")),
        ("http://proxy.corp:3128/", Proxy("http", "proxy.corp:3128", "P")),
        ("proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P")),
        ("proxy", Proxy("http", "proxy", "P")),
        (" 'http://proxy.corp:3128' ", Proxy("http", "proxy.corp:3128", "P")),
        ("HTTP://proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P")),
        ("https://proxy.corp", Proxy("https", "proxy.corp", "P")),
        ("http://[fd00::1]:3128", Proxy("http", "[fd00::1]:3128", "P")),
        ("socks5://proxy.corp:1080", Proxy("socks5", "proxy.corp:1080", "P")),
        ("socks5h://proxy.corp:1080", Proxy("socks5", "proxy.corp:1080", "P")),
        ("socks://proxy.corp:1080", Proxy("socks5", "proxy.corp:1080", "P")),
        ("http://me:secret@proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P", ("me", "secret"))),
        ("me:secret@proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P", ("me", "secret"))),
        ("http://me:s%40c%3Aret@proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P", ("me", "s@c:ret"))),
        ("http://me:s@c/r#t@proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P", ("me", "s@c/r#t"))),
        ("http://me@proxy.corp:3128", Proxy("http", "proxy.corp:3128", "P", ("me", ""))),
    ],
)
def test_a_proxys_address_is_read_as_people_write_it(value, expected):
    assert read_proxy(value, "P") == expected


@pytest.mark.parametrize(
    "value",
    [
        "strange://user:secret@proxy.example",
        "socks4://user:secret@proxy.example",
        "http://user:secret@",
        "http://user:secret@proxy.example:port",
        "http://user:secret@proxy.example:99999",
        "http://user:secret@proxy.example:0",
        "http://user:secret@proxy example:3128",
        "http://user:secret@[::1:3128",
        "http://",
        "://",
        "\x00",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable_and_its_address_is_not_repeated(monkeypatch, value):
    found = read_proxy(value, "HTTPS_PROXY")
    assert isinstance(found, str)
    assert found.startswith("HTTPS_PROXY ")
    assert "secret" not in found


def test_no_text_of_a_proxy_holds_its_password():
    proxy = read_proxy("http://me:secret@proxy.corp:3128", "HTTPS_PROXY")
    assert str(proxy) == "the proxy proxy.corp:3128 (from HTTPS_PROXY)"
    assert "secret" not in repr(proxy) + proxy.url


@pytest.fixture
def variables(monkeypatch):
    """Sets the variables of a test, in an environment that names no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("values", "url", "by"),
    [
        ({"HTTPS_PROXY": "a:1"}, "https://x.example/v1", "HTTPS_PROXY"),
        ({"https_proxy": "a:1", "HTTPS_PROXY": "b:1"}, "https://x.example/v1", "https_proxy"),
        ({"https_proxy": "", "HTTPS_PROXY": "b:1"}, "https://x.example/v1", None),
        ({"HTTP_PROXY": "a:1"}, "https://x.example/v1", None),
        ({"HTTP_PROXY": "a:1"}, "http://x.example/v1", "HTTP_PROXY"),
        ({"ALL_PROXY": "a:1"}, "https://x.example/v1", "ALL_PROXY"),
        ({"ALL_PROXY": "a:1", "https_proxy": "b:1"}, "https://x.example/v1", "https_proxy"),
        ({"all_proxy": "a:1", "NO_PROXY": "x.example"}, "https://x.example/v1", None),
        ({"all_proxy": "a:1", "no_proxy": "", "NO_PROXY": "x.example"}, "https://x.example/v1", "all_proxy"),
        ({"https_proxy": "strange://a", "NO_PROXY": "x.example"}, "https://x.example/v1", None),
        ({}, "https://x.example/v1", None),
    ],
)
def test_the_variable_of_the_scheme_comes_before_that_of_all_and_small_letters_before_capitals(
    variables, values, url, by
):
    variables(**values)
    found = proxy_for(url)
    assert (None if found is None else found.variable) == by


def test_a_variable_that_is_set_later_means_the_next_request(variables):
    assert proxy_for("https://x.example/v1") is None
    variables(HTTPS_PROXY="a:1")
    assert proxy_for("https://x.example/v1") is not None


@pytest.mark.skipif(importlib.util.find_spec("socksio") is not None, reason="the package is installed")
@pytest.mark.parametrize("value", ["socks5://me:secret@a:1", "socks5h://a:1", "socks://a:1"])
def test_a_socks_proxy_without_its_package_says_what_to_install(variables, value):
    """It is an extra of httpx."""
    variables(all_proxy=value)
    with pytest.raises(NotReady) as caught:
        proxy_for("https://x.example/v1")
    assert str(caught.value) == (
        "all_proxy names a SOCKS proxy, which takes one more package: pip install 'httpx[socks]'"
    )
