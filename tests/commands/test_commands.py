"""The actions that magics and command line share: what they do, and what they say."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import io
import json
import sys
import threading
import time
from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest

from llx_magic.commands import local, profile_list
from llx_magic.commands.output import bullet_list
from llx_magic.commands.prompt import prepare
from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.engine.clocks import VirtualClock
from llx_magic.errors import SettingError, UsageProblem
from llx_magic.keys.keychain import KeyringProblem
from llx_magic.keys.secret import Secret
from llx_magic.observe.report import text_table
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.key_source import ProfileKeySource
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.session import Session
from llx_magic.settings.declaration import SETTINGS
from tests.keyrings import BrokenKeyring, MemoryKeyring
from tests.typed import Typed, options

keys, profiles, settings = Typed("key"), Typed("profile"), Typed("set")
stats, log = Typed("stats"), Typed("log")


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "config"))
    session = Session(ProfileStore(), clock=VirtualClock())
    for name in ("synthetic", "chutes"):
        profiles.run(session, f"save model {name} --provider simulated --model m --param 'reply=I am {name}.'")
    return session


def refused(session: Session, run, line: str) -> str:
    with pytest.raises(UsageProblem) as caught:
        run(session, line)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextlib.contextmanager
def using(backend: keyring.backend.KeyringBackend) -> Iterator[None]:
    """Have another keyring for the length of a block."""
    before = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        yield
    finally:
        keyring.set_keyring(before)


# --- set ---


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tpm_threshold", "1000"),
        ("timeout_ms", "30000"),
        ("circuit_breaker_enabled", "true"),
        ("circuit_breaker_failure_threshold", "3"),
        ("circuit_breaker_failure_window_ms", "60000"),
        ("circuit_breaker_recovery_timeout_ms", "30000"),
    ],
)
def test_each_of_the_plans_settings_is_set_explained_and_unset(session, key, value):
    assert settings.run(session, f"{key} {value}").text.startswith(f"{key} = {value}")
    assert "(from: session)" in settings.run(session, key).text
    assert f"{key} is now " in settings.run(session, f"unset {key}").text
    assert f"{key} was not set" in settings.run(session, f"unset {key}").text


@pytest.mark.parametrize(
    "line", ["timeout_ms=5000", "timeout_ms = 5000", "timeout_ms= 5000", " timeout_ms =5000 ", "timeout_ms='5000'"]
)
def test_an_assignment_sets_a_value_too(session, line):
    assert settings.run(session, line).text == "timeout_ms = 5000 ms for this session"
    assert session.values == {"timeout_ms": 5000}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("timeout=5", "unknown setting 'timeout'; did you mean timeout_ms?"),
        ("timeout_ms=", "timeout_ms must be a number of milliseconds, got ''"),
        ("timeout_ms=30s", "timeout_ms must be a number of milliseconds, got '30s'; write 30000"),
        ("tpm_threshold = -500", "tpm_threshold must be a positive number, got -500"),
        ("tpm_threshold -500", "tpm_threshold must be a positive number, got -500"),
        ("timeout_ms abc", "timeout_ms must be a number of milliseconds, got 'abc'"),
        ("circuit_breaker_enabled maybe", "circuit_breaker_enabled must be a boolean (true or false), got 'maybe'"),
        ("timeout_ms 30 s", "timeout_ms must be a number of milliseconds, got '30 s'; write 30000"),
        ("timeout", "unknown setting 'timeout'; did you mean timeout_ms?"),
        ("timeout 5", "unknown setting 'timeout'; did you mean timeout_ms?"),
        ("unset timeout", "unknown setting 'timeout'; did you mean timeout_ms?"),
        ("unset", "unset takes the name of a setting, or --all"),
        ("unst timeout_ms", "unknown setting 'unst'; did you mean unset?"),
    ],
)
def test_a_wrong_setting_is_one_line_and_changes_nothing(session, line, said):
    assert refused(session, settings.run, line) == said
    assert session.values == {}


def test_an_unknown_key_among_several_to_unset_unsets_none(session):
    settings.run(session, "timeout_ms 5")
    with pytest.raises(SettingError):
        settings.run(session, "unset timeout_ms nonsense")
    assert session.values == {"timeout_ms": 5}


def test_the_table_has_every_setting_with_its_origin(session):
    settings.run(session, "timeout_ms 5")
    shown = settings.run(session, "")
    assert all(key in shown.text and key in shown.html for key in SETTINGS)
    row = next(line for line in shown.text.splitlines() if line.startswith("timeout_ms"))
    assert row.split()[:4] == ["timeout_ms", "5", "ms", "session"]


def test_unset_all_removes_everything_once(session):
    settings.run(session, "timeout_ms 5")
    assert settings.run(session, "unset --all").text == "removed from this session: timeout_ms"
    assert settings.run(session, "unset --all").text == "this session had set nothing"


# --- profile ---


def test_a_balancer_is_saved_loaded_shown_listed_and_deleted(session):
    assert profiles.run(session, "save loadbalancer lb failover synthetic chutes").text.startswith("saved lb")
    assert profiles.run(session, "load lb").text.startswith("profile lb is active: synthetic, chutes (failover)")
    assert '"policy": "failover"' in profiles.run(session, "show lb").text
    listed = profiles.run(session, "list").text
    assert next(line for line in listed.splitlines() if line.startswith("lb ")).endswith("active")
    assert profiles.run(session, "delete lb").text == "deleted lb; its file is kept as lb.json.bak"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("save loadbalancer lb synthetic chutes", "type %llx_profile save loadbalancer lb failover synthetic chutes"),
        ("save loadbalancer lb failver synthetic chutes", "unknown policy 'failver'; did you mean failover?"),
        ("save loadbalancer lb failover synthetic", "failover needs at least two members, got synthetic"),
        ("save loadbalancer lb failover", "failover needs at least two members, got none"),
        ("save loadbalancer lb failover lb chutes", "lb cannot be a member of itself"),
        ("save loadbalancer lb failover synthetic nobody", "nobody"),
        ("save model x --provider opnai --model m", "openai"),
        ("save model x --provider simulated --model m --param script=nonsense", "unknown step 'nonsense'"),
        ("save model ../x --provider simulated --model m", "../x"),
        ("save model x --provider openai --model m --key sk-secret", "a key does not belong in a cell"),
        ("save model x --provider openai --model m --price-input -1", "--price-input must be a price"),
        ("save loadbalancer lb failover synthetic chutes --set timeout_ms=30s", "write 30000"),
        ("load nobody", "nobody"),
        ("set-default", "set-default takes the name of a profile, or --clear"),
        ("set-default chutes --clear", "set-default takes the name of a profile, or --clear"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_in_one_line(session, line, said):
    text = refused(session, profiles.run, line)
    assert said in text
    assert "sk-secret" not in text
    assert session.active is None


def test_a_balancer_as_a_member_is_refused(session):
    profiles.run(session, "save loadbalancer lb failover synthetic chutes")
    assert "lb" in refused(session, profiles.run, "save loadbalancer outer failover lb chutes")


def test_saving_over_a_profile_says_what_changed_and_keeps_the_previous_file(session):
    profiles.run(session, "save loadbalancer lb failover synthetic chutes")
    text = profiles.run(session, "save loadbalancer lb roundrobin synthetic chutes --set tpm_threshold=5").text
    assert "lb.json.bak" in text
    assert "policy: failover → roundrobin" in text
    assert "tpm_threshold: not set → 5" in text


def test_saving_does_not_change_the_active_profile(session):
    profiles.run(session, "load chutes")
    profiles.run(session, "save loadbalancer lb failover synthetic chutes")
    assert session.active.name == "chutes"


def test_the_default_profile_is_set_and_cleared(session):
    assert "default profile" in profiles.run(session, "set-default chutes").text
    assert session.balancer().name == "chutes"
    profiles.run(session, "set-default --clear")
    assert session.balancer().name != "chutes"


# --- stats, log, prompt ---


def loaded(session: Session) -> Session:
    profiles.run(session, "save loadbalancer lb failover synthetic chutes")
    session.load("lb")
    return session


def test_statistics_and_log_are_those_of_the_active_profile(session):
    loaded(session)
    assert log.run(session, "").text == f"lb: {NOTHING_ASKED}"
    asyncio.run(session.balancer().ask("why"))
    shown = stats.run(session, "lb")
    assert "Profile: lb\nTotal Requests: 1" in shown.text
    logged = log.run(session, "").text.splitlines()
    assert any(line.endswith("[LB:failover] Trying backend: synthetic (attempt 1/2)") for line in logged)
    assert log.run(session, "-n 1").text == logged[-1]
    assert "are reset" in stats.run(session, "--reset").text
    assert "Total Requests: 0" in stats.run(session, "").text


def test_the_log_of_a_profile_on_virtual_time_says_so_and_shows_seconds_in_place_of_the_time_of_day(session):
    profiles.run(session, "save model quick --provider simulated --model m --param virtual_time=true")
    asyncio.run(session.load("quick").balancer.ask("why"))
    head, *lines = log.run(session, "-n 2").text.splitlines()
    assert head == "time is simulated: seconds since quick was loaded"
    assert [line[:20] for line in lines] == ["    0.000 s [LB:fail", "    0.000 s [LB:requ"]


@pytest.mark.parametrize("line", ["-n 0", "-n x", "-n -1", "-n " + "9" * 5000])
def test_a_number_of_lines_that_is_none_is_refused(session, line):
    assert "-n" in refused(loaded(session), log.run, line)


def test_other_statistics_than_those_of_the_balancer_are_refused(session):
    assert "WHAT must be lb, got 'cpu'" in refused(loaded(session), stats.run, "cpu")


def test_what_is_checked_before_anything_is_sent(session):
    loaded(session)
    for line, prompt, said in [
        ("", " ", "the prompt is empty"),
        ("-b chute", "why", "did you mean chutes"),
        ("-p nobody", "why", "nobody"),
        ("--set timeout_ms=30s", "why", "write 30000"),
    ]:
        with pytest.raises(UsageProblem, match=said):
            prepare(session, options(line), prompt)
    lb, asked = prepare(session, options("-s 'be brief' --set timeout_ms=5"), "why")
    assert lb.name == "lb"
    assert [(message.role, message.content) for message in asked.messages] == [("system", "be brief"), ("user", "why")]
    assert {candidate.settings.timeout_ms for candidate in asked.candidates} == {5}


@pytest.mark.parametrize("command", [settings, profiles], ids=["set", "profile"])
def test_help_is_text_for_whoever_asked(session, command):
    assert "usage:" in command.run(session, "--help").text


def test_tables_pad_their_columns_and_leave_no_trailing_blanks():
    assert text_table(("a", "b"), [("long one", ""), ("x", "y")]) == "a         b\n--------  -\nlong one\nx         y"
    assert bullet_list("head", ["one"]) == "head\n  one"
    assert text_table(("a", "b"), [("x", "12"), ("y", "3")], numbers=(1,)) == "a   b\n-  --\nx  12\ny   3"
    assert io.StringIO(text_table(("a",), [])).read() == "a\n-"


def test_a_member_setting_that_the_balancer_overrides_is_named(session):
    profiles.run(session, "save model one --provider simulated --model m --set failover_retry_count=1")
    said = profiles.run(session, "save loadbalancer lb failover one chutes").text
    assert said.startswith("saved lb\n  failover_retry_count of one (1) is overridden by 2; to keep it, take")
    same = profiles.run(session, "save loadbalancer alike failover one chutes --set failover_retry_count=1").text
    assert same == "saved alike"


def test_loading_one_model_names_it_and_its_provider(session):
    assert profiles.run(session, "load chutes").text == "profile chutes is active: m at simulated"


def test_what_is_wrong_with_a_profile_is_cut_in_the_list(session):
    (session.store.folder / "bad.json").write_text('{"type": "loadbalancer", "policy": "' + "x" * 300 + '"}')
    row = next(line for line in profiles.run(session, "list").text.splitlines() if line.startswith("bad "))
    assert len(row.split(maxsplit=2)[2]) <= profile_list.LONGEST_PROBLEM


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (EOFError(), "the input ended before a key was given"),
        (NotImplementedError("no stdin"), "type llx key set work in a terminal"),
        (getpass.GetPassWarning("echo"), "the input here would show the key"),
    ],
)
def test_a_key_that_cannot_be_asked_for_is_one_line(session, raised, said):
    def ask(_question: str) -> str:
        raise raised

    with using(MemoryKeyring()):
        assert said in refused(session, lambda session, line: keys.run(session, line, ask_hidden=ask), "set work")


def test_on_the_command_line_a_keyring_that_cannot_be_used_is_said_before_the_key_is_asked_for(session):
    """A key kept for the session would be gone with the command."""
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "sk-secret"

    with using(BrokenKeyring()), pytest.raises(KeyringProblem, match="cannot be used"):
        keys.run(session, "set work", "llx key", ask)
    assert not asked


class LockedKeyring(MemoryKeyring):
    """One that says only when a key is stored that its user has to unlock it first."""

    def set_password(self, service, username, password):
        raise keyring.errors.KeyringLocked(password)


@contextlib.contextmanager
def without_keyring_package() -> Iterator[None]:
    """Have no keyring package for the length of a block."""
    there = sys.modules["keyring"]
    sys.modules["keyring"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules["keyring"] = there


@pytest.mark.parametrize(
    "circumstances",
    [
        lambda: using(BrokenKeyring()),
        lambda: using(keyring.backends.fail.Keyring()),
        lambda: using(keyring.backends.null.Keyring()),
        lambda: using(LockedKeyring()),
        without_keyring_package,
    ],
    ids=["broken", "no backend", "null backend", "locked", "not installed"],
)
def test_without_a_keyring_a_key_is_kept_for_the_session_and_written_nowhere(session, tmp_path, circumstances):
    member = ModelProfile("m", "openai", "m", connection=Connection(auth_key_name="work"))
    source = ProfileKeySource(member, None, needs_key=True, own_host=True)
    with circumstances():
        text = keys.run(session, "set work", ask_hidden=lambda _question: "sk-held-0123456789").text
        try:
            assert text.startswith(
                "key work is kept in memory, for this session only; a profile uses it with --key-name"
            )
            assert "\n" not in text
            assert keys.run(session, "list").text == "keys:\n  work (this session)"
            assert source.read() == Secret("sk-held-0123456789")
            assert not source.may_block
        finally:
            keys.run(session, "delete work")
        assert keys.run(session, "list").text == "no key has been stored from here"
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"sk-held" in content for content in written)


def test_a_key_stored_later_replaces_the_one_of_the_session(session):
    with using(BrokenKeyring()):
        keys.run(session, "set work", ask_hidden=lambda _question: "sk-held-0123456789")
    with using(MemoryKeyring()):
        keys.run(session, "set work", ask_hidden=lambda _question: "sk-stored-012345")
        assert keys.run(session, "list").text == "keys:\n  work"
        keys.run(session, "delete work")


@pytest.mark.parametrize("action", ["set", "delete"])
def test_a_key_typed_as_its_name_is_refused_and_not_repeated(session, action):
    text = refused(session, keys.run, f"{action} sk-abc123def456")
    assert "looks like the key itself" in text
    assert "abc123" not in text


@pytest.mark.parametrize(
    "words",
    [
        "mine --provider openai --model m --key-file sk-abc123def456",
        "mine --provider openai --model m --key-env gsk_Ab3dEf6hIj9lMn2pQr5tUv8x",
        "mine --provider openai --model m --key-name sk-abc123def456",
        "mine --provider openai --model m --base-url sk-abc123def456",
        "sk-abc123def456 --provider openai --model m",
    ],
)
def test_a_key_typed_where_a_name_belongs_is_refused_not_repeated_and_not_written(session, tmp_path, words):
    text = refused(session, profiles.run, f"save model {words}")
    assert "looks like a key" in text
    assert "abc123" not in text
    assert "Ab3dEf" not in text
    assert not any(b"abc123" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_progress_that_is_not_on_a_screen_is_a_line_at_its_begin_and_one_at_its_end():
    out = io.StringIO()
    bar = local.ProgressBar(out, live=False)
    for done in (0, 10, 20, *[93_000_000] * 21):
        bar(done, 93_000_000)
    assert out.getvalue() == "fetching the model (93 MB)\nall of the model is there\n"


@pytest.mark.parametrize("name", ["save", "load", "list", "show", "delete", "set-default"])
def test_the_help_of_a_command_lists_its_actions_with_their_meaning(name):
    lines = profiles.help().splitlines()
    assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in lines)


def test_the_command_line_is_not_told_to_type_magics(session):
    for text in (
        settings.help(prog="llx"),
        settings.run(session, "timeout_ms", "llx set").text,
        profiles.help("save", "model", prog="llx"),
    ):
        assert "%llx" not in text


# --- list, show, and profiles that are saved while they are in use ---


def saved(session: Session, *lines: str) -> None:
    for line in lines:
        profiles.run(session, f"save model {line}")


@pytest.fixture
def stocked(session, monkeypatch) -> Session:
    """A session with models whose keys are there, missing, and needed by nobody."""
    monkeypatch.setenv("GROQ_API_KEY", "gsk_held-0123456789")
    monkeypatch.delenv("WORK_KEY", raising=False)
    saved(
        session,
        "fast --provider groq --model oss",
        "deep --provider openai --model gpt --key-env WORK_KEY",
        "mine --provider ollama --model qwen",
        "odd --provider portkey --model m --base-url https://gateway.example/v1 --header 'x-api-key=${WORK_KEY}'",
    )
    profiles.run(session, "save loadbalancer work failover fast deep mine")
    return session


def row_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("fast", ("groq oss", "api.groq.com", "found: the variable GROQ_API_KEY")),
        ("deep", ("openai gpt", "api.openai.com", "missing: set the environment variable WORK_KEY")),
        ("mine", ("ollama qwen", "localhost:11434", "none needed")),
        ("odd", ("portkey m", "gateway.example", "missing: the variable WORK_KEY")),
        ("work", ("failover", "fast, deep, mine", "missing for deep")),
    ],
)
def test_the_list_says_of_each_where_it_is_and_whether_its_key_is_there(stocked, name, pieces):
    shown = profiles.run(stocked, "list")
    assert all(piece in row_of(shown.text, name) for piece in pieces)
    assert "held-0123456789" not in shown.text + shown.html


def test_the_list_shows_ones_own_first_and_the_shipped_set_apart(stocked):
    text = profiles.run(stocked, "list").text
    *own, empty, examples = text.splitlines()
    assert empty == ""
    assert [line.split()[0] for line in own[2:]] == ["chutes", "deep", "fast", "mine", "odd", "synthetic", "work"]
    said = f"{profile_list.EXAMPLES}demo, groqgpt, local, testlb489, unreachable (%llx_profile show NAME)"
    assert examples == said  # the others are hidden by profiles of the same names


def test_an_example_that_is_in_use_stands_in_the_list_and_is_marked(stocked):
    profiles.run(stocked, "set-default demo")
    shown = profiles.run(stocked, "list")
    assert row_of(shown.text, "demo").endswith("default, example")
    assert not any(line.startswith("local ") for line in shown.text.splitlines())


def test_saving_over_an_examples_name_is_told_once_and_deleting_brings_the_example_back(session):
    said = profiles.run(session, "save model demo --provider simulated --model m").text.splitlines()
    assert said[1:] == [
        "  it stands in place of the example demo that comes with llx_magic; %llx_profile delete demo brings that back"
    ]
    assert "in place of" not in profiles.run(session, "save model demo --provider simulated --model n").text
    assert session.load("demo").balancer.profile.members[0].provider == "simulated"
    assert (
        "the example of that name, which comes with llx_magic, is there again"
        in profiles.run(session, "delete demo").text
    )
    assert session.load("demo").balancer.members == ("unreachable", "local")
    assert "example" not in profiles.run(session, "save model other --provider simulated --model m").text


def test_an_empty_folder_lists_the_examples_below_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "new"))
    text = profiles.run(Session(ProfileStore()), "list").text
    assert text.startswith("there is no profile of yours yet: %llx_profile save model NAME")
    assert profile_list.EXAMPLES in text


def test_show_says_beside_the_file_where_each_member_is_and_whether_its_key_is_there(stocked):
    shown = profiles.run(stocked, "show work")
    assert json.loads(shown.text)["profiles"] == ["fast", "deep", "mine"]
    assert shown.aside.splitlines() == [
        "members:",
        "  fast: groq oss at api.groq.com, key found: the variable GROQ_API_KEY",
        "  deep: openai gpt at api.openai.com, key missing: set the environment variable WORK_KEY",
        "  mine: ollama qwen at localhost:11434, needs no key",
    ]


def test_a_keyring_that_hangs_holds_up_the_list_once(session):
    class Hanging(MemoryKeyring):
        def get_password(self, service, username):
            released.wait(60)
            return super().get_password(service, username)

    released = threading.Event()
    saved(session, *(f"m{n} --provider openai --model m --key-name k{n}" for n in range(9)))
    began = time.monotonic()
    with using(Hanging()):
        try:
            text = profiles.run(session, "list").text
        finally:
            released.set()
    assert "missing: the keyring does not answer" in row_of(text, "m8")
    assert time.monotonic() - began < 9 * 2.0


def test_saving_a_model_without_its_key_says_so_at_once(session, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    text = profiles.run(session, "save model fast --provider groq --model oss").text
    assert text.startswith("saved fast\n  groq at api.groq.com, key missing: set GROQ_API_KEY")
    monkeypatch.setenv("GROQ_API_KEY", "gsk_held-0123456789")
    assert profiles.run(session, "save model fast --provider groq --model other").text.endswith("model: oss → other")


def test_saving_the_same_again_says_that_nothing_has_changed(session):
    line = "save model same --provider simulated --model m"
    assert profiles.run(session, line).text == "saved same"
    assert profiles.run(session, line).text == "same was saved like this before: nothing has changed"


def ask(session: Session) -> str:
    return asyncio.run(session.balancer().ask("why")).text


def test_a_member_that_is_saved_while_it_is_in_use_is_asked_at_once(session):
    loaded(session)
    assert ask(session) == "I am synthetic."
    text = profiles.run(session, "save model synthetic --provider simulated --model m --param 'reply=I am new.'").text
    assert text.splitlines()[-1] == "  lb is in use: what was saved counts from the next prompt on"
    assert ask(session) == "I am new."


def test_a_balancer_that_is_saved_while_it_is_in_use_is_used_at_once(session):
    loaded(session)
    profiles.run(session, "save loadbalancer lb failover chutes synthetic --set timeout_ms=7000")
    assert ask(session) == "I am chutes."
    assert session.resolved()["timeout_ms"].value == 7000


def test_saving_a_balancer_names_the_settings_in_force_that_it_takes_along(session):
    settings.run(session, "timeout_ms 9000")
    text = profiles.run(session, "save loadbalancer lb failover synthetic chutes --set tpm_threshold=5").text
    said = "saved with the settings in force: timeout_ms 9000 (from: session); --set KEY=VALUE saves another value"
    assert text.splitlines()[1:] == [f"  {said}"]


def test_a_saved_balancer_says_what_it_took_of_the_loaded_profile_by_name_what_is_switched_off_too(session):
    profiles.run(session, "save loadbalancer old failover synthetic chutes --set timeout_ms=9000")
    profiles.run(session, "load old")
    settings.run(session, "stall_timeout_ms none")
    text = profiles.run(session, "save loadbalancer new failover chutes synthetic --set failover_retry_count=3").text
    taken = "timeout_ms 9000 (from: profile old), stall_timeout_ms none (from: session)"
    assert text.splitlines()[1].startswith(f"  saved with the settings in force: {taken}; --set KEY=VALUE")
    assert "failover_retry_count" not in text
    saved = session.store.load("new").settings
    assert (saved["timeout_ms"], saved["stall_timeout_ms"], saved["failover_retry_count"]) == (9000, None, 3)


def test_a_profile_that_is_only_the_default_gives_its_settings_to_prompts_and_to_no_other_profile(session):
    profiles.run(session, "save loadbalancer old failover synthetic chutes --set timeout_ms=9000")
    profiles.run(session, "set-default old")
    assert settings.run(session, "timeout_ms", "llx set").text.startswith("timeout_ms = 9000   (from: profile old)")
    text = profiles.run(session, "save loadbalancer new failover chutes synthetic", "llx profile").text
    assert text == "saved new"
    assert session.store.load("new").settings["timeout_ms"] == 600_000


def test_a_default_profile_that_cannot_be_read_does_not_keep_the_settings_from_being_shown(session):
    profiles.run(session, "set-default chutes")
    (session.store.folder / "chutes.json").write_text("{")
    assert settings.run(session, "timeout_ms").text.startswith("timeout_ms = 600000   (from: default)")


def test_saving_a_member_twice_says_what_that_means(session):
    text = profiles.run(session, "save loadbalancer lb roundrobin synthetic chutes synthetic").text
    assert text.splitlines()[1:] == ["  synthetic has 2 places, and is asked again in each"]


def test_every_column_of_the_list_of_profiles_has_a_heading(session):
    assert profiles.run(session, "list").text.splitlines()[0].split()[-2:] == ["used", "as"]


def test_what_this_session_set_and_saved_is_taken_up(session):
    loaded(session)
    settings.run(session, "timeout_ms 9000")
    text = profiles.run(session, "save loadbalancer lb failover synthetic chutes").text
    assert "is in use: what was saved counts" in text
    assert session.active.profile.settings["timeout_ms"] == 9000


def test_a_value_of_the_session_that_stands_against_the_save_is_named_with_what_to_type(session):
    loaded(session)
    settings.run(session, "timeout_ms 9000")
    text = profiles.run(session, "save loadbalancer lb failover chutes synthetic --set timeout_ms=7000").text
    assert text.splitlines()[-1] == (
        "  lb is in use with this session's timeout_ms: type %llx_profile load lb to use what was saved"
    )
    assert ask(session) == "I am synthetic."
    profiles.run(session, "load lb")
    assert ask(session) == "I am chutes."


def test_a_value_of_the_session_that_the_save_does_not_touch_stays_in_force(session):
    loaded(session)
    settings.run(session, "timeout_ms 9000")
    text = profiles.run(session, "save model chutes --provider simulated --model other").text
    assert "is in use: what was saved counts" in text
    assert session.resolved()["timeout_ms"].value == 9000


def test_a_save_that_the_loaded_profile_cannot_bear_leaves_it_in_use(session):
    loaded(session)
    text = profiles.run(session, "save model chutes --provider simulated --model m --param virtual_time=true").text
    assert "lb stays in use as it was: profile lb: chutes runs on virtual time" in text
    assert ask(session) == "I am synthetic."


def test_saving_what_is_not_in_use_says_nothing_of_it(session):
    profiles.run(session, "load chutes")
    assert profiles.run(session, "save model third --provider simulated --model m").text == "saved third"
