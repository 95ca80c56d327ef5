"""Where a key must not go and a password must not show: proxies, redirects, addresses, plain http."""

from __future__ import annotations

import asyncio
import base64
import json
import traceback
from urllib.parse import quote

import pytest

from llx_magic.core.failure import Failure, FailureKind
from llx_magic.errors import LlxError, ProfileError
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.store import ProfileStore
from tests.faults.asking import FixedKey, answer_of, ask, backend, backend_at, obstacle
from tests.faults.server import FaultServer, unused_url
from tests.notebook.kit import RedrawingShell, opened, write_model
from tests.secrets.scene import reason
from tests.secrets.sweep import Sweep, attributes, odd, plain

PASSWORD = plain("proxy")
LOOK = Sweep({"password": PASSWORD, "basic": base64.b64encode(f"user:{PASSWORD}".encode()).decode()})


def proxied(monkeypatch, proxy: FaultServer | str) -> None:
    """Name a proxy with a password in the environment."""
    address = (proxy if isinstance(proxy, str) else proxy.base_url).removesuffix("/v1").removeprefix("http://")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:{quote(PASSWORD)}@{address}")


@pytest.mark.parametrize("mode", ["403", "close", "reset", "bad-status-line", reason])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_is_in_no_failure(monkeypatch, scheme, mode):
    """Whatever the proxy answers, its own password included; and the key never goes to it."""
    key = FixedKey(odd("key") if scheme == "https" else None)
    with FaultServer(mode, model=PASSWORD if mode is not reason else "no") as proxy:
        proxied(monkeypatch, proxy)
        failure, _ = ask(f"{scheme}://models.example/v1", key=key)
        assert isinstance(failure, Failure)
        assert proxy.requests
        assert not LOOK.found_in([str(failure)])
        assert not Sweep({"key": odd("key")}).found_in([repr(proxy.requests)])


def test_a_proxy_that_is_down_is_named_without_its_password(monkeypatch):
    """As any refused connection."""
    proxied(monkeypatch, unused_url())
    failure, _ = ask("https://models.example/v1")
    assert failure.kind is FailureKind.NETWORK
    assert not LOOK.found_in([str(failure)])


def test_no_proxy_is_obeyed(monkeypatch):
    """A host that it names is not reached through the proxy, so the proxy learns nothing."""
    monkeypatch.setenv("no_proxy", "models.invalid")
    with FaultServer() as proxy:
        proxied(monkeypatch, proxy)
        failure, _ = ask("http://models.invalid/v1", key=FixedKey(None))
        assert failure.message.startswith("could not resolve host models.invalid")
        assert proxy.requests == []


def test_a_redirect_takes_neither_key_nor_prompt_along():
    """To another host or to another port of the same: it is not followed."""
    with FaultServer() as elsewhere, FaultServer() as server:
        server.set_default(lambda exchange: exchange.whole(307, b"", {"Location": elsewhere.base_url}))
        failure, _ = ask(server.base_url, key=FixedKey(odd("key")))
        assert failure.kind is FailureKind.REDIRECT
        assert elsewhere.requests == []


def test_a_key_does_not_go_over_plain_http_even_through_a_proxy(monkeypatch):
    """Refused before anybody is connected to."""
    with FaultServer() as proxy:
        proxied(monkeypatch, proxy)
        found = obstacle(backend_at("http://models.example/v1", FixedKey(odd("key"))))
        assert found is not None
        assert found.startswith("a key is never sent unencrypted")
        assert proxy.connections == 0


ADDRESSES = (
    f"https://user:{PASSWORD}@models.example/v1",
    f"https://{PASSWORD}@models.example/v1",
    f"https://models.example/v1?key={PASSWORD}",
    f"https://models.example/v1#{PASSWORD}",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_with_a_secret_in_it_is_refused_and_not_repeated(url, home):
    """By Python, when a profile is saved, and when a file that holds one is loaded; nothing is written."""
    with pytest.raises(ProfileError) as caught:
        Connection(base_url=url)
    texts = [str(caught.value), repr(caught.value)]
    write_model(home, "theirs", base_url=url)
    with pytest.raises(LlxError) as refused:
        ProfileStore().load("theirs")
    texts += [str(refused.value), *attributes(refused.value)]
    with opened(RedrawingShell) as shell:
        ran = shell(f"%llx_profile save model mine --provider openai --model m --base-url {url}")
        texts += [ran.failure, ran.printed, ran.complained, shell("%llx_profile list").printed]
    assert not (home / "profiles" / "mine.json").exists()
    assert not LOOK.found_in(texts)


@pytest.mark.parametrize("name", ["auth-key", "api_key", "Authorization", "X-Api-Key", "client_secret"])
def test_a_key_among_a_files_parameters_is_neither_used_nor_shown_nor_saved_again(name, home):
    """At any depth."""
    write_model(home, "theirs", base_url="https://models.example/v1", model_params={"deep": [{name: PASSWORD}]})
    profile = ProfileStore().load("theirs")
    with opened(RedrawingShell) as shell:
        shown = shell("%llx_profile show theirs")
    assert not LOOK.found_in([repr(profile), *attributes(profile, 6), shown.printed, json.dumps(str(shown.shown))])


@pytest.mark.parametrize("option", ["--key-env", "--base-url"])
def test_a_key_typed_in_the_wrong_place_of_a_profile_is_not_written(option, home):
    """Where the name of a variable or an address belongs."""
    with opened(RedrawingShell) as shell:
        assert shell(f"%llx_profile save model mine --provider openai --model m {option} {PASSWORD}").error is not None
    assert list((home / "profiles").iterdir()) == []


def test_a_key_typed_after_llx_key_is_refused_without_repeating_it():
    """It stays in IPython's history all the same, which the message says."""
    with opened(RedrawingShell) as shell:
        for words in (f"set work {PASSWORD}", PASSWORD, f"set 'work {PASSWORD}"):
            ran = shell(f"%llx_key {words}")
            assert not LOOK.found_in([ran.failure, ran.printed, ran.complained])
        assert "consider the key you typed as known to others" in shell(f"%llx_key set work {PASSWORD}").failure


@pytest.mark.parametrize("scheme", ["https"])
async def test_a_request_cancelled_at_the_proxy_shows_no_password(monkeypatch, scheme):
    """In no local variable of any frame."""
    with FaultServer("no-headers") as proxy:
        proxied(monkeypatch, proxy)
        async with backend(f"{scheme}://models.example/v1", FixedKey(odd("key"))) as asked:
            answering = asyncio.create_task(answer_of(asked))
            await asyncio.to_thread(proxy.reached.wait, 10)
            answering.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await answering
            error = caught.value
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    seen = [str(frame.locals) for frame in stack]
    assert not LOOK.found_in(seen)
    assert not Sweep({"key": odd("key")}).found_in(seen)
