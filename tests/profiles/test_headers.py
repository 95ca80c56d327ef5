"""Headers of a profile: what may be one, whose values are secret, what is sent, written and shown."""

from __future__ import annotations

import asyncio
import json

import pytest

from llx_magic.errors import AllBackendsFailed, ProfileError, UsageProblem
from llx_magic.keys.names import names_a_secret
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.headers import typed_header
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.session import Session
from tests.faults.server import FaultServer
from tests.typed import Typed

profiles = Typed("profile")

SECRET = "gateway-4f3e2d1c0b9a8f7e6d5c4b3a"


def text(headers, **ephemeral) -> str:
    settings = {"custom-headers": headers, **ephemeral}
    return json.dumps({"provider": "openai", "model": "m", "ephemeralSettings": settings})


def written(headers) -> object:
    document = read_document(text(headers), "x")
    return json.loads(write_document(document))["ephemeralSettings"].get("custom-headers")


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "config" / "profiles").mkdir(parents=True)
    return Session(ProfileStore())


def put(session: Session, name: str, content: str) -> None:
    (session.store.folder / f"{name}.json").write_text(content)


def sent_by(session: Session, headers, **ephemeral) -> dict[str, str]:
    """The headers of the one request that the profile sends."""
    with FaultServer() as server:
        put(session, "m", text(headers, **{"base-url": server.base_url, **ephemeral}))
        asyncio.run(session.balancer("m").ask("why"))
        return server.requests[0].headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Team": "data", "X-Portkey-Provider": "openai"},
        '{"X-Team": "data", "X-Portkey-Provider": "openai"}',
        ' {"X-Team": "data", "X-Portkey-Provider": "openai", "X-Not": null}\n',
    ],
)
def test_headers_are_sent_and_kept_whether_written_as_an_object_or_as_text(session, headers):
    sent = sent_by(session, headers)
    assert (sent["x-team"], sent["x-portkey-provider"]) == ("data", "openai")
    assert written(headers) == {"X-Team": "data", "X-Portkey-Provider": "openai"}
    assert read_document(text(headers), "x").notes == ()


@pytest.mark.parametrize("reference", ["${PORTKEY_KEY}", {"env": "PORTKEY_KEY"}])
def test_a_secret_value_is_named_by_its_variable(session, monkeypatch, reference):
    monkeypatch.setenv("PORTKEY_KEY", f" {SECRET}\n")
    headers = {"x-portkey-api-key": reference}
    assert sent_by(session, headers)["x-portkey-api-key"] == SECRET
    assert written(headers) == {"x-portkey-api-key": "${PORTKEY_KEY}"}


def test_a_reference_may_stand_within_a_value_and_in_authorization(session, monkeypatch):
    monkeypatch.setenv("GATEWAY_KEY", SECRET)
    sent = sent_by(session, {"Authorization": "Bearer ${GATEWAY_KEY}", "X-Team": 7})
    assert (sent["authorization"], sent["x-team"]) == (f"Bearer {SECRET}", "7")


def test_the_key_is_sent_beside_the_headers_and_a_user_agent_replaces_ours(session, monkeypatch):
    monkeypatch.setenv("MINE", "sk-mine-0123456789")
    sent = sent_by(session, {"X-Team": "data"}, **{"auth-key-env": "MINE", "user-agent": "Tool/1.0"})
    assert sent["authorization"] == "Bearer sk-mine-0123456789"
    assert sent["user-agent"] == "Tool/1.0"


def test_an_authorization_of_its_own_makes_the_providers_key_needless(session, monkeypatch):
    monkeypatch.setenv("GATEWAY_KEY", SECRET)
    put(session, "m", text({"Authorization": "Bearer ${GATEWAY_KEY}"}))
    (told,) = asyncio.run(session.balancer("m").explain(session.balancer("m").prepare("why")))
    assert "without a key" not in told[1]


@pytest.mark.parametrize(
    ("set_to", "said"), [(None, "is not set"), ("  ", "is not set"), ("a\nb", "holds what no header can have")]
)
def test_a_variable_that_cannot_be_sent_passes_the_backend_over_and_is_named(session, monkeypatch, set_to, said):
    monkeypatch.delenv("PORTKEY_KEY", raising=False)
    if set_to is not None:
        monkeypatch.setenv("PORTKEY_KEY", set_to)
    with FaultServer() as server:
        put(session, "m", text({"x-portkey-api-key": "${PORTKEY_KEY}"}, **{"base-url": server.base_url}))
        with pytest.raises(AllBackendsFailed) as caught:
            asyncio.run(session.balancer("m").ask("why"))
        assert server.requests == []
    named = "no key for m: the variable PORTKEY_KEY, which the header x-portkey-api-key names"
    assert f"{named}, {said}" in str(caught.value)


@pytest.mark.parametrize(
    "headers", [{"x-api-key": "${PORTKEY_KEY}"}, {"x-api-key": SECRET}, {"X-Any": "${PORTKEY_KEY}"}]
)
def test_a_secret_header_is_never_sent_unencrypted(session, monkeypatch, headers):
    monkeypatch.setenv("PORTKEY_KEY", SECRET)
    put(session, "m", text(headers, **{"base-url": "http://models.example/v1"}))
    with pytest.raises(AllBackendsFailed, match="never sent unencrypted"):
        asyncio.run(session.balancer("m").ask("why"))


def test_a_secret_that_a_server_repeats_is_replaced(session, monkeypatch):
    monkeypatch.setenv("PORTKEY_KEY", SECRET)

    def repeat(exchange) -> None:
        said = exchange.request.headers["x-portkey-api-key"]
        exchange.whole(401, json.dumps({"error": {"message": f"wrong key {said}"}}).encode())

    with FaultServer(repeat) as server:
        put(session, "m", text({"x-portkey-api-key": "Key ${PORTKEY_KEY}"}, **{"base-url": server.base_url}))
        with pytest.raises(AllBackendsFailed) as caught:
            asyncio.run(session.balancer("m").ask("why"))
    assert "wrong key ***" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["x-portkey-api-key", "api-key", "Ocp-Apim-Subscription-Key", "X-Auth-Token", "Cookie"]
)
def test_a_key_in_clear_is_used_with_a_warning_and_never_written_or_shown(session, name):
    document = read_document(text({name: SECRET, "X-Team": "data"}), "x")
    assert f"the file holds a key in clear ({name})" in document.notes[0]
    assert SECRET not in write_document(document) + repr(document)
    assert json.loads(write_document(document))["ephemeralSettings"]["custom-headers"] == {"X-Team": "data"}
    assert sent_by(session, {name: SECRET})[name.lower()] == SECRET
    put(session, "m", text({name: SECRET}))
    assert SECRET not in profiles.run(session, "show m").text
    saved = profiles.run(session, "save model m --provider openai --model n --header X-Team=data").text
    assert SECRET not in saved
    assert "custom-headers" in saved


def test_a_value_that_looks_like_a_key_is_secret_whatever_its_name():
    document = read_document(text({"X-Trace": "sk-abc123def456ghi789"}), "x")
    assert "abc123" not in write_document(document)


def test_an_authorization_in_clear_is_not_used():
    document = read_document(text({"Authorization": f"Bearer {SECRET}"}), "x")
    assert document.connection.headers == ()
    assert document.notes == (
        "custom-headers: Authorization must name a variable (${NAME}): not used, not written when saved",
    )


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X\r\nY": "a"}, "is no name of a header"),
        ({"X Y": "a"}, "is no name of a header"),
        ({"": "a"}, "is no name of a header"),
        ({"Xé": "a"}, "is no name of a header"),
        ({"X": f"{SECRET}\r\nHost: evil"}, "the value of X must be one line of printable ASCII"),
        ({"X": f"{SECRET}é"}, "the value of X must be one line of printable ASCII"),
        ({"X": ""}, "the value of X must be one line of printable ASCII"),
        ({"Host": "a"}, "Host is set by the request itself"),
        ({"content-length": "1"}, "content-length is set by the request itself"),
        ({"Transfer-Encoding": "chunked"}, "is set by the request itself"),
        ({"Connection": "close"}, "is set by the request itself"),
        ({"X": "${not a name}"}, "X must name a variable as ${NAME}"),
        ({"X": {"env": "not a name"}}, "X must name a variable as ${NAME}"),
        ({"X": {"keyring": SECRET}}, "the value of 'X' must be a text or"),
        ({"X": [SECRET]}, "the value of 'X' must be a text or"),
        ({"X": True}, "the value of 'X' must be a text or"),
        ({"X": "a", "x": "b"}, "has x twice"),
        ([SECRET], "must be an object of names and values, or a JSON text of one"),
        (f'{{"X": "{SECRET}"', "must be an object of names and values, or a JSON text of one"),
        ({f"X-{n}": "a" for n in range(65)}, "has 65 headers, 64 at most are sent"),
    ],
)
def test_what_cannot_be_a_header_is_refused_in_one_line_without_its_value(headers, said):
    with pytest.raises(ProfileError) as caught:
        read_document(text(headers), "x")
    assert str(caught.value).startswith("x.json: custom-headers")
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_those_of_a_load_balancer_are_not_sent_and_lose_their_keys_when_saved():
    raw = {"type": "loadbalancer", "policy": "failover", "profiles": ["a", "b"]}
    headers = {"x-api-key": SECRET, "X-Team": "data"}
    document = read_document(json.dumps({**raw, "ephemeralSettings": {"custom-headers": headers}}), "lb")
    assert "custom-headers of a load balancer are not sent; a member's are" in document.notes
    assert SECRET not in write_document(document)
    assert "X-Team" in write_document(document)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("X-Team=data", "X-Team", "data"),
        ("x-api-key=${GATEWAY_KEY}", "x-api-key", "${GATEWAY_KEY}"),
        ("X-Team: data", "X-Team", "data"),
        ("X-Config={'a': 1}", "X-Config", "{'a': 1}"),
        ("X-Url=https://a/?b=c", "X-Url", "https://a/?b=c"),
    ],
)
def test_a_header_is_typed_as_an_assignment_or_as_a_line(session, given, name, value):
    header = typed_header(given)
    assert (header.name, header.value.reveal()) == (name, value)


def test_saved_headers_are_in_the_file_and_their_secrets_are_not(session, monkeypatch):
    monkeypatch.setenv("GATEWAY_KEY", SECRET)
    words = "--header x-api-key=${GATEWAY_KEY} --header X-Team=data --base-url https://gateway.example/v1"
    profiles.run(session, f"save model m --provider portkey --model n {words}")
    saved = (session.store.folder / "m.json").read_text()
    assert json.loads(saved)["ephemeralSettings"]["custom-headers"] == {
        "x-api-key": "${GATEWAY_KEY}",
        "X-Team": "data",
    }
    assert SECRET not in saved


@pytest.mark.parametrize(
    "given", [f"x-api-key={SECRET}", f"X-Trace=sk-{SECRET}", f"Authorization=Bearer {SECRET}", SECRET]
)
def test_a_key_typed_into_a_header_is_refused_and_not_repeated(session, given):
    with pytest.raises(UsageProblem) as caught:
        profiles.run(session, f"save model m --provider openai --model n --header '{given}'")
    assert SECRET not in str(caught.value)
    assert not (session.store.folder / "m.json").exists()


def test_an_idempotency_key_is_no_secret():
    assert not names_a_secret("Idempotency-Key")
    assert not names_a_secret("X-Portkey-Config")
    assert names_a_secret("Helicone-Auth")
