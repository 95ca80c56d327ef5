"""Proxies and certificates that the environment names: used, named when they fail, and never taken for the provider."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

import llx_magic as llx
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, Limit, NotReady
from llx_magic.errors import AllBackendsFailed
from tests.faults.asking import KEY, FixedKey, answer_of, ask, attempt, backend, backend_at, obstacle
from tests.faults.server import FaultServer, status, unused_url

ELSEWHERE = "https://models.example/v1"
UNENCRYPTED = "http://models.example/v1"


def address_of(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/v1")


# --- proxies that work ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_loopback_is_never_reached_through_a_proxy(monkeypatch, variable):
    """The environment's proxies are for hosts elsewhere."""
    monkeypatch.setenv(variable, unused_url().removesuffix("/v1"))
    with FaultServer() as server:
        assert ask(server.base_url)[0].text == server.text
        assert ask(server.base_url.replace("127.0.0.1", "localhost"))[0].text == server.text


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["http://{}", "{}", "http://me:p%40ss@{}", "me:p@ss@{}"])
def test_a_host_elsewhere_is_reached_through_the_environments_proxy(monkeypatch, variable, value):
    """Without a key here, since the address is not encrypted."""
    with FaultServer() as proxy:
        monkeypatch.setenv(variable, value.format(address_of(proxy.base_url)))
        answer, _ = ask(UNENCRYPTED, key=FixedKey(None))
        assert answer.text == proxy.text
        sent = proxy.requests[0]
    assert sent.path == "http://models.example/v1/chat/completions"
    assert sent.headers.get("proxy-authorization") == ("Basic bWU6cEBzcw==" if "@" in value else None)


async def test_a_proxy_that_is_named_after_the_first_question_is_used_for_the_next(monkeypatch):
    """As with ``%env`` in a notebook whose first prompt could not get through."""
    texts = []
    with FaultServer(text="by the first") as one, FaultServer(text="by the second") as other:
        async with backend(UNENCRYPTED, FixedKey(None)) as asked:
            for proxy in (one, other):
                monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
                texts.append((await answer_of(asked)).text)
    assert texts == ["by the first", "by the second"]


@pytest.mark.parametrize("exceptions", ["fd00::/8", "[::1]", "::1,[fe80::1]:8080", "%%%,[", "10.0.0.0/8,.corp"])
def test_what_no_proxy_holds_of_other_hosts_disturbs_no_request(monkeypatch, exceptions):
    """Networks of IPv6 among them, on which HTTP libraries stumble: https://github.com/encode/httpx/issues/3221."""
    with FaultServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", exceptions)
        assert ask(UNENCRYPTED, key=FixedKey(None))[0].text == proxy.text


# --- proxies that do not --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [ELSEWHERE, UNENCRYPTED])
def test_a_proxy_that_refuses_the_connection_is_named_and_not_the_provider(monkeypatch, url):
    """Its password is in nothing that is said."""
    proxy = address_of(unused_url())
    monkeypatch.setenv("ALL_PROXY", f"http://me:secret@{proxy}")
    failure, _ = ask(url, key=FixedKey(None))
    words = f"connection refused by the proxy {proxy} (from ALL_PROXY)"
    assert failure == Failure(kind=FailureKind.NETWORK, message=words, unconnected=True)


def test_a_proxy_that_has_no_address_is_named(monkeypatch):
    """It is the proxy's name that was looked up."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.invalid:3128")
    failure, _ = ask(ELSEWHERE)
    assert failure.message == "could not resolve the proxy proxy.invalid:3128 (from HTTPS_PROXY)"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("503", r"answered: 503 .*"),
        ("403", r"answered: 403 .*"),
        (
            status(407),
            r"answered: 407 .*; put the user name and the password before its address: http://USER:PASSWORD@…",
        ),
    ],
    ids=["503", "403", "407"],
)
def test_a_proxy_that_makes_no_tunnel_is_named_and_gets_no_key(monkeypatch, answers, words):
    """For https the proxy itself is asked first."""
    with FaultServer(answers) as proxy:
        monkeypatch.setenv("https_proxy", proxy.base_url.removesuffix("/v1"))
        failure, _ = ask(ELSEWHERE)
        assert KEY not in repr(proxy.requests)
    assert failure.kind is FailureKind.NETWORK
    assert re.fullmatch(rf"the proxy {address_of(proxy.base_url)} \(from https_proxy\) {words}", failure.message)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (407, r"the proxy \S+ \(from http_proxy\) answered: 407 .*"),
        (502, r"502 .*\(through the proxy \S+ \(from http_proxy\)\)"),
        (504, r"504 .*\(through the proxy \S+ \(from http_proxy\)\)"),
    ],
)
def test_what_a_proxy_may_have_answered_in_a_servers_place_names_it(monkeypatch, code, words):
    """Without TLS its words look like the server's."""
    with FaultServer(status(code)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        failure, _ = ask(UNENCRYPTED, key=FixedKey(None))
    assert re.fullmatch(words, failure.message), failure.message


@pytest.mark.parametrize("mode", ["close", "reset", "half-a-head"])
def test_a_proxy_that_breaks_the_connection_is_named(monkeypatch, mode):
    """Before a tunnel stands nothing is the server's doing."""
    with FaultServer(mode) as proxy:
        monkeypatch.setenv("https_proxy", proxy.base_url.removesuffix("/v1"))
        proxy.release()
        failure, _ = ask(ELSEWHERE)
    assert failure.kind is FailureKind.NETWORK
    assert f"the proxy {address_of(proxy.base_url)} (from https_proxy)" in failure.message


async def test_a_proxy_that_says_nothing_is_named_when_the_time_to_connect_is_over(monkeypatch):
    """The tunnel is part of connecting."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{proxy}")
        async with backend(ELSEWHERE) as asked:
            with pytest.raises(BackendFailed) as caught:
                await attempt(asked, connect_timeout_ms=100)
        failure = caught.value.failure
    assert failure.limit is Limit.CONNECT
    assert failure.message == (
        f"no connection to models.example through the proxy {proxy} (from HTTPS_PROXY) within 100 ms"
        " (connect_timeout_ms)"
    )


def test_a_proxy_over_tls_whose_certificate_is_not_trusted_is_named(monkeypatch):
    """And not the server behind it."""
    with FaultServer(certificate="trusted") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url.removesuffix("/v1"))
        failure, _ = ask(ELSEWHERE)
    assert failure.kind is FailureKind.TLS
    assert failure.message.startswith(f"the certificate of the proxy 127.0.0.1:{proxy.port} (from HTTPS_PROXY) was ")


@pytest.mark.parametrize("value", ["strange://user:secret@proxy.example", "http://user:secret@proxy.example:port"])
async def test_a_proxy_that_cannot_be_used_is_one_line_and_only_those_it_serves_are_passed_over(monkeypatch, value):
    """This machine is reached all the same, and nothing counts against anybody."""
    monkeypatch.setenv("https_proxy", value)
    monkeypatch.setenv("A_KEY", KEY)
    with pytest.raises(NotReady) as unready:
        await backend_at(ELSEWHERE).prepare()
    found = str(unready.value)
    assert found.startswith("https_proxy ")
    assert "secret" not in found
    with FaultServer() as server:
        members = [
            llx.ModelProfile("far", "openai", "m", connection=llx.Connection(base_url=ELSEWHERE, auth_key_env="A_KEY")),
            llx.ModelProfile("near", "openai", "m", connection=llx.Connection(base_url=server.base_url)),
        ]
        async with llx.load(llx.Profile.failover("both", members)) as balancer:
            reply = await balancer.ask("Why?")
            failures = balancer.stats().failures.to_dict()["far"]
    assert (reply.backend, reply.notes, failures) == ("near", (f"far skipped: {found}",), 0)


# --- certificates ---------------------------------------------------------------------------------------------------

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def hashed(folder: Path, certificate: str) -> Path:
    """Make a folder in which OpenSSL finds an authority."""
    folder.mkdir()
    made = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate], capture_output=True, text=True, check=True
    )
    shutil.copy(certificate, folder / f"{made.stdout.strip()}.0")
    return folder


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_of_authorities_is_trusted_whichever_variable_names_it(monkeypatch, variable):
    """A company's, say, which the user has set for another tool."""
    with FaultServer(certificate="trusted") as server:
        monkeypatch.setenv(variable, server.ca_file)
        assert ask(server.base_url)[0].text == server.text
        assert ask(server.base_url, streaming=False)[0].text == server.text


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the folder")
@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_authorities_is_trusted(monkeypatch, tmp_path, variable):
    """In the form that OpenSSL asks for; SSL_CERT_DIR may hold several."""
    with FaultServer(certificate="trusted") as server:
        folder = hashed(tmp_path / "authorities", server.ca_file)
        several = f"{tmp_path / 'nothing here'}{os.pathsep}" if variable == "SSL_CERT_DIR" else ""
        (tmp_path / "nothing here").mkdir()
        (tmp_path / "nothing here" / "00000000.0").write_bytes(next(folder.iterdir()).read_bytes())
        monkeypatch.setenv(variable, f"{several}{folder}")
        assert ask(server.base_url)[0].text == server.text


@pytest.mark.parametrize(("first", "second"), list(itertools.pairwise(VARIABLES)))
def test_the_first_variable_that_is_set_holds(monkeypatch, first, second):
    """In the order in which the documentation names them; an empty one is not set."""
    with FaultServer(certificate="trusted") as server:
        monkeypatch.setenv(first, "/nowhere/first")
        monkeypatch.setenv(second, server.ca_file)
        found = obstacle(backend_at(server.base_url))
        assert found is not None
        assert found.startswith(f"the trusted certificates of {first}=/nowhere/first cannot be read: ")
        monkeypatch.setenv(first, "")
        if second != "SSL_CERT_DIR":
            assert ask(server.base_url)[0].text == server.text


def bad_places(folder: Path) -> dict[str, tuple[str, str]]:
    (folder / "empty.pem").write_bytes(b"")
    (folder / "junk.pem").write_bytes(b"\x00\xff" * 100)
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nno such thing\n-----END CERTIFICATE-----\n")
    (folder / "names").mkdir()
    (folder / "names" / "corp.pem").write_text("-----BEGIN CERTIFICATE-----")
    return {
        "missing": (f"{folder}/none.pem", "No such file or directory"),
        "empty": (f"{folder}/empty.pem", "there is no certificate in the form of PEM in it"),
        "junk": (f"{folder}/junk.pem", "there is no certificate in the form of PEM in it"),
        "broken": (f"{folder}/broken.pem", ""),
        "unhashed": (
            f"{folder}/names",
            "no certificate there is named by its hash, which openssl rehash makes",
        ),
    }


@pytest.mark.parametrize("place", ["missing", "empty", "junk", "broken", "unhashed"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_certificates_that_cannot_be_read_are_one_line_with_the_variables_name(monkeypatch, tmp_path, variable, place):
    """A wrong path in the environment must not look like a proxy's fault; a server without TLS is not concerned."""
    value, why = bad_places(tmp_path)[place]
    monkeypatch.setenv(variable, value)
    found = obstacle(backend_at(ELSEWHERE))
    assert found is not None
    assert found.startswith(f"the trusted certificates of {variable}={tmp_path}"[:150])
    assert why in found
    assert found.isprintable()
    with FaultServer() as server:
        assert ask(server.base_url)[0].text == server.text


async def test_a_file_of_authorities_that_was_mended_is_read_again(monkeypatch, tmp_path):
    """Without a restart of the kernel."""
    bundle = tmp_path / "bundle.pem"
    with FaultServer(certificate="trusted") as other, FaultServer(certificate="trusted") as server:
        shutil.copy(other.ca_file, bundle)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed, match="does not hold its authority"):
                await answer_of(asked)
            shutil.copy(server.ca_file, bundle)
            answer = await answer_of(asked)
        assert answer.text == server.text


@pytest.mark.parametrize("certificate", ["trusted", "self-signed"])
def test_a_certificate_of_an_unknown_authority_says_how_to_trust_it(certificate):
    """As a company's proxy that looks into TLS shows it."""
    with FaultServer(certificate=certificate) as server:
        failure, _ = ask(server.base_url)
    assert failure.kind is FailureKind.TLS
    assert failure.message.endswith(
        "; if it is your company's or your own, name the file of its authority in SSL_CERT_FILE"
    )


@pytest.mark.parametrize("certificate", ["expired", "wrong-host"])
def test_trusting_another_authority_is_not_offered_where_it_would_not_help(monkeypatch, certificate):
    """The certificate itself is at fault."""
    with FaultServer(certificate=certificate) as server:
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        failure, _ = ask(server.base_url)
    assert "SSL_CERT_FILE" not in failure.message


async def test_when_nothing_can_be_sent_the_error_names_the_variable(monkeypatch):
    """One line, from the only backend too."""
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/corp.pem")
    member = llx.ModelProfile("far", "openai", "m", connection=llx.Connection(base_url=ELSEWHERE, auth_key_env="A_KEY"))
    async with llx.load(llx.Profile.single(member)) as balancer:
        with pytest.raises(AllBackendsFailed) as caught:
            await balancer.ask("Why?")
    said = str(caught.value)
    assert "REQUESTS_CA_BUNDLE=/nowhere/corp.pem cannot be read: No such file or directory" in said
