"""Profile documents: what is read, what is refused in one line, and what is written."""

from __future__ import annotations

import json
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llx_magic.errors import ProfileError, SettingError
from llx_magic.files.names import name_problem
from llx_magic.keys.names import names_a_secret
from llx_magic.keys.secret import Secret
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile, Profile
from llx_magic.settings.declaration import SETTINGS

PLAN = {
    "name": "testlb489",
    "version": 1,
    "type": "loadbalancer",
    "policy": "failover",
    "profiles": ["synthetic", "chutes", "groqgpt"],
    "provider": "",
    "model": "",
    "modelParams": {},
    "ephemeralSettings": {
        "tpm_threshold": 500,
        "timeout_ms": 30000,
        "circuit_breaker_enabled": True,
        "circuit_breaker_failure_threshold": 3,
        "circuit_breaker_failure_window_ms": 60000,
        "circuit_breaker_recovery_timeout_ms": 30000,
        "failover_retry_count": 2,
        "failover_retry_delay_ms": 1000,
    },
}


def model(name: str = "a", **changes) -> ModelProfile:
    return ModelProfile(**{"name": name, "provider": "openai", "model": "m", **changes})


def text(ephemeral: dict | None = None, **top) -> str:
    return json.dumps({"provider": "openai", "model": "m", "ephemeralSettings": ephemeral or {}, **top})


def balancer(**changes) -> str:
    return json.dumps({**PLAN, **changes})


def refusal(content: str | bytes, name: str = "x") -> str:
    with pytest.raises(ProfileError) as caught:
        read_document(content, name)
    message = str(caught.value)
    assert message.startswith(f"{name}.json: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    return message.removeprefix(f"{name}.json: ")


def lines_of_refusal(content: str | bytes) -> int:
    try:
        read_document(content, "x")
    except ProfileError as problem:
        return len(str(problem).splitlines())
    return 0


def test_the_plans_file_is_read_and_written_as_it_stands():
    """The test profile reads with every setting and is written with the same keys in the same order."""
    document = read_document(json.dumps(PLAN), "testlb489")
    assert isinstance(document, LoadBalancerProfile)
    assert document.members == ("synthetic", "chutes", "groqgpt")
    assert document.settings == PLAN["ephemeralSettings"]
    assert document.notes == ()
    assert write_document(document) == json.dumps(PLAN, indent=2) + "\n"


def test_a_model_profile_is_read_with_its_connection_params_and_settings():
    """Everything a model profile can say reaches its place."""
    ephemeral = {
        "base-url": "https://example.org/v1",
        "auth-key-env": "MY_KEY",
        "auth-key-name": "mine",
        "auth-keyfile": "~/.key",
        "price-input": 0.5,
        "price-output": 2,
        "streaming": "disabled",
        "timeout_ms": 5000,
    }
    document = read_document(text(ephemeral, modelParams={"temperature": 0.7}, type="standard", version=1), "x")
    assert document == ModelProfile(
        "x",
        "openai",
        "m",
        params={"temperature": 0.7},
        settings={"streaming": False, "timeout_ms": 5000},
        connection=Connection(
            base_url="https://example.org/v1",
            auth_key_env="MY_KEY",
            auth_key_name="mine",
            auth_keyfile="~/.key",
            price_input=0.5,
            price_output=2,
        ),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{\n  "provider": "p",\n  "model" "m"\n}', "line 3, column 11: Expecting ':' delimiter"),
        ('{"provider": "a", "provider": "b"}', "has the key 'provider' twice"),
        ('{"modelParams": {"x": NaN}}', "holds NaN, which is not a number in JSON"),
        ('{"modelParams": {"x": -Infinity}}', "holds -Infinity, which is not a number in JSON"),
        ('{"modelParams": {"x": 1e999}}', "holds '1e999', a number too large to be kept"),
        ('{"modelParams": {"x": ' + "9" * 5000 + "}}", "a number too large to be kept"),
        ("[" * 200_000, "line 1: nested deeper than 64 levels"),
        ('{"a":' * 200_000, "line 1: nested deeper than 64 levels"),
        ('"' + "x" * (1 << 20), "is larger than 1 MiB"),
        ("", "is empty"),
        ("Once upon a time", "column 1: this is no JSON"),
        ("  # Notes\n{}", "column 3: this is no JSON"),
        ("[]", "must hold a JSON object, got a list"),
        (text().encode("utf-16"), "is UTF-16 or UTF-32; save it as UTF-8"),
        (text().encode("utf-16-le"), "is UTF-16 or UTF-32; save it as UTF-8"),
        (b'{"provider": "\xff"}', "is not UTF-8: the byte at position 14"),
        (text(version=2), "version 2 is newer than 1, the newest understood; update llx-magic"),
        (text(version="1"), "version must be 1, got '1'"),
        (text(version=True), "version must be 1, got True"),
        (text(type="loadbalancr"), "unknown type 'loadbalancr'; did you mean loadbalancer?"),
        (text(policy="failover"), 'a load balancer needs "type": "loadbalancer"'),
        (text(modelParams=[]), "modelParams must be an object, got a list"),
        (text(provider=3), "provider must be a string, got a number"),
        (json.dumps({"provider": "p"}), "model is missing"),
        (json.dumps({"model": "m"}), "provider is missing"),
        (balancer(policy="failovr"), "unknown policy 'failovr'; did you mean failover?"),
        (balancer(policy=None), "policy is missing; there are: failover, roundrobin"),
        (balancer(profiles="a"), "profiles must be a list of profile names, got a string"),
        (balancer(profiles=["a", 3]), "profiles must be a list of profile names, got a number in it"),
        (balancer(profiles=["a", "../b"]), "profiles: the name '../b' must be 1 to 64 of"),
        (balancer(profiles=["a"]), "failover needs at least two members, got a"),
        (balancer(profiles=[]), "failover needs at least two members, got none"),
        (balancer(profiles=[], policy="roundrobin"), "roundrobin needs at least one member, got none"),
        (balancer(profiles=["a", "x"]), "x cannot be a member of itself"),
        (text({"tpm_threshold": -500}), "tpm_threshold must be a positive number, got -500"),
        (text({"timeout_ms": "abc"}), "timeout_ms must be a number of milliseconds, got 'abc'"),
        (text({"timeout_ms": "9" * 5000}), "timeout_ms must be a number of milliseconds, got 999"),
        (text({"streaming": 3}), "streaming must be enabled or disabled, got 3"),
        (text({"failover_retry_count": None}), "failover_retry_count must be a number of attempts, got none"),
        (text({"base-url": "ftp://x"}), "base-url must be an http:// or https:// address, got 'ftp://x'"),
        (text({"base-url": "http://[x"}), "base-url must be an http:// or https:// address"),
        (text({"base-url": "http://h:99999"}), "base-url must be an http:// or https:// address"),
        (text({"price-input": -1}), "price-input must be a price per million tokens, 0 or more, got -1"),
        (text({"price-output": "1"}), "price-output must be a number, got a string"),
        (text({"auth-key-name": "a b"}), "auth-key-name must be 1 to 64 of"),
    ],
)
def test_whatever_is_wrong_is_one_line_that_names_the_file(content, expected):
    """Each fault of a file gives one short line with what was given and what is allowed."""
    assert expected in refusal(content)


def test_brackets_inside_strings_are_not_depth():
    """A prompt full of brackets in a string is no nesting."""
    document = read_document(text(modelParams={"stop": '[{"\\' * 500}), "x")
    assert document.params == {"stop": '[{"\\' * 500}


def test_a_byte_order_mark_is_accepted():
    """A file saved by Notepad loads."""
    assert read_document(b"\xef\xbb\xbf" + text().encode(), "x").name == "x"


@pytest.mark.parametrize(
    ("written", "held", "again"),
    [
        ("enabled", True, "enabled"),
        ("disabled", False, "disabled"),
        (True, True, "enabled"),
        (False, False, "disabled"),
    ],
)
def test_streaming_reads_both_forms_and_writes_the_original_one(written, held, again):
    """``streaming`` may be a boolean or a word; the word is written."""
    document = read_document(text({"streaming": written}), "x")
    assert document.settings["streaming"] is held
    assert json.loads(write_document(document))["ephemeralSettings"]["streaming"] == again


def test_null_switches_off_and_stays_null():
    """A limit that a file switches off is off, not absent, also when saved again."""
    document = read_document(text({"connect_timeout_ms": None}), "x")
    assert document.settings == {"connect_timeout_ms": None}
    assert json.loads(write_document(document))["ephemeralSettings"] == {"connect_timeout_ms": None}


def test_unknown_keys_are_noted_and_written_back_verbatim():
    """Keys of the original tool that mean nothing here survive a load and a save."""
    content = text({"context-limit": 100_000, "tool-x": {"a": [1, None]}}, auth={"type": "oauth"}, maxTurns=7)
    document = read_document(content, "x")
    assert document.notes == (
        "not known, so without effect: auth, maxTurns (kept in the file)",
        "not known, so without effect: context-limit, tool-x (kept in the file)",
    )
    written = json.loads(write_document(document))
    assert written["ephemeralSettings"] == {"context-limit": 100_000, "tool-x": {"a": [1, None]}}
    assert (written["auth"], written["maxTurns"]) == ({"type": "oauth"}, 7)


@pytest.mark.parametrize(
    ("place", "key", "said"),
    [
        ("ephemeralSettings", "timout_ms", "timout_ms (did you mean timeout_ms?)"),
        ("ephemeralSettings", "base_url", "base_url (did you mean base-url?)"),
        ("top", "timeout_ms", "timeout_ms (it belongs into ephemeralSettings)"),
        ("top", "modelParam", "modelParam (did you mean modelParams?)"),
        ("ephemeralSettings", "context-limit", "context-limit"),
    ],
)
def test_an_unknown_key_that_is_like_a_known_one_names_it(place, key, said):
    content = text({key: 5}) if place == "ephemeralSettings" else text({}, **{key: 5})
    assert read_document(content, "x").notes == (f"not known, so without effect: {said} (kept in the file)",)


def test_the_files_own_name_counts():
    """A copied file has the name of the copy, and says so."""
    document = read_document(text(name="old"), "new")
    assert document.name == "new"
    assert "the file says name 'old'" in document.notes[0]


def test_a_literal_key_is_read_with_a_note_and_never_shown_or_written():
    """The key in the file serves requests and appears nowhere else."""
    document = read_document(text({"auth-key": "sk-very-secret"}), "x")
    assert document.connection.auth_key.reveal() == "sk-very-secret"
    assert "never written; move it with llx key set x" in document.notes[0]
    profile = Profile.single(document)
    for shape in (repr(document), str(document), repr(profile), write_document(document), str(document.notes)):
        assert "very-secret" not in shape
    assert f"{document.connection.auth_key}{document.connection.auth_key!r}" == "******"
    with pytest.raises(TypeError):
        pickle.dumps(document)


def test_keys_under_other_names_are_dropped_at_any_depth():
    """An API key or an Authorization header inside unknown keys is neither shown nor written."""
    content = text({"custom-headers": {"Authorization": "Bearer sk-1", "X-A": "b"}, "apiKey": "sk-2"}, api_key="sk-3")
    document = read_document(content, "x")
    assert "sk-" not in repr(document) + write_document(document)
    assert json.loads(write_document(document))["ephemeralSettings"] == {"custom-headers": {"X-A": "b"}}
    assert any("apiKey" in note for note in document.notes)


@pytest.mark.parametrize(
    "ephemeral",
    [
        {"auth-key": "sk-very-secret", "timeout_ms": "abc"},
        {"auth-key": "sk-very-secret", "base-url": "nonsense"},
        {"auth-key-env": "sk-very-secret"},
        {"base-url": "https://me:sk-very-secret@host/v1"},
        {"auth-key": ["sk-very-secret"]},
    ],
)
def test_no_key_is_in_an_error_or_in_the_variables_of_its_traceback(ephemeral):
    """A traceback that prints every variable of every frame of ours shows no key."""
    with pytest.raises(ProfileError) as caught:
        read_document(text(ephemeral), "x")
    assert caught.value.__context__ is None
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in frames.stack if "llx_magic" in frame.filename and "test_" not in frame.filename]
    assert ours
    assert "very-secret" not in str(caught.value) + "".join(str(frame.locals) for frame in ours)


def test_a_cut_file_with_a_key_does_not_show_it():
    """A syntax error after a key names the place, not the text."""
    content = text({"auth-key": "sk-very-secret"})[:-3]
    with pytest.raises(ProfileError) as caught:
        read_document(content, "x")
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "very-secret" not in "".join(
        str(f.locals) for f in frames.stack if f.name != "test_a_cut_file_with_a_key_does_not_show_it"
    )


@pytest.mark.parametrize("members", [["a", "b", "a"], ["a", "a"]])
@pytest.mark.parametrize("policy", ["failover", "roundrobin"])
def test_a_repeated_member_keeps_its_places_with_a_note(members, policy):
    document = read_document(balancer(profiles=members, policy=policy), "x")
    assert document.members == tuple(members)
    assert document.notes[1:] == ("a: listed more than once, and asked once at each of its places",)
    assert json.loads(write_document(document))["profiles"] == members


def test_profiles_are_built_without_files():
    """Python users give raw values and get checked ones."""
    profile = Profile.failover("lb", [model("a"), model("b")], settings={"timeout_ms": "5000", "streaming": "disabled"})
    assert profile.policy == "failover"
    assert [member.name for member in profile.members] == ["a", "b"]
    assert profile.settings == {"timeout_ms": 5000, "streaming": False}
    assert profile.path is None
    assert Profile.roundrobin("one", [model("a")]).policy == "roundrobin"
    assert Profile.single(model("a", settings={"history_limit": 5})).settings == {"history_limit": 5}


@pytest.mark.parametrize(
    ("build", "kind", "expected"),
    [
        (lambda: Profile.failover("lb", [model("a")]), ProfileError, "at least two members"),
        (
            lambda: Profile.failover("lb", [model("a"), model("a", model="n")]),
            ProfileError,
            "different names, got a twice",
        ),
        (lambda: Profile.roundrobin("lb", []), ProfileError, "at least one member"),
        (lambda: Profile.failover("a", [model("a"), model("b")]), ProfileError, "cannot be a member of itself"),
        (
            lambda: Profile.roundrobin("lb", [model("a")], settings={"timeout": 1}),
            SettingError,
            "did you mean timeout_ms",
        ),
        (lambda: model("a/b"), ProfileError, "profile name 'a/b' must be"),
        (lambda: model("a", provider=""), ProfileError, "provider is missing"),
        (lambda: Connection(base_url="x"), ProfileError, "base-url must be an http:// or https:// address, got 'x'"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_when_built(build, kind, expected):
    """Constructors refuse what files may not hold either."""
    with pytest.raises(kind, match=expected.replace("(", r"\(")):
        build()


def test_what_a_member_may_not_set_is_ignored_with_a_note():
    """The circuit breaker belongs to the load balancer: a member's own say is noted and left out."""
    member = model("a", settings={"circuit_breaker_enabled": False, "timeout_ms": 1000})
    profile = Profile.failover("lb", [member, model("b")])
    assert profile.notes == ("a: circuit_breaker_enabled in a member is ignored",)
    assert profile.members[0].member_settings == {"timeout_ms": 1000}


def test_parameters_of_the_balancer_override_those_of_its_members():
    """``modelParams`` are layered as settings are."""
    document = LoadBalancerProfile("lb", "roundrobin", ("a",), params={"temperature": 0})
    profile = Profile.assemble(document, [model("a", params={"temperature": 1, "top_p": 0.5})])
    assert profile.members[0].params == {"temperature": 0, "top_p": 0.5}


def test_a_key_given_as_a_bare_string_is_hidden():
    """A Python user who passes the key itself does not see it in a repr."""
    assert "sk-1" not in repr(Connection(auth_key="sk-1"))
    assert Connection(auth_key="sk-1").auth_key == Secret("sk-1")


def test_values_that_json_cannot_hold_are_refused_when_written():
    """NaN in a parameter set from Python is one line, not a file that nothing can read."""
    with pytest.raises(ProfileError, match="profile a cannot be written as JSON"):
        write_document(model("a", params={"x": float("nan")}))


NAMES = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_-]{0,20}x", fullmatch=True).filter(lambda name: not name_problem(name))
KEYS = st.text(max_size=12).filter(lambda key: not names_a_secret(key))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "tpm_threshold": st.none() | st.integers(1, 10**6),
        "timeout_ms": st.none() | st.integers(1, 10**6),
        "streaming": st.booleans(),
        "tpm_basis": st.sampled_from(["elapsed", "busy"]),
        "failover_status_codes": st.frozensets(st.integers(300, 599), min_size=1),
        "failover_retry_delay_ms": st.integers(0, 10**6),
        "circuit_breaker_enabled": st.booleans(),
    },
)
TOP = {"name", "version", "type", "policy", "profiles", "provider", "model", "modelParams", "ephemeralSettings"}
CONNECTION = {
    "base-url", "auth-key-env", "auth-key-name", "auth-keyfile", "price-input", "price-output", "user-agent",
    "custom-headers",
}  # fmt: skip
EXTRA = st.dictionaries(KEYS.filter(lambda key: key not in TOP), JSON, max_size=3)
EXTRA_SETTINGS = st.dictionaries(
    KEYS.filter(lambda key: key not in SETTINGS and key not in CONNECTION), JSON, max_size=3
)


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.builds(
        ModelProfile,
        name=NAMES,
        provider=st.sampled_from(["openai", "local"]),
        model=st.text(min_size=1).map(str.strip).filter(bool),
        params=st.dictionaries(KEYS, JSON, max_size=3),
        settings=VALUES,
        connection=st.builds(Connection, price_input=st.none() | st.integers(0, 9), auth_key_name=st.none() | NAMES),
        extra=EXTRA,
        extra_settings=EXTRA_SETTINGS,
    )
)
def test_a_model_profile_survives_the_round_trip(document):
    """What is written reads back equal, unknown keys and half surrogates included."""
    assert read_document(write_document(document).encode(), document.name) == document


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.builds(
        LoadBalancerProfile,
        name=st.just("lb"),
        policy=st.sampled_from(["failover", "roundrobin"]),
        members=st.lists(NAMES, min_size=2, max_size=4, unique=True).map(tuple),
        settings=VALUES,
        params=st.dictionaries(KEYS, JSON, max_size=3),
        extra=EXTRA,
        extra_settings=EXTRA_SETTINGS,
    )
)
def test_a_load_balancer_profile_survives_the_round_trip(document):
    """What is written reads back equal."""
    assert read_document(write_document(document).encode(), document.name) == document


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda s: s.encode("utf-8", "replace")))
def test_no_content_brings_anything_but_one_line(content):
    """Whatever bytes a file holds, reading it gives a document or a ProfileError of one line."""
    assert lines_of_refusal(content) <= 1


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys([*TOP, *CONNECTION], JSON)
        | {
            "ephemeralSettings": st.dictionaries(
                st.sampled_from([*SETTINGS, *CONNECTION, "auth-key"]), JSON, max_size=3
            )
        },
    )
)
def test_no_shape_brings_anything_but_one_line(raw):
    """Whatever value a known key holds, reading gives a document or a ProfileError of one line."""
    assert lines_of_refusal(json.dumps(raw)) <= 1
