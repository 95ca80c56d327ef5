"""What is named like a secret, or stands as a key in the place of a name, is written and repeated nowhere."""

from __future__ import annotations

import json
import secrets
import string

import pytest

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.connections import way_to
from llx_magic.consent.trust import Trust
from llx_magic.core.failure import NotReady
from llx_magic.errors import LlxError, UsageProblem
from llx_magic.keys.names import names_a_secret
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.session.session import Session
from tests.secrets.sweep import plain
from tests.typed import Typed

chat, keys, profiles, settings = Typed("chat"), Typed("key"), Typed("profile"), Typed("set")

SECRET_NAMES = [
    "password", "Password", "passwd", "pwd", "passphrase", "userPassword", "db_password2", "token", "TOKEN", "apiToken",
    "access_token", "accessToken", "ACCESSTOKEN", "refresh-token", "id_token", "bot_token", "HF_TOKEN", "token_3",
    "auth_tokens", "secret", "secrets", "client_secret", "clientSecret", "api_key", "apikey", "apiKey", "API-KEY",
    "api.key", "x-api-key", "ApiKey1", "openai_api_key", "OPENAI_APIKEY", "MYAPIKEY2_OLD", "key",
    "keys", "subscription-key",
    "access_key", "accessKeyId", "AWS_SECRET_ACCESS_KEY", "private_key", "privatekey", "AccountKey", "credential",
    "credentials", "authorization", "Proxy-Authorization", "bearer", "bearer_token", "auth", "basic_auth", "session",
    "sessionid", "session_token", "cookie", "Set-Cookie", "signature", "X-Amz-Signature", "sig", "pat", "GITHUB_PAT",
    "jwt", "ConnectionString", "pass", "SMTP_PASS", "\uff50assword", "a_p_i_k_e_y",
]  # fmt: skip

HARMLESS_NAMES = [
    "max_tokens", "maxTokens", "max_completion_tokens", "maxOutputTokens", "min_new_tokens", "max_tokens_to_sample",
    "thinking_budget_tokens", "budget_tokens", "tokens", "tokens_per_minute", "stop_token_ids", "eos_token",
    "eos_token_id", "pad_token_id", "skip_special_tokens", "truncate_prompt_tokens", "prompt_cache_key",
    "Idempotency-Key", "X-Portkey-Config", "public_key", "temperature", "top_k", "user", "metadata", "seed", "keyboard",
    "monkey", "passthrough", "bypass", "author", "authority", "pattern", "patience", "tokenizer", "compass", "passes",
    "auth-key-env", "auth-key-name", "auth-keyfile", "api_key_file", "password_length", "safety_identifier",
    "logit_bias", "response_format", "service_tier", "session_id", "obsession", "signal", "", "7", "\u00e9",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_name_of_a_secret_is_told_however_it_is_spelt(name):
    assert names_a_secret(name)


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_a_name_that_only_sounds_like_one_is_not(name):
    assert not names_a_secret(name)


def saved(session: Session, *more: str) -> str:
    """Save a model with more words, and return what the profile's file holds."""
    words = ["save", "model", "m", "--provider", "openai", "--model", "gpt-4o", *more]
    profiles.run_words(session, words)
    return (session.store.folder / "m.json").read_text()


@pytest.mark.parametrize("name", ["password", "apiKey", "HF_TOKEN", "x-session-cookie"])
@pytest.mark.parametrize("nested", ["{}", '{{"a": [{{"{}": 1}}]}}'])
def test_a_parameter_that_is_named_like_a_secret_is_refused_with_what_to_do(name, nested):
    session = Session()
    word = f"{name}=correct-horse" if nested == "{}" else "extra=" + nested.format(name)
    with pytest.raises(UsageProblem) as caught:
        saved(session, "--param", word)
    assert "--header 'NAME=${VARIABLE}'" in str(caught.value)
    assert "correct-horse" not in str(caught.value)
    assert not (session.store.folder / "m.json").exists()


@pytest.mark.parametrize("value", ["{}", '"{}"', "Bearer {}", '{{"a": ["{}"]}}'])
def test_a_parameter_whose_value_is_a_key_is_refused_whatever_its_name(value):
    key = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz"
    with pytest.raises(UsageProblem) as caught:
        saved(Session(), "--param", f"user={value.format(key)}")
    assert key[:12] not in str(caught.value)


def test_honest_parameters_are_saved():
    given = {"max_tokens": 10, "stop": ["key-value"], "user": "me", "prompt_cache_key": "of-the-team"}
    words = [f"--param={name}={json.dumps(value)}" for name, value in given.items()]
    assert json.loads(saved(Session(), *words))["modelParams"] == given


def test_secrets_at_any_depth_of_a_file_are_neither_used_nor_written():
    """Nor those beside the parameters and in settings that nobody knows."""
    inner = {"Password": "correct-horse", "a": [{"refreshToken": "correct-horse", "b": 1}]}
    raw = {
        "provider": "openai",
        "model": "m",
        "modelParams": inner,
        "mine": inner,
        "ephemeralSettings": {"other": inner},
    }
    document = read_document(json.dumps(raw), "m")
    written = write_document(document)
    assert "correct-horse" not in written + repr(document.params)
    assert json.loads(written)["modelParams"] == {"a": [{"b": 1}]}
    assert any("Password, refreshToken: not used, and not written" in note for note in document.notes)


def drawn(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


SHAPES = {
    "32 hexadecimal digits": lambda: secrets.token_hex(16),
    "64 hexadecimal digits": lambda: secrets.token_hex(32),
    "base64": lambda: "Ab1" + drawn(string.ascii_letters + string.digits + "+/", 40) + "=",
    "base64url": lambda: "a1B2c3" + secrets.token_urlsafe(32),
    "letters and digits": lambda: drawn(string.ascii_letters + string.digits, 40),
    "capitals": lambda: drawn(string.ascii_uppercase, 32),
    "small letters": lambda: drawn(string.ascii_lowercase, 24),
    "groups": lambda: "-".join(f"A{n}b{n}C" for n in range(5)),
    "a dot within": lambda: f"{secrets.token_hex(16)}.{drawn(string.ascii_letters + string.digits, 16)}",
    "a UUID": lambda: "123e4567-e89b-12d3-a456-426614174000",
    "a JWT": lambda: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "a provider's": lambda: "gsk_Ab3dEf6hIj9lMn2pQr5tUv8xYz",
    "with its scheme": lambda: "Bearer sk-Ab3dEf6hIj9lMn2pQr5t",
    "in quotes": lambda: "'sk-Ab3dEf6hIj9lMn2pQr5t'",
    "a colon within": lambda: f"user:{secrets.token_hex(16)}",
    "slashes within": lambda: f"{drawn(string.ascii_letters, 12)}/{drawn(string.digits, 12)}/{secrets.token_hex(10)}",
    "16 letters and digits": lambda: "aB3dE6gH9jK2mN5p",
}
"""What keys look like, each drawn anew."""


@pytest.mark.parametrize("option", ["--key-env", "--key-name"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_of_any_shape_in_the_place_of_a_name_is_neither_written_nor_repeated(option, shape):
    session, key = Session(), SHAPES[shape]()
    with pytest.raises(LlxError) as caught:
        saved(session, option, key)
    assert key.strip("'")[:10] not in str(caught.value)
    assert not (session.store.folder / "m.json").exists()


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "MY_GATEWAY_KEY_2024_V2", "hf_token_of_the_team", "work", "MYKEY", "Key4Work"]
)
def test_a_name_that_nothing_is_known_by_yet_is_taken(name):
    assert name in saved(Session(), "--key-env", name)


def test_a_name_that_looks_drawn_at_random_is_taken_where_something_is_known_by_it(monkeypatch):
    """The user may call a variable or a key whatever they like."""
    session, name = Session(), "AzureOpenAiKey2024"
    with pytest.raises(UsageProblem, match="set the variable first"):
        saved(session, "--key-env", name)
    monkeypatch.setenv(name, plain("mine"))
    assert name in saved(session, "--key-env", name)
    with pytest.raises(UsageProblem, match="%llx_key set NAME first"):
        saved(session, "--key-name", name)
    keys.run(session, f"set {name}", ask_hidden=lambda _question: plain("kept"))
    assert name in saved(session, "--key-name", name)


def test_a_key_that_was_used_is_no_name_whatever_it_looks_like():
    LIVE_KEYS.add("correct-horse")
    with pytest.raises(UsageProblem) as caught:
        saved(Session(), "--key-name", "correct-horse")
    assert "correct-horse" not in str(caught.value)


KEY = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz"

TYPED = {
    "the profile's name": lambda session: profiles.run_words(
        session, ["save", "model", KEY, "--provider", "openai", "--model", "m"]
    ),
    "a model's name": lambda session: saved(session, "--model", KEY),
    "a model's name, with its scheme": lambda session: saved(session, "--model", f"Bearer {KEY}"),
    "a provider": lambda session: saved(session, "--provider", KEY),
    "an address": lambda session: saved(session, "--base-url", KEY),
    "an address's path": lambda session: saved(session, "--base-url", f"https://x.example/v1/{KEY}/chat"),
    "an address's user": lambda session: saved(session, "--base-url", f"https://me:{KEY}@x.example/v1"),
    "an address's query": lambda session: saved(session, "--base-url", f"https://x.example/v1?key={KEY}"),
    "an address without a scheme": lambda session: saved(session, "--base-url", f"x.example/{KEY}"),
    "a key file": lambda session: saved(session, "--key-file", KEY),
    "a header": lambda session: saved(session, "--header", KEY),
    "a header's name": lambda session: saved(session, "--header", f"{KEY}=mine"),
    "a header's value": lambda session: saved(session, "--header", f"X-Mine={KEY}"),
    "a price": lambda session: saved(session, "--price-input", KEY),
    "a setting": lambda session: saved(session, "--set", f"api_key={KEY}"),
    "a setting's name": lambda session: saved(session, "--set", f"{KEY}=1"),
    "a word too many": lambda session: saved(session, KEY),
    "a parameter": lambda session: saved(session, "--param", KEY),
    "a parameter's name": lambda session: saved(session, "--param", f"{KEY}=4"),
    "a name within a parameter": lambda session: saved(session, "--param", f'x={{"{KEY}": 1}}'),
    "a parameter's name, in Python": lambda session: session.balancer("local").prepare("x", params={KEY: 1}),
    "a parameter, in Python": lambda session: session.balancer("local").prepare("x", params={"a": [KEY]}),
    "a setting's value, in Python": lambda session: session.balancer("local").prepare(
        "x", settings={"timeout_ms": "x" * 50 + f" {KEY}"}
    ),
    "an option": lambda session: saved(session, "--api-key", KEY),
    "a profile to load": lambda session: profiles.run_words(session, ["load", KEY]),
    "a profile to show": lambda session: profiles.run_words(session, ["show", KEY]),
    "a profile to delete": lambda session: profiles.run_words(session, ["delete", KEY]),
    "a default": lambda session: profiles.run_words(session, ["set-default", KEY]),
    "a member": lambda session: profiles.run_words(session, ["save", "loadbalancer", "lb", "failover", "m", KEY]),
    "a policy": lambda session: profiles.run_words(session, ["save", "loadbalancer", "lb", KEY, "m"]),
    "a command": lambda session: profiles.run_words(session, [KEY]),
    "a key's name": lambda session: keys.run(session, f"set {KEY}", ask_hidden=lambda _question: "x"),
    "a key behind its name": lambda session: keys.run(session, f"set mine {KEY}", ask_hidden=lambda _question: "x"),
    "a key to delete": lambda session: keys.run(session, f"delete {KEY}", ask_hidden=lambda _question: "x"),
    "a conversation": lambda session: chat.run(session, f"show {KEY}"),
    "a conversation to begin": lambda session: session.conversations.before(KEY, None).messages,
    "a conversation to clear": lambda session: session.conversations.clear(KEY),
    "%llx_set": lambda session: settings.run(session, f"timeout_ms {KEY}"),
    "%llx_set of no setting": lambda session: settings.run(session, f"api_key {KEY}"),
}
"""Places in which a key is typed where something else belongs."""


@pytest.mark.parametrize("place", TYPED)
def test_a_key_that_is_typed_where_something_else_belongs_is_not_repeated(place):
    session = Session()
    with pytest.raises(LlxError) as caught:
        TYPED[place](session)
    assert KEY[8:20] not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    kept = [path.read_bytes() for path in session.store.folder.parent.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in kept)


@pytest.mark.parametrize("value", [f"{KEY}@api.openai.com", f"WORK_KEY={KEY}", f"{'3f9a8b7c' * 4}@api.openai.com"])
def test_a_key_in_a_variable_that_allows_pairs_is_not_repeated(value, monkeypatch, tmp_path):
    monkeypatch.setenv("LLX_TRUST", value)
    said = Trust(tmp_path, None).look_up()[1]
    assert said.startswith("LLX_TRUST takes KEY@HOST, got ")
    assert KEY[8:20] not in said
    assert "3f9a8b7c" not in said


def test_a_key_in_the_variable_that_names_a_transport_is_not_repeated(monkeypatch):
    monkeypatch.setenv("LLX_HTTP_TRANSPORT", KEY)
    with pytest.raises(NotReady) as caught:
        way_to(Endpoint("https://api.openai.com/v1", "m"))
    assert KEY[8:20] not in str(caught.value)


@pytest.mark.parametrize("where", ["modelParams", "ephemeralSettings", "mine"])
def test_a_key_that_stands_as_a_name_in_a_file_is_dropped_and_not_repeated(where):
    document = read_document(json.dumps({"provider": "openai", "model": "m", where: {KEY: {"a": 1}}}), "m")
    assert KEY not in write_document(document)
    assert "***: not used, and not written when saved" in document.notes


def test_a_key_that_stands_as_the_name_of_a_header_in_a_file_is_not_repeated():
    settings = {"custom-headers": {KEY: "x"}}
    document = read_document(json.dumps({"provider": "openai", "model": "m", "ephemeralSettings": settings}), "m")
    assert KEY[8:20] not in "".join(document.notes)


@pytest.mark.parametrize("dashes", ["", "--"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_that_is_typed_where_nothing_belongs_is_not_repeated(dashes, shape):
    key = SHAPES[shape]()
    with pytest.raises(LlxError) as caught:
        profiles.run_words(Session(), ["list", dashes + key])
    assert key.strip("'")[:10] not in str(caught.value)
